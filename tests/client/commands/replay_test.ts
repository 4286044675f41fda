// Which commands may run twice: what the table says, and what a real server does.

import "../../support/strict.ts";
import {
  assert,
  assertEquals,
  assertLess,
  assertNotEquals,
  assertStringIncludes,
} from "@std/assert";
import {
  effectOf,
  isRead,
  reasonAgainstReplay,
  type ReplayPolicy,
  sequenceHazard,
} from "../../../client/commands/replay.ts";
import { ReplyError } from "../../../resp/errors.ts";
import type { Command, Reply } from "../../../resp/types.ts";
import { Conversation } from "../../support/conversation.ts";
import { type RedisServer, startRedis } from "../../support/redis_server.ts";

const utf8 = new TextEncoder();

/** A command as one types it. */
const typed = (line: string): Command => line.split(" ") as unknown as Command;

/** What the table says against a second run of a command. */
function replayHazard(command: Command): string | undefined {
  const effect = effectOf(command);
  return typeof effect === "string" ? effect : undefined;
}

/** A command, and the commands that make what it works on. */
type Case = readonly [line: string, given?: readonly string[]];

const STRING = ["SET k value"];
const BITS = ["SET k abc", "SET other xyz"];
const LIST = ["RPUSH k a b c a b c", "RPUSH other x"];
const HASH = ["HSET k a 1 b 2"];
const SET = ["SADD k a b c", "SADD other b c d"];
const ZSET = ["ZADD k 1 a 2 b 3 c", "ZADD other 5 b 6 c"];
const STREAM = ["XADD k 1-1 f v", "XADD k 2-1 f v", "XADD k 3-1 f v"];
const GROUP = [
  ...STREAM,
  "XGROUP CREATE k g 0",
  "XREADGROUP GROUP g c COUNT 2 STREAMS k >",
];
const GEO = [
  "GEOADD k 13.361389 38.115556 Palermo 15.087269 37.502669 Catania",
];
const LOGS = ["PFADD k a b", "PFADD other c d"];

