// A lease: a connection of the caller's own.
import { checkCommand } from "../resp/command.ts";
import { copyCommand } from "../resp/encode.ts";
import { ReplyError } from "../resp/errors.ts";
import type { Command, Reply } from "../resp/types.ts";
import { ConnectionClosedError } from "../pool/connection/close_report.ts";
import { whenAborted } from "../pool/when_aborted.ts";
import { blockOf, sendInSlices } from "./blocking.ts";
import {
  CommandError,
  errorOf,
  repliesOfExec,
  showsReplica,
  withAdvice,
} from "./command_error.ts";
import { noteAbort, withFate } from "./fate.ts";
import { BOOLEAN, checkOptions, type OptionRule, SIGNAL } from "./check.ts";
import type { Start } from "./call_start.ts";
import {
  extraReplyTimeoutMs,
  type HeldConnection,
  LeaseCall,
} from "./exclusive_call.ts";
import { LeaseState, replyModeOf } from "./lease_state.ts";
import { refuseIfAborted, rejection, withErrors } from "./rejection.ts";
import type { SendOptions } from "./send_options.ts";
import type { AnyCommand, BulkOf, ReplyOf } from "./commands/replies.ts";
import { rowOf } from "./commands/table.ts";
import { routeOf } from "./commands/routing.ts";
import { sink } from "./telemetry.ts";

const isError = (reply: Reply): reply is ReplyError =>
  reply instanceof ReplyError;

/** Whether another server has the key. A script may have made up the words. */
const isRedirect = ({ code, fate }: CommandError): boolean =>
  (code === "MOVED" || code === "ASK") && fate === "unsent";

/** Options of {@linkcode Lease.send}. */
export interface LeaseSendOptions {
  /** Ends the wait. The connection is closed, since its state is unknown then. */
  signal?: AbortSignal | undefined;
  /** Bulk strings of the reply become `Uint8Array`. @default {false} */
  binary?: boolean | undefined;
}

const SEND_OPTIONS = {
  signal: SIGNAL,
  binary: BOOLEAN,
} satisfies Record<keyof LeaseSendOptions, OptionRule>;

/**
 * A connection with one holder until it is released: for MULTI, WATCH,
 * SELECT, CLIENT REPLY, blocking commands.
 *
 * - Nothing is retried or replayed: what a connection remembers dies with it.
 * - A connection that is not as it was (an open transaction, another
 *   database, replies turned off, …) is closed when released, never reused.
 *
 * @example A transaction
 * ```ts
 * import { Redis } from "@unzombie/redis";
 * import { assertEquals } from "@std/assert";
 *
 * await using redis = new Redis(Deno.env.get("REDIS_URL"));
 * await using lease = await redis.lease();
 * await lease.send(["MULTI"]);
 * await lease.send(["SET", "lease-example", 5]);
 * await lease.send(["INCRBY", "lease-example", 2]);
 * assertEquals(await lease.send(["EXEC"]), ["OK", 7]);
 * await lease.send(["DEL", "lease-example"]);
 * ```
 */
export class Lease implements AsyncDisposable {
  readonly #held: HeldConnection;
  readonly #state = new LeaseState();
  #isReleased = false;
  /** Pending while the server is asked whether it obeys CLIENT REPLY. */
  #busy: Promise<Reply> | undefined;
  /** What obeys CLIENT REPLY: the server, or this client where the server refuses it. */
  #muted: "server" | "client" | undefined;

  /** @ignore Made by `Redis.lease`. */
  constructor(held: HeldConnection) {
    this.#held = held;
  }

