// What a second run of each command would do, and which keys it touches.
import type { Command } from "../../resp/mod.ts";
import { textOf } from "./routing.ts";

/** A command's name, upper case, and its arguments as text, cut where they are long. */
export type Words = readonly string[];

/** The words of a command. */
export function wordsOf(command: Command): Words {
  const words: string[] = command.map(textOf);
  words[0] = words[0]!.toUpperCase();
  return words;
}

/** Stands for the keys of a command that looks at more than its words tell. */
export const EVERYTHING = "\0everything";

/**
 * What a command that may run twice does to one key.
 *
 * - `reads` it.
 * - `replaces` it, whatever was there: it never fails.
 * - `adds` to, or `removes` from, a value of one type, each element by itself;
 *   it fails where the value is of another type.
 * - `expires` it, whatever it is.
 * - `stores` in it what others hold.
 * - `alters` it in a way that depends on what was there.
 * - `moves` something between it and another key, so that it depends on both.
 */
export type How =
  | "reads"
  | "replaces"
  | "adds"
  | "removes"
  | "expires"
  | "stores"
  | "alters"
  | "moves";

/** That a command touches a key. */
export interface Touch {
  readonly key: string;
  readonly how: How;
  /** What sort of value it expects or looks at; "" if any. */
  readonly type: string;
}

/** What a second run does: the harm in words, or what the command touches where there is none. */
export type Effect = string | readonly Touch[];

type Rule = Effect | ((words: Words) => Effect);

const ADDS = "a second run would add again";
const TAKES = "a second run would take more";
const ANSWERS = "a second run would answer as if another caller had been first";
const LOSES = "the second run's reply would hide the first one's value";
const RESULT = "a second run would start from the result of the first";
const UNKNOWN = "nothing is known about what a second run would do";

const NOTHING: Effect = [];

const touch = (how: How, key: string, type = ""): Touch => ({ how, key, type });

type Keys = (words: Words) => Words;

// Where a command has its keys.
const first: Keys = (words) => words.slice(1, 2);
const second: Keys = (words) => words.slice(2, 3);
const all: Keys = (words) => words.slice(1);
/** Every other word: keys between values. */
const even: Keys = (words) => words.filter((_, i) => i % 2 === 1);
/** numkeys at `at`, then that many keys, a stride apart. */
const counted = (at: number, stride = 1): Keys => (words) =>
  words.slice(at + 1, at + 1 + Number(words[at]) * stride)
    .filter((_, i) => i % stride === 0);
/** As many ids as keys stand behind STREAMS. */
const streams: Keys = (words) => {
  const from = words.findIndex((word) => word.toUpperCase() === "STREAMS") + 1;
  return words.slice(from, from + (words.length - from) / 2);
};

const touches = (how: How, keys: Keys, type = "") => (words: Words): Effect =>
  keys(words).map((key) => touch(how, key, type));

const READS_EVERYTHING: Effect = [touch("reads", EVERYTHING)];

/** Whether an option stands at or after `from`. */
const has = (words: Words, from: number, ...options: string[]): boolean =>
  words.slice(from).some((word) => options.includes(word.toUpperCase()));

/** The words between the key and FIELDS, where options stand. */
const beforeFields = (words: Words): Words => {
  const end = words.findIndex((word) => word.toUpperCase() === "FIELDS");
  return words.slice(2, end < 0 ? undefined : end);
};

/** Stores what is at `sources` at `destination`, which harms if it is one of them. */
const stores =
  (destination: number, sources: Keys) => (words: Words): Effect => {
    const key = words[destination] ?? "";
    const from = sources(words);
    return from.includes(key) ? RESULT : [
      ...from.map((source) => touch("reads", source)),
      touch("stores", key),
    ];
  };

/** `STORE destination` behind a source at position 1; reads `also`. */
const storeOption = (also: readonly Touch[]) => (words: Words): Effect => {
  const [, source = ""] = words;
  const destinations = words.filter((_, i) =>
    i > 2 && ["STORE", "STOREDIST"].includes(words[i - 1]!.toUpperCase())
  );
  return destinations.includes(source) ? RESULT : [
    touch("reads", source),
    ...also,
    ...destinations.map((key) => touch("stores", key)),
  ];
};

