// The face of a client: what its user calls.
import type { Command, Reply } from "../resp/types.ts";
import { ClosedError } from "../pool/errors.ts";
import { dial } from "../pool/socket/dial.ts";
import { Endpoint } from "../pool/socket/endpoint.ts";
import { ExponentialBackoff } from "../retry/backoff.ts";
import { Retry } from "../retry/retry.ts";
import { Attempts } from "./attempts.ts";
import { Caller } from "./caller.ts";
import { checkOptions, DURATION } from "./check.ts";
import { directoryOf, SingleServer } from "./choose_directory.ts";
import type {
  AnyCommand,
  BulkOf,
  RepliesOf,
  ReplyOf,
} from "./commands/replies.ts";
import { Drain } from "./drain.ts";
import type { Failover } from "./failover.ts";
import { invokeSafely } from "./invoke_safely.ts";
import type { Lease } from "./lease.ts";
import type { RedisOptions } from "./options.ts";
import { RedisNode } from "./node.ts";
import { NO_OPTIONS, type SendOptions } from "./send_options.ts";
import { publishedEvents } from "./server_events.ts";
import type { Directory } from "./servers/directory.ts";
import { Server } from "./servers/server.ts";
import { settingsOf } from "./settings.ts";
import {
  describeClient,
  type RedisStats,
  snapshotOf,
  statsOf,
} from "./stats.ts";
import { type Origin, originOf } from "./telemetry.ts";
import type {
  WatchedTransaction,
  WatchOptions,
} from "./watched_transaction.ts";

/** More microtasks than it takes from the loss of a connection until the callers of its commands are rejected. */
const REJECTION_MICROTASKS = 100;

/**
 * A Redis client that never sends on a connection that is known to be dead.
 *
 * - It dials on first use, and never holds more than `maxConnections` to one
 *   server. Commands that end what holds up others, such as SCRIPT KILL, get a
 *   connection beside them.
 * - `send` and `pipeline` share connections; commands that need one alone use `lease`.
 * - A command that was not written is sent again by the retry policy; one that
 *   may have run, only if a second run is harmless (or `replay` says so).
 * - A reply never reaches another caller.
 * - Every error says what became of the command: see `fateOf`.
 *
 * @example Send a command
 * ```ts
 * import { Redis } from "@unzombie/redis";
 * import { assertEquals } from "@std/assert";
 *
 * await using redis = new Redis(Deno.env.get("REDIS_URL"));
 * await redis.send(["SET", "greeting", "hello"]);
 * assertEquals(await redis.send(["GET", "greeting"]), "hello");
 * await redis.send(["DEL", "greeting"]);
 * ```
 */
export class Redis implements AsyncDisposable {
  readonly #directory: Directory;
  readonly #attempts: Attempts;
  readonly #caller: Caller;
  readonly #drain = new Drain();
  readonly #failoverListeners = new Set<(failover: Failover) => void>();
  #closed: Promise<void> | undefined;