/** Same state and same reply. */
const CLASS_A: readonly Case[] = [
  // Reads.
  ["GET k", STRING],
  ["MGET k other", BITS],
  ["STRLEN k", STRING],
  ["GETRANGE k 0 2", STRING],
  ["SUBSTR k 0 2", STRING],
  ["GETBIT k 3", STRING],
  ["BITCOUNT k", STRING],
  ["BITPOS k 1", STRING],
  ["BITFIELD_RO k GET u8 0", STRING],
  ["BITFIELD k GET u8 0", STRING],
  ["LCS k other", BITS],
  ["EXISTS k other", STRING],
  ["TYPE k", STRING],
  ["TTL k", STRING],
  ["PTTL k", STRING],
  ["EXPIRETIME k", STRING],
  ["PEXPIRETIME k", STRING],
  ["KEYS *", STRING],
  ["SCAN 0", STRING],
  ["RANDOMKEY", STRING],
  ["DBSIZE", STRING],
  ["DUMP k", STRING],
  ["OBJECT ENCODING k", STRING],
  ["TOUCH k", STRING],
  ["SORT k ALPHA", LIST],
  ["SORT_RO k ALPHA", LIST],
  ["HGET k a", HASH],
  ["HMGET k a b", HASH],
  ["HGETALL k", HASH],
  ["HKEYS k", HASH],
  ["HVALS k", HASH],
  ["HLEN k", HASH],
  ["HEXISTS k a", HASH],
  ["HSTRLEN k a", HASH],
  ["HRANDFIELD k 2", HASH],
  ["HSCAN k 0", HASH],
  ["LRANGE k 0 -1", LIST],
  ["LINDEX k 1", LIST],
  ["LLEN k", LIST],
  ["LPOS k b", LIST],
  ["SMEMBERS k", SET],
  ["SISMEMBER k a", SET],
  ["SMISMEMBER k a z", SET],
  ["SCARD k", SET],
  ["SRANDMEMBER k 3", SET],
  ["SINTER k other", SET],
  ["SUNION k other", SET],
  ["SDIFF k other", SET],
  ["SINTERCARD 2 k other", SET],
  ["SSCAN k 0", SET],
  ["ZRANGE k 0 -1 WITHSCORES", ZSET],
  ["ZREVRANGE k 0 -1", ZSET],
  ["ZRANGEBYSCORE k 1 2", ZSET],
  ["ZREVRANGEBYSCORE k 2 1", ZSET],
  ["ZRANGEBYLEX k - +", ZSET],
  ["ZREVRANGEBYLEX k + -", ZSET],
  ["ZCARD k", ZSET],
  ["ZCOUNT k 1 2", ZSET],
  ["ZLEXCOUNT k - +", ZSET],
  ["ZSCORE k a", ZSET],
  ["ZMSCORE k a b", ZSET],
  ["ZRANK k b", ZSET],
  ["ZREVRANK k b", ZSET],
  ["ZRANDMEMBER k 3", ZSET],
  ["ZINTER 2 k other", ZSET],
  ["ZUNION 2 k other", ZSET],
  ["ZDIFF 2 k other", ZSET],
  ["ZINTERCARD 2 k other", ZSET],
  ["ZSCAN k 0", ZSET],
  ["XRANGE k - +", STREAM],
  ["XREVRANGE k + -", STREAM],
  ["XLEN k", STREAM],
  ["XREAD COUNT 1 STREAMS k 0", STREAM],
  ["XREAD BLOCK 1 STREAMS k $", STREAM],
  ["XINFO STREAM k", STREAM],
  ["XPENDING k g", GROUP],
  ["PFCOUNT k other", LOGS],
  ["GEOPOS k Palermo", GEO],
  ["GEODIST k Palermo Catania", GEO],
  ["GEOHASH k Palermo", GEO],
  ["GEOSEARCH k FROMMEMBER Palermo BYRADIUS 500 km ASC", GEO],
  ["GEORADIUS k 15 37 200 km ASC", GEO],
  ["GEORADIUS_RO k 15 37 200 km ASC", GEO],
  ["GEORADIUSBYMEMBER k Palermo 200 km ASC", GEO],
  ["GEORADIUSBYMEMBER_RO k Palermo 200 km ASC", GEO],
  ["PING"],
  ["ECHO text"],
  ["ROLE"],
  ["LASTSAVE"],
  ["COMMAND COUNT"],
  ["CLIENT ID"],
  ["CLIENT GETNAME"],
  ["CONFIG GET maxmemory"],
  ["CONFIG SET maxmemory-samples 5"],
  ["SCRIPT LOAD return"],
  ["SCRIPT EXISTS abc"],
  ["EVAL_RO return 0"],
  ["DBSIZE", STRING],
  ["INFO server"],
  ["LOLWUT VERSION 5 1 1 1"],
  ["MEMORY USAGE k", STRING],
  ["XINFO GROUPS k", GROUP],
  ["XINFO CONSUMERS k g", GROUP],
  ["OBJECT REFCOUNT k", STRING],
  ["OBJECT IDLETIME k", STRING],
  ["ACL WHOAMI"],
  ["SLOWLOG LEN"],
  ["PUBSUB CHANNELS"],
  ["FUNCTION LIST"],
  ["HTTL k FIELDS 1 a", HASH],
  ["HPTTL k FIELDS 1 a", HASH],
  ["HEXPIRETIME k FIELDS 1 a", HASH],
  ["HPEXPIRETIME k FIELDS 1 a", HASH],
  // Writes.
  ["GETEX k PX 1000000", STRING],
  ["HGETEX k EX 1000 FIELDS 1 a", HASH],
  ["HGETEX k FIELDS 1 EXAT", ["HSET k EXAT 1"]],
  ["HSETEX k EX 1000 FIELDS 1 new 5", HASH],
  ["HSETEX k FXX FIELDS 1 a 5", HASH],
  ["HSETEX k FIELDS 1 FNX 5", HASH],
  ["HEXPIRE k 1000 FIELDS 1 a", HASH],
  ["HEXPIRE k 1000 XX FIELDS 1 a", HASH],
  ["HEXPIRE k 1000 FIELDS 1 NX", ["HSET k NX 1"]],
  ["HPEXPIRE k 1000000 FIELDS 1 a", HASH],
  ["HEXPIREAT k 33177117420 FIELDS 1 a", HASH],
  ["HPEXPIREAT k 33177117420000 FIELDS 1 a", HASH],
  ["MSETEX 2 k 1 other NX EX 1000", STRING],
  ["MSETEX 1 k 1 XX EX 1000", STRING],
  ["SET k new"],
  ["SET k new", STRING],
  ["SET k NX", STRING],
  ["SET NX GET", STRING],
  ["SET k new XX", STRING],
  ["SET k new XX"],
  ["SET k new KEEPTTL", ["SET k value EX 1000"]],
  ["SET k new EX 1000", STRING],
  ["SET k new PX 1000000", STRING],
  ["SET k new EXAT 33177117420", STRING],
  ["SET k new PXAT 33177117420000 XX", STRING],
  ["SETEX k 1000 new", STRING],
  ["PSETEX k 1000000 new", STRING],
  ["MSET k 1 other 2", STRING],
  ["SETRANGE k 3 xx", STRING],
  ["GETEX k", STRING],
  ["GETEX k EX 1000", STRING],
  ["GETEX k PERSIST", ["SET k value EX 1000"]],
  ["EXPIRE k 1000", STRING],
  ["EXPIRE k 1000 XX", ["SET k value EX 5"]],
  ["EXPIRE k 1000 XX", STRING],
  ["PEXPIRE k 1000000", STRING],
  ["EXPIREAT k 33177117420", STRING],
  ["PEXPIREAT k 33177117420000", STRING],
  ["LSET k 1 z", LIST],
  ["HMSET k a 9 z 8", HASH],
  ["COPY k other REPLACE", BITS],
  ["ZADD k 1 a", ZSET],
  ["HSET k a 1", HASH],
  ["SADD k a", SET],
  ["PFMERGE k other", LOGS],
  ["PFMERGE other k", LOGS],
  ["SINTERSTORE d k other", SET],
  ["SUNIONSTORE d k other", SET],
  ["SDIFFSTORE d k other", SET],
  ["ZINTERSTORE d 2 k other WEIGHTS 2 3", ZSET],
  ["ZUNIONSTORE d 2 k other WEIGHTS 2 3 AGGREGATE MAX", ZSET],
  ["ZDIFFSTORE d 2 k other", ZSET],
  ["ZRANGESTORE d k 0 1", ZSET],
  ["BITOP NOT d k", BITS],
  ["BITOP XOR d k other", BITS],
  ["SORT k ALPHA STORE d", LIST],
  ["SORT k BY nosort LIMIT 1 -1 STORE d", LIST],
  ["GEOSEARCHSTORE d k FROMMEMBER Palermo BYRADIUS 500 km", GEO],
  ["GEORADIUS k 15 37 200 km STORE d", GEO],
  ["GEORADIUSBYMEMBER k Palermo 500 km STOREDIST d", GEO],
];

/** Same state, and a reply that may count less. */
const CLASS_B: readonly Case[] = [
  ["ZADD k 9 new", ZSET],
  ["ZADD k 9 a 8 new", ZSET],
  ["ZADD k NX 9 new 9 a", ZSET],
  ["ZADD k XX CH 9 a", ZSET],
  ["ZADD k GT 9 a 1 b", ZSET],
  ["ZADD k LT CH 0 a 9 new", ZSET],
  ["ZADD k 1 INCR", ZSET],
  ["GEOADD k 13 38 new", GEO],
  ["SADD k new a", SET],
  ["HSET k new 1 a 5", HASH],
  ["PFADD k new", LOGS],
  ["DEL k other", BITS],
  ["UNLINK k other", BITS],
  ["HDEL k a z", HASH],
  ["SREM k a z", SET],
  ["ZREM k a z", ZSET],
  ["XDEL k 2-1", STREAM],
  ["XTRIM k MAXLEN 1", STREAM],
  ["XTRIM k MINID 2", STREAM],
  ["SMOVE k other a", SET],
  ["MOVE k 1", STRING],
  ["PERSIST k", ["SET k value EX 1000"]],
  ["COPY k new", STRING],
  ["ZREMRANGEBYSCORE k 1 2", ZSET],
  ["ZREMRANGEBYLEX k [a [b", ["ZADD k 0 a 0 b 0 c"]],
  ["LREM k 0 a", LIST],
  ["XACK k g 1-1", GROUP],
  ["EXPIRE k -1", STRING],
  ["EXPIREAT k 1000", STRING],
  ["HPERSIST k FIELDS 1 a", [...HASH, "HEXPIRE k 1000 FIELDS 1 a"]],
];

