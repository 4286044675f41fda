// Random pipelines on a real server: what may be sent again together ends in the same state, with the same replies.

import { TIME_LIMIT_MS } from "../../support/strict.ts";

import { assert } from "@std/assert";
import { sequenceHazard } from "../../../client/commands/replay.ts";
import { ReplyError } from "../../../resp/errors.ts";
import type { Command, Reply } from "../../../resp/types.ts";
import { Conversation } from "../../support/conversation.ts";
import { Random, searchLength } from "../../support/random.ts";
import { startRedis } from "../../support/redis_server.ts";

const SEARCH_MS = searchLength(2000);
const BATCH = 40;

const KEYS = ["a", "b", "c"];

/** What stands for a letter behind a $. */
const WORDS: Readonly<Record<string, readonly string[]>> = {
  m: ["1", "2", "3"],
  v: ["1", "2", "xy"],
  s: ["1", "2", "3", "5"],
  t: ["100", "4000", "100000", "-1"],
  f: ["XX", "GT", "LT"],
  z: ["NX", "XX", "GT", "LT"],
  i: ["1-1", "2-1", "3-1"],
  n: ["0", "1", "-1"],
};

/** What a key may be before, and the commands for a key of this type. */
const GIVEN: readonly (readonly [line: string, commands: RegExp])[] = [
  ["", /^/],
  ["SET $k $v", /^(?:M?SET|P?SETEX|GETEX)/],
  ["HSET $k $m $v $m $v", /^H/],
  ["RPUSH $k $m $m $m", /^L/],
  ["SADD $k $m", /^(?:S[ARMIUD]|DEL)/],
  ["SADD $k $m $m", /^S[ARM]/],
  ["ZADD $k $s $m", /^(?:Z|GEOADD)/],
  ["ZADD $k $s $m $s $m", /^(?:Z[AR]|GEOADD)/],
  [
    "XADD $k 1-1 $m $v;XADD $k 2-1 $m $v;XGROUP CREATE $k g 0;XREADGROUP GROUP g c STREAMS $k >",
    /^X/,
  ],
  ["PFADD $k $m $m", /^(?:PF|SETRANGE)/],
  ["GEOADD $k 1$s 38 $m", /^(?:Z[AR]|GEO)/],
];

/** Commands for a key of any type. */
const FOR_ANY = /^(?:P?EXPIRE|PERSIST)/;

const READS = [
  "GET $k",
  "STRLEN $k",
  "MGET $k $k",
  "EXISTS $k $k",
  "TYPE $k",
  "TTL $k",
  "HGETALL $k",
  "HGET $k $m",
  "HLEN $k",
  "LRANGE $k 0 -1",
  "LLEN $k",
  "SMEMBERS $k",
  "SCARD $k",
  "SINTER $k $k",
  "SUNION $k $k",
  "ZRANGE $k 0 -1 WITHSCORES",
  "ZCARD $k",
  "ZUNION 2 $k $k WITHSCORES",
  "XLEN $k",
  "XRANGE $k - +",
  "XREAD STREAMS $k 0",
  "PFCOUNT $k $k",
  "OBJECT REFCOUNT $k",
  "DBSIZE",
  "KEYS *",
  "GETEX $k",
  "SORT $k ALPHA",
  "BITFIELD $k GET u8 0",
  "EVAL_RO return(redis.call('TYPE','$k')) 0",
  "PING",
];

