// What calls have in common: an outcome, once, after one attempt or more.
import { ReplyError } from "../resp/errors.ts";
import type { Command } from "../resp/types.ts";
import type { Fate } from "../pool/connection/fate.ts";
import type { Slot } from "../pool/connection/in_flight.ts";
import type { PushRight } from "../pool/connection/push_right.ts";
import { DeadlineError, type Expirable } from "./deadlines.ts";
import type { FailedAttempts, Failure } from "./failure.ts";
import { fateOf, noteAbort, worstOf } from "./fate.ts";
import type { OneRequest } from "../pool/socket/other_runtimes.ts";
import { rejection } from "./rejection.ts";
import type { SendOptions } from "./send_options.ts";
import type { Routed, Router, Routing } from "./servers/directory.ts";
import type { ConnectionNeed, Server } from "./servers/server.ts";

/**
 * Where a call is:
 *
 * - `deciding`: before its first attempt, or between a failure and what follows from it;
 * - `finding`: the server in charge of it is being found;
 * - `connecting`: it waits for a connection;
 * - `identifying`: its connection is asked which server it leads to;
 * - `in-flight`: a connection has it, so that it may run;
 * - `backing-off`: it waits for its next attempt;
 * - `resolving`: it was lost, and whether it has run is being found out;
 * - `done`: it has its outcome.
 */
type CallState =
  | "deciding"
  | "finding"
  | "connecting"
  | "identifying"
  | "in-flight"
  | "backing-off"
  | "resolving"
  | "done";

/** What the error of a deadline says of a state. */
const WAITED_FOR: Readonly<Partial<Record<CallState, string>>> = {
  finding: "the server in charge of it was not known",
  connecting: "no connection was free",
  identifying: "its connection had not said which server it leads to",
  "backing-off": "it waited for its next attempt",
  resolving: "its fate was being looked for",
};

/** Drops the reply: a refusal shows in that to the command which follows. */
const ASKING: Slot = {
  command: ["ASKING"],
  binary: false,
  extraReplyTimeoutMs: 0,
  resolve() {},
  lose() {},
};

/**
 * Pushes ASKING. The command that it is for must be pushed in the same turn:
 * any command ends what ASKING has allowed, another caller's as well.
 *
 * @see {@link https://redis.io/docs/latest/commands/asking/}
 */
export const pushAsking = (right: PushRight): void => right.push(ASKING);

/** What a call reports to. */
export interface CallEngine {
  /** What limits calls to one request, if anything does. */
  readonly oneRequest?: OneRequest | undefined;
  /** The call has its outcome: a reply of the server, or not. */
  ended(wasAnswered: boolean): void;
  /** An attempt failed: the call is sent again, or rejected. */
  failed(call: Call, failure: Failure): void;
  /** Another attempt is made now, since the last one has not failed. */
  attempt(call: Call): void;
}

/** What may end a call before its outcome. */
export interface CallLimits {
  /** When the call was made, by `performance.now()`. */
  readonly startedAt: number;
  /** When it must be over, in milliseconds after that. */
  readonly deadlineMs: number;
  /** Removes its deadline and the listener on its signal. */
  detach(): void;
}

/**
 * A call.
 *
 * - It has one state, and its caller's promise is settled once, as the state becomes `done`.
 * - What comes later, such as the reply to an aborted command, is dropped.
 * - Its fate is that of all its attempts together.
 */
export abstract class Call implements Expirable, Routed {
  readonly options: SendOptions;
  /** What says which server is in charge of it; it is given at its start. */
  router: Router | undefined;
  /** The server of its last attempt. */
  server: Server | undefined;
  /** Where it goes in a cluster. */
  routing: Routing | undefined;
  /** Its failed attempts, once there is one. */
  failures: FailedAttempts | undefined;
  /** Its signal and deadline, if it has either. */
  limits: CallLimits | undefined;
  protected readonly engine: CallEngine;
  readonly #reject: (reason: unknown) => void;
  #state: CallState = "deciding";
  #cancel: ((reason: unknown) => void) | undefined;

  constructor(
    engine: CallEngine,
    options: SendOptions,
    reject: (reason: unknown) => void,
  ) {
    this.engine = engine;
    this.options = options;
    this.#reject = reject;
  }

  /** The name of the command, or of the first of them that has no reply. */
  abstract readonly name: string;

  /** The command to be sent next, if it is one that a server is chosen by. */
  abstract readonly command: Command | undefined;

  /** What it needs a connection for. */
  abstract readonly need: ConnectionNeed;

  /** Resolves the caller's promise with one that rejects. */
  protected abstract resolveWith(failed: Promise<never>): void;

  /** Makes an attempt: puts what has no reply yet in flight. */
  abstract sendOn(right: PushRight): void;

  /** What it does, to follow "Cannot" in an error. */
  get purpose(): string {
    return `send ${this.name}`;
  }

  /** How long the server may block on it, in milliseconds: the policy's deadline leaves it that in addition. */
  get blocksForMs(): number {
    return 0;
  }

  /** Whether ASK has led it to the server of this attempt: ASKING goes before each of its commands. */
  protected get isDetour(): boolean {
    return this.routing?.detour !== undefined;
  }

  /** Whether it has its outcome. */
  get isDone(): boolean {
    return this.#state === "done";
  }

  /** What has become of it so far, over all attempts. */
  get fate(): Fate {
    if (this.#state === "in-flight") return "unknown";
    return worstOf(this.failures?.errors.map(fateOf) ?? []);
  }

  /**
   * Goes to another state.
   *
   * @param state The state.
   * @param cancel Ends what is waited for in it; its caller has left.
   */
  enter(
    state: Exclude<CallState, "done">,
    cancel?: (reason: unknown) => void,
  ): void {
    this.#state = state;
    this.#cancel = cancel;
  }

  /** Its outcome is known. */
  protected finish(): void {
    this.#state = "done";
    this.limits?.detach();
  }

  /** Rejects it with an error of this client. */
  reject(error: Error): void {
    if (this.isDone) return;
    const { fate } = this;
    this.finish();
    this.engine.ended(error instanceof ReplyError);
    this.resolveWith(rejection(error, fate));
  }

  /** Rejects it with an error of this client, and ends what it waits for. */
  giveUp(error: Error): void {
    if (this.isDone) return;
    const cancel = this.#cancel;
    this.reject(error);
    cancel?.(error);
  }

  /**
   * Its signal has aborted: rejects it with the reason, as it is. A command in
   * flight may still run; its slot stays, to swallow the reply.
   */
  abort(reason: unknown): void {
    if (this.isDone) return;
    noteAbort(reason, this.fate);
    const cancel = this.#cancel;
    this.finish();
    this.engine.ended(false);
    this.#reject(reason);
    cancel?.(reason);
  }

  /** Its deadline has passed. */
  expire(): void {
    const cause = this.failures?.errors.at(-1);
    this.giveUp(
      new DeadlineError(
        this.name,
        this.limits!.deadlineMs,
        this.fate,
        WAITED_FOR[this.#state] ?? "its reply had not come",
        cause === undefined ? undefined : { cause },
      ),
    );
  }
}