/** Another state or another reply: not to be sent again by this client on its own. */
const CLASS_C: readonly Case[] = [
  ["INCR k", ["SET k 5"]],
  ["DECR k", ["SET k 5"]],
  ["INCRBY k 2", ["SET k 5"]],
  ["DECRBY k 2", ["SET k 5"]],
  ["INCRBYFLOAT k 0.5", ["SET k 5"]],
  ["HINCRBY k a 2", HASH],
  ["HINCRBYFLOAT k a 0.5", HASH],
  ["ZINCRBY k 2 a", ZSET],
  ["ZADD k INCR 2 a", ZSET],
  ["ZADD k XX INCR 2 a", ZSET],
  ["ZADD k GT CH INCR 2 a", ZSET],
  ["APPEND k more", STRING],
  ["LPUSH k z", LIST],
  ["RPUSH k z", LIST],
  ["LPUSHX k z", LIST],
  ["RPUSHX k z", LIST],
  ["LINSERT k BEFORE b z", LIST],
  ["LREM k 1 a", LIST],
  ["LREM k -1 a", LIST],
  ["LTRIM k 1 -1", LIST],
  ["LTRIM k 0 -2", LIST],
  ["LPOP k", LIST],
  ["RPOP k 2", LIST],
  ["LMPOP 1 k LEFT", LIST],
  ["BLPOP k 1", LIST],
  ["BRPOP k 1", LIST],
  ["BLMPOP 1 1 k LEFT", LIST],
  ["LMOVE k other LEFT RIGHT", LIST],
  ["BLMOVE k other LEFT RIGHT 1", LIST],
  ["RPOPLPUSH k other", LIST],
  ["BRPOPLPUSH k other 1", LIST],
  ["SPOP k", SET],
  ["ZPOPMIN k", ZSET],
  ["ZPOPMAX k", ZSET],
  ["ZMPOP 1 k MIN", ZSET],
  ["BZPOPMIN k 1", ZSET],
  ["BZPOPMAX k 1", ZSET],
  ["BZMPOP 1 1 k MIN", ZSET],
  ["ZREMRANGEBYRANK k 0 0", ZSET],
  ["SETBIT k 7 1", STRING],
  ["BITFIELD k SET u8 0 7", STRING],
  ["BITFIELD k INCRBY u8 0 1", STRING],
  ["BITFIELD k SET u8 8 1 INCRBY u8 0 1", STRING],
  ["ZUNIONSTORE k 2 k other", ZSET],
  ["ZUNIONSTORE k 1 k WEIGHTS 2", ZSET],
  ["ZINTERSTORE other 2 k other", ZSET],
  ["ZRANGESTORE k k 1 -1", ZSET],
  ["BITOP NOT k k", BITS],
  ["BITOP XOR k other k", BITS],
  ["SORT k BY nosort LIMIT 1 -1 STORE k", LIST],
  ["XADD k * f v", STREAM],
  ["XADD k 9-1 f v", STREAM],
  ["XREADGROUP GROUP g c COUNT 1 STREAMS k >", STREAM.concat(GROUP[3]!)],
  ["XREADGROUP GROUP g c STREAMS k >", GROUP],
  ["XCLAIM k g other 0 1-1", GROUP],
  ["XAUTOCLAIM k g other 0 0", GROUP],
  ["SWAPDB 0 1", STRING],
  ["RENAME k new", STRING],
  ["RENAMENX k new", STRING],
  ["SETNX k new"],
  ["MSETNX k new"],
  ["HSETNX k z 1", HASH],
  ["SET k new NX"],
  ["SET k new GET", STRING],
  ["SET k new EX 1000 NX"],
  ["SET k new XX GET", STRING],
  ["EXPIRE k 1000 NX", STRING],
  ["PEXPIRE k 1000000 NX", STRING],
  ["EXPIREAT k 33177117420 NX", STRING],
  ["PEXPIREAT k 33177117420000 NX", STRING],
  ["GETDEL k", STRING],
  ["GETSET k new", STRING],
  ["GETEX k EXAT 1000", STRING],
  ["GETEX k PXAT 1000", STRING],
  ["HGETEX k EXAT 1000 FIELDS 1 a", HASH],
  ["HGETDEL k FIELDS 1 a", HASH],
  ["HSETEX k FNX FIELDS 1 new 5", HASH],
  ["HEXPIRE k 1000 NX FIELDS 1 a", HASH],
  ["MSETEX 1 k 1 NX"],
  ["DELIFEQ k value", STRING],
];

/** Not to be sent again, although a second run may leave no trace. */
const DECLINED: readonly string[] = [
  "SET k new IFEQ old",
  "SET k new nx\0anything", // the server reads an option up to a NUL
  "HEXPIRE FIELDS 1000 NX FIELDS 1 a",
  "SORT k STORE d STORE k",
  "SET k new IFNE old",
  "SET k new IFDEQ digest",
  "SET k new IFDNE digest",
  "SORT k STORE k",
  "SUNIONSTORE k k other",
  "SINTERSTORE other k other",
  "SDIFFSTORE k other k",
  "ZDIFFSTORE k 2 k other",
  "GEOSEARCHSTORE k k FROMMEMBER Palermo BYRADIUS 500 km",
  "GEORADIUS k 15 37 200 km STORE k",
  "GEORADIUSBYMEMBER k Palermo 200 km STOREDIST k",
  "PUBLISH channel message",
  "SPUBLISH channel message",
  "EVAL script 0",
  "EVALSHA abc 0",
  "FCALL f 0",
  "EXEC",
  "MULTI",
  "RESTORE k 0 dump",
  "MIGRATE host 6379 k 0 1000",
  "FLUSHDB",
  "FLUSHALL",
  "SCRIPT FLUSH",
  "SCRIPT KILL",
  "CONFIG RESETSTAT",
  "CONFIG REWRITE",
  "CLIENT KILL ID 5",
  "CLIENT PAUSE 100",
  "CLIENT",
  "CONFIG",
  "SCRIPT",
  "SHUTDOWN",
  "DEBUG SLEEP 1",
  "NO-SUCH-COMMAND",
  "LMOVEM a b LEFT RIGHT",
  "BLMOVEM a b LEFT RIGHT 1",
  "INCREX k",
  "DELEX k IFEQ v",
  "HGETEX k PXAT 1000 FIELDS 1 a",
  "HSETEX k NX FIELDS 1 a 1",
  "HPEXPIRE k 1000 NX FIELDS 1 a",
  "HEXPIREAT k 1000 NX FIELDS 1 a",
  "HPEXPIREAT k 1000 NX FIELDS 1 a",
  "LATENCY RESET",
  "MEMORY PURGE",
  "SLOWLOG RESET",
  "FUNCTION KILL",
  "FUNCTION LOAD code",
  "CLUSTER RESET",
  "OBJECT",
  "GETX k",
];