  /**
   * Makes a client. Nothing is dialed yet.
   *
   * @param url `redis://`, `rediss://` for TLS, or `unix:///path` for a Unix
   * socket; `valkey://`, `valkeys://` and `redis+unix://` mean the same. The query
   * may hold `database`, `clientName`, `cluster=true` or `sentinel=name`, and
   * `seeds`: further addresses, with commas between them. @default {"redis://127.0.0.1:6379"}
   * @param options See {@linkcode RedisOptions}.
   * @throws {TypeError} If the URL or an option cannot be used.
   * @throws {RangeError} If a number is out of its range.
   */
  constructor(url?: string | URL, options: RedisOptions = {}) {
    const settings = settingsOf(options);
    const endpoint = new Endpoint(url, options);
    const serverOptions = {
      ...settings,
      dial: options.dial ?? dial,
      limits: options.limits ?? {},
      postMortem: options.postMortem ?? false,
    };
    this.#directory = directoryOf(endpoint, {
      serverAt: (endpoint, role) =>
        new Server(
          endpoint,
          { ...serverOptions, ...role },
          publishedEvents(endpoint, options),
        ),
      connectTimeoutMs: settings.connectTimeoutMs,
      maxWaiting: settings.maxWaiting,
      sentinel: {
        ...options.sentinel,
        dial: serverOptions.dial,
        limits: serverOptions.limits,
      },
      hasCalls: () => !this.#drain.isIdle,
      onFailover: (from, to) => this.#publishFailover(from, to),
    });
    this.#attempts = new Attempts(this.#directory, {
      retry: options.retry ??
        new Retry({ backoff: new ExponentialBackoff({ jitter: 0.5 }) }),
      onRetry: options.onRetry,
      drain: this.#drain,
    });
    this.#caller = new Caller(this.#attempts, this.#directory, this);
  }

  /**
   * Sends one command. Calls that do not wait for each other may run in any
   * order; {@linkcode Redis.pipeline} keeps it.
   *
   * @param command The command, such as `["ZADD", key, score, member]`.
   * @param options See {@linkcode SendOptions}.
   * @returns The reply. Its type is that of the command, see {@linkcode Replies};
   * any but an error where the command is not known or its name is not a literal.
   * @throws {CommandError} If the server answers an error.
   * @throws {ConnectionClosedError} If the connection ended and the command must not be sent again.
   * @throws {DialError} If no connection can be opened, and never will be.
   * @throws {RetryError} If every attempt failed.
   * @throws {CheckoutTimeoutError} If `maxWaiting` calls wait for a connection already.
   * @throws {DeadlineError} If the deadline passes first, that of the retry policy included.
   * @throws {ClosedError} If the client is closed.
   * @throws {TypeError} If the command cannot be sent, or not on a shared connection.
   * @throws {RangeError} If an argument has more than 512 MiB, or the command more than 2 GiB.
   *
   * @example The type of a reply
   * ```ts
   * import { Redis } from "@unzombie/redis";
   * import { assertEquals } from "@std/assert";
   *
   * await using redis = new Redis(Deno.env.get("REDIS_URL"));
   * const hits: number | bigint = await redis.send(["INCR", "hits"]);
   * const text: string | null = await redis.send(["GET", "hits"]);
   * const bytes: Uint8Array | null = await redis.send(["GET", "hits"], {
   *   binary: true,
   * });
   * assertEquals([hits, text, bytes?.length], [1, "1", 1]);
   * await redis.send(["DEL", "hits"]);
   * ```
   */
  send<const C extends AnyCommand, const Binary extends boolean = false>(
    command: C | AnyCommand,
    options?: SendOptions & { binary?: Binary | undefined },
  ): Promise<ReplyOf<C, BulkOf<Binary>>>;
  send(command: Command, options: SendOptions = NO_OPTIONS): Promise<Reply> {
    return this.#caller.send(command, options);
  }

  /**
   * Sends several commands at once, in order, on one connection. In a cluster the
   * commands of one hash slot keep their order, and each server gets its own.
   *
   * In a cluster they may go to several servers, each of which gets its share at once. Only
   * the commands of one hash slot keep their order, such as those on keys with the same
   * `{tag}`; while a hash slot is being moved, only those on one key. What counts as one
   * caller for `maxWaiting` is the share of a hash slot.
   *
   * @param commands The commands.
   * @param options See {@linkcode SendOptions}.
   * @returns Their replies, in order, each with the type of its command. Error
   * replies are values, each a `CommandError`.
   * @throws {PipelineError} If some of the commands were answered and some not: its
   * `outcomes` have both, its `cause` is one of the following.
   * @throws {ConnectionClosedError} If the connection ended and one of the commands must not be sent again.
   * @throws {DialError} If no connection can be opened, and never will be.
   * @throws {RetryError} If every attempt failed.
   * @throws {CheckoutTimeoutError} If `maxWaiting` calls wait for a connection already.
   * @throws {DeadlineError} If the deadline passes first, that of the retry policy included.
   * @throws {ClosedError} If the client is closed.
   * @throws {TypeError} If a command cannot be sent; none has been then.
   * @throws {RangeError} If a command is too large; none has been sent then.
   *
   * @example Two commands, one round trip
   * ```ts
   * import { Redis } from "@unzombie/redis";
   * import { assertEquals } from "@std/assert";
   *
   * await using redis = new Redis(Deno.env.get("REDIS_URL"));
   * const replies = await redis.pipeline([["ECHO", "a"], ["ECHO", "b"]]);
   * assertEquals(replies, ["a", "b"]);
   * ```
   */
  pipeline<
    const Cs extends readonly AnyCommand[],
    const Binary extends boolean = false,
  >(
    commands: Cs | readonly AnyCommand[],
    options?: SendOptions & { binary?: Binary | undefined },
  ): Promise<RepliesOf<Cs, BulkOf<Binary>>>;
  pipeline(
    commands: readonly Command[],
    options: SendOptions = NO_OPTIONS,
  ): Promise<Reply[]> {
    return this.#caller.pipeline(commands, options);
  }

  /**
   * Sends several commands at once between MULTI and EXEC: all run or none, and no
   * command of another client comes between. For WATCH, use {@linkcode Redis.watch}.
   *
   * The commands have one fate. After a loss they are sent again only if a second
   * run of every one of them is harmless (or `replay` says so). In a cluster all keys need the
   * same hash slot, such as by the same `{tag}`.
   *
   * @param commands The commands, without MULTI and EXEC. BLPOP and the like do not block in it.
   * @param options See {@linkcode SendOptions}.
   * @returns Their replies, in order, each with the type of its command. Error
   * replies are values, each a `CommandError`: the other commands ran.
   * @throws {CommandError} If a command was refused, so that none ran: its `command` is
   * the one that was refused.
   * @throws {ConnectionClosedError} If the connection ended and a command must not be sent again.
   * @throws {DialError} If no connection can be opened, and never will be.
   * @throws {RetryError} If every attempt failed.
   * @throws {CheckoutTimeoutError} If `maxWaiting` calls wait for a connection already.
   * @throws {DeadlineError} If the deadline passes first, that of the retry policy included.
   * @throws {ClosedError} If the client is closed.
   * @throws {TypeError} If a command cannot be sent, or not in a transaction; none has been then.
   * @throws {RangeError} If a command is too large; none has been sent then.
   *
   * @example Both or neither
   * ```ts
   * import { Redis } from "@unzombie/redis";
   * import { assertEquals } from "@std/assert";
   *
   * await using redis = new Redis(Deno.env.get("REDIS_URL"));
   * const [stock, sold] = await redis.transaction([
   *   ["DECR", "{shirt}stock"],
   *   ["INCR", "{shirt}sold"],
   * ]);
   * assertEquals([stock, sold], [-1, 1]);
   * await redis.send(["DEL", "{shirt}stock", "{shirt}sold"]);
   * ```
   */
  transaction<
    const Cs extends readonly AnyCommand[],
    const Binary extends boolean = false,
  >(
    commands: Cs | readonly AnyCommand[],
    options?: SendOptions & { binary?: Binary | undefined },
  ): Promise<RepliesOf<Cs, BulkOf<Binary>>>;
  transaction(
    commands: readonly Command[],
    options: SendOptions = NO_OPTIONS,
  ): Promise<Reply[]> {
    return this.#caller.transaction(commands, options);
  }

  /**
   * Runs a transaction only if no other client has written the keys since they were
   * read, and tries again while one has: WATCH, what `plan` reads, then MULTI, its commands and EXEC.
   *
   * @param keys The keys to be watched. In a cluster they need the same hash slot.
   * @param plan Reads by the lease, and returns the commands of the transaction;
   * `undefined` for none. It is called once an attempt, and must not release the lease.
   * @param options `attempts`: how often to try. @default {10} `signal`: ends it.
   * @returns The replies, in order; error replies are values. `undefined` if `plan` returned that.
   * @throws {RetryError} If a key was written during each attempt: nothing has run.
   * @throws {CommandError} If a command was refused, so that none ran.
   * @throws {ConnectionClosedError} If the connection ended first.
   * @throws {TypeError} If there is no key, or a command cannot be sent in a transaction.
   * @throws What {@linkcode Redis.lease} and `plan` throw.
   *
   * @example Add to a number, but not beyond 10
   * ```ts
   * import { Redis } from "@unzombie/redis";
   * import { assertEquals } from "@std/assert";
   *
   * await using redis = new Redis(Deno.env.get("REDIS_URL"));
   * const replies = await redis.watch(["seats"], async (lease) => {
   *   const taken = Number(await lease.send(["GET", "seats"]));
   *   return taken < 10 ? [["SET", "seats", taken + 1]] : undefined;
   * });
   * assertEquals(replies, ["OK"]);
   * await redis.send(["DEL", "seats"]);
   * ```
   */
  watch<const Cs extends readonly AnyCommand[]>(
    keys: readonly string[],
    plan: (lease: Lease) => Promise<Cs | undefined>,
    options: WatchOptions = {},
  ): Promise<RepliesOf<Cs> | undefined> {
    return this.#caller.watch(
      keys,
      plan as WatchedTransaction["plan"],
      options,
    ) as Promise<RepliesOf<Cs> | undefined>;
  }

  /**
   * Takes a connection out of the pool, for its holder alone.
   *
   * @param options `key`: in a cluster, a key of the server that it is for; ignored
   * without one. `signal` and `deadlineMs` end the wait for it, not the lease.
   * @returns The lease. Release it, or declare it with `await using`.
   * @throws {TypeError} If there is no `key` in a cluster.
   * @throws {CheckoutTimeoutError} If none is free in time.
   * @throws {DialError} If no connection can be opened.
   * @throws {RetryError} If every attempt failed.
   * @throws {DeadlineError} If the deadline passes first, that of the retry policy included.
   * @throws {ClosedError} If the client is closed.
   */
  lease(
    options: {
      key?: string | undefined;
      signal?: AbortSignal | undefined;
      deadlineMs?: number | undefined;
    } = {},
  ): Promise<Lease> {
    return this.#caller.lease(options);
  }

  /** Where it connects to: `hostname`, `port` and `database`, no credentials. */
  get origin(): Origin {
    return originOf(this.#directory.endpoint);
  }

  /**
   * Where a key is now, as far as is known: the server that the next command on
   * it would go to first.
   *
   * @param key The key.
   * @returns Its server; the address of {@linkcode Redis.origin} if that is not known.
   */
  originOf(key: string): Origin {
    const server = this.#directory.serverOfKey(key);
    return server === undefined ? this.origin : originOf(server.endpoint);
  }

  /**
   * The servers, each addressed by itself: the primaries of a cluster, or the one
   * server. For commands that each server answers for itself, such as SCAN, KEYS,
   * INFO, FLUSHALL, SCRIPT LOAD.
   *
   * @returns The servers that are known now.
   * @throws {TypeError} If none is known: a cluster and Sentinels are asked by the first command.
   */
  nodes(): RedisNode[] {
    const entries = this.#directory.entries();
    if (entries.length === 0) {
      throw new TypeError(
        `Cannot list the nodes of ${this.#directory.name}: none is known before a first command, such as PING`,
      );
    }
    return entries.map((entry) =>
      new RedisNode(entry, this.#directory, this.#attempts)
    );
  }

  /**
   * Calls a listener when another server has taken over: a replica was promoted,
   * or Sentinels name another primary. What the old server acknowledged last
   * may be missing on the new one, since replication is asynchronous.
   *
   * @param listener Called with both servers, after {@linkcode Redis.originOf} has changed.
   * @returns What ends it; `undefined` for a client of one server, which has no failover.
   */
  onFailover(
    listener: (failover: Failover) => void,
  ): (() => void) | undefined {
    if (this.#directory instanceof SingleServer) return undefined;
    this.#failoverListeners.add(listener);
    return () => this.#failoverListeners.delete(listener);
  }

  #publishFailover(from: Endpoint, to: Endpoint): void {
    const failover = { from: originOf(from), to: originOf(to) };
    for (const listener of [...this.#failoverListeners]) {
      invokeSafely("onFailover of Redis", listener, failover);
    }
    this.#attempts.hurry(from);
  }

  /** Whether {@linkcode Redis.close} was called. */
  get isClosed(): boolean {
    return this.#closed !== undefined;
  }

  /** What the client has done and holds. */
  stats(): RedisStats {
    return statsOf(this.#directory, this.#attempts);
  }

  /**
   * Refuses new calls, waits for those under way and for leases to be released,
   * then closes every connection. Once it has resolved nothing of the client is
   * left: no call, timer, socket or dial.
   *
   * @param options `drainMs`: how long to wait, in milliseconds. Calls that are not
   * done by then are rejected, and leases that are still held are closed. Called
   * again, it can shorten the wait, not lengthen it. @default {5000}
   * @throws {TypeError} If an option cannot be used; the client stays open then.
   */
  close(options: { drainMs?: number | undefined } = {}): Promise<void> {
    try {
      checkOptions(options, { drainMs: DURATION });
    } catch (error) {
      return Promise.reject(error);
    }
    const drained = this.#drain.within(options.drainMs ?? 5000);
    return this.#closed ??= this.#close(drained);
  }

  async #close(drained: Promise<void>): Promise<void> {
    await drained;
    const reason = new ClosedError(
      `Cannot go on: this client of ${this.#directory.name} is closed`,
    );
    this.#attempts.end(reason);
    await this.#directory.close(reason);
    for (let i = 0; i < REJECTION_MICROTASKS; i++) await undefined;
  }

  /** The same as {@linkcode Redis.close}. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  /** What it holds, how many calls wait and what went wrong, in a few lines; never the password. */
  [Symbol.for("nodejs.util.inspect.custom")](): string {
    return describeClient(
      snapshotOf(this.#directory, this.#attempts, this.isClosed),
    );
  }
}
