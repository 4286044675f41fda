// One server of a client, addressed by itself: what it is sent goes there and nowhere else.
import { ReplyError } from "../resp/errors.ts";
import type { Command, Reply } from "../resp/types.ts";
import { DepartedError } from "../pool/errors.ts";
import type { PoolStats } from "../pool/pool_stats.ts";
import type { Endpoint } from "../pool/socket/endpoint.ts";
import type { Attempts } from "./attempts.ts";
import { Caller } from "./caller.ts";
import type {
  AnyCommand,
  BulkOf,
  RepliesOf,
  ReplyOf,
} from "./commands/replies.ts";
import type { Lease } from "./lease.ts";
import { NO_OPTIONS, type SendOptions } from "./send_options.ts";
import type {
  Directory,
  Finding,
  Routed,
  Router,
  ServerEntry,
} from "./servers/directory.ts";
import type { Server } from "./servers/server.ts";
import { type Origin, originOf } from "./telemetry.ts";

/**
 * One server of a client: of a cluster one of its primaries, else the only one.
 * For what each server answers for itself: SCAN, KEYS, DBSIZE, INFO, FLUSHALL,
 * SCRIPT LOAD, CONFIG.
 *
 * - A command goes to this server and to no other: MOVED and ASK are answers.
 * - Everything else is as with {@linkcode Redis}: connections, retries, replays,
 *   fates, and the budget of retries, which they share.
 * - Once the server has left the cluster, or another one is the primary, calls reject
 *   with a {@linkcode DepartedError}.
 *
 * @example Count the keys of all servers
 * ```ts
 * import { Redis } from "@unzombie/redis";
 * import { assertEquals } from "@std/assert";
 *
 * await using redis = new Redis(Deno.env.get("REDIS_URL"));
 * await redis.send(["SET", "node-example", 1]);
 * let keys = 0;
 * for (const node of redis.nodes()) keys += Number(await node.send(["DBSIZE"]));
 * assertEquals(keys > 0, true);
 * await redis.send(["DEL", "node-example"]);
 * ```
 */
export class RedisNode {
  /** Where it is: `hostname`, `port` and `database`. */
  readonly origin: Origin;
  /** How many of the 16,384 hash slots it held when `nodes()` was called; all of them without a cluster. */
  readonly hashSlots: number;
  readonly #server: Server;
  readonly #caller: Caller;

  /** @ignore Made by `Redis.nodes`. */
  constructor(
    { server, hashSlots }: ServerEntry,
    directory: Directory,
    attempts: Attempts,
  ) {
    this.origin = originOf(server.endpoint);
    this.hashSlots = hashSlots;
    this.#server = server;
    this.#caller = new Caller(attempts, new OneOf(directory, server), this);
  }

  /**
   * Sends one command to this server, like {@linkcode Redis.send}.
   *
   * @param command The command, such as `["DBSIZE"]`.
   * @param options See {@linkcode SendOptions}.
   * @returns The reply, with the type of its command.
   * @throws {DepartedError} If the server has left.
   * @throws {ClosedError} If the client is closed.
   * @throws {CommandError} If the server answers an error, MOVED and ASK included.
   */
  send<const C extends AnyCommand, const Binary extends boolean = false>(
    command: C | AnyCommand,
    options?: SendOptions & { binary?: Binary | undefined },
  ): Promise<ReplyOf<C, BulkOf<Binary>>>;
  send(command: Command, options: SendOptions = NO_OPTIONS): Promise<Reply> {
    return this.#caller.send(command, options);
  }

  /**
   * Sends several commands to this server at once, like {@linkcode Redis.pipeline}.
   *
   * @param commands The commands.
   * @param options See {@linkcode SendOptions}.
   * @returns Their replies, in order. Error replies are values, MOVED and ASK included.
   * @throws {DepartedError} If the server has left.
   * @throws {ClosedError} If the client is closed.
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
   * Takes a connection to this server out of its pool, like {@linkcode Redis.lease}.
   *
   * @param options `signal` and `deadlineMs` end the wait for it, not the lease.
   * @returns The lease. Release it, or declare it with `await using`.
   * @throws {DepartedError} If the server has left.
   * @throws {ClosedError} If the client is closed.
   */
  lease(
    options: {
      signal?: AbortSignal | undefined;
      deadlineMs?: number | undefined;
    } = {},
  ): Promise<Lease> {
    return this.#caller.lease(options);
  }

  /** What the connections to this server have done and are doing. */
  stats(): PoolStats {
    return this.#server.stats();
  }

  /** Where it is, and how much it holds. */
  [Symbol.for("nodejs.util.inspect.custom")](): string {
    return `RedisNode ${this.#server.endpoint} (${this.hashSlots} hash slots)`;
  }
}

/** Leads every call to one server, for as long as its directory has it. */
class OneOf implements Router {
  readonly isCluster = false;
  readonly #directory: Directory;
  readonly #server: Server;

  constructor(directory: Directory, server: Server) {
    this.#directory = directory;
    this.#server = server;
  }

  get endpoint(): Endpoint {
    return this.#server.endpoint;
  }

  get name(): string {
    return `${this.#server.endpoint}`;
  }

  serverOf(_call: Routed): Server | undefined {
    const isThere = this.#directory.entries().some(({ server }) =>
      server === this.#server
    );
    return isThere ? this.#server : undefined;
  }

  find(_call: Routed, { fail }: Finding): undefined {
    fail(
      new DepartedError(
        `${this.name} has left ${this.#directory.name}: redis.nodes() has the servers that are there now`,
      ),
    );
  }

  /** What an error shows of the server is noted, such as that it may have been replaced; the call goes nowhere else. */
  heed({ command }: Routed, error: Error): undefined {
    if (error instanceof DepartedError || isRedirect(error)) return undefined;
    const routing = { hashSlot: -1, detour: undefined, redirects: 0 }; // of no key
    this.#directory.heed({ command, routing, server: this.#server }, error);
  }
}

const isRedirect = (error: Error): boolean =>
  error instanceof ReplyError &&
  (error.code === "MOVED" || error.code === "ASK");