function set(words: Words): Effect {
  if (has(words, 3, "NX", "IFEQ", "IFNE", "IFDEQ", "IFDNE")) return ANSWERS;
  if (has(words, 3, "GET")) return LOSES;
  const how = has(words, 3, "XX", "KEEPTTL") ? "alters" : "replaces";
  return [touch(how, words[1] ?? "")];
}

/** MSETEX numkeys key value [key value ...] [NX | XX] [EX ...] */
function setMany(words: Words): Effect {
  const from = 2 + 2 * Number(words[1]);
  if (!(from > 2)) return UNKNOWN;
  if (has(words, from, "NX")) return ANSWERS;
  const how = has(words, from, "XX", "KEEPTTL") ? "alters" : "replaces";
  return counted(1, 2)(words).map((key) => touch(how, key));
}

/** A time that is over deletes the value that the reply had. */
function getAndExpire(words: Words): Effect {
  if (has(words, 2, "EXAT", "PXAT")) return LOSES;
  const how = words.length > 2 ? "alters" : "reads";
  return [touch(how, words[1] ?? "", "expiry")];
}

/** A time that is over deletes the key. */
const isOver = ([name = "", , time]: Words): boolean => {
  const ms = Number(time) * (name.startsWith("P") ? 1 : 1000);
  return !(ms > (name.endsWith("AT") ? Date.now() : 0));
};

function expire(words: Words): Effect {
  if (has(words, 3, "NX")) return ANSWERS;
  const how = has(words, 3, "XX", "GT", "LT") || isOver(words)
    ? "alters"
    : "expires";
  return [touch(how, words[1] ?? "", "expiry")];
}

/** A field that has expired is removed. */
function expireFields(words: Words): Effect {
  const options = beforeFields(words);
  if (has(options, 1, "NX")) return ANSWERS;
  const how = has(options, 1, "XX", "GT", "LT") ? "alters" : "removes";
  return [touch(how, words[1] ?? "", "hash")];
}

function setFields(words: Words): Effect {
  const options = beforeFields(words);
  if (has(options, 0, "NX", "FNX")) return ANSWERS;
  const how = has(options, 0, "XX", "FXX", "KEEPTTL", "EXAT", "PXAT")
    ? "alters"
    : "adds";
  return [touch(how, words[1] ?? "", "hash")];
}

/** The options of ZADD and GEOADD stand between the key and the first score. */
const addScored = (words: Words): Effect => {
  const options = new Set<string>();
  for (const word of words.slice(2)) {
    const option = word.toUpperCase();
    if (!["NX", "XX", "GT", "LT", "CH", "INCR"].includes(option)) break;
    options.add(option);
  }
  if (options.has("INCR")) return ADDS;
  options.delete("CH");
  const how = options.size > 0 ? "alters" : "adds";
  return [touch(how, words[1] ?? "", "zset")];
};

// What a server has beside its keys has names that no key should have.
const CONFIG = "\0config";
const SCRIPTS = "\0scripts";