const WRITES = [
  "SET $k $v",
  "SET $k $v EX $s000",
  "SET $k $v XX",
  "SET $k $v KEEPTTL",
  "SETEX $k 4000 $v",
  "PSETEX $k 4000000 $v",
  "MSET $k $v $k $v",
  "SETRANGE $k $s $v",
  "GETEX $k EX $s000",
  "GETEX $k PERSIST",
  "DEL $k",
  "DEL $k $k",
  "UNLINK $k",
  "EXPIRE $k $t",
  "PEXPIRE $k $t000",
  "EXPIRE $k $t $f",
  "EXPIREAT $k 33177117420",
  "EXPIREAT $k 1000",
  "PEXPIREAT $k 33177117420000 $f",
  "PERSIST $k",
  "COPY $k $k",
  "COPY $k $k REPLACE",
  "COPY $k $k DB 1",
  "COPY $k $k DB 1 REPLACE",
  "MOVE $k 1",
  "HSET $k $m $v",
  "HMSET $k $m $v $m $v",
  "HDEL $k $m",
  "HDEL $k $m $m",
  "LSET $k $n $v",
  "LREM $k 0 $m",
  "SADD $k $m",
  "SADD $k $m $m",
  "SREM $k $m",
  "SMOVE $k $k $m",
  "SINTERSTORE $k $k $k",
  "SUNIONSTORE $k $k $k",
  "SDIFFSTORE $k $k $k",
  "ZADD $k $s $m",
  "ZADD $k CH $s $m",
  "ZADD $k $z $s $m",
  "GEOADD $k 1$s 38 $m",
  "ZREM $k $m",
  "ZREMRANGEBYSCORE $k $s $s",
  "ZREMRANGEBYSCORE $k -inf ($s",
  "ZREMRANGEBYLEX $k [$m [$m",
  "ZUNIONSTORE $k 2 $k $k",
  "ZINTERSTORE $k 2 $k $k",
  "ZRANGESTORE $k $k 0 1",
  "BITOP XOR $k $k $k",
  "SORT $k ALPHA STORE $k",
  "GEORADIUS $k 15 38 900 km STORE $k",
  "GEOSEARCHSTORE $k $k FROMLONLAT 15 38 BYRADIUS 900 km",
  "PFADD $k $m",
  "PFMERGE $k $k",
  "XDEL $k $i",
  "XTRIM $k MAXLEN $s",
  "XTRIM $k MINID $s-0",
  "XACK $k g $i",
];

/** Only where the server has them. */
const NEWER_WRITES = [
  "HEXPIRE $k $t FIELDS 1 $m",
  "HEXPIRE $k $t $f FIELDS 1 $m",
  "HPERSIST $k FIELDS 1 $m",
  "HSETEX $k EX 4000 FIELDS 1 $m $v",
  "HSETEX $k KEEPTTL FIELDS 1 $m $v",
  "HSETEX $k EXAT 1000 FIELDS 1 $m $v",
  "HSETEX $k FXX FIELDS 1 $m $v",
  "HGETEX $k EX $s000 FIELDS 1 $m",
  "HGETEX $k PERSIST FIELDS 1 $m",
  "MSETEX 2 $k $v $k $v EX 4000",
  "MSETEX 1 $k $v XX",
  "MSETEX 1 $k $v KEEPTTL",
];

/** What is looked at of each key, in whichever database it is. */
const LOOKS = [
  "TYPE $k",
  "GET $k",
  "HGETALL $k",
  "LRANGE $k 0 -1",
  "SMEMBERS $k",
  "ZRANGE $k 0 -1 WITHSCORES",
  "XRANGE $k - +",
  "XPENDING $k g",
  "TTL $k",
  "HTTL $k FIELDS 3 1 2 3",
];

const typed = (line: string): Command => line.split(" ") as unknown as Command;

const looksAt = (keys: readonly string[]): readonly Command[] => [
  ...keys.flatMap((key) => LOOKS.map((line) => typed(line.replace("$k", key)))),
  ["SELECT", 1],
  ...keys.flatMap((key): Command[] => [["TYPE", key], ["GET", key]]),
  ["SELECT", 0],
];

const LOOKS_AT_ALL = looksAt(KEYS);
const LOOKS_AT_ONE = looksAt(KEYS.slice(0, 1));

/** A pipeline, what was there before, and how far its first copy has come. */
interface Trial {
  readonly given: readonly Command[];
  readonly pipeline: readonly Command[];
  readonly ran: number;
  readonly looks: readonly Command[];
}

