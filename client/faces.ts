// The faces of scripts, libraries of functions and scans: their code is loaded when they are first used.
import { copyCommand } from "../resp/encode.ts";
import type { Command, CommandArgument, Reply } from "../resp/types.ts";
import { callerOf } from "./caller.ts";
import { show } from "./check.ts";
import type { AnyReply, BulkOf } from "./commands/replies.ts";
import { withFate } from "./fate.ts";
import type { CommandSender, SendOptions } from "./send_options.ts";
import type { Elements } from "./scans.ts";
import type {
  FieldScanOptions,
  KeyScanOptions,
  Scan,
  ScanOptions,
  ScanSettings,
  ScanSource,
} from "./scan_options.ts";
import type { LibraryCode, ScriptCode, StoredCode } from "./stored_code.ts";

/** Code that is loaded, by this process, once. */
class LateCode<Code extends StoredCode> {
  readonly #load: () => Promise<Code>;
  #loading: Promise<Code> | undefined;
  #code: Code | undefined;

  constructor(load: () => Promise<Code>) {
    this.#load = load;
  }

  /** @param purpose What it is run for, to follow "Cannot" in an error. */
  run(
    purpose: string,
    sender: CommandSender,
    command: Command,
    options: SendOptions | undefined,
  ): Promise<Reply> {
    return this.#code === undefined
      ? this.#runFirst(purpose, sender, command, options)
      : this.#code.run(sender, command, options);
  }

  /** Loads it once, or again if that has failed. */
  get(): Promise<Code> {
    return this.#loading ??= this.#load().then(
      (code) => this.#code = code,
      (error) => {
        this.#loading = undefined;
        throw error;
      },
    );
  }

  /** It is under way while the code is loaded: close() waits for it. */
  async #runFirst(
    purpose: string,
    sender: CommandSender,
    given: Command,
    options: SendOptions | undefined,
  ): Promise<Reply> {
    let begin = (start: () => void): void => start();
    let command: Command;
    try {
      command = copyCommand(given);
      begin = callerOf(sender)?.admit(purpose) ?? begin;
    } catch (error) {
      throw withFate(error, "unsent");
    }
    return await new Promise<Reply>((resolve, reject) =>
      this.get().then(
        (code) => begin(() => resolve(code.run(sender, command, options))),
        (error) => begin(() => reject(withFate(error, "unsent"))),
      )
    );
  }
}

/** The words of a call, which nothing else holds. @throws {TypeError} If the keys or the arguments are no array. */
function callOf(
  purpose: string,
  name: string,
  what: string,
  keys: readonly (string | Uint8Array)[],
  args: readonly CommandArgument[],
): Command {
  if (!Array.isArray(keys)) throw noArray(purpose, "keys", keys);
  if (!Array.isArray(args)) throw noArray(purpose, "args", args);
  const words: [string, ...CommandArgument[]] = [name, what, keys.length];
  // Faster than two spreads.
  for (let i = 0; i < keys.length; i++) words.push(keys[i]!);
  for (let i = 0; i < args.length; i++) words.push(args[i]!);
  return words;
}

const noArray = (purpose: string, name: string, value: unknown): TypeError =>
  withFate(
    new TypeError(
      `Cannot ${purpose}: ${name} is ${show(value)}, expected an array`,
    ),
    "unsent",
  );

/** @throws {TypeError} If the source is no text. */
function checkSource(what: string, source: unknown): void {
  if (typeof source === "string" && source !== "") return;
  throw new TypeError(
    `Cannot make ${what}: source is ${
      show(source)
    }, expected a string that is not empty`,
  );
}

/** What calls are made for, to follow "Cannot" in an error. */
const RUN = "run a script";
const CALL = "call a function";

/** Options of a {@linkcode Script}. */
export interface ScriptOptions {
  /**
   * Whether it writes nothing: it is run by `EVALSHA_RO`, which needs Redis 7, so
   * that the server refuses its writes, and it is sent again like a read. @default {false}
   */
  readOnly?: boolean | undefined;
}