const SAFE = [...CLASS_A, ...CLASS_B];
const SAFE_LINES = SAFE.map(([line]) => line);
const UNSAFE_LINES = [...CLASS_C.map(([line]) => line), ...DECLINED];

const mixed = (word: string): string =>
  Array.from(
    word,
    (letter, i) => i % 2 === 0 ? letter.toLowerCase() : letter.toUpperCase(),
  ).join("");

Deno.test("A command whose second run is harmless may be sent again", () => {
  for (const line of SAFE_LINES) {
    assertEquals(replayHazard(typed(line)), undefined, line);
  }
});

Deno.test("A command whose second run does harm may not be sent again, and there is a reason", () => {
  for (const line of UNSAFE_LINES) {
    const hazard = replayHazard(typed(line));
    assert(hazard !== undefined && hazard.length > 10, line);
  }
});

/** Commands by why they may not be sent again. */
const REASONS = {
  "a second run would add again":
    `INCR DECR INCRBY DECRBY INCRBYFLOAT INCREX HINCRBY HINCRBYFLOAT ZINCRBY
     APPEND LPUSH RPUSH LPUSHX RPUSHX LINSERT XADD PUBLISH SPUBLISH`,
  "a second run would take further elements":
    `LPOP RPOP LMPOP SPOP ZPOPMIN ZPOPMAX ZMPOP LMOVE LMOVEM RPOPLPUSH
     BLPOP BRPOP BRPOPLPUSH BLMOVE BLMOVEM BLMPOP BZPOPMIN BZPOPMAX BZMPOP
     LTRIM ZREMRANGEBYRANK XCLAIM XAUTOCLAIM`,
  "a second run would no longer return the old value":
    "GETSET GETDEL HGETDEL SETBIT",
  "a second run would report failure although the first one succeeded":
    "SETNX HSETNX MSETNX RENAME RENAMENX DELIFEQ DELEX",
  "a second run would count another delivery, and skip the messages that the first one returned":
    "XREADGROUP",
  "a second run would delete what was written after the first one":
    "FLUSHALL FLUSHDB",
  "a second run would undo the first one": "SWAPDB",
  "this client does not know whether it is safe to run twice":
    "EVAL EVALSHA FCALL NO-SUCH-COMMAND",
};

Deno.test("A command that may not be sent again has the reason of its kind", () => {
  for (const [reason, names] of Object.entries(REASONS)) {
    for (const name of names.split(/\s+/)) {
      assertEquals(replayHazard([name, "k", "v"]), reason, name);
    }
  }
});

Deno.test("A command may be sent again or not in whatever case it is written", () => {
  for (const line of [...SAFE_LINES, ...UNSAFE_LINES]) {
    const hazard = replayHazard(typed(line));
    for (
      const word of [String.prototype.toLowerCase, String.prototype.toUpperCase]
    ) {
      const command = typed(line).map((each) => word.call(each));
      assertEquals(replayHazard(command as unknown as Command), hazard, line);
    }
    const [name, ...rest] = typed(line);
    assertEquals(replayHazard([mixed(name), ...rest]), hazard, line);
  }
});

/** The command with its arguments as bytes: all, or every other one. */
function* asBytes([name, ...rest]: Command): Generator<Command> {
  const bytes = rest.map((each) => utf8.encode(`${each}`));
  yield [name, ...bytes];
  yield [name, ...rest.map((each, i) => i % 2 === 0 ? each : bytes[i]!)];
  yield [name, ...rest.map((each, i) => i % 2 === 1 ? each : bytes[i]!)];
  for (let only = 0; only < rest.length; only++) {
    yield [name, ...rest.map((each, i) => i === only ? bytes[i]! : each)];
  }
}

Deno.test("A command that may not be sent again as text may not as bytes", () => {
  const wrong = UNSAFE_LINES.flatMap((line) =>
    [...asBytes(typed(line))]
      .filter((command) => replayHazard(command) === undefined)
      .map((command) => Deno.inspect(command))
  );
  assertEquals(wrong, []);
});

Deno.test("A command that may be sent again as text may as bytes", () => {
  const wrong = SAFE_LINES.flatMap((line) =>
    [...asBytes(typed(line))]
      .filter((command) => replayHazard(command) !== undefined)
      .map((command) => Deno.inspect(command))
  );
  assertEquals(wrong, []);
});

Deno.test("A destination is found to be a source however its name is written", () => {
  assertNotEquals(replayHazard(["BITOP", "NOT", "5", 5]), undefined);
  assertNotEquals(replayHazard(["ZUNIONSTORE", 5n, 1, "5"]), undefined);
  assertNotEquals(
    replayHazard(["ZUNIONSTORE", "a", 12, ...Array(11).fill("b"), "a"]),
    undefined,
  );
  assertEquals(
    replayHazard(["ZUNIONSTORE", "5", 2, "a", "b", "WEIGHTS", 1, 5]),
    undefined,
  );
});

const together = (lines: readonly string[]) => sequenceHazard(lines.map(typed));

Deno.test("Reads are harmless together, in whatever order", () => {
  const reads = SAFE_LINES.filter((line) => isRead(typed(line)));
  assert(reads.length > 90, `${reads.length}`);
  for (const [i, line] of reads.entries()) {
    assertEquals(together([line, line]), undefined, line);
    const next = reads[(i + 1) % reads.length]!;
    assertEquals(together([line, next, line]), undefined, line);
  }
});

