// Which commands may be sent again when they may have run already, with reasons.
import type { Command } from "../resp/mod.ts";
import { textOf } from "./routing.ts";

/** Why a second run would do harm; `undefined` if it would not. */
type Hazard = string | undefined;
type Words = readonly string[];
type Rule = Hazard | ((command: Words) => Hazard);

const SAFE: Rule = undefined;
const ADDS = "a second run would add again";
const TAKES = "a second run would take more";
const ANSWERS = "a second run would answer as if somebody else had been first";
const LOSES = "the second run's reply would hide the first one's value";
const UNKNOWN = "nobody has said that running it twice is harmless";

const words = (text: string): string[] => text.trim().split(/\s+/);

/** The same rule for each of the names. */
const each = (rule: Rule, names: string): [string, Rule][] =>
  words(names).map((name) => [name, rule]);

/** Whether an option stands at or after `from`. */
const has = (command: Words, from: number, ...options: string[]): boolean =>
  command.slice(from).some((word) => options.includes(word.toUpperCase()));

const RESULT = "a second run would start from the result of the first";

/** A destination that is also a source has changed by the second run. */
const storesOntoSource =
  (destination: number, sources: (command: Words) => Words) =>
  (command: Words): Hazard =>
    sources(command).includes(command[destination]!) ? RESULT : SAFE;

/** `STORE destination` behind a source at position 1. */
const storeOption = (command: Words): Hazard =>
  command.some((word, i) =>
      i > 1 && ["STORE", "STOREDIST"].includes(word.toUpperCase()) &&
      command[i + 1] === command[1]
    )
    ? RESULT
    : SAFE;

/** numkeys at `at`, then that many keys. */
const counted = (at: number) => (command: Words): Words =>
  command.slice(at + 1, at + 1 + Number(command[at]));

// A: the same state and the same reply.
const READ_ONLY = `
  GET MGET STRLEN GETRANGE SUBSTR GETBIT BITCOUNT BITPOS BITFIELD_RO LCS
  EXISTS TYPE TTL PTTL EXPIRETIME PEXPIRETIME KEYS SCAN RANDOMKEY DBSIZE DUMP OBJECT SORT_RO TOUCH
  HGET HMGET HGETALL HKEYS HVALS HLEN HEXISTS HSTRLEN HRANDFIELD HSCAN HTTL HPTTL HEXPIRETIME HPEXPIRETIME
  LRANGE LINDEX LLEN LPOS
  SMEMBERS SISMEMBER SMISMEMBER SCARD SRANDMEMBER SINTER SUNION SDIFF SINTERCARD SSCAN
  ZRANGE ZREVRANGE ZRANGEBYSCORE ZREVRANGEBYSCORE ZRANGEBYLEX ZREVRANGEBYLEX ZCARD ZCOUNT ZLEXCOUNT
  ZSCORE ZMSCORE ZRANK ZREVRANK ZRANDMEMBER ZINTER ZUNION ZDIFF ZINTERCARD ZSCAN
  XRANGE XREVRANGE XLEN XREAD XPENDING XINFO PFCOUNT
  GEOPOS GEODIST GEOHASH GEOSEARCH GEORADIUS_RO GEORADIUSBYMEMBER_RO
  PING ECHO TIME INFO ROLE LASTSAVE COMMAND MEMORY LATENCY EVAL_RO EVALSHA_RO FCALL_RO
  GETEX
`;
const SAME_REPLY = `
  SETEX PSETEX MSET SETRANGE LSET HMSET PFMERGE
`;
// B: the same state, and a reply that counts less; safe for those who do not count.
const SAME_STATE = `
  GEOADD SADD HSET PFADD DEL UNLINK HDEL SREM ZREM XDEL SMOVE MOVE PERSIST COPY
  ZREMRANGEBYSCORE ZREMRANGEBYLEX XACK
`;
// C: another state. The lists are for the error's text: a command that nobody has named is one, too.
const ADDING = `
  INCR DECR INCRBY DECRBY INCRBYFLOAT HINCRBY HINCRBYFLOAT ZINCRBY APPEND
  LPUSH RPUSH LPUSHX RPUSHX LINSERT XADD PUBLISH SPUBLISH
`;
const TAKING = `
  LPOP RPOP LMPOP SPOP ZPOPMIN ZPOPMAX ZMPOP LMOVE RPOPLPUSH BLPOP BRPOP BRPOPLPUSH BLMOVE BLMPOP
  BZPOPMIN BZPOPMAX BZMPOP LTRIM ZREMRANGEBYRANK XCLAIM XAUTOCLAIM
`;

