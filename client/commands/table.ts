// What each command means: one row a command, found by its name.
//
// A row says where the keys of the command are, what a second run would do, and
// what sets it apart from most commands: how it has to be sent, which read shows
// that it has run, and so on. A command with an unknown effect has a row for its
// keys; a test asserts that every command of a server has a row.
import * as effects from "./effects.ts";
import {
  ADDS,
  adds,
  alters,
  expires,
  filters,
  loadsScript,
  LOSES,
  moves,
  reads,
  readsConfig,
  readsEverything,
  readsFunctions,
  readsNothing,
  readsScripts,
  REFUSES,
  removes,
  replaces,
  setsConfig,
  stores,
  TAKES,
  UNKNOWN,
} from "./effects.ts";
import {
  all,
  allButFirst,
  allButLast,
  anyServer,
  around,
  counted,
  everyOther,
  first,
  firstAndCounted,
  firstTwo,
  type Keys,
  migrated,
  none,
  second,
  sorted,
  streams,
  upper,
} from "./words.ts";
import * as routes from "./routes.ts";
import { blocks, changesSettings, SHARED, URGENT } from "./routes.ts";
import type { Command } from "../../resp/types.ts";
import type { EffectRule, ProbeRule, Row, Rows } from "./row.ts";

/**
 * All rows have the same shape, so that reading one is fast. A call for each
 * row costs half of what an object literal does.
 */
const row = (
  keys: Keys,
  effect: EffectRule,
  more: Partial<Row> = {},
): Row => ({
  keys,
  effect,
  route: more.route ?? SHARED,
  probe: more.probe,
  runs: more.runs,
  hasSecrets: more.hasSecrets ?? false,
  subcommands: more.subcommands,
});

/** A command with subcommands, each of which has a row. */
const container = (subcommands: Rows, more: Partial<Row> = {}): Row =>
  row(more.keys ?? none, more.effect ?? UNKNOWN, {
    ...more,
    subcommands: { HELP: row(anyServer, readsNothing), ...subcommands },
  });

/** The row of a command that the table does not have. */
export const NO_ROW: Row = row(none, UNKNOWN);

const probe = (
  read: string,
  takes: readonly number[],
  words: number,
  absent: ProbeRule["absent"] = null,
): ProbeRule => ({ read, takes, words, absent });

const value = probe("GET", [1], 3);
const field = probe("HGET", [1, 2], 4);
const member = probe("SISMEMBER", [1, 2], 3, 0);
const score = probe("ZSCORE", [1, 3], 4);