/** Harmless together. */
const TOGETHER: readonly (readonly string[])[] = [
  ["SET k v EX 60", "SET k v EX 60"],
  ["SET k v EX 60", "GET k"],
  ["SETEX k 60 v", "SET k w PX 60000", "PSETEX k 60000 v"],
  ["SET a 1", "GET a", "SET a 2", "GET a"],
  ["MSET a 1 b 2", "DEL b", "GET a"],
  ["DEL k", "HSET k f v", "EXPIRE k 60"],
  ["DEL k", "SADD k m", "SREM k m", "SADD k m", "HSET k f v"],
  ["SET k v", "SET k x XX", "SET k y KEEPTTL", "PERSIST k"],
  ["GET a", "SET b 1"],
  ["SET a 1", "DEL b", "GET a", "ZCARD b"],
  ["HSET k f v", "HSET k g w", "HDEL k h", "EXPIRE k 100", "GET k"],
  ["HSET k f v", "HSETEX k EX 60 FIELDS 1 f v", "HEXPIRE k 60 FIELDS 1 f"],
  ["HDEL k f", "HPERSIST k FIELDS 1 g", "HSET k h 1"],
  ["ZADD a 1 x", "EXPIRE a 9", "ZADD b 1 x", "EXPIRE b 9"],
  ["ZADD z 1 m", "ZREMRANGEBYSCORE z -inf (0", "EXPIRE z 9"],
  ["ZADD z 1 m", "GEOADD z 1 1 n", "ZREMRANGEBYSCORE z 1 5", "ZREM z o"],
  ["ZREMRANGEBYSCORE z 1 5", "ZREM z o", "ZREMRANGEBYSCORE z 7 9"],
  ["ZREMRANGEBYSCORE z 1 5", "EXPIRE z 9"],
  ["DEL z", "ZREMRANGEBYSCORE z 1 5", "ZADD z 2 m"],
  ["ZREMRANGEBYSCORE y 1 5", "ZADD z 2 m"],
  ["ZREM z m", "ZADD z 1 n", "GEOADD z 1 1 o"],
  ["ZADD z NX 1 m", "EXPIRE z 9", "ZRANGE z 0 -1"],
  ["SET k v XX", "EXPIRE k 9"],
  ["EXPIRE k 9", "PERSIST k", "PEXPIRE k 9000"],
  ["PFADD k a", "PFMERGE k l", "PFCOUNT k"],
  ["SADD s a", "SUNIONSTORE d s", "EXPIRE d 9", "SMEMBERS d"],
  ["SUNIONSTORE d s t", "SADD d a", "SREM d b"],
  ["ZUNIONSTORE d 1 s", "ZUNIONSTORE e 1 s"],
  ["COPY a b REPLACE", "EXPIRE b 9"],
  ["XACK k g 1-1", "XDEL k 1-1"],
  ["LSET k 0 a", "LSET k 1 b", "LLEN k"],
  ["SETRANGE k 0 a", "SETRANGE k 3 b", "STRLEN k"],
  ["CONFIG SET maxmemory-samples 5", "CONFIG GET maxmemory-samples"],
  ["SCRIPT LOAD return", "SCRIPT EXISTS abc"],
  ["FUNCTION LOAD REPLACE code", "FUNCTION LIST"],
  ["SET a 1", "KEYS *"],
  ["PING", "SET a 1", "PING"],
  ["SMOVE a b m", "SCARD a", "EXPIRE b 9"],
  ["MSETEX 1 k v", "SET k w"],
  ["ZADD k CH 1 m", "ZADD k 2 m"],
  ["COPY a b REPLACE", "SADD b m"],
  ["GEORADIUS k 15 37 200 km STORE d", "ZADD d 1 m"],
  ["EXPIREAT k 33177117420", "PEXPIREAT k 33177117420000"],
  ["XDEL k 1-1", "XACK k g 1-1", "XDEL k 2-1"],
  ["MOVE k 1", "EXISTS k"],
];