class Writer {
  readonly #random: Random;
  readonly #writes: readonly string[];

  constructor(random: Random, writes: readonly string[]) {
    this.#random = random;
    this.#writes = writes;
  }

  /** A pipeline that may be sent again, but for one in a few. */
  trial(): Trial {
    const isAny = this.#random.oneIn(5);
    while (true) {
      const trial = this.#random.oneIn(2) ? this.#mixed() : this.#ofOneType();
      if (isAny || sequenceHazard(trial.pipeline) === undefined) return trial;
    }
  }

  /** Commands of all kinds. Few keys, so that they meet on them. */
  #mixed(): Trial {
    const random = this.#random;
    const some = KEYS.slice(0, 1 + random.below(KEYS.length));
    const pipeline = Array.from({ length: 2 + random.below(3) }, () => {
      const line = random.pick(random.oneIn(4) ? READS : this.#writes);
      return this.#fill(line, some, Infinity);
    });
    const given = KEYS.flatMap((key) =>
      this.#given(key, random.pick(GIVEN)[0], 3)
    );
    const ran = 1 + random.below(pipeline.length);
    return { given, pipeline, ran, looks: LOOKS_AT_ALL };
  }

  /** Writes of one key, all for its type. Few words, so that they meet on elements. */
  #ofOneType(): Trial {
    const random = this.#random;
    const [line, commands] = random.pick(GIVEN);
    const some = this.#writes.filter((write) => commands.test(write));
    const expiries = this.#writes.filter((write) => FOR_ANY.test(write));
    const pipeline = Array.from({ length: 2 + random.below(4) }, () => {
      const write = random.pick(random.oneIn(6) ? expiries : some);
      return this.#fill(write, ["a"], 2);
    });
    const given = this.#given("a", line, 2);
    const ran = 1 + random.below(pipeline.length);
    return { given, pipeline, ran, looks: LOOKS_AT_ONE };
  }

  /** The commands of a line, and an expiry once in `times`. */
  #given(key: string, line: string, times: number): Command[] {
    const lines = line === "" ? [] : line.split(";");
    if (this.#random.oneIn(times)) lines.push("EXPIRE $k 9000");
    return lines.map((each) => this.#fill(each, [key], Infinity));
  }

  /** The command of a line, made of the first `count` words of each kind. */
  #fill(line: string, keys: readonly string[], count: number): Command {
    const pick = (_: string, kind: string) =>
      this.#random.pick(kind === "k" ? keys : WORDS[kind]!.slice(0, count));
    return typed(line.replaceAll(/\$([a-z])/g, pick));
  }
}

/** A set has no order, and a hash neither. */
function plain(name: string, reply: Reply): unknown {
  if (reply instanceof ReplyError) return `! ${reply.message}`;
  if (!Array.isArray(reply)) return reply;
  if (name === "HGETALL") {
    const pairs = reply.flatMap((_, i) =>
      i % 2 === 0 ? [reply.slice(i, i + 2).join(" ")] : []
    );
    return pairs.sort();
  }
  const each = reply.map((element) => plain(name, element));
  return /^(?:SMEMBERS|SINTER|SUNION|KEYS)$/.test(name) ? each.sort() : each;
}

const text = ([name]: Command, reply: Reply): string =>
  JSON.stringify(plain(name, reply));

const COARSE = /^(?:TTL|HTTL)$/;

/** A time to live goes on while the server works. */
const coarse = (reply: Reply): Reply =>
  typeof reply === "number"
    ? Math.ceil(reply / 20)
    : Array.isArray(reply)
    ? reply.map(coarse)
    : reply;