/**
 * A Lua script that is sent by its digest, and whole only to a server that does not have it.
 *
 * - A server that answers NOSCRIPT is sent the source by EVAL, on the same
 *   connection. Of the calls that find the script missing at the same time one
 *   sends it, and the others wait for that.
 * - That is one call, with one deadline, signal and fate. A script that may have run is
 *   not sent again, unless it is read-only or `replay` says so.
 *
 * In a cluster it goes to the server of its first key; its keys need the same
 * hash slot. Without a key any primary runs it.
 *
 * @typeParam Result The reply, as the script makes it. It is not checked.
 *
 * @example Add to a number, but not beyond a limit
 * ```ts
 * import { Redis, Script } from "@unzombie/redis";
 * import { assertEquals } from "@std/assert";
 *
 * const addUpTo = new Script<number>(`
 *   local sum = tonumber(redis.call("GET", KEYS[1]) or 0) + ARGV[1]
 *   if sum > tonumber(ARGV[2]) then return -1 end
 *   redis.call("SET", KEYS[1], sum)
 *   return sum
 * `);
 *
 * await using redis = new Redis(Deno.env.get("REDIS_URL"));
 * assertEquals(await addUpTo.run(redis, ["doc-seats"], [2, 3]), 2);
 * assertEquals(await addUpTo.run(redis, ["doc-seats"], [2, 3]), -1);
 * await redis.send(["DEL", "doc-seats"]);
 * ```
 */
export class Script<Result extends AnyReply = AnyReply> {
  readonly #name: string;
  readonly #code: LateCode<ScriptCode>;

  /**
   * Makes a script. Nothing is sent yet.
   *
   * @param source The source, in Lua.
   * @param options See {@linkcode ScriptOptions}.
   * @throws {TypeError} If the source is no text, or empty.
   */
  constructor(source: string, options: ScriptOptions = {}) {
    checkSource("a script", source);
    this.#name = options.readOnly === true ? "EVALSHA_RO" : "EVALSHA";
    this.#code = new LateCode(async () => {
      const { ScriptCode } = await import("./stored_code.ts");
      return await ScriptCode.of(source);
    });
  }

  /**
   * Runs it.
   *
   * @param redis A client, one of its `nodes()`, or a lease; not between MULTI and EXEC.
   * @param keys What it finds in `KEYS`.
   * @param args What it finds in `ARGV`. @default {[]}
   * @param options See {@linkcode SendOptions}; of a lease only `signal` and `binary`.
   * @returns What it returns: tables are arrays, `nil` and `false` are `null`, numbers are cut to integers.
   * @throws {CommandError} If it ends with an error, or cannot be compiled.
   * @throws What {@linkcode Redis.send} throws.
   */
  run(
    redis: CommandSender,
    keys: readonly (string | Uint8Array)[],
    args: readonly CommandArgument[] = [],
    options?: SendOptions,
  ): Promise<Result> {
    try {
      const command = callOf(RUN, this.#name, "", keys, args);
      return this.#code.run(RUN, redis, command, options) as Promise<Result>;
    } catch (error) {
      return Promise.reject(error);
    }
  }
}

/** Options of {@linkcode FunctionLibrary.call}. */
export interface FunctionCallOptions extends SendOptions {
  /**
   * Whether the function writes nothing: it is called by `FCALL_RO`, and sent again
   * like a read. It needs the flag `no-writes`. @default {false}
   */
  readOnly?: boolean | undefined;
}

/**
 * A library of functions (Redis 7 and later) that is loaded into a server which does not have it.
 *
 * - A server that does not find the function is sent the library by FUNCTION LOAD
 *   REPLACE, on the same connection and before the call. Of the calls that find it
 *   missing at the same time one sends it, and the others wait for that.
 * - Nothing else is replaced: a server that has a function of this name keeps it. So give
 *   a library, and its functions, another name when their code changes, such as
 *   `stock_2`: then two versions of a service can run side by side.
 *
 * Servers keep libraries and copy them to their replicas, unlike scripts. In a
 * cluster each primary is sent the library when it first needs it, or by {@linkcode FunctionLibrary.load}.
 *
 * @example A function that is loaded by its first call
 * ```ts
 * import { FunctionLibrary, Redis } from "@unzombie/redis";
 * import { assertEquals } from "@std/assert";
 *
 * const library = new FunctionLibrary(`#!lua name=doc_stock
 *   redis.register_function("doc_take", function(keys, args)
 *     if tonumber(redis.call("GET", keys[1]) or 0) < tonumber(args[1]) then return -1 end
 *     return redis.call("DECRBY", keys[1], args[1])
 *   end)
 * `);
 *
 * await using redis = new Redis(Deno.env.get("REDIS_URL"));
 * await redis.send(["SET", "doc-shirts", 3]);
 * assertEquals(await library.call(redis, "doc_take", ["doc-shirts"], [2]), 1);
 * assertEquals(await library.call(redis, "doc_take", ["doc-shirts"], [2]), -1);
 * await redis.send(["DEL", "doc-shirts"]);
 * ```
 */
export class FunctionLibrary {
  readonly #code: LateCode<LibraryCode>;