/** Harmless alone and not together, with a word of the reason. */
const NOT_TOGETHER: readonly (readonly [string, ...string[]])[] = [
  // Is a read followed by a write that it would see?
  ["GET reads what SET writes", "GET a", "SET a 1"],
  ["MGET reads what DEL writes", "MGET b a", "DEL c a"],
  ["GET reads what SET writes", "GET a", "SET a 1", "SET b 1", "DEL c"],
  ["SMEMBERS reads what DEL writes", "SMEMBERS q", "DEL q"],
  ["KEYS reads what SET writes", "SET a 1", "KEYS *", "SET b 1"],
  ["SORT reads what SET writes", "SORT k BY w_*", "SET w_1 1"],
  ["EVAL_RO reads what DEL writes", "EVAL_RO script 0", "DEL a"],
  ["ZUNIONSTORE reads what DEL writes", "ZUNIONSTORE d 1 s", "DEL s"],
  ["COPY reads what SET writes", "COPY a b REPLACE", "SET a new"],
  ["PFMERGE reads what PFADD writes", "PFMERGE k l", "PFADD l a"],
  ["SINTERCARD reads what SADD", "SINTERCARD 2 a b LIMIT 1", "SADD b m"],
  ["XREAD reads what XDEL", "XREAD COUNT 1 STREAMS a b 0 0", "XDEL b 1-1"],
  ["OBJECT reads what SET", "OBJECT ENCODING k", "SET k v"],
  ["LCS reads what SET", "LCS a b", "SET b 1"],
  ["CONFIG reads what CONFIG", "CONFIG GET timeout", "CONFIG SET timeout 5"],
  ["SCRIPT reads what SCRIPT", "SCRIPT EXISTS abc", "SCRIPT LOAD return"],
  ["FUNCTION reads what", "FUNCTION LIST", "FUNCTION LOAD REPLACE code"],
  ["HGET reads what HSET", "HSET k f 1", "HGET k f", "HSET k f 2"],
  // What fails by type may succeed after the others.
  ["HSET and SREM", "HSET a 1 2", "SREM a 2"],
  ["SADD and ZADD", "SADD a 1", "ZADD a 1 m"],
  ["PFADD and SETRANGE", "PFADD k a", "SETRANGE k 0 a"],
  ["HSET and DEL", "HSET a f v", "DEL a"],
  ["SETRANGE and SADD", "SETRANGE a 0 x", "SADD a m"],
  ["LSET and SADD", "LSET a 0 x", "SADD a m"],
  ["XDEL and ZREM", "XDEL a 1-1", "ZREM a m"],
  ["SADD and SET", "SADD a m", "SET a v"],
  ["SADD and SUNIONSTORE", "SADD d m", "SUNIONSTORE d s"],
  // The first time EXPIRE finds no key, the second time it does.
  ["EXPIRE and HSET", "EXPIRE k 100", "HSET k f v"],
  ["PERSIST and SET", "PERSIST k", "SET k v"],
  ["EXPIRE and EXPIRE", "EXPIRE k 5 LT", "EXPIRE k 60"],
  ["EXPIRE and EXPIRE", "EXPIRE k 5", "EXPIRE k 60 XX"],
  ["GETEX and EXPIRE", "GETEX k PERSIST", "EXPIRE k 60"],
  ["SET and EXPIRE", "SET k v XX", "EXPIRE k -1"],
  ["HGETEX and EXPIREAT", "HGETEX k EX 9 FIELDS 1 f", "EXPIREAT k 1000"],
  ["EXPIRE and EXPIRE", "EXPIRE k 5 XX", "EXPIRE k 60"],
  ["EXPIRE and EXPIRE", "EXPIRE k 5 GT", "EXPIRE k 60"],
  ["ZADD and PEXPIREAT", "ZADD k NX 1 m", "PEXPIREAT k 1000000000000"],
  ["ZADD and PEXPIRE", "ZADD k NX 1 m", "PEXPIRE k 0"],
  // What depends on a condition.
  ["SET and SET", "SET k v KEEPTTL", "SET k w"],
  ["SET and SET", "SET k v XX", "SET k w XX"],
  ["MSETEX and SET", "MSETEX 1 k v KEEPTTL", "SET k w"],
  ["MSETEX and MSETEX", "MSETEX 1 k v XX", "MSETEX 1 k v XX"],
  ["ZADD and ZADD", "ZADD k NX 2 m", "ZADD k 1 m"],
  ["ZADD and ZADD", "ZADD k CH XX 2 m", "ZADD k 1 m"],
  ["ZADD and ZADD", "ZADD k GT 2 m", "ZADD k 1 m"],
  ["ZADD and ZADD", "ZADD k LT 2 m", "ZADD k 1 m"],
  ["GEOADD and GEOADD", "GEOADD k NX 1 2 m", "GEOADD k 1 2 m"],
  ["HEXPIRE and HSET", "HEXPIRE k 9 GT FIELDS 1 f", "HSET k f v"],
  ["HEXPIRE and HSET", "HEXPIRE k 9 LT FIELDS 1 f", "HSET k f v"],
  ["HSETEX and HSET", "HSETEX k XX FIELDS 1 f v", "HSET k f v"],
  ["HSETEX and HSET", "HSETEX k KEEPTTL FIELDS 1 f v", "HSET k f v"],
  ["HSETEX and HSET", "HSETEX k EXAT 1 FIELDS 1 f v", "HSET k f v"],
  ["HSETEX and HSET", "HSETEX k PXAT 1 FIELDS 1 f v", "HSET k f v"],
  ["ZREMRANGEBYLEX and", "ZREMRANGEBYLEX k - [b", "ZREMRANGEBYLEX k [c +"],
  ["ZADD and ZADD", "ZADD k XX 2 m", "ZADD k NX 1 m"],
  ["SET and SET", "SET k v XX", "SET k w"],
  ["LSET and LREM", "LSET k 0 a", "LREM k 0 b"],
  ["XTRIM and XDEL", "XTRIM k MAXLEN 2", "XDEL k 1-1"],
  ["ZADD and ZREMRANGEBYLEX", "ZADD k 1 m", "ZREMRANGEBYLEX k [a [z"],
  ["HEXPIRE and HSET", "HEXPIRE k 9 XX FIELDS 1 f", "HSET k f v"],
  ["HSETEX and HSETEX", "HSETEX k FXX FIELDS 1 f v", "HSETEX k FIELDS 1 f v"],
  ["MSETEX and SET", "MSETEX 1 k v XX", "SET k w"],
  ["COPY and SADD", "COPY a b", "SADD b m"],
  // The value has moved before the second run.
  ["DEL and SMOVE", "DEL b", "SMOVE a b m"],
  ["SET and MOVE", "SET k v", "MOVE k 1"],
  ["SMOVE and SADD", "SMOVE a b m", "SADD a m"],
  // The second run removes the last field in between, and the expiry with it.
  ["HSET and HDEL", "HDEL k b", "HSET k b 1", "HDEL k a"],
  ["SADD and SREM", "SREM k b", "SADD k b", "SREM k a"],
  ["ZADD and ZREM", "ZREM k b", "ZADD k 1 b", "ZREM k a"],
  ["SREM and SADD", "SADD k b", "SREM k b", "SADD k a"],
  // So it is where the addition changes the score of the only element.
  ["BYSCORE and ZADD", "ZREMRANGEBYSCORE k 1 5", "ZADD k 2 b"],
  ["BYSCORE and GEOADD", "ZREMRANGEBYSCORE k -inf +inf", "GEOADD k 1 1 b"],
  ["ZREM and ZADD", "ZREMRANGEBYSCORE k 1 5", "ZREM k a", "ZADD k 2 b"],
  ["BYSCORE and ZADD", "ZREM k a", "ZREMRANGEBYSCORE k 1 5", "ZADD k 2 b"],
  ["ZADD and", "ZREM k b", "ZADD k 1 b", "ZREMRANGEBYSCORE k 1 5"],
];

Deno.test("Commands that end in the same state and answer the same may be sent again together", () => {
  for (const lines of TOGETHER) {
    assertEquals(together(lines), undefined, lines.join(", "));
  }
});

Deno.test("Commands that are harmless alone are not always so together, and the reason names them", () => {
  for (const [reason, ...lines] of NOT_TOGETHER) {
    for (const line of lines) {
      assertEquals(replayHazard(typed(line)), undefined, line);
    }
    assertStringIncludes(together(lines) ?? "", reason, lines.join(", "));
    assertStringIncludes(together(lines)!, "the pipeline was not replayed: ");
  }
});

Deno.test("A command that is not harmless alone is named, wherever it stands", () => {
  assertEquals(
    together(["GET a", "SET a 1", "INCR a"]),
    "INCR was not replayed: a second run would add again",
  );
});

Deno.test("The search through a long pipeline takes time in proportion to its length", () => {
  const lines = Array.from({ length: 100_000 }, (_, i) => `ZADD k ${i} m${i}`);
  const commands = lines.map(typed);
  const startedAt = performance.now();
  assertEquals(sequenceHazard(commands), undefined);
  assertLess(performance.now() - startedAt, 3000);
});

Deno.test("Only what writes nothing is a read", () => {
  const reads = SAFE_LINES.filter((line) => isRead(typed(line)));
  const isKnown = (line: string) => reads.includes(line);
  assert(isKnown("GET k") && isKnown("GETEX k") && isKnown("SORT k ALPHA"));
  assert(isKnown("PING") && isKnown("CONFIG GET maxmemory"));
  for (const line of [...UNSAFE_LINES, "SET k v", "GETEX k EX 9", "DEL k"]) {
    assertEquals(isRead(typed(line)), false, line);
  }
});

