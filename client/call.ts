// One call of `send` or `pipeline` on its way: what was asked, what came back, what went wrong.
import { type Command, type Reply, ReplyError } from "../resp/mod.ts";
import { checkCommand } from "../resp/command.ts";
import {
  ConnectionClosedError,
  type Fate,
  isOverLimit,
} from "../pool/connection/close_report.ts";
import type { Identity } from "../pool/connection/connection.ts";
import type { Loss, Slot } from "../pool/connection/in_flight.ts";
import type {
  ConnectionFacts,
  PushRight,
} from "../pool/connection/push_right.ts";
import { isPassing } from "../pool/connection/refusal.ts";
import type { SendOptions } from "./send_options.ts";
import { CommandError, errorOf, showsReplica } from "./command_error.ts";
import { fateOf, noteAbort, worstOf } from "./fate.ts";
import { rejection, withErrors } from "./rejection.ts";
import { reasonAgainstReplay, type ReplayPolicy } from "./commands/replay.ts";
import { askServer, wasAsked } from "./resolve_fate.ts";
import { DeadlineError } from "./deadline_error.ts";
import type { Expirable } from "./deadlines.ts";

/** A failed attempt, and what may follow. */
export interface Failure {
  /** What went wrong. */
  readonly error: Error;
  /** Whether another attempt does no harm. */
  readonly mayRunAgain: boolean;
  /** Whether a command was written that would be sent again. */
  readonly isReplay: boolean;
  /** What the next attempt is charged to; `undefined` if this one cost the server nothing. */
  readonly charge: object | undefined;
  /** The connection that proved dead before a byte of the reply came, if that is what happened. */
  readonly zombie: Zombie | undefined;
}

/** A connection that was dead when it was used. */
export interface Zombie {
  /** When it was opened, by `performance.now()`. */
  readonly openedAt: number;
  /** Whether it was in use before, so that its death is no answer to this very command. */
  readonly wasUsed: boolean;
}

/** What a call needs of its client. */
export interface CallKeeper {
  /** The call has its outcome: an answer of the server, or not. */
  closed(wasAnswered: boolean): void;
  /** An attempt failed: send the call again or reject it. */
  failed(call: Call, failure: Failure): void;
  /** The server says that it is a replica. */
  isReplica(connection: ConnectionFacts): void;
  /** Send a call, on whichever connection may be shared now. */
  travel(call: Call): void;
}

/** A wait of a call in which nothing of it is in flight. */
export interface Wait {
  /** What an error says of it. */
  readonly waitsFor: string;
  /** Ends it. */
  abort(reason: unknown): void;
}

/** A wait that a signal ends. */
export class SignalledWait extends AbortController implements Wait {
  /** @param waitsFor What an error says of it. */
  constructor(readonly waitsFor: string) {
    super();
  }
}

/** Shared by all calls that have not failed: each is spared an array. */
const NONE: readonly Error[] = [];

/** What `send` and `pipeline` have in common: an outcome, once, after one attempt or more. */
export abstract class Call implements Expirable {
  readonly options: SendOptions;
  /** How many attempts have failed and were followed by a wait. */
  retries = 0;
  /** What earlier attempts failed with. */
  errors: readonly Error[] = NONE;
  /** When its first attempt failed, by `performance.now()`. */
  failedAt = 0;
  /** When the call was made, by `performance.now()`; 0 where no policy asks. */
  startedAt = 0;
  /** When the call must be over, in milliseconds after its start. */
  deadlineMs = Infinity;
  /** The wait for a connection or before the next attempt, if it is in one that can be ended. */
  wait: Wait | undefined;
  /** Undoes what watches the signal and the deadline. */
  unwatch: (() => void) | undefined;
  /** Whether the outcome is known. */
  isDone = false;
  /** Whether a connection has it, so that it may run. */
  protected isInFlight = false;

  protected readonly keeper: CallKeeper;
  readonly #reject: (reason: unknown) => void;

  constructor(
    keeper: CallKeeper,
    options: SendOptions,
    reject: (reason: unknown) => void,
  ) {
    this.keeper = keeper;
    this.options = options;
    this.#reject = reject;
  }

  /** The name of the command, or of the first of them. */
  abstract readonly name: string;

  /** Settles the caller's promise as `failed` is rejected. */
  protected abstract resolveWith(failed: Promise<never>): void;

  /** Puts what is not answered yet in flight. */
  abstract travel(right: PushRight): void;

