// A connection of one's own.
import { type Command, type Reply, ReplyError } from "../resp/mod.ts";
import { ConnectionClosedError } from "../pool/connection/close_report.ts";
import type { PushRight } from "../pool/connection/push_right.ts";
import { whenAborted } from "../pool/when_aborted.ts";
import { checkCommand } from "../resp/command.ts";
import { copyCommand } from "../resp/encode.ts";
import { errorOf, repliesOfExec, showsReplica } from "./command_error.ts";
import { noteAbort, withFate } from "./fate.ts";
import { BOOLEAN, checkOptions, type OptionRule, SIGNAL } from "./check.ts";
import { LeaseState, replyModeOf } from "./lease_state.ts";
import {
  promiseOf,
  refuseIfAborted,
  rejection,
  withErrors,
} from "./rejection.ts";
import type { AnyCommand, BulkOf, ReplyOf } from "./commands/replies.ts";
import { rowOf } from "./commands/row_of.ts";
import { routeOf } from "./commands/routing.ts";
import { type Block, blockOf, newestId, SLICE } from "./slices.ts";
import { type Origin, sink } from "./telemetry.ts";

/** Whether a transaction has answered an error among its replies. */
const hasErrors = (command: Command, reply: Reply): reply is Reply[] =>
  Array.isArray(reply) && rowOf(command).runs === "transaction" &&
  reply.some((one) => one instanceof ReplyError);

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

/** A timeout that ends earlier than this, in milliseconds, was not the server's own. */
const EARLY_MS = 100;

