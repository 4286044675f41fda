// One call of `send` or `pipeline` on its way: what was asked, what came back, what went wrong.
import { type Command, type Reply, ReplyError } from "../resp/mod.ts";
import { checkCommand } from "../resp/encode.ts";
import {
  ConnectionClosedError,
  type ConnectionFacts,
  isOverLimit,
  type Loss,
  type PushRight,
  type Slot,
} from "../pool/mod.ts";
import { isPassing } from "../pool/refusal.ts";
import type { Retry } from "../retry/mod.ts";
import { isScript, noteAbort, noteAnswer } from "./fate.ts";
import { sequenceHazard } from "./replay.ts";
import { serverOf } from "./settle.ts";

/** Whether a command that may have run may be sent again. */
export type ReplayPolicy = "auto" | "always" | "never";

/** Options of one call. */
export interface SendOptions {
  /** Ends the call, whatever it is doing: the reason is thrown. A command already written may still run. */
  signal?: AbortSignal;
  /** Bulk strings of the reply become `Uint8Array`. @default {false} */
  binary?: boolean;
  /**
   * Whether a command that was written and not answered may be sent again:
   * only where a second run is harmless, always, or never. @default {"auto"}
   */
  replay?: ReplayPolicy;
  /**
   * Where a command was lost and must not be replayed: make sure by CLIENT
   * KILL that it can no longer run, and find out by a read whether it has.
   * Settles SET without options or with NX, SETNX, HSET, HSETNX, SADD and ZADD
   * of one value or member that nobody else writes or deletes.
   * @default {false}
   */
  settle?: boolean;
  /** The retry policy of this call; `false` makes exactly one attempt. @default {the client's} */
  retry?: Retry | false;
}

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

/** Who looks after a call. */
export interface CallKeeper {
  /** The call has its outcome: an answer of the server, or not. */
  closed(wasAnswered: boolean): void;
  /** An attempt failed: send the call again or reject it. */
  failed(call: Call, failure: Failure): void;
  /** The server refused to run a command. */
  refused(connection: ConnectionFacts, error: ReplyError): void;
  /** Send a call, on whichever connection may be shared now. */
  travel(call: Call): void;
}

/** Shared by all calls that have not failed: each is spared an array. */
const NONE: readonly Error[] = [];

/** What `send` and `pipeline` have in common: an outcome, once, after one attempt or more. */
export abstract class Call {
  readonly options: SendOptions;
  /** How many attempts have failed and were followed by a wait. */
  retries = 0;
  /** What earlier attempts failed with. */
  errors: readonly Error[] = NONE;
  /** When its first attempt failed, by `performance.now()`. */
  failedAt = 0;
  /** When the call was made, by `performance.now()`; 0 where no policy asks. */
  startedAt = 0;
  /** Ends the wait before the next attempt. */
  nap: AbortController | undefined;
  /** Undoes what watches the signal. */
  unwatch: (() => void) | undefined;
  /** Whether the outcome is known. */
  isDone = false;

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

  /** Puts what is not answered yet in flight. */
  abstract travel(right: PushRight): void;

  /** The outcome is known: nothing that comes later counts. */
  protected finish(wasAnswered: boolean): void {
    this.isDone = true;
    this.unwatch?.();
    this.keeper.closed(wasAnswered);
  }

  reject(reason: unknown): void {
    if (this.isDone) return;
    this.finish(reason instanceof ReplyError);
    this.#reject(reason);
  }
}

/** Connections that have been asked which server they lead to. */
const asked = new WeakSet<ConnectionFacts>();

/** One command. It is its own slot, so that the happy path makes one object. */
export class SingleCall extends Call implements Slot {
  readonly command: Command;
  readonly patienceMs = 0;
  /** The connection of the last attempt. */
  connection: ConnectionFacts | undefined;
  readonly #resolve: (reply: Reply) => void;

  constructor(
    keeper: CallKeeper,
    command: Command,
    options: SendOptions,
    resolve: (reply: Reply) => void,
    reject: (reason: unknown) => void,
  ) {
    super(keeper, options, reject);
    this.command = copyOf(command);
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
    if (this.options.settle && !asked.has(connection)) {
      // To resolve this command's fate later we need the server's run_id first;
      // the connection may be leased by the time it arrives, so pick one again.
      asked.add(connection);
      return void serverOf(right).then(() => this.keeper.travel(this));
    }
    this.connection = connection;
    try {
      right.push(this);
    } catch (error) {
      this.reject(error);
    }
  }

  settle(reply: Reply): void {
    if (this.isDone) return; // the caller has left
    if (reply instanceof ReplyError) return this.#settleError(reply);
    this.finish(true);
    this.#resolve(reply);
  }

  lose(loss: Loss): void {
    if (this.isDone) return;
    const { replay } = this.options;
    this.keeper.failed(
      this,
      failureOf([{ loss, command: this.command }], replay),
    );
  }

  #settleError(error: ReplyError): void {
    noteAnswer(this.command, error);
    if (!isPassing(error) || isScript(this.command)) return this.reject(error);
    this.keeper.refused(this.connection!, error);
    this.keeper.failed(this, refusal(error));
  }
}

/** Several commands, at once and in order. */
export class PipelineCall extends Call {
  readonly #commands: readonly Command[];
  readonly #resolve: (replies: Reply[]) => void;
  #replies: Reply[] = [];

  /** @throws {TypeError} If a command cannot be encoded: all are sent or none. */
  constructor(
    keeper: CallKeeper,
    commands: readonly Command[],
    options: SendOptions,
    resolve: (replies: Reply[]) => void,
    reject: (reason: unknown) => void,
  ) {
    super(keeper, options, reject);
    commands.forEach(checkCommand);
    this.#commands = commands.map(copyOf);
    this.#resolve = resolve;
  }

  get name(): string {
    return this.#commands[this.#replies.length]?.[0] ?? "PIPELINE";
  }

  travel(right: PushRight): void {
    if (this.isDone) return;
    const { connection } = right;
    const commands = this.#commands.slice(this.#replies.length);
    const lost: { loss: Loss; command: Command }[] = [];
    let open = commands.length;
    const concluded = () => {
      if (--open > 0 || this.isDone) return;
      if (lost.length === 0) return this.#answered(connection);
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
        patienceMs: 0,
        settle: (reply) => {
          if (reply instanceof ReplyError) noteAnswer(command, reply);
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
        if (i > 0) noteAbort(error); // those before it are on their way
        return this.reject(error);
      }
    }
  }

  #answered(connection: ConnectionFacts): void {
    const [first] = this.#replies;
    if (
      first instanceof ReplyError && this.#replies.every(isRefusal) &&
      !this.#commands.some(isScript)
    ) {
      this.#replies = []; // the server ran none of them
      this.keeper.refused(connection, first);
      return this.keeper.failed(this, refusal(first));
    }
    this.finish(true);
    this.#resolve(this.#replies);
  }
}

/** A connection this old was not opened for the command that it failed. */
const SETTLED_IN_MS = 50;

const copyOf = (command: Command): Command =>
  // What is sent again must be what was sent.
  Array.isArray(command) ? command.slice() as unknown as Command : command;

const isRefusal = (reply: Reply): boolean =>
  reply instanceof ReplyError && isPassing(reply);

const refusal = (error: ReplyError): Failure => ({
  error,
  mayRunAgain: true,
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
  let note: string | undefined;
  if (replay === "never" && unknown.length > 0) {
    note = 'it was not replayed: replay is "never"';
  } else if (replay === "auto") {
    note = sequenceHazard(unknown.map(({ command }) => command));
  }
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