/** Reads that are not run twice here, by what they look at. */
const OTHER_READS = {
  "the key k": [
    "DIGEST k",
    "VINFO k",
    "VCARD k",
    "VGETATTR k a",
    "VDIM k",
    "VLINKS k a",
    "VSIM k ELE a",
    "VISMEMBER k a",
    "VRANDMEMBER k",
    "VEMB k a",
    "VRANGE k - +",
    "SUNIONCARD 2 a k",
    "SDIFFCARD 2 a k",
    "OBJECT FREQ k",
  ],
  "everything": [
    "CLUSTERSCAN 0",
    "EVALSHA_RO abc 0",
    "FCALL_RO f 0",
    "MEMORY STATS",
    "MEMORY DOCTOR",
    "MEMORY MALLOC-STATS",
    "CLUSTER COUNTKEYSINSLOT 5",
    "CLUSTER GETKEYSINSLOT 5 1",
    "KEYS k",
    "SCAN 0",
    "RANDOMKEY",
    "DBSIZE",
    "SORT_RO a",
    "EVAL_RO script 0",
    "INFO keyspace",
  ],
  "no key": [
    "TIME",
    "ROLE",
    "LASTSAVE",
    "ECHO k",
    "COMMAND DOCS",
    "COMMAND GETKEYS GET k",
    "COMMAND GETKEYSANDFLAGS GET k",
    "COMMAND INFO k",
    "COMMAND LIST",
    "CLIENT INFO",
    "CLIENT LIST",
    "CLIENT GETREDIR",
    "CLIENT TRACKINGINFO",
    "ACL CAT",
    "ACL DRYRUN default GET k",
    "ACL GETUSER k",
    "ACL LIST",
    "ACL USERS",
    "CLUSTER INFO",
    "CLUSTER KEYSLOT k",
    "CLUSTER LINKS",
    "CLUSTER MYID",
    "CLUSTER MYSHARDID",
    "CLUSTER NODES",
    "CLUSTER REPLICAS k",
    "CLUSTER SHARDS",
    "CLUSTER SLAVES k",
    "CLUSTER SLOTS",
    "CLUSTER SLOT-STATS SLOTSRANGE 0 1",
    "FUNCTION DUMP",
    "FUNCTION LIST",
    "FUNCTION STATS",
    "MODULE LIST",
    "PUBSUB NUMPAT",
    "PUBSUB NUMSUB k",
    "PUBSUB SHARDCHANNELS",
    "PUBSUB SHARDNUMSUB k",
    "LATENCY DOCTOR",
    "LATENCY GRAPH k",
    "LATENCY HISTOGRAM",
    "LATENCY HISTORY k",
    "LATENCY LATEST",
    "SLOWLOG GET",
    "COMMANDLOG GET 1 slow",
    "COMMANDLOG LEN slow",
    "SCRIPT SHOW abc",
  ],
} as const;

Deno.test("A read may stand before a write of what it does not look at", () => {
  for (const [what, lines] of Object.entries(OTHER_READS)) {
    for (const line of lines) {
      assert(isRead(typed(line)), line);
      const refused = (write: string) => together([line, write]) !== undefined;
      assertEquals(refused("DEL k"), what !== "no key", line);
      assertEquals(refused("DEL other"), what === "everything", line);
    }
  }
});

Deno.test("A policy says what may be sent again, and the reason names it", () => {
  const reason = (policy: ReplayPolicy, ...lines: string[]) =>
    reasonAgainstReplay(lines.map(typed), policy);
  assertEquals(reason("auto", "GET a", "GET a"), undefined);
  assertEquals(reason("auto", "SET a 1"), undefined);
  assertStringIncludes(reason("auto", "INCR a")!, "INCR was not replayed");
  assertEquals(reason("reads", "GET a", "GET a"), undefined);
  assertEquals(
    reason("reads", "GET a", "SET a 1"),
    'SET was not replayed: replay is "reads", and the command may write',
  );
  assertStringIncludes(reason("reads", "INCR a")!, "INCR was not replayed");
  assertEquals(reason("always", "INCR a"), undefined);
  assertEquals(
    reason("never", "GET a"),
    'it was not replayed: replay is "never"',
  );
  assertEquals(reason("never"), undefined);
});

Deno.test("A destination is found where other arguments are called STORE", () => {
  for (
    const line of [
      "GEORADIUSBYMEMBER k store 200 km STORE k",
      "SORT k BY store LIMIT 1 -1 STORE k",
      "SORT k STORE d STORE k",
    ]
  ) assertNotEquals(replayHazard(typed(line)), undefined, line);
});

const EXPIRY_STEP_MS = 10_000;

/** What shows the value of a key of a type, in an order of its own. */
const VALUE: Readonly<Record<string, (key: string) => Command>> = {
  // A set has no order, but its DUMP has.
  set: (key) => ["SORT", key, "ALPHA"],
  // A DUMP contains the millisecond in which a field expires.
  hash: (key) => ["HGETALL", key],
};

/** All that the server holds: each key's value, and about when it expires. */
async function stateOf(redis: Conversation): Promise<Map<string, Reply>> {
  const state = new Map<string, Reply>();
  const coarse = (ms: Reply): Reply => Math.round(Number(ms) / EXPIRY_STEP_MS);
  for (const database of [1, 0]) {
    await redis.ask("SELECT", database);
    for (const key of await redis.ask("KEYS", "*") as string[]) {
      const type = `${await redis.ask("TYPE", key)}`;
      const command = VALUE[type]?.(key) ?? ["DUMP", key];
      const [dump] = await redis.askAll([command], { binary: true });
      const ttl = await redis.ask("PTTL", key);
      state.set(`${database} ${key} value`, dump!);
      state.set(`${database} ${key} expires`, coarse(ttl));
      if (type !== "hash") continue;
      for (const field of await redis.ask("HKEYS", key) as string[]) {
        // Where the server does not know it, no field expires.
        const [ttls] = await redis.askAll([["HPTTL", key, "FIELDS", 1, field]]);
        if (ttls instanceof ReplyError) continue;
        state.set(`${database} ${key} ${field}`, coarse((ttls as Reply[])[0]!));
      }
    }
  }
  return state;
}

/** Whether the server has a command: some are newer than it is. */
async function hasCommand(redis: Conversation, line: string): Promise<boolean> {
  const [reply] = await redis.askAll([[line.split(" ")[0]!]]);
  return !`${reply}`.includes("unknown command");
}