  /** The outcome is known: nothing that comes later counts. */
  protected finish(wasAnswered: boolean): void {
    this.isDone = true;
    this.unwatch?.();
    this.keeper.closed(wasAnswered);
  }

  /** What has become of it so far, over all attempts. */
  get fate(): Fate {
    return this.isInFlight ? "unknown" : worstOf(this.errors.map(fateOf));
  }

  /** Rejects it with an error of this client. */
  reject(error: Error): void {
    if (this.isDone) return;
    this.finish(error instanceof ReplyError);
    this.resolveWith(rejection(error, this.fate));
  }

  /** Rejects it with the reason of the caller's own signal, as it is. */
  abort(reason: unknown): void {
    if (this.isDone) return;
    this.finish(false);
    this.#reject(reason);
  }

  /** Its signal has aborted. A command in flight may still run; its slot stays, to swallow the reply. */
  end(reason: unknown): void {
    const { wait } = this;
    noteAbort(reason, this.fate);
    this.abort(reason);
    wait?.abort(reason);
  }

  /** Its deadline has passed; the same holds. */
  expire(): void {
    const { errors, wait } = this;
    const error = new DeadlineError(
      this.name,
      this.deadlineMs,
      this.fate,
      wait?.waitsFor ?? "its reply had not come",
      errors.length === 0 ? undefined : { cause: errors[errors.length - 1] },
    );
    this.reject(error);
    wait?.abort(error);
  }
}

/**
 * One command, a copy that nothing outside can change: what is sent again is
 * what was sent. It is its own slot, so that the happy path makes one object.
 */
export class SingleCall extends Call implements Slot {
  readonly command: Command;
  readonly extraReplyTimeoutMs = 0;
  /** The connection of the last attempt. */
  connection: ConnectionFacts | undefined;
  readonly #resolve: (reply: Reply | Promise<never>) => void;

  constructor(
    keeper: CallKeeper,
    command: Command,
    options: SendOptions,
    resolve: (reply: Reply | Promise<never>) => void,
    reject: (reason: unknown) => void,
  ) {
    super(keeper, options, reject);
    this.command = command;
    this.#resolve = resolve;
  }

  get name(): string {
    return this.command[0];
  }

  get binary(): boolean {
    return this.options.binary === true;
  }

  travel(right: PushRight): void {
    if (this.isDone) return;
    const { connection } = right;
    if (this.options.resolveFate && !wasAsked(connection)) {
      return this.#askServer(right);
    }
    this.connection = connection;
    this.isInFlight = true;
    try {
      right.push(this);
    } catch (error) {
      this.isInFlight = false;
      this.reject(error as Error);
    }
  }

  protected override resolveWith(failed: Promise<never>): void {
    this.#resolve(failed);
  }

  resolve(reply: Reply): void {
    if (reply instanceof ReplyError || Array.isArray(reply)) {
      this.#lookForReplica(reply);
    }
    if (this.isDone) return; // the caller has left
    if (reply instanceof ReplyError) return this.#settleError(reply);
    this.finish(true);
    this.#resolve(reply);
  }

  lose(loss: Loss): void {
    this.isInFlight = false;
    if (this.isDone) return;
    const { replay } = this.options;
    this.keeper.failed(
      this,
      failureOf([{ loss, command: this.command }], replay),
    );
  }

  /** By the time of the answer the connection may have changed hands: one is picked again. */
  #askServer(right: PushRight): void {
    askServer(right).then(
      () => this.keeper.travel(this),
      ({ report }: ConnectionClosedError) =>
        this.lose({
          report,
          fate: "unsent", // the command itself
          untouched: true,
          openedAt: right.connection.openedAt,
        }),
    );
  }

  /** A demoted primary is left, even if the caller has left before. */
  #lookForReplica(reply: Reply): void {
    if (!showsReplica(this.command, reply)) return;
    this.keeper.isReplica(this.connection!);
  }

  #settleError(reply: ReplyError): void {
    this.isInFlight = false;
    const { identity } = this.connection!;
    this.keeper.failed(this, refusal(errorOf(this.command, reply, identity)));
  }
}

/** Several commands, at once and in order. */
export class PipelineCall extends Call {
  readonly #commands: readonly Command[];
  readonly #resolve: (replies: Reply[] | Promise<Reply[]>) => void;
  #replies: Reply[] = [];
  #hasErrors = false;
  #identity: Identity | undefined;