/** Commands by what a second run does; a name is in one row only. */
const GROUPS: readonly (readonly [names: string, rule: Rule])[] = [
  // Reads: the same state and the same reply.
  [
    `GET STRLEN GETRANGE SUBSTR GETBIT BITCOUNT BITPOS BITFIELD_RO DIGEST
     TYPE TTL PTTL EXPIRETIME PEXPIRETIME DUMP
     HGET HMGET HGETALL HKEYS HVALS HLEN HEXISTS HSTRLEN HRANDFIELD HSCAN
     HTTL HPTTL HEXPIRETIME HPEXPIRETIME
     LRANGE LINDEX LLEN LPOS
     SMEMBERS SISMEMBER SMISMEMBER SCARD SRANDMEMBER SSCAN
     ZRANGE ZREVRANGE ZRANGEBYSCORE ZREVRANGEBYSCORE ZRANGEBYLEX ZREVRANGEBYLEX
     ZCARD ZCOUNT ZLEXCOUNT ZSCORE ZMSCORE ZRANK ZREVRANK ZRANDMEMBER ZSCAN
     XRANGE XREVRANGE XLEN XPENDING
     GEOPOS GEODIST GEOHASH GEOSEARCH GEORADIUS_RO GEORADIUSBYMEMBER_RO
     VINFO VCARD VGETATTR VDIM VLINKS VSIM VISMEMBER VRANDMEMBER VEMB VRANGE`,
    touches("reads", first),
  ],
  ["MGET EXISTS TOUCH SINTER SUNION SDIFF PFCOUNT", touches("reads", all)],
  ["LCS", touches("reads", (words) => words.slice(1, 3))],
  [
    "SINTERCARD SUNIONCARD SDIFFCARD ZINTER ZUNION ZDIFF ZINTERCARD",
    touches("reads", counted(1)),
  ],
  ["XREAD", touches("reads", streams)],
  [
    `OBJECT|ENCODING OBJECT|FREQ OBJECT|IDLETIME OBJECT|REFCOUNT MEMORY|USAGE
     XINFO|STREAM XINFO|GROUPS XINFO|CONSUMERS`,
    touches("reads", second),
  ],
  [
    `KEYS SCAN CLUSTERSCAN RANDOMKEY DBSIZE SORT_RO EVAL_RO EVALSHA_RO FCALL_RO
     INFO MEMORY|STATS MEMORY|DOCTOR MEMORY|MALLOC-STATS
     CLUSTER|COUNTKEYSINSLOT CLUSTER|GETKEYSINSLOT`,
    READS_EVERYTHING,
  ],
  [
    `PING ECHO TIME LASTSAVE ROLE LOLWUT
     COMMAND COMMAND|COUNT COMMAND|DOCS COMMAND|GETKEYS COMMAND|GETKEYSANDFLAGS
     COMMAND|INFO COMMAND|LIST
     CLIENT|ID CLIENT|INFO CLIENT|LIST CLIENT|GETNAME CLIENT|GETREDIR
     CLIENT|TRACKINGINFO
     ACL|CAT ACL|DRYRUN ACL|GETUSER ACL|LIST ACL|USERS ACL|WHOAMI
     CLUSTER|INFO CLUSTER|KEYSLOT CLUSTER|LINKS CLUSTER|MYID CLUSTER|MYSHARDID
     CLUSTER|NODES CLUSTER|REPLICAS CLUSTER|SHARDS CLUSTER|SLAVES CLUSTER|SLOTS
     CLUSTER|SLOT-STATS
     FUNCTION|LIST FUNCTION|DUMP FUNCTION|STATS MODULE|LIST
     PUBSUB|CHANNELS PUBSUB|NUMPAT PUBSUB|NUMSUB PUBSUB|SHARDCHANNELS
     PUBSUB|SHARDNUMSUB
     LATENCY|DOCTOR LATENCY|GRAPH LATENCY|HISTOGRAM LATENCY|HISTORY LATENCY|LATEST
     SLOWLOG|GET SLOWLOG|LEN COMMANDLOG|GET COMMANDLOG|LEN`,
    NOTHING,
  ],
  ["CONFIG|GET", [touch("reads", CONFIG)]],
  ["SCRIPT|EXISTS SCRIPT|SHOW", [touch("reads", SCRIPTS)]],
  // The same state; a count in the reply may be smaller.
  ["CONFIG|SET", [touch("adds", CONFIG)]],
  ["SCRIPT|LOAD", [touch("adds", SCRIPTS)]],
  ["SETEX PSETEX", touches("replaces", first)],
  ["DEL UNLINK", touches("replaces", all)],
  ["MSET", touches("replaces", even)],
  ["SETRANGE", touches("adds", first, "string")],
  ["PFADD", touches("adds", first, "log")],
  [
    "PFMERGE",
    (words) => [
      ...words.slice(2).map((source) => touch("reads", source)),
      touch("adds", words[1] ?? "", "log"),
    ],
  ],
  ["LSET", touches("adds", first, "list")],
  ["HSET HMSET", touches("adds", first, "hash")],
  ["HDEL HPERSIST", touches("removes", first, "hash")],
  ["SADD", touches("adds", first, "set")],
  ["SREM", touches("removes", first, "set")],
  ["ZREM ZREMRANGEBYSCORE", touches("removes", first, "zset")],
  ["XDEL XACK", touches("removes", first, "stream")],
  ["PERSIST", touches("expires", first)],
  // Where scores differ, this depends on elements that it does not remove.
  ["ZREMRANGEBYLEX", touches("alters", first)],
  ["MOVE", touches("moves", first)], // the other key is in another database
  ["SMOVE", touches("moves", (words) => words.slice(1, 3))],
  [
    "COPY",
    (words) => [
      touch("reads", words[1] ?? ""),
      touch(has(words, 3, "REPLACE") ? "stores" : "alters", words[2] ?? ""),
    ],
  ],
  ["BITOP", stores(2, (words) => words.slice(3))],
  [
    "SINTERSTORE SUNIONSTORE SDIFFSTORE",
    stores(1, (words) => words.slice(2)),
  ],
  ["ZINTERSTORE ZUNIONSTORE ZDIFFSTORE", stores(1, counted(2))],
  ["ZRANGESTORE GEOSEARCHSTORE", stores(1, second)],
  ["GEORADIUS GEORADIUSBYMEMBER", storeOption([])],
  // BY and GET look at keys that they make from elements.
  ["SORT", storeOption([touch("reads", EVERYTHING)])],
  // It depends on the arguments.
  ["SET", set],
  ["MSETEX", setMany],
  ["GETEX", getAndExpire],
  ["EXPIRE PEXPIRE EXPIREAT PEXPIREAT", expire],
  ["HEXPIRE HPEXPIRE HEXPIREAT HPEXPIREAT", expireFields],
  ["HSETEX", setFields],
  [
    "HGETEX",
    (words) =>
      has(beforeFields(words), 0, "EXAT", "PXAT")
        ? LOSES
        : [touch("alters", words[1] ?? "", "hash")],
  ],
  ["ZADD GEOADD", addScored],
  [
    "LREM",
    (words) =>
      Number(words[2]) === 0
        ? [touch("alters", words[1] ?? "")]
        : "a second run would remove others",
  ],
  [
    "BITFIELD",
    (words) =>
      has(words, 2, "INCRBY")
        ? ADDS
        : has(words, 2, "SET")
        ? LOSES
        : [touch("reads", words[1] ?? "")],
  ],
  [
    "XTRIM",
    (words) =>
      has(words, 2, "LIMIT") ? TAKES : [touch("alters", words[1] ?? "")],
  ],
  // Another state or another answer. A command that is in no row is one, too:
  // these have reasons.
  [
    `INCR DECR INCRBY DECRBY INCRBYFLOAT INCREX HINCRBY HINCRBYFLOAT ZINCRBY
     APPEND LPUSH RPUSH LPUSHX RPUSHX LINSERT XADD PUBLISH SPUBLISH`,
    ADDS,
  ],
  [
    `LPOP RPOP LMPOP SPOP ZPOPMIN ZPOPMAX ZMPOP LMOVE LMOVEM RPOPLPUSH
     BLPOP BRPOP BRPOPLPUSH BLMOVE BLMOVEM BLMPOP BZPOPMIN BZPOPMAX BZMPOP
     LTRIM ZREMRANGEBYRANK XCLAIM XAUTOCLAIM`,
    TAKES,
  ],
  ["GETSET GETDEL HGETDEL SETBIT", LOSES],
  [
    "SETNX HSETNX MSETNX RENAME RENAMENX DELIFEQ DELEX",
    ANSWERS,
  ],
  ["XREADGROUP", "each delivery is counted, and new messages are given once"],
];

/**
 * A table of rows, each with names parted by spaces.
 *
 * @throws {Error} If a name is in two rows.
 */
export function tableOf<Row>(
  rows: readonly (readonly [names: string, row: Row])[],
): ReadonlyMap<string, Row> {
  const table = new Map<string, Row>();
  for (const [names, row] of rows) {
    for (const name of names.trim().split(/\s+/)) {
      if (table.has(name)) throw new Error(`${name} is in two rows`);
      table.set(name, row);
    }
  }
  return table;
}

/** Made with the first loss, not with the first import: 0.7 ms and 1 MB of a cold start. */
let rules: ReadonlyMap<string, Rule> | undefined;

/**
 * What a second run of a command does. It leaves aside that a count in the
 * reply (`ZADD`, `DEL` …) may be another one the second time.
 *
 * @param words The words of the command.
 * @returns The harm, or what the command touches where there is none.
 */
export function effectOf(words: Words): Effect {
  rules ??= tableOf(GROUPS);
  const [name = "", subcommand = ""] = words;
  const rule = rules.get(name) ??
    rules.get(`${name}|${subcommand.toUpperCase()}`) ?? UNKNOWN;
  return typeof rule === "function" ? rule(words) : rule;
}