/** What is not the same after the second run; `undefined` if all is. */
function difference(
  { pipeline, looks }: Trial,
  once: readonly Reply[],
  twice: readonly Reply[],
): string | undefined {
  const commands = [...pipeline, ...looks];
  for (const [i, command] of commands.entries()) {
    let [first, second]: Reply[] = [once[i]!, twice[i]!];
    const isCount = typeof first === "number" && typeof second === "number" &&
      i < pipeline.length && !isRead(command);
    if (isCount) continue;
    if (COARSE.test(command[0])) {
      [first, second] = [coarse(first!), coarse(second!)];
    }
    // What happened to each field: a count in parts.
    const isParts = i < pipeline.length &&
      /^H\w*(?:EXPIRE|PERSIST)/.test(command[0]);
    if (isParts && Array.isArray(first) && Array.isArray(second)) continue;
    const [was, is] = [text(command, first!), text(command, second!)];
    if (was !== is) return `${command.join(" ")}: ${was}, then ${is}`;
  }
  return undefined;
}

const READ_NAMES = new Set(READS.map((line) => line.split(" ")[0]));
const isRead = ([name]: Command): boolean => READ_NAMES.has(name);

/** Runs each pipeline once, and once after a part of it, and compares. */
async function differences(
  redis: Conversation,
  trials: readonly Trial[],
): Promise<(string | undefined)[]> {
  const sent: Command[] = [];
  const places: [number, number][] = [];
  for (const { given, pipeline, ran, looks } of trials) {
    const from: number[] = [];
    for (const before of [[], pipeline.slice(0, ran)]) {
      sent.push(["FLUSHALL"], ...given, ...before);
      from.push(sent.length);
      sent.push(...pipeline, ...looks);
    }
    places.push([from[0]!, from[1]!]);
  }
  const replies = await redis.askAll(sent);
  return trials.map((trial, i) => {
    const length = trial.pipeline.length + trial.looks.length;
    const [once, twice] = places[i]!.map((from) =>
      replies.slice(from, from + length)
    );
    return difference(trial, once!, twice!);
  });
}

const described = ({ given, pipeline, ran }: Trial, what: string): string => {
  const lines = (commands: readonly Command[]) =>
    commands.map((command) => command.join(" ")).join(", ");
  return `[${lines(pipeline)}] after [${
    lines(given)
  }], ${ran} run before: ${what}`;
};

Deno.test(
  "Random pipelines that may be sent again end in the same state, with the same replies",
  {
    timeout: SEARCH_MS + TIME_LIMIT_MS,
  },
  async () => {
    await using server = await startRedis();
    using redis = await Conversation.open(server.port);
    const known: string[] = [];
    for (const line of NEWER_WRITES) {
      const [reply] = await redis.askAll([[line.split(" ")[0]!]]);
      if (!`${reply}`.includes("unknown command")) known.push(line);
    }
    const writer = new Writer(new Random(), [...WRITES, ...known]);
    const until = performance.now() + SEARCH_MS;
    const count = { harmless: 0, refused: 0, harmful: 0 };
    const wrong: string[] = [];
    // The search finds harm where there is some, and not all is refused.
    const isGoing = () =>
      performance.now() < until || count.harmful <= 10 || count.harmless <= 10;
    while (isGoing()) {
      const trials = Array.from({ length: BATCH }, () => writer.trial());
      const results = await differences(redis, trials);
      for (const [i, trial] of trials.entries()) {
        const result = results[i];
        if (sequenceHazard(trial.pipeline) !== undefined) {
          count.refused++;
          if (result !== undefined) count.harmful++;
        } else {
          count.harmless++;
          if (result !== undefined) wrong.push(described(trial, result));
        }
      }
    }
    console.log(JSON.stringify(count));
    assert(wrong.length === 0, `\n${wrong.slice(0, 10).join("\n")}`);
  },
);

Deno.test("Random pipelines of reads may always be sent again", () => {
  const random = new Random();
  for (let i = 0; i < 10_000; i++) {
    const pipeline = Array.from(
      { length: 1 + random.below(6) },
      () => typed(random.pick(READS).replaceAll("$k", () => random.pick(KEYS))),
    );
    const hazard = sequenceHazard(pipeline);
    assert(hazard === undefined, `${pipeline.join("; ")}: ${hazard}`);
  }
});
