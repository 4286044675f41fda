// Which commands may run twice: what the table says, and what a real server does.

import "./support/strict.ts";
import { assert, assertEquals, assertNotEquals } from "@std/assert";
import { replayHazard, sequenceHazard } from "../client/replay.ts";
import { type Command, type Reply, ReplyError } from "../resp/mod.ts";
import { Conversation } from "./support/conversation.ts";
import { type RedisServer, startRedis } from "./support/redis_server.ts";

const utf8 = new TextEncoder();

/** A command as one types it. */
const typed = (line: string): Command => line.split(" ") as unknown as Command;

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
  // Writes.
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
];

/** Another state or another answer: never to be sent again on our own. */
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
];

/** Not to be sent again, though a second run need not show. */
const DECLINED: readonly string[] = [
  "SET k new IFEQ old",
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

Deno.test("A command whose second run does harm may not be sent again, and the reason is told", () => {
  for (const line of UNSAFE_LINES) {
    const hazard = replayHazard(typed(line));
    assert(hazard !== undefined && hazard.length > 10, line);
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

Deno.test("Commands that are harmless alone are not always so together", () => {
  const lines = (...commands: string[]) => sequenceHazard(commands.map(typed));
  // The first time EXPIRE finds no key, the second time it does.
  assertNotEquals(lines("EXPIRE k 100", "HSET k f v"), undefined);
  assertEquals(lines("HSET k f v", "EXPIRE k 100", "GET k"), undefined);
  assertEquals(
    lines("ZADD a 1 x", "EXPIRE a 9", "ZADD b 1 x", "EXPIRE b 9"),
    undefined,
  );
  assertEquals(lines("SET a 1", "DEL b", "GET a", "ZCARD b"), undefined);
  assertEquals(
    lines("ZADD z 1 m", "ZREMRANGEBYSCORE z -inf (0", "EXPIRE z 9"),
    undefined,
  );
  assertEquals(lines("ZUNIONSTORE d 1 s"), undefined);
  assertNotEquals(lines("ZUNIONSTORE d 1 s", "DEL s"), undefined);
  assertNotEquals(lines("SMEMBERS q", "DEL q"), undefined);
  assertNotEquals(lines("COPY a b REPLACE", "SET a new"), undefined);
  assertNotEquals(lines("SET a 1", "INCR a"), undefined);
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

/** All that the server holds: each key's value, and about when it expires. */
async function stateOf(redis: Conversation): Promise<Map<string, Reply>> {
  const state = new Map<string, Reply>();
  for (const database of [1, 0]) {
    await redis.ask("SELECT", database);
    for (const key of await redis.ask("KEYS", "*") as string[]) {
      // A set has no order, but its DUMP has.
      const value: Command = await redis.ask("TYPE", key) === "set"
        ? ["SORT", key, "ALPHA"]
        : ["DUMP", key];
      const [dump] = await redis.askAll([value], { binary: true });
      const ttl = await redis.ask("PTTL", key) as number;
      state.set(`${database} ${key} value`, dump!);
      state.set(`${database} ${key} expires`, Math.round(ttl / EXPIRY_STEP_MS));
    }
  }
  return state;
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
const VAGUE = /^(?:RANDOMKEY|SRANDMEMBER|HRANDFIELD|ZRANDMEMBER|ROLE|LASTSAVE)/;

Deno.test("A real server ends in the same state after a second run of what may be sent again", async (t) => {
  await using server = await startRedis();
  using redis = await Conversation.open(server.port);
  const run = async (test: Case, repliesAlike: boolean) => {
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

/** Commands of the server with a flag, containers by their names alone. */
async function commandsWith(
  server: RedisServer,
  flag: string,
): Promise<string[]> {
  using redis = await Conversation.open(server.port);
  const all = await redis.ask("COMMAND") as [string, number, string[]][];
  return all.filter(([, , flags]) => flags.includes(flag))
    .map(([name]) => name.toUpperCase());
}

Deno.test("Every command that the server calls read-only may be sent again", async () => {
  await using server = await startRedis();
  const names = await commandsWith(server, "readonly");
  assert(names.length > 50, `${names}`);
  const refused = names.filter((name) =>
    name !== "LOLWUT" && replayHazard([name, "k", "k", "k"]) !== undefined
  );
  assertEquals(refused, []);
});

Deno.test("No command that the server calls a write may be sent again unless this test has run it twice", async () => {
  await using server = await startRedis();
  const tried = new Set(SAFE_LINES.map((line) => line.split(" ")[0]));
  const untried = (await commandsWith(server, "write")).filter((name) =>
    !tried.has(name) && replayHazard([name, "k", "k", "k"]) === undefined
  );
  assertEquals(untried, []);
});