  /**
   * Sends a command on this connection. One that blocks for longer than 20 s is
   * sent again every 20 s, so that a peer that has vanished is noticed; what is
   * sent after it waits meanwhile. Where CLIENT REPLY has turned replies
   * off, it resolves to `null` at once, and between MULTI and EXEC to `"QUEUED"`,
   * whatever the type of the command says.
   *
   * @param command The command. SUBSCRIBE, MONITOR and SYNC are refused.
   * @param options See {@linkcode LeaseSendOptions}.
   * @returns The reply, with the type of its command: see {@linkcode Replies}.
   * @throws {CommandError} If the server answers an error.
   * @throws {ConnectionClosedError} If the connection ends first.
   * @throws {TypeError} If the command cannot be sent.
   * @throws {RangeError} If it is too large.
   */
  send<const C extends AnyCommand, const Binary extends boolean = false>(
    command: C | AnyCommand,
    options?: LeaseSendOptions & { binary?: Binary | undefined },
  ): Promise<ReplyOf<C, BulkOf<Binary>>>;
  send(command: Command, options: LeaseSendOptions = {}): Promise<Reply> {
    return sink === undefined ? this.#send(command, options) : sink.trace(
      () => this.#held.origin,
      [command],
      false,
      () => this.#send(command, options),
    );
  }

  async #send(command: Command, options: LeaseSendOptions): Promise<Reply> {
    let reply: Reply;
    try {
      reply = await this.#inOrder(command, options);
    } catch (error) {
      if (error instanceof ConnectionClosedError) {
        return await rejection(error, error.fate);
      }
      throw withFate(error, "unsent"); // thrown before anything was sent, if it has no fate yet
    }
    if (reply instanceof CommandError) {
      return await rejection(reply, reply.fate);
    }
    return Array.isArray(reply) && reply.some(isError)
      ? await withErrors(reply)
      : reply;
  }

  async #inOrder(command: Command, options: LeaseSendOptions): Promise<Reply> {
    checkOptions(options, SEND_OPTIONS);
    const copy = copyCommand(command);
    checkCommand(copy);
    this.#held.oneRequest?.assert(`send ${copy[0]}`);
    const mode = replyModeOf(copy);
    // Commands keep their order while one of them takes several.
    while (this.#busy !== undefined) {
      await this.#busy.catch(() => {});
    }
    const isFirstSwitch = this.#muted === undefined && mode !== undefined &&
      mode !== "on";
    const block = this.#state.isAnswering ? blockOf(copy) : undefined;
    if (isFirstSwitch) this.#busy = this.#switchReplies(copy, options);
    else if (block !== undefined) {
      // In flight at once where nothing must be asked: the lease may be released next.
      this.#busy = sendInSlices(
        copy,
        block,
        (command) => this.#push(command, options),
      );
    } else return await this.#push(copy, options);
    try {
      return await this.#busy;
    } finally {
      this.#busy = undefined;
    }
  }

  /**
   * Turns replies off, for the first time. The server does not answer that,
   * unless it refuses it (by an ACL, or where the command was renamed); then
   * every later reply would answer the wrong command. So the harmless ON goes
   * first: where it is refused, replies are read and dropped instead.
   */
  async #switchReplies(
    command: Command,
    options: LeaseSendOptions,
  ): Promise<Reply> {
    this.#state.assertMayMute();
    const reply = await this.#push(["CLIENT", "REPLY", "ON"], options);
    this.#muted = isError(reply) ? "client" : "server";
    return await this.#push(command, options);
  }

  /** Puts a command in flight. An error reply is a value. */
  #push(
    command: Command,
    { binary, signal }: LeaseSendOptions,
  ): Promise<Reply> {
    const { right } = this.#held;
    return new Promise<Reply>((resolve, reject) => {
      refuseIfAborted(signal);
      if (this.#isReleased) {
        throw new TypeError(
          `Cannot send ${command[0]}: this lease was released`,
        );
      }
      const isAnswered = this.#state.note(command);
      if (this.#muted === "client" && replyModeOf(command) !== undefined) {
        return resolve(isAnswered ? "OK" : null);
      }
      if (!isAnswered) {
        resolve(null);
        if (this.#muted === "server") return right.pushUnanswered(command);
      }
      let isOver = !isAnswered;
      let detachSignal: (() => void) | undefined = undefined;
      const over = () => {
        isOver = true;
        detachSignal?.();
      };
      const route = routeOf(command);
      right.push({
        command,
        binary: binary === true,
        extraReplyTimeoutMs: extraReplyTimeoutMs(route),
        resolve: (reply) => {
          over();
          // A demoted primary is left when the lease ends.
          if (showsReplica(command, reply)) this.#held.leaveReplica();
          // A DISCARD that was refused has ended no transaction.
          if (isError(reply) && route.kind === "stateful") {
            this.#state.markChanged();
          }
          resolve(this.#replyOf(command, reply));
        },
        lose: ({ report, fate }) => {
          over();
          reject(new ConnectionClosedError(report, fate));
        },
      });
      if (isOver || signal === undefined) return;
      detachSignal = whenAborted(signal, () => {
        this.#state.markChanged();
        noteAbort(signal.reason, "unknown");
        reject(signal.reason);
        right.close("the command in flight on it was aborted");
      });
    });
  }

  /** A reply as its caller gets it. */
  #replyOf(command: Command, reply: Reply): Reply {
    if (isError(reply)) {
      const { identity } = this.#held.right.connection;
      const error = errorOf(command, reply, identity);
      // ASK is of one key: it says nothing of the next command.
      if (error.code !== "ASK") this.#held.heed(error, command);
      return identity?.isOfCluster && isRedirect(error)
        ? withAdvice(
          error,
          `this lease is of ${this.#held.address}: take another with redis.lease({ key }), or give its keys the same {tag}`,
        )
        : error;
    }
    return Array.isArray(reply) && rowOf(command).runs === "transaction"
      ? repliesOfExec(reply, () => command[0])
      : reply;
  }

  /** Gives the connection back. Further sends are refused. */
  release(): void {
    if (this.#isReleased) return;
    this.#isReleased = true;
    this.#held.release(this.#state.isClean);
  }

  /** The same as {@linkcode Lease.release}. */
  [Symbol.asyncDispose](): Promise<void> {
    this.release();
    return Promise.resolve();
  }

  /** Which connection it is of, and whether it is held. */
  [Symbol.for("nodejs.util.inspect.custom")](): string {
    const { address, right } = this.#held;
    return `Lease of connection ${right.connection.number} to ${address}, ${
      this.#isReleased ? "released" : "held"
    }`;
  }
}

/** What a lease is for, and what ends the wait for it. */
export interface LeaseStart extends Start<Lease> {
  readonly options: SendOptions & { readonly key?: string | undefined };
}

/** @throws What the start of a call throws. */
export function startLease(start: LeaseStart): void {
  const { attempts, router, options, resolve, reject } = start;
  const { key, ...limits } = options;
  const hold = (held: HeldConnection | Promise<never>) =>
    resolve(held instanceof Promise ? held : new Lease(held));
  attempts.start(new LeaseCall(attempts, limits, hold, reject, key), router);
}