  /**
   * Makes a library. Nothing is sent yet.
   *
   * @param source The source, which begins with `#!lua name=...`.
   * @throws {TypeError} If the source is no text, or empty.
   */
  constructor(source: string) {
    checkSource("a library", source);
    this.#code = new LateCode(async () => {
      const { LibraryCode } = await import("./stored_code.ts");
      return new LibraryCode(source);
    });
  }

  /**
   * Calls a function of it.
   *
   * @typeParam Result The reply, as the function makes it. It is not checked.
   * @param redis A client, one of its `nodes()`, or a lease; not between MULTI and EXEC.
   * @param name The name of the function.
   * @param keys What it gets as its first argument.
   * @param args What it gets as its second argument. @default {[]}
   * @param options See {@linkcode FunctionCallOptions}; of a lease only `signal`, `binary` and `readOnly`.
   * @returns What it returns, see {@linkcode Script.run}.
   * @throws {CommandError} If it ends with an error, or the library cannot be loaded.
   * @throws What {@linkcode Redis.send} throws.
   */
  call<Result extends AnyReply = AnyReply>(
    redis: CommandSender,
    name: string,
    keys: readonly (string | Uint8Array)[],
    args: readonly CommandArgument[] = [],
    options: FunctionCallOptions = {},
  ): Promise<Result> {
    try {
      const { readOnly, ...others } = options;
      const command = callOf(
        CALL,
        readOnly === true ? "FCALL_RO" : "FCALL",
        name,
        keys,
        args,
      );
      return this.#code.run(CALL, redis, command, others) as Promise<Result>;
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /**
   * Loads it into every server now, in place of the library of the same name: such as in a deploy.
   *
   * @param redis A client: each of its primaries; or one of its `nodes()`, or a lease.
   * @param options See {@linkcode SendOptions}.
   * @throws {CommandError} If a server refuses it.
   * @throws What {@linkcode Redis.send} throws.
   */
  async load(redis: CommandSender, options?: SendOptions): Promise<void> {
    await (await this.#code.get()).load(redis, options);
  }
}

/** A scan that nothing is asked for yet. */
class LateScan implements Scan<unknown> {
  readonly #sender: CommandSender;
  readonly #source: ScanSource;

  constructor(sender: CommandSender, source: ScanSource) {
    this.#sender = sender;
    this.#source = source;
  }

  async *pages(): AsyncGenerator<unknown[], void, undefined> {
    const { pagesOf } = await import("./scans.ts");
    yield* pagesOf(this.#sender, this.#source);
  }

  [Symbol.asyncIterator](): AsyncIterableIterator<unknown> {
    return new LateElements(() => this.pages(), this.#source.settings.signal);
  }
}

/** The elements of pages, by code that is loaded with the first of them. */
class LateElements implements AsyncIterableIterator<unknown, void> {
  readonly #pages: () => AsyncGenerator<unknown[], void, undefined>;
  readonly #signal: AbortSignal | undefined;
  #loading: Promise<Elements> | undefined;
  #elements: Elements | undefined;

  constructor(
    pages: () => AsyncGenerator<unknown[], void, undefined>,
    signal: AbortSignal | undefined,
  ) {
    this.#pages = pages;
    this.#signal = signal;
  }

  next(): Promise<IteratorResult<unknown, void>> {
    return this.#elements === undefined
      ? this.#load().then((elements) => elements.next())
      : this.#elements.next();
  }

  async return(): Promise<IteratorResult<unknown, void>> {
    return await (await this.#load()).return();
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  #load(): Promise<Elements> {
    return this.#loading ??= import("./scans.ts").then(({ Elements }) =>
      this.#elements = new Elements(this.#pages(), this.#signal)
    );
  }
}

const scanOf = <Element>(
  redis: CommandSender,
  name: ScanSource["name"],
  settings: ScanSettings,
  key?: string | Uint8Array,
): Scan<Element> =>
  new LateScan(
    redis,
    key === undefined ? { name, settings } : { name, key, settings },
  ) as Scan<
    unknown
  > as Scan<Element>;

/**
 * The keys of a server, or of all primaries of a cluster, one primary after the other.
 *
 * - While a page is read the next one is on its way, and no further one. `break`
 *   ends that.
 * - A cursor belongs to one run of a server. After a restart or a failover its
 *   scan begins again, so that keys may come twice but none is missed.
 * - Keys whose hash slot moves from one primary to another meanwhile may be missed. Those
 *   of a primary that has left are found where they are.
 * - A page that fails by all attempts ends it with the error of that. To wait for a
 *   failover pass a `retry` that is longer than one.
 *
 * @param redis A client, or one of its `nodes()`; or a lease, where the next page is asked for when it is needed.
 * @param options See {@linkcode KeyScanOptions}.
 * @returns The keys, read as they are iterated over. Iterating throws what {@linkcode Redis.send}
 * throws, and a `TypeError` if an option cannot be used.
 *
 * @example Delete the keys of a prefix
 * ```ts
 * import { Redis, scan } from "@unzombie/redis";
 * import { assertEquals } from "@std/assert";
 *
 * await using redis = new Redis(Deno.env.get("REDIS_URL"));
 * await redis.send(["MSET", "{doc}:a", 1, "{doc}:b", 2]);
 * let deleted = 0;
 * for await (const key of scan(redis, { match: "{doc}:*", type: "string" })) {
 *   deleted += await redis.send(["DEL", key]);
 * }
 * assertEquals(deleted, 2);
 * ```
 */
export function scan<const Binary extends boolean = false>(
  redis: CommandSender,
  options: KeyScanOptions & { binary?: Binary | undefined } = {},
): Scan<BulkOf<Binary>> {
  return scanOf(redis, "SCAN", options);
}

/**
 * The fields of a hash, with their values; see {@linkcode scan}.
 *
 * @param redis A client, one of its `nodes()`, or a lease.
 * @param key The key.
 * @param options See {@linkcode FieldScanOptions}. With `noValues` fields alone.
 * @returns The fields and values, read as they are iterated over.
 *
 * @example The fields of a hash
 * ```ts
 * import { hscan, Redis } from "@unzombie/redis";
 * import { assertEquals } from "@std/assert";
 *
 * await using redis = new Redis(Deno.env.get("REDIS_URL"));
 * await redis.send(["HSET", "doc-hash", "name", "Ann", "city", "Oslo"]);
 * const pairs = await Array.fromAsync(hscan(redis, "doc-hash"));
 * assertEquals(Object.fromEntries(pairs), { name: "Ann", city: "Oslo" });
 * await redis.send(["DEL", "doc-hash"]);
 * ```
 */
export function hscan<const Binary extends boolean = false>(
  redis: CommandSender,
  key: string | Uint8Array,
  options: FieldScanOptions & { noValues: true; binary?: Binary | undefined },
): Scan<BulkOf<Binary>>;
/** The fields of a hash, with their values; see {@linkcode scan}. */
export function hscan<const Binary extends boolean = false>(
  redis: CommandSender,
  key: string | Uint8Array,
  options?: FieldScanOptions & { binary?: Binary | undefined },
): Scan<[field: BulkOf<Binary>, value: BulkOf<Binary>]>;
export function hscan(
  redis: CommandSender,
  key: string | Uint8Array,
  options: FieldScanOptions = {},
): Scan<unknown> {
  return scanOf(redis, "HSCAN", options, key);
}

/**
 * The members of a set; see {@linkcode scan}.
 *
 * @param redis A client, one of its `nodes()`, or a lease.
 * @param key The key.
 * @param options See {@linkcode ScanOptions}.
 * @returns The members, read as they are iterated over.
 *
 * @example Stop at the first
 * ```ts
 * import { Redis, sscan } from "@unzombie/redis";
 * import { assertEquals } from "@std/assert";
 *
 * await using redis = new Redis(Deno.env.get("REDIS_URL"));
 * await redis.send(["SADD", "doc-set", "a1", "a2", "b1"]);
 * let found: string | undefined;
 * for await (found of sscan(redis, "doc-set", { match: "b*" })) break;
 * assertEquals(found, "b1");
 * await redis.send(["DEL", "doc-set"]);
 * ```
 */
export function sscan<const Binary extends boolean = false>(
  redis: CommandSender,
  key: string | Uint8Array,
  options: ScanOptions & { binary?: Binary | undefined } = {},
): Scan<BulkOf<Binary>> {
  return scanOf(redis, "SSCAN", options, key);
}

/**
 * The members of a sorted set, with their scores as numbers; see {@linkcode scan}.
 *
 * @param redis A client, one of its `nodes()`, or a lease.
 * @param key The key.
 * @param options See {@linkcode ScanOptions}.
 * @returns The members and scores, read as they are iterated over; not in the order of the scores.
 *
 * @example Members and scores
 * ```ts
 * import { Redis, zscan } from "@unzombie/redis";
 * import { assertEquals } from "@std/assert";
 *
 * await using redis = new Redis(Deno.env.get("REDIS_URL"));
 * await redis.send(["ZADD", "doc-zset", 1.5, "a", "inf", "b"]);
 * const pairs = await Array.fromAsync(zscan(redis, "doc-zset"));
 * assertEquals(pairs, [["a", 1.5], ["b", Infinity]]);
 * await redis.send(["DEL", "doc-zset"]);
 * ```
 */
export function zscan<const Binary extends boolean = false>(
  redis: CommandSender,
  key: string | Uint8Array,
  options: ScanOptions & { binary?: Binary | undefined } = {},
): Scan<[member: BulkOf<Binary>, score: number]> {
  return scanOf(redis, "ZSCAN", options, key);
}