const makeRules = (): ReadonlyMap<string, Rule> =>
  new Map<string, Rule>([
    ...each(SAFE, READ_ONLY),
    ...each(SAFE, SAME_REPLY),
    ...each(SAFE, SAME_STATE),
    // By argument.
    [
      "SET",
      (c) =>
        has(c, 3, "NX", "IFEQ", "IFNE", "IFDEQ", "IFDNE")
          ? ANSWERS
          : has(c, 3, "GET")
          ? LOSES
          : SAFE,
    ],
    ...each(LOSES, "GETSET GETDEL SETBIT"),
    ...each(
      (c) => has(c, 3, "NX") ? ANSWERS : SAFE,
      "EXPIRE PEXPIRE EXPIREAT PEXPIREAT HEXPIREAT HPEXPIREAT",
    ),
    ["ZADD", (c) => has(optionsOfZadd(c), 0, "INCR") ? ADDS : SAFE],
    [
      "LREM",
      (c) => Number(c[2]) === 0 ? SAFE : "a second run would remove others",
    ],
    [
      "BITFIELD",
      (c) => has(c, 2, "INCRBY") ? ADDS : has(c, 2, "SET") ? LOSES : SAFE,
    ],
    ["BITOP", storesOntoSource(2, (c) => c.slice(3))],
    ...each(
      storesOntoSource(1, (c) => c.slice(2)),
      "SINTERSTORE SUNIONSTORE SDIFFSTORE",
    ),
    ...each(
      storesOntoSource(1, counted(2)),
      "ZINTERSTORE ZUNIONSTORE ZDIFFSTORE",
    ),
    ...each(
      storesOntoSource(1, (c) => c.slice(2, 3)),
      "ZRANGESTORE GEOSEARCHSTORE",
    ),
    ...each(storeOption, "SORT GEORADIUS GEORADIUSBYMEMBER"),
    ["XREADGROUP", "each delivery is counted, and new messages are given once"],
    ["XTRIM", (c) => has(c, 2, "LIMIT") ? TAKES : SAFE],
    ["CONFIG", (c) => has(c.slice(0, 2), 1, "GET", "SET") ? SAFE : UNKNOWN],
    [
      "CLIENT",
      (c) =>
        has(c.slice(0, 2), 1, "ID", "INFO", "LIST", "GETNAME") ? SAFE : UNKNOWN,
    ],
    [
      "SCRIPT",
      (c) => has(c.slice(0, 2), 1, "EXISTS", "LOAD") ? SAFE : UNKNOWN,
    ],
    ...each(ADDS, ADDING),
    ...each(TAKES, TAKING),
    ...each(ANSWERS, "SETNX HSETNX MSETNX RENAME RENAMENX"),
  ]);

/** Made with the first loss, not with the first import: 0.7 ms and 1 MB of a cold start. */
function once<T>(make: () => T): () => T {
  let made: T | undefined;
  return () => made ??= make();
}

const rules = once(makeRules);

/** ZADD's options stand between the key and the first score. */
function optionsOfZadd(command: Words): Words {
  const options = new Set(["NX", "XX", "GT", "LT", "CH", "INCR"]);
  let end = 2;
  while (end < command.length && options.has(command[end]!.toUpperCase())) {
    end++;
  }
  return command.slice(2, end);
}

const blind = once(() =>
  new Set(words(`
    SETEX PSETEX MSET SETRANGE HMSET HSET GEOADD SADD PFADD DEL UNLINK HDEL SREM ZREM XDEL XACK PERSIST
    ZREMRANGEBYSCORE ZREMRANGEBYLEX
  `))
);
const reads = once(() =>
  new Set(words(`
    GET MGET EXISTS TTL HGET HMGET HGETALL LRANGE SMEMBERS SISMEMBER ZRANGE ZCARD ZCOUNT ZSCORE PING ECHO
  `))
);

/** Whether a command writes what it says, whatever was there. */
function isBlind(command: Command): boolean {
  const [name = "", ...rest] = command.map(textOf);
  switch (name.toUpperCase()) {
    case "SET":
      return rest.length === 2;
    case "ZADD":
      return optionsOfZadd(["ZADD", ...rest]).length === 0;
    case "EXPIRE":
    case "PEXPIRE":
    case "EXPIREAT":
    case "PEXPIREAT":
      return rest.length === 2; // but see earlyExpire
    default:
      return blind().has(name.toUpperCase());
  }
}

const isRead = ([name]: Command): boolean => reads().has(name.toUpperCase());

/**
 * The first EXPIRE of a key that a later command may make: the first time it
 * does nothing, the second time it does.
 */
function earlyExpire(commands: readonly Command[]): number {
  const written = new Set<string>();
  let first = -1;
  for (let i = commands.length - 1; i >= 0; i--) {
    const command = commands[i]!;
    const [name, ...args] = command.map(textOf);
    if (/^P?EXPIRE/i.test(name!) && written.has(args[0]!)) first = i;
    if (!isRead(command)) args.forEach((word) => written.add(word));
  }
  return first;
}

/**
 * Why commands that may have run, in this order, must not be sent again
 * together: where one reads what a later one has changed, each is harmless
 * alone and both are not.
 *
 * @param commands The commands.
 * @returns The reason, or `undefined` if a second run is harmless.
 */
export function sequenceHazard(
  commands: readonly Command[],
): string | undefined {
  for (const command of commands) {
    const hazard = replayHazard(command);
    if (hazard !== undefined) {
      return `${command[0]} was not replayed: ${hazard}`;
    }
  }
  if (commands.length < 2) return undefined;
  // Blind writes, then reads: no read is followed by a write that it would see.
  const early = earlyExpire(commands);
  const writes = commands.findIndex((command, i) =>
    !isBlind(command) || i === early
  );
  const rest = writes < 0 ? [] : commands.slice(writes);
  if (rest.every(isRead)) return undefined;
  return "the pipeline was not replayed: it reads and writes, and a second run might read what the first has written";
}

/**
 * Why a command that may have run must not be sent again. "Harmless" holds as
 * long as nobody else writes the key before the first copy has run or died:
 * a network may hold it back, behind a connection that went silent, until
 * after a later `SET`. It leaves aside that a count in the reply (`ZADD`,
 * `DEL` …) may be smaller the second time.
 *
 * @param command The command.
 * @returns The reason, or `undefined` if a second run is harmless.
 */
export function replayHazard(command: Command): string | undefined {
  const words = command.map(textOf);
  const name = words[0]!.toUpperCase();
  if (!rules().has(name)) return UNKNOWN;
  const rule = rules().get(name);
  return typeof rule === "function" ? rule(words) : rule;
}