/** Runs a command twice on what it is given. */
async function runTwice(
  redis: Conversation,
  [line, given = []]: Case,
): Promise<{ states: Map<string, Reply>[]; replies: Reply[] }> {
  await redis.ask("FLUSHALL");
  for (const each of given) await redis.ask(...typed(each));
  const states: Map<string, Reply>[] = [];
  const replies: Reply[] = [];
  for (let run = 0; run < 2; run++) {
    const [reply] = await redis.askAll([typed(line)]);
    replies.push(reply!);
    states.push(await stateOf(redis));
  }
  assert(!(replies[0] instanceof ReplyError), `${line}: ${replies[0]}`);
  return { states, replies };
}

/** Errors are equal only if they are the same object, so their text stands for them. */
const comparable = (reply: Reply): unknown =>
  reply instanceof ReplyError
    ? reply.message
    : Array.isArray(reply)
    ? reply.map(comparable)
    : reply;

/** Answers in another order, or with what is counted or timed, are the same answer. */
const VAGUE =
  /^(?:RANDOMKEY|SRANDMEMBER|HRANDFIELD|ZRANDMEMBER|ROLE|LASTSAVE|INFO|XINFO CONSUMERS)/;

Deno.test("A real server ends in the same state after a second run of what may be sent again", async (t) => {
  await using server = await startRedis();
  using redis = await Conversation.open(server.port);
  const run = async (test: Case, repliesAlike: boolean) => {
    if (!await hasCommand(redis, test[0])) return;
    const { states, replies } = await runTwice(redis, test);
    assertEquals(states[1], states[0]);
    if (repliesAlike && !VAGUE.test(test[0])) {
      assertEquals(comparable(replies[1]!), comparable(replies[0]!));
    }
    assert(!(replies[1] instanceof ReplyError), `${replies[1]}`);
  };
  for (const test of CLASS_A) {
    await t.step(`A: ${test[0]}`, () => run(test, true));
  }
  for (const test of CLASS_B) {
    await t.step(`B: ${test[0]}`, () => run(test, false));
  }
});

Deno.test("A real server shows a second run of what may not be sent again", async (t) => {
  await using server = await startRedis();
  using redis = await Conversation.open(server.port);
  for (const test of CLASS_C) {
    await t.step(test[0], async () => {
      if (!await hasCommand(redis, test[0])) return;
      const { states, replies } = await runTwice(redis, test);
      const [first, second] = replies.map(comparable);
      assertNotEquals(
        { state: states[1], reply: second },
        { state: states[0], reply: first },
      );
    });
  }
});

Deno.test("XREADGROUP counts each delivery, of old messages too, so it may not be sent again", async () => {
  await using server = await startRedis();
  using redis = await Conversation.open(server.port);
  for (const each of GROUP) await redis.ask(...typed(each));
  const again = typed("XREADGROUP GROUP g c STREAMS k 0");
  const deliveries = async (): Promise<Reply[]> => {
    await redis.ask(...again);
    const pending = await redis.ask(...typed("XPENDING k g - + 10"));
    return (pending as Reply[][]).map(([, , , count]) => count!);
  };
  assertEquals(await deliveries(), [2, 2]);
  assertEquals(await deliveries(), [3, 3]);
  assertNotEquals(replayHazard(again), undefined);
});

Deno.test("XTRIM with a LIMIT removes more each time, so it may not be sent again", async () => {
  await using server = await startRedis();
  using redis = await Conversation.open(server.port);
  await redis.ask("CONFIG", "SET", "stream-node-max-entries", 2);
  for (let i = 1; i <= 12; i++) await redis.ask("XADD", "k", `${i}-1`, "f", i);
  const trim = typed("XTRIM k MAXLEN ~ 2 LIMIT 4");
  assertEquals(await redis.ask(...trim), 4);
  assertEquals(await redis.ask("XLEN", "k"), 8);
  assertEquals(await redis.ask(...trim), 4);
  assertEquals(await redis.ask("XLEN", "k"), 4);
  assertNotEquals(replayHazard(trim), undefined);
});

/** Commands of the server with a flag, subcommands too. */
async function commandsWith(
  server: RedisServer,
  flag: string,
): Promise<string[]> {
  using redis = await Conversation.open(server.port);
  const flat = (replies: Reply): string[] =>
    (replies as Reply[][]).flatMap((reply) => [
      ...(reply[2] as string[]).includes(flag)
        ? [`${reply[0]}`.toUpperCase().replace("|", " ")]
        : [],
      ...flat(reply[9] ?? []),
    ]);
  return flat(await redis.ask("COMMAND"));
}

Deno.test("Every command that the server calls read-only may be sent again, and is a read", async () => {
  await using server = await startRedis();
  const names = await commandsWith(server, "readonly");
  assert(names.length > 50, `${names}`);
  const refused = names.filter((name) => !isRead(typed(`${name} k k k`)));
  assertEquals(refused, []);
});

Deno.test("No command that the server calls a write may be sent again unless this test has run it twice", async () => {
  await using server = await startRedis();
  const tried = new Set(SAFE_LINES.map((line) => line.split(" ")[0]));
  const untried = (await commandsWith(server, "write")).filter((name) =>
    !tried.has(name) &&
    replayHazard(typed(`${name} k k k`)) === undefined
  );
  assertEquals(untried, []);
});

Deno.test("No command that the server calls a write is a read", async () => {
  await using server = await startRedis();
  const names = await commandsWith(server, "write");
  assert(names.length > 50, `${names}`);
  // These write with an option only.
  const sometimes = /^(?:GETEX|SORT|BITFIELD|GEORADIUS|GEORADIUSBYMEMBER)$/;
  const wrong = names.filter((name) =>
    !sometimes.test(name) && isRead(typed(`${name} k k k`))
  );
  assertEquals(wrong, []);
});

/** Commands that read keys which the server does not name: patterns and scripts make them. */
const READS_MORE = /^(?:SORT|SORT_RO|EVAL_RO)$/;

Deno.test("The keys of each command that may be sent again are those that the server finds", async () => {
  await using server = await startRedis();
  using redis = await Conversation.open(server.port);
  for (const line of SAFE_LINES) {
    const command = typed(line);
    const [found] = await redis.askAll([["COMMAND", "GETKEYS", ...command]]);
    const isUnknown = found instanceof ReplyError;
    if (isUnknown && !/no key arguments/.test(found.message)) continue;
    if (READS_MORE.test(command[0])) continue;
    const effect = effectOf(command);
    assert(typeof effect !== "string", line);
    const keys = effect.map(({ key }) => key)
      .filter((key) => !key.startsWith("\0"));
    const expected = isUnknown ? [] : found as string[];
    assertEquals(new Set(keys), new Set(expected), line);
  }
});