/** Makes the rows, by the name of the command in upper case. */
const makeTable = (): Rows => ({
  // Keys of any type.
  COPY: row(firstTwo, effects.copies),
  DEL: row(all, replaces),
  DELEX: row(first, REFUSES),
  DUMP: row(first, reads),
  EXISTS: row(all, reads),
  EXPIRE: row(first, effects.setsExpiry),
  EXPIREAT: row(first, effects.setsExpiry),
  EXPIRETIME: row(first, reads),
  KEYS: row(none, readsEverything),
  MIGRATE: row(migrated, UNKNOWN, { hasSecrets: true }),
  MOVE: row(first, moves), // the other key is in another database
  OBJECT: container({
    ENCODING: row(second, reads),
    FREQ: row(second, reads),
    IDLETIME: row(second, reads),
    REFCOUNT: row(second, reads),
  }, { keys: second }),
  PERSIST: row(first, expires),
  PEXPIRE: row(first, effects.setsExpiry),
  PEXPIREAT: row(first, effects.setsExpiry),
  PEXPIRETIME: row(first, reads),
  PTTL: row(first, reads),
  RANDOMKEY: row(none, readsEverything),
  RENAME: row(firstTwo, REFUSES),
  RENAMENX: row(firstTwo, REFUSES),
  RESTORE: row(first, UNKNOWN),
  "RESTORE-ASKING": row(first, UNKNOWN),
  SCAN: row(none, readsEverything),
  SORT: row(sorted, effects.sorts),
  SORT_RO: row(first, readsEverything),
  TOUCH: row(all, reads),
  TTL: row(first, reads),
  TYPE: row(first, reads),
  UNLINK: row(all, replaces),
  BLESS: container({
    CLEAR: row(none, UNKNOWN),
    GET: row(second, UNKNOWN),
    SCAN: row(none, UNKNOWN),
    SET: row(second, UNKNOWN),
  }),

  // Strings.
  APPEND: row(first, ADDS),
  DECR: row(first, ADDS),
  DECRBY: row(first, ADDS),
  DELIFEQ: row(first, REFUSES),
  DIGEST: row(first, reads),
  GET: row(first, reads),
  GETDEL: row(first, LOSES),
  GETEX: row(first, effects.getsAndExpires),
  GETRANGE: row(first, reads),
  GETSET: row(first, LOSES, { probe: value }),
  INCR: row(first, ADDS),
  INCRBY: row(first, ADDS),
  INCRBYFLOAT: row(first, ADDS),
  INCREX: row(first, ADDS),
  LCS: row(firstTwo, reads),
  MGET: row(all, reads),
  MSET: row(everyOther, replaces),
  MSETEX: row(counted(1, 2), effects.setsMany),
  MSETNX: row(everyOther, REFUSES),
  PSETEX: row(first, replaces),
  // With other options the value may be gone again, or not have been written at all.
  SET: row(first, effects.sets, { probe: { ...value, option: "NX" } }),
  SETEX: row(first, replaces),
  SETNX: row(first, REFUSES, { probe: value }),
  SETRANGE: row(first, adds("string")),
  STRLEN: row(first, reads),
  SUBSTR: row(first, reads),

  // Bits.
  BITCOUNT: row(first, reads),
  BITFIELD: row(first, effects.fieldsOfBits),
  BITFIELD_RO: row(first, reads),
  BITOP: row(allButFirst, stores),
  BITPOS: row(first, reads),
  BITRANGEINTARRAY: row(first, UNKNOWN),
  GETBIT: row(first, reads),
  SETBIT: row(first, LOSES),

  // Hashes.
  HDEL: row(first, removes("hash")),
  HEXISTS: row(first, reads),
  HEXPIRE: row(first, effects.expiresFields),
  HEXPIREAT: row(first, effects.expiresFields),
  HEXPIRETIME: row(first, reads),
  HGET: row(first, reads),
  HGETALL: row(first, reads),
  HGETDEL: row(first, LOSES),
  HGETEX: row(first, effects.getsFields),
  HIMPORT: container({
    DISCARD: row(none, UNKNOWN, { route: routes.changesFieldsets }),
    DISCARDALL: row(none, UNKNOWN, { route: routes.changesFieldsets }),
    PREPARE: row(none, UNKNOWN, { route: routes.changesFieldsets }),
    SET: row(second, UNKNOWN, { route: routes.changesFieldsets }),
  }),
  HINCRBY: row(first, ADDS),
  HINCRBYFLOAT: row(first, ADDS),
  HKEYS: row(first, reads),
  HLEN: row(first, reads),
  HMGET: row(first, reads),
  HMSET: row(first, adds("hash")),
  HPERSIST: row(first, removes("hash")),
  HPEXPIRE: row(first, effects.expiresFields),
  HPEXPIREAT: row(first, effects.expiresFields),
  HPEXPIRETIME: row(first, reads),
  HPTTL: row(first, reads),
  HRANDFIELD: row(first, reads),
  HSCAN: row(first, reads),
  HSET: row(first, adds("hash"), { probe: field }),
  HSETEX: row(first, effects.setsFields),
  HSETNX: row(first, REFUSES, { probe: field }),
  HSTRLEN: row(first, reads),
  HTTL: row(first, reads),
  HVALS: row(first, reads),

  // Lists.
  BLMOVE: row(firstTwo, TAKES, { route: blocks(-1) }),
  BLMOVEM: row(firstTwo, TAKES, { route: blocks(5) }),
  BLMPOP: row(counted(2), TAKES, { route: blocks(1) }),
  BLPOP: row(allButLast, TAKES, { route: blocks(-1) }),
  BRPOP: row(allButLast, TAKES, { route: blocks(-1) }),
  BRPOPLPUSH: row(firstTwo, TAKES, { route: blocks(-1) }),
  LINDEX: row(first, reads),
  LINSERT: row(first, ADDS),
  LLEN: row(first, reads),
  LMOVE: row(firstTwo, TAKES),
  LMOVEM: row(firstTwo, TAKES),
  LMPOP: row(counted(1), TAKES),
  LPOP: row(first, TAKES),
  LPOS: row(first, reads),
  LPUSH: row(first, ADDS),
  LPUSHX: row(first, ADDS),
  LRANGE: row(first, reads),
  LREM: row(first, effects.removesEqual),
  LSET: row(first, adds("list")),
  LTRIM: row(first, TAKES),
  RPOP: row(first, TAKES),
  RPOPLPUSH: row(firstTwo, TAKES),
  RPUSH: row(first, ADDS),
  RPUSHX: row(first, ADDS),

  // Sets.
  SADD: row(first, adds("set"), { probe: member }),
  SADDEX: row(first, UNKNOWN),
  SCARD: row(first, reads),
  SDIFF: row(all, reads),
  SDIFFCARD: row(counted(1), reads),
  SDIFFSTORE: row(all, stores),
  SEXPIRE: row(first, UNKNOWN),
  SEXPIREAT: row(first, UNKNOWN),
  SEXPIRETIME: row(first, reads),
  SINTER: row(all, reads),
  SINTERCARD: row(counted(1), reads),
  SINTERSTORE: row(all, stores),
  SISMEMBER: row(first, reads),
  SMEMBERS: row(first, reads),
  SMISMEMBER: row(first, reads),
  SMOVE: row(firstTwo, moves),
  SPERSIST: row(first, UNKNOWN),
  SPEXPIRE: row(first, UNKNOWN),
  SPEXPIREAT: row(first, UNKNOWN),
  SPEXPIRETIME: row(first, reads),
  SPOP: row(first, TAKES),
  SPTTL: row(first, reads),
  SRANDMEMBER: row(first, reads),
  SREM: row(first, removes("set")),
  SSCAN: row(first, reads),
  STTL: row(first, reads),
  SUNION: row(all, reads),
  SUNIONCARD: row(counted(1), reads),
  SUNIONSTORE: row(all, stores),

  // Sorted sets.
  BZMOVE: row(firstTwo, TAKES, { route: blocks(-1) }),
  BZMPOP: row(counted(2), TAKES, { route: blocks(1) }),
  BZPOPMAX: row(allButLast, TAKES, { route: blocks(-1) }),
  BZPOPMIN: row(allButLast, TAKES, { route: blocks(-1) }),
  ZADD: row(first, effects.addsScored, { probe: score }),
  ZCARD: row(first, reads),
  ZCOUNT: row(first, reads),
  ZDIFF: row(counted(1), reads),
  ZDIFFSTORE: row(firstAndCounted, stores),
  ZINCRBY: row(first, ADDS),
  ZINTER: row(counted(1), reads),
  ZINTERCARD: row(counted(1), reads),
  ZINTERSTORE: row(firstAndCounted, stores),
  ZLEXCOUNT: row(first, reads),
  ZMOVE: row(firstTwo, TAKES),
  ZMOVEMEMBER: row(firstTwo, UNKNOWN),
  ZMPOP: row(counted(1), TAKES),
  ZMSCORE: row(first, reads),
  ZPOPMAX: row(first, TAKES),
  ZPOPMIN: row(first, TAKES),
  ZRANDMEMBER: row(first, reads),
  ZRANGE: row(first, reads),
  ZRANGEBYLEX: row(first, reads),
  ZRANGEBYSCORE: row(first, reads),
  ZRANGESTORE: row(firstTwo, stores),
  ZRANK: row(first, reads),
  ZREM: row(first, removes("zset")),
  // Where scores differ, this depends on elements that it does not remove.
  ZREMRANGEBYLEX: row(first, alters),
  ZREMRANGEBYRANK: row(first, TAKES),
  ZREMRANGEBYSCORE: row(first, filters("zset")),
  ZREVRANGE: row(first, reads),
  ZREVRANGEBYLEX: row(first, reads),
  ZREVRANGEBYSCORE: row(first, reads),
  ZREVRANK: row(first, reads),
  ZSCAN: row(first, reads),
  ZSCORE: row(first, reads),
  ZUNION: row(counted(1), reads),
  ZUNIONSTORE: row(firstAndCounted, stores),

  // Places: members of a sorted set.
  GEOADD: row(first, effects.addsScored),
  GEODIST: row(first, reads),
  GEOHASH: row(first, reads),
  GEOPOS: row(first, reads),
  GEORADIUS: row(around, effects.storesIfAsked),
  GEORADIUSBYMEMBER: row(around, effects.storesIfAsked),
  GEORADIUSBYMEMBER_RO: row(first, reads),
  GEORADIUS_RO: row(first, reads),
  GEOSEARCH: row(first, reads),
  GEOSEARCHSTORE: row(firstTwo, stores),

  // HyperLogLogs.
  PFADD: row(first, adds("log")),
  PFCOUNT: row(all, reads),
  PFDEBUG: row(second, UNKNOWN),
  PFMERGE: row(all, effects.merges),
  PFSELFTEST: row(none, UNKNOWN),

  // Streams.
  XACK: row(first, removes("stream")),
  XACKDEL: row(first, UNKNOWN),
  XADD: row(first, ADDS),
  XAUTOCLAIM: row(first, TAKES),
  XCFGSET: row(first, UNKNOWN),
  XCLAIM: row(first, TAKES),
  XDEL: row(first, removes("stream")),
  XDELEX: row(first, UNKNOWN),
  XGROUP: container({
    CREATE: row(second, UNKNOWN),
    CREATECONSUMER: row(second, UNKNOWN),
    DELCONSUMER: row(second, UNKNOWN),
    DESTROY: row(second, UNKNOWN),
    SETID: row(second, UNKNOWN),
  }, { keys: second }),
  XINFO: container({
    CONSUMERS: row(second, reads),
    GROUPS: row(second, reads),
    STREAM: row(second, reads),
  }, { keys: second }),
  XLEN: row(first, reads),
  XNACK: row(first, UNKNOWN),
  XPENDING: row(first, reads),
  XRANGE: row(first, reads),
  XREAD: row(streams, reads, { route: routes.blocksIfAsked }),
  XREADGROUP: row(streams, effects.DELIVERS, { route: routes.blocksIfAsked }),
  XREVRANGE: row(first, reads),
  XSETID: row(first, UNKNOWN),
  XTRIM: row(first, effects.trims),

  // Vector sets.
  VADD: row(first, UNKNOWN),
  VCARD: row(first, reads),
  VDIM: row(first, reads),
  VEMB: row(first, reads),
  VGETATTR: row(first, reads),
  VINFO: row(first, reads),
  VISMEMBER: row(first, reads),
  VLINKS: row(first, reads),
  VRANDMEMBER: row(first, reads),
  VRANGE: row(first, reads),
  VREM: row(first, UNKNOWN),
  VSETATTR: row(first, UNKNOWN),
  VSIM: row(first, reads),

  // Arrays.
  ARCOUNT: row(first, reads),
  ARDEL: row(first, UNKNOWN),
  ARDELRANGE: row(first, UNKNOWN),
  ARGET: row(first, reads),
  ARGETRANGE: row(first, reads),
  ARGREP: row(first, reads),
  ARINFO: row(first, reads),
  ARINSERT: row(first, UNKNOWN),
  ARLASTITEMS: row(first, reads),
  ARLEN: row(first, reads),
  ARMGET: row(first, reads),
  ARMSET: row(first, UNKNOWN),
  ARNEXT: row(first, UNKNOWN),
  AROP: row(first, reads),
  ARRING: row(first, UNKNOWN),
  ARSCAN: row(first, reads),
  ARSEEK: row(first, UNKNOWN),
  ARSET: row(first, UNKNOWN),

  // Time series.
  "TS.READ": row(first, UNKNOWN, { route: routes.blocksSeries }),

  // Scripts.
  EVAL: row(counted(2), UNKNOWN, { runs: "script" }),
  EVALSHA: row(counted(2), UNKNOWN, { runs: "script" }),
  EVALSHA_RO: row(counted(2), readsEverything, { runs: "script" }),
  EVAL_RO: row(counted(2), readsEverything, { runs: "script" }),
  FCALL: row(counted(2), UNKNOWN, { runs: "script" }),
  FCALL_RO: row(counted(2), readsEverything, { runs: "script" }),
  FUNCTION: container({
    DELETE: row(none, UNKNOWN),
    DUMP: row(none, readsFunctions),
    FLUSH: row(none, UNKNOWN),
    KILL: row(none, UNKNOWN, { route: URGENT }),
    LIST: row(none, readsFunctions),
    LOAD: row(none, effects.loadsLibrary),
    RESTORE: row(none, UNKNOWN),
    STATS: row(none, readsNothing, { route: URGENT }),
  }),
  SCRIPT: container({
    DEBUG: row(none, UNKNOWN, { route: changesSettings }),
    EXISTS: row(none, readsScripts),
    FLUSH: row(none, UNKNOWN),
    KILL: row(none, UNKNOWN, { route: URGENT }),
    LOAD: row(none, loadsScript),
    SHOW: row(none, readsScripts),
  }),

  // Transactions.
  DISCARD: row(none, UNKNOWN, { route: routes.endsTransaction }),
  EXEC: row(none, UNKNOWN, {
    route: routes.endsTransaction,
    runs: "transaction",
  }),
  MULTI: row(none, UNKNOWN, { route: routes.opensTransaction }),
  UNWATCH: row(none, UNKNOWN, { route: routes.unwatches }),
  WATCH: row(all, UNKNOWN, { route: routes.watches }),

  // Messages. A channel of a shard has a hash slot like a key.
  PSUBSCRIBE: row(none, UNKNOWN, { route: routes.answeredOften }),
  PUBLISH: row(anyServer, ADDS),
  PUBSUB: container({
    CHANNELS: row(none, readsNothing),
    NUMPAT: row(none, readsNothing),
    NUMSUB: row(none, readsNothing),
    SHARDCHANNELS: row(none, readsNothing),
    SHARDNUMSUB: row(none, readsNothing),
  }),
  PUNSUBSCRIBE: row(none, UNKNOWN, { route: routes.answeredOften }),
  SPUBLISH: row(first, ADDS),
  SSUBSCRIBE: row(all, UNKNOWN, { route: routes.answeredOften }),
  SUBSCRIBE: row(none, UNKNOWN, { route: routes.answeredOften }),
  SUNSUBSCRIBE: row(all, UNKNOWN, { route: routes.answeredOften }),
  UNSUBSCRIBE: row(none, UNKNOWN, { route: routes.answeredOften }),

  // The connection.
  ASKING: row(none, UNKNOWN, { route: changesSettings }),
  AUTH: row(none, UNKNOWN, { route: changesSettings, hasSecrets: true }),
  CLIENT: container({
    CACHING: row(none, UNKNOWN, { route: changesSettings }),
    CAPA: row(none, UNKNOWN, { route: changesSettings }),
    GETNAME: row(none, readsNothing),
    GETREDIR: row(none, readsNothing),
    ID: row(none, readsNothing),
    "IMPORT-SOURCE": row(none, UNKNOWN, { route: changesSettings }),
    INFO: row(none, readsNothing),
    KILL: row(none, UNKNOWN),
    LIST: row(none, readsNothing),
    "NO-EVICT": row(none, UNKNOWN, { route: changesSettings }),
    "NO-TOUCH": row(none, UNKNOWN, { route: changesSettings }),
    PAUSE: row(none, UNKNOWN),
    REPLY: row(none, UNKNOWN, { route: routes.changesReplies }),
    SETINFO: row(none, UNKNOWN, { route: changesSettings }),
    SETNAME: row(none, UNKNOWN, { route: changesSettings }),
    TRACKING: row(none, UNKNOWN, { route: changesSettings }),
    TRACKINGINFO: row(none, readsNothing),
    UNBLOCK: row(none, UNKNOWN),
    UNPAUSE: row(none, UNKNOWN, { route: URGENT }),
  }),
  ECHO: row(anyServer, readsNothing),
  HELLO: row(none, UNKNOWN, { route: routes.greets, hasSecrets: true }),
  PING: row(anyServer, readsNothing),
  QUIT: row(none, UNKNOWN, { route: changesSettings }),
  READONLY: row(none, UNKNOWN, { route: changesSettings }),
  READWRITE: row(none, UNKNOWN, { route: changesSettings }),
  RESET: row(none, UNKNOWN, { route: routes.resets }),
  SELECT: row(none, UNKNOWN, { route: changesSettings }),
  WAIT: row(none, UNKNOWN, { route: routes.waitsForReplicas }),
  WAITAOF: row(none, UNKNOWN, { route: routes.waitsForFiles }),

  // The server.
  ACL: container({
    CAT: row(anyServer, readsNothing),
    DELUSER: row(none, UNKNOWN),
    DRYRUN: row(none, readsNothing),
    GENPASS: row(anyServer, UNKNOWN),
    GETUSER: row(none, readsNothing),
    LIST: row(none, readsNothing),
    LOAD: row(none, UNKNOWN),
    LOG: row(none, UNKNOWN),
    SAVE: row(none, UNKNOWN),
    SETUSER: row(none, UNKNOWN, { hasSecrets: true }),
    USERS: row(none, readsNothing),
    WHOAMI: row(none, readsNothing),
  }, { hasSecrets: true }),
  BACKUP: container({
    ABORT: row(none, UNKNOWN),
    CLEANUP: row(none, UNKNOWN),
    LIST: row(none, UNKNOWN),
    SEAL: row(none, UNKNOWN),
    START: row(none, UNKNOWN),
    STATUS: row(none, UNKNOWN),
  }),
  BGREWRITEAOF: row(none, UNKNOWN),
  BGSAVE: row(none, UNKNOWN),
  COMMAND: container({
    COUNT: row(anyServer, readsNothing),
    DOCS: row(anyServer, readsNothing),
    GETKEYS: row(anyServer, readsNothing),
    GETKEYSANDFLAGS: row(anyServer, readsNothing),
    INFO: row(anyServer, readsNothing),
    LIST: row(anyServer, readsNothing),
  }, { effect: readsNothing, keys: anyServer }),
  COMMANDLOG: container({
    GET: row(none, readsNothing),
    LEN: row(none, readsNothing),
    RESET: row(none, UNKNOWN),
  }),
  CONFIG: container({
    GET: row(none, readsConfig),
    RESETSTAT: row(none, UNKNOWN),
    REWRITE: row(none, UNKNOWN),
    SET: row(none, setsConfig, { hasSecrets: true }),
  }, { hasSecrets: true }),
  DBSIZE: row(none, readsEverything),
  DEBUG: row(none, UNKNOWN),
  FAILOVER: row(none, UNKNOWN, { route: routes.failsOver }),
  FLUSHALL: row(none, effects.ERASES),
  FLUSHDB: row(none, effects.ERASES),
  HOTKEYS: container({
    GET: row(none, UNKNOWN),
    RESET: row(none, UNKNOWN),
    START: row(none, UNKNOWN),
    STOP: row(none, UNKNOWN),
  }),
  INFO: row(none, readsEverything),
  LASTSAVE: row(none, readsNothing),
  LATENCY: container({
    DOCTOR: row(none, readsNothing),
    GRAPH: row(none, readsNothing),
    HISTOGRAM: row(none, readsNothing),
    HISTORY: row(none, readsNothing),
    LATEST: row(none, readsNothing),
    RESET: row(none, UNKNOWN),
  }),
  LOLWUT: row(anyServer, readsNothing),
  MEMORY: container({
    DOCTOR: row(none, readsEverything),
    "MALLOC-STATS": row(none, readsEverything),
    PURGE: row(none, UNKNOWN),
    STATS: row(none, readsEverything),
    USAGE: row(second, reads),
  }),
  MODULE: container({
    LIST: row(none, readsNothing),
    LOAD: row(none, UNKNOWN),
    LOADEX: row(none, UNKNOWN),
    UNLOAD: row(none, UNKNOWN),
  }),
  MONITOR: row(none, UNKNOWN, { route: routes.answeredOften }),
  PSYNC: row(none, UNKNOWN, { route: routes.ofReplicas }),
  REPLCONF: row(none, UNKNOWN, { route: routes.ofReplicas }),
  REPLICAOF: row(none, UNKNOWN),
  ROLE: row(none, readsNothing),
  SAVE: row(none, UNKNOWN),
  SHUTDOWN: row(none, UNKNOWN, { route: URGENT }),
  SLAVEOF: row(none, UNKNOWN),
  SLOWLOG: container({
    GET: row(none, readsNothing),
    LEN: row(none, readsNothing),
    RESET: row(none, UNKNOWN),
  }),
  SWAPDB: row(none, effects.SWAPS),
  SYNC: row(none, UNKNOWN, { route: routes.ofReplicas }),
  TIME: row(anyServer, readsNothing),

  // The cluster.
  CLUSTER: container({
    ADDSLOTS: row(none, UNKNOWN),
    ADDSLOTSRANGE: row(none, UNKNOWN),
    BUMPEPOCH: row(none, UNKNOWN),
    CANCELSLOTMIGRATIONS: row(none, UNKNOWN),
    "COUNT-FAILURE-REPORTS": row(none, UNKNOWN),
    COUNTKEYSINSLOT: row(none, readsEverything),
    DELSLOTS: row(none, UNKNOWN),
    DELSLOTSRANGE: row(none, UNKNOWN),
    FAILOVER: row(none, UNKNOWN),
    FLUSHSLOT: row(none, effects.ERASES),
    FLUSHSLOTS: row(none, UNKNOWN),
    FORGET: row(none, UNKNOWN),
    GETKEYSINSLOT: row(none, readsEverything),
    GETSLOTMIGRATIONS: row(none, UNKNOWN),
    INFO: row(anyServer, readsNothing),
    KEYSLOT: row(anyServer, readsNothing),
    LINKS: row(none, readsNothing),
    MEET: row(none, UNKNOWN),
    MIGRATESLOTS: row(none, UNKNOWN),
    MIGRATION: row(none, UNKNOWN),
    MYID: row(none, readsNothing),
    MYSHARDID: row(none, readsNothing),
    NODES: row(anyServer, readsNothing),
    REPLICAS: row(anyServer, readsNothing),
    REPLICATE: row(none, UNKNOWN),
    RESET: row(none, UNKNOWN),
    SAVECONFIG: row(none, UNKNOWN),
    "SET-CONFIG-EPOCH": row(none, UNKNOWN),
    SETSLOT: row(none, UNKNOWN),
    SHARDS: row(anyServer, readsNothing),
    SLAVES: row(anyServer, readsNothing),
    "SLOT-STATS": row(none, readsNothing),
    SLOTS: row(anyServer, readsNothing),
    SYNCSLOTS: row(none, UNKNOWN, { route: routes.ofReplicas }),
  }),
  CLUSTERSCAN: row(first, readsEverything), // its cursor has a hash slot like a key
});

let table: Rows | undefined;
/** The rows, made by the first look-up: it takes 1.5 ms. */
const tableOf = (): Rows => table ??= makeTable();

/** Rows by the name as it was spelled. */
const spelled = new Map<string, Row>();
/** Names may be made up without end: the memory for them is bounded. */
const MAX_NAMES = 1000;

function find(name: string): Row {
  // No name in upper case is one of Object.prototype's.
  const row = tableOf()[upper(name)] ?? NO_ROW;
  if (spelled.size < MAX_NAMES) spelled.set(name, row);
  return row;
}

/** The row of a name, in whatever case it is written; {@linkcode NO_ROW} if the table has none. */
export const rowOfName = (name: string): Row => spelled.get(name) ?? find(name);

/**
 * The row of a command, or that of its subcommand.
 *
 * @param command The command.
 * @returns Its row; {@linkcode NO_ROW} if the table has none.
 */
export function rowOf(command: Command): Row {
  const row = rowOfName(command[0]);
  return row.subcommands === undefined
    ? row
    : row.subcommands[upper(command[1])] ?? row;
}