  /** @throws {TypeError} If a command cannot be encoded: all are sent or none. */
  constructor(
    keeper: CallKeeper,
    commands: readonly Command[],
    options: SendOptions,
    resolve: (replies: Reply[] | Promise<Reply[]>) => void,
    reject: (reason: unknown) => void,
  ) {
    super(keeper, options, reject);
    commands.forEach(checkCommand);
    this.#commands = commands;
    this.#resolve = resolve;
  }

  get name(): string {
    return this.#commands[this.#replies.length]?.[0] ?? "PIPELINE";
  }

  travel(right: PushRight): void {
    if (this.isDone) return;
    const { connection } = right;
    this.#identity = connection.identity;
    const commands = this.#commands.slice(this.#replies.length);
    const lost: { loss: Loss; command: Command }[] = [];
    let open = commands.length;
    this.isInFlight = true;
    const concluded = () => {
      if (--open > 0) return;
      this.isInFlight = false;
      if (this.isDone) return;
      if (lost.length === 0) return this.#answered();
      const { length: answered } = this.#replies;
      this.keeper.failed(
        this,
        failureOf(lost, this.options.replay, answered),
      );
    };
    for (const [i, command] of commands.entries()) {
      const slot: Slot = {
        command,
        binary: this.options.binary === true,
        extraReplyTimeoutMs: 0,
        resolve: (reply) => {
          if (reply instanceof ReplyError) this.#hasErrors = true;
          if (showsReplica(command, reply)) this.keeper.isReplica(connection);
          this.#replies.push(reply);
          concluded();
        },
        lose: (loss) => {
          lost.push({ loss, command });
          concluded();
        },
      };
      try {
        right.push(slot);
      } catch (error) {
        this.isInFlight &&= i > 0; // those before it are on their way
        return this.reject(error as Error);
      }
    }
  }

  protected override resolveWith(failed: Promise<never>): void {
    this.#resolve(failed);
  }

  #answered(): void {
    if (!this.#hasErrors) {
      this.finish(true);
      return this.#resolve(this.#replies);
    }
    const replies = this.#replies.map((reply, i) =>
      reply instanceof ReplyError
        ? errorOf(this.#commands[i]!, reply, this.#identity)
        : reply
    );
    const [first] = replies;
    if (first instanceof CommandError && replies.every(mayBeSentAgain)) {
      this.#replies = []; // the server ran none of them
      this.#hasErrors = false;
      return this.keeper.failed(this, refusal(first));
    }
    this.finish(true);
    this.#resolve(withErrors(replies));
  }
}

/** A connection this old was not opened for the command that it failed. */
const SETTLED_IN_MS = 50;

/** Whether the server did not run the command, for a reason that passes. */
const mayBeSentAgain = (reply: Reply): boolean =>
  reply instanceof CommandError && reply.fate === "unsent" && isPassing(reply);

/** What an error reply to a command means. */
const refusal = (error: CommandError): Failure => ({
  error,
  mayRunAgain: mayBeSentAgain(error),
  isReplay: false,
  charge: error,
  zombie: undefined,
});

/**
 * What the loss of commands means: the first one's evidence, the worst one's
 * fate. Where others of their pipeline were `answered`, it was not unsent.
 */
export function failureOf(
  lost: readonly { loss: Loss; command: Command }[],
  replay: ReplayPolicy = "auto",
  answered = 0,
): Failure {
  const { report, untouched, openedAt } = lost[0]!.loss;
  const unknown = lost.filter(({ loss }) => loss.fate === "unknown");
  let note = reasonAgainstReplay(unknown.map(({ command }) => command), replay);
  // It would be as large the next time.
  if (isOverLimit(report)) {
    note ??= "the reply is over one of this client's limits";
  }
  const share = answered > 0 &&
    `${answered} of ${answered + lost.length} were answered`;
  return {
    error: new ConnectionClosedError(
      report,
      unknown.length + answered > 0 ? "unknown" : "unsent",
      [share, note].filter(Boolean).join(", ") || undefined,
    ),
    mayRunAgain: note === undefined,
    isReplay: unknown.length > 0,
    charge: unknown.length > 0 ? report : undefined,
    zombie: untouched && report.how !== "requested"
      ? {
        openedAt,
        wasUsed: report.commandsServed > 0 || report.ageMs > SETTLED_IN_MS,
      }
      : undefined,
  };
}