/** What a lease needs of its client. */
interface LeaseHost {
  /** Takes the connection back; `clean` if its state is as it was. */
  release(clean: boolean): void;
  /** The server says that it is a replica. */
  isReplica(): void;
}

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
  readonly #right: PushRight;
  readonly #origin: Origin | undefined;
  readonly #host: LeaseHost;
  readonly #state = new LeaseState();
  #isReleased = false;
  /** Pending while the server is asked whether it obeys CLIENT REPLY. */
  #busy: Promise<Reply> | undefined;
  /** What obeys CLIENT REPLY: the server, or this client where the server refuses it. */
  #muted: "server" | "client" | undefined;

  /** @ignore Made by `Redis.lease`. */
  constructor(
    right: PushRight,
    /** The server, for telemetry; `undefined` if the commands are published elsewhere. */
    origin: Origin | undefined,
    host: LeaseHost,
  ) {
    this.#right = right;
    this.#origin = origin;
    this.#host = host;
  }

  /**
   * Sends a command on this connection. One that blocks for longer than 20 s is
   * sent again every 20 s, so that a peer that has vanished is noticed; what is
   * sent after it waits meanwhile. Where CLIENT REPLY has turned replies
   * off, it resolves to `null` at once.
   *
   * @param command The command. SUBSCRIBE, MONITOR and SYNC are refused.
   * @param options See {@linkcode LeaseSendOptions}.
   * @returns The reply.
   * @throws {CommandError} If the server answers an error.
   * @throws {ConnectionClosedError} If the connection ends first.
   * @throws {TypeError} If the command cannot be sent.
   * @throws {RangeError} If it is too large.
   */
  send<const C extends AnyCommand, const Binary extends boolean = false>(
    command: C,
    options?: LeaseSendOptions & { binary?: Binary | undefined },
  ): Promise<ReplyOf<C, BulkOf<Binary>>>;
  send(command: Command, options: LeaseSendOptions = {}): Promise<Reply> {
    return sink === undefined || this.#origin === undefined
      ? this.#send(command, options)
      : sink.trace(
        this.#origin,
        [command],
        false,
        () => this.#send(command, options),
      );
  }

  async #send(command: Command, options: LeaseSendOptions): Promise<Reply> {
    try {
      return await this.#inOrder(command, options);
    } catch (error) {
      throw withFate(error, "unsent"); // thrown before anything was sent, if it has no fate yet
    }
  }

  async #inOrder(command: Command, options: LeaseSendOptions): Promise<Reply> {
    checkOptions(options, SEND_OPTIONS);
    const copy = copyCommand(command);
    checkCommand(copy);
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
      this.#busy = this.#pushInSlices(copy, block, options);
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
    try {
      await this.#push(["CLIENT", "REPLY", "ON"], options);
      this.#muted = "server";
    } catch (error) {
      if (!(error instanceof ReplyError)) throw error;
      this.#muted = "client";
    }
    return await this.#push(command, options);
  }

  /** Sends a command that blocks for long again and again, each time for a short while. */
  async #pushInSlices(
    command: Command,
    block: Block,
    options: LeaseSendOptions,
  ): Promise<Reply> {
    const dueAt = performance.now() + block.ms;
    // In flight at once where nothing must be asked: the lease may be released next.
    const fixed = block.newest.length === 0
      ? command
      : await this.#withFixedIds(command, block, options.signal);
    if (fixed === undefined) return await this.#push(command, options);
    while (true) {
      const leftMs = Math.max(1, dueAt - performance.now());
      const isLast = leftMs <= SLICE.ms;
      const sliceMs = Math.min(leftMs, SLICE.ms);
      const sentAt = performance.now();
      const reply = await this.#push(block.lasting(sliceMs, fixed), options);
      if (isLast || !block.hasTimedOut(reply)) return reply;
      // CLIENT UNBLOCK has ended it.
      if (performance.now() - sentAt < sliceMs - EARLY_MS) return reply;
    }
  }

  /**
   * XREAD with `$` reads what comes after it was sent, and a second one would
   * miss what came between them: so `$` is replaced by the id that it stands for.
   *
   * @returns `undefined` if the server does not tell the id.
   */
  async #withFixedIds(
    command: Command,
    { newest }: Block,
    signal: AbortSignal | undefined,
  ): Promise<Command | undefined> {
    const [name, ...args] = command;
    const answers = await Promise.all(
      newest.map(({ key }) => {
        const ask: Command = ["XREVRANGE", key, "+", "-", "COUNT", 1];
        return this.#push(ask, { signal }).catch((error) => {
          if (error instanceof ReplyError) return null;
          throw error;
        });
      }),
    );
    for (const [i, answer] of answers.entries()) {
      const id = newestId(answer);
      if (id === undefined) return undefined;
      args[newest[i]!.at - 1] = id;
    }
    return [name, ...args];
  }

  #push(command: Command, options: LeaseSendOptions): Promise<Reply> {
    const { signal } = options;
    return promiseOf<Reply>((resolve, reject) => {
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
        if (this.#muted === "server") {
          return this.#right.pushUnanswered(command);
        }
      }
      const route = routeOf(command);
      let isDone = !isAnswered;
      let unwatch: (() => void) | undefined;
      /** False if the caller has its outcome: a rejection that nothing takes would be unhandled. */
      const isFirst = (): boolean => {
        if (isDone) return false;
        unwatch?.();
        return isDone = true;
      };
      const onAbort = () => {
        if (!isFirst()) return;
        this.#state.markChanged();
        noteAbort(signal?.reason, "unknown");
        reject(signal?.reason);
        this.#right.close("a command that had it alone was aborted");
      };
      this.#right.push({
        command,
        binary: options.binary === true,
        extraReplyTimeoutMs: "extraReplyTimeoutMs" in route
          ? route.extraReplyTimeoutMs
          : 0,
        resolve: (reply) => {
          // A demoted primary is left when the lease ends.
          if (showsReplica(command, reply)) this.#host.isReplica();
          // A DISCARD that was refused has ended no transaction.
          const isError = reply instanceof ReplyError;
          if (isError && route.kind === "stateful") this.#state.markChanged();
          if (!isFirst()) return;
          if (isError) {
            const error = errorOf(
              command,
              reply,
              this.#right.connection.identity,
            );
            resolve(rejection(error, error.fate));
          } else if (hasErrors(command, reply)) {
            resolve(withErrors(repliesOfExec(command, reply)));
          } else resolve(reply);
        },
        lose: ({ report, fate }) => {
          if (!isFirst()) return;
          resolve(rejection(new ConnectionClosedError(report, fate), fate));
        },
      });
      if (!isDone) unwatch = signal && whenAborted(signal, onAbort);
    });
  }

  /** Gives the connection back. Further sends are refused. */
  release(): void {
    if (this.#isReleased) return;
    this.#isReleased = true;
    this.#host.release(this.#state.isClean);
  }

  /** The same as {@linkcode Lease.release}. */
  [Symbol.asyncDispose](): Promise<void> {
    this.release();
    return Promise.resolve();
  }
}
