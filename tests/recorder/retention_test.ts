// Which sets are trimmed, when, and by which time.
import "../support/strict.ts";
import { assert, assertEquals, assertGreater } from "@std/assert";
import { delay } from "@std/async/delay";
import { type Command, Redis, ReplyError, WebhookRecorder } from "../../mod.ts";
import { Entry } from "../../recorder/entries/entry.ts";
import { Epoch } from "../../recorder/entries/epochs.ts";
import { Retention, ServerClock } from "../../recorder/retention.ts";
import { startRedis } from "../support/redis_server.ts";
import {
  cardinality,
  Counting,
  EVENT,
  inSeconds,
  KEY,
  keyOfShop,
  ofShop,
  Told,
  ttl,
} from "./doubles.ts";

function writtenTo(key: string, score: number): Entry {
  const event = { mallId: "m", shopNo: 1, eventType: "e" };
  const entry = new Entry(event, 1, new Epoch(), () => {});
  entry.key = key;
  entry.score = score;
  return entry;
}

/** A clock that stands still. */
class StoppedClock extends ServerClock {
  now = 1000;

  override isStale(): boolean {
    return false;
  }

  override seconds(): number {
    return this.now;
  }
}

/** A retention of 10 seconds, on a server whose time is 1000. */
class Trimmed {
  readonly flushes: Command[][] = [];
  readonly refusals: [error: unknown, key: string][] = [];
  answer: (command: Command) => unknown = () => 1;
  readonly clock = new StoppedClock();
  readonly retention: Retention;

  constructor({ isClockStopped = false } = {}) {
    this.retention = this.#make(isClockStopped ? this.clock : undefined);
  }

  readonly #make = (clock?: ServerClock) =>
    new Retention({
      origin: { hostname: "nowhere", port: 1, database: 0 },
      isClosed: false,
      send: () => Promise.reject(new Error("not used")),
      pipeline: async (commands) => {
        this.flushes.push([...commands]);
        await undefined;
        return commands.map((command) =>
          command[0] === "TIME" ? ["1000", "0"] : this.answer(command)
        );
      },
    }, {
      seconds: 10,
      sendOptions: {},
      onRefused: (error, { key }) => this.refusals.push([error, key]),
    }, clock);
}

Deno.test("A set is trimmed once for all that was written to it, by the latest of its times", async () => {
  const { retention, flushes } = new Trimmed();
  retention.add([500, 700, 600].map((score) => writtenTo("a", score)));
  retention.add([writtenTo("a", 650)]);
  retention.add([writtenTo("b", 5000)]); // later than the server's time
  await retention.flush();
  assertEquals(flushes, [[["TIME"]], [
    ["ZREMRANGEBYSCORE", "a", "-inf", "(690"],
    ["EXPIRE", "a", 10],
    ["ZREMRANGEBYSCORE", "b", "-inf", "(990"],
    ["EXPIRE", "b", 10],
  ]]);
  await retention.flush();
  assertEquals(flushes.length, 2); // nothing is left
});

Deno.test("Sets are trimmed at once, those of one turn together and those of a flush under way by the next", async () => {
  const { retention, flushes } = new Trimmed();
  const keysOf = (flush: Command[]) =>
    flush.filter(([name]) => name === "EXPIRE").map(([, key]) => key);
  for (const key of ["a", "b", "c"]) retention.add([writtenTo(key, 1)]);
  await undefined;
  assertEquals(flushes, [[["TIME"]]]);
  while (flushes.length < 2) await undefined;
  assertEquals(keysOf(flushes[1]!), ["a", "b", "c"]);
  for (const key of ["d", "e"]) retention.add([writtenTo(key, 1)]);
  assertEquals(flushes.length, 2);
  while (flushes.length < 3) await undefined;
  assertEquals(keysOf(flushes[2]!), ["d", "e"]);
});

Deno.test("A set that is written again and again is trimmed once a second, and by a flush", async () => {
  const { retention, flushes, clock } = new Trimmed({ isClockStopped: true });
  const write = async (...keys: string[]) => {
    for (const key of keys) retention.add([writtenTo(key, 1000)]);
    await delay(1);
  };
  const trims = () =>
    flushes.splice(0).map((flush) =>
      flush.filter(([name]) => name === "EXPIRE").map(([, key]) => key)
    ).filter((keys) => keys.length > 0);
  await write("a");
  assertEquals(trims(), [["a"]]);
  await write("a");
  await write("a", "b");
  assertEquals(trims(), [["b"]]);
  assert(!retention.isIdle);
  await retention.flush();
  assertEquals(trims(), [["a"]]);
  assert(retention.isIdle);
  await write("b", "c");
  assertEquals(trims(), [["b", "c"]]);
  await write("b");
  clock.now++;
  await write("d");
  assertEquals(trims(), [["d", "b"]]);
  await write("d");
  assertEquals(retention.takeWaiting().map(({ key }) => key), ["d"]);
});

Deno.test("A flush trims 1000 sets and leaves the others to the next", async () => {
  const { retention, flushes } = new Trimmed();
  for (let i = 0; i < 2500; i++) retention.add([writtenTo(`${i}`, 1)]);
  await retention.flush();
  assertEquals(
    flushes.map(({ length }) => length),
    [1, 2000, 2000, 1000],
  );
});

Deno.test("Of a row of refusals the first is reported, with an entry of its set", async () => {
  const trimmed = new Trimmed();
  const { retention, refusals } = trimmed;
  const no = new ReplyError("NOPERM no");
  const round = async (answer: typeof trimmed.answer) => {
    trimmed.answer = answer;
    for (const key of ["a", "b", "c"]) retention.add([writtenTo(key, 1)]);
    await retention.flush();
  };
  await round(([name, key]) => name === "EXPIRE" && key === "b" ? no : 1);
  assertEquals(refusals, [[no, "b"]]);
  await round(() => no);
  assertEquals(refusals.length, 1);
  await round(() => 1);
  await round(() => no);
  assertEquals(refusals, [[no, "b"], [no, "a"]]);
});

Deno.test("Nothing is trimmed any more once a retention has ended", async () => {
  const { retention, flushes } = new Trimmed();
  retention.add([writtenTo("a", 1)]);
  retention.end();
  retention.add([writtenTo("b", 1)]); // acknowledged too late
  await delay(30);
  await retention.flush();
  assertEquals(flushes, []);
});

Deno.test("A key that could not be written is left alone: a foreign one, a forbidden one, one that memory is short for", async () => {
  await using server = await startRedis();
  await using redis = new Redis(server.url, { retry: false });
  const told = new Told();
  await using recorder = new WebhookRecorder(redis, {
    retentionSeconds: 1,
    onError: told.onError,
  });
  await server.cli("SET", KEY, "12345");
  assertEquals((await recorder.record(EVENT)).status, "dropped");
  await recorder.flush();
  assertEquals(await ttl(server), -1);

  await server.cli("ZADD", keyOfShop(8), 1, "old");
  await server.cli("CONFIG", "SET", "maxmemory", 1);
  assertEquals((await recorder.record(ofShop(8))).status, "queued");
  await delay(300);
  assertEquals(await ttl(server, keyOfShop(8)), -1);
  assertEquals(await cardinality(server, keyOfShop(8)), 1);
  await server.cli("CONFIG", "SET", "maxmemory", 0);
  await recorder.flush();
  assertEquals(await ttl(server, keyOfShop(8)), 1);

  await server.cli("ZADD", keyOfShop(9), 1, "old");
  await server.cli("ACL", "SETUSER", "default", "-zadd");
  assertEquals((await recorder.record(ofShop(9))).status, "dropped");
  await recorder.flush();
  assertEquals(await ttl(server, keyOfShop(9)), -1);
  assertEquals(told.lines, ["dropped 7", "queued 8", "dropped 9"]);
});

Deno.test("What was queued is trimmed like the rest, and only once it is written", async () => {
  await using server = await startRedis({ durable: true });
  await using redis = new Redis(server.url, { retry: false });
  await using recorder = new WebhookRecorder(redis, { retentionSeconds: 100 });
  await server.cli("SET", KEY, "12345");
  await server.cli("ZADD", keyOfShop(8), 1, "old");
  await server.stop();
  for (const event of [EVENT, ofShop(8)]) {
    assertEquals((await recorder.record(event)).status, "queued");
  }
  await server.start();
  await recorder.flush();
  assertEquals(await ttl(server), -1);
  assertGreater(await ttl(server, keyOfShop(8)), 90);
  assertEquals(await cardinality(server, keyOfShop(8)), 1);
});

Deno.test("A clock that is ahead trims nothing that others have recorded", async () => {
  await using server = await startRedis();
  await using redis = new Redis(server.url);
  const ahead = 10 * 86_400_000;
  await using right = new WebhookRecorder(redis, { retentionSeconds: 60 });
  await using fast = new WebhookRecorder(redis, {
    retentionSeconds: 60,
    now: () => Date.now() + ahead,
  });
  await server.cli("ZADD", KEY, inSeconds(-50), "young", inSeconds(-70), "old");
  await right.record(EVENT);
  await right.flush();
  assertEquals(await cardinality(server), 2); // the old one has gone
  for (let i = 0; i < 3; i++) {
    await fast.record(EVENT);
    await fast.flush();
  }
  assertEquals(await cardinality(server), 5);
  assertGreater(await ttl(server), 50);
});

Deno.test("A clock of this machine that jumps ahead trims nothing either", async () => {
  await using server = await startRedis();
  await using redis = new Redis(server.url);
  await using recorder = new WebhookRecorder(redis, { retentionSeconds: 60 });
  await server.cli("ZADD", KEY, inSeconds(-50), "young");
  const { now } = Date;
  await recorder.record(EVENT);
  try {
    Date.now = () => now() + 86_400_000;
    await recorder.record(EVENT);
    await recorder.flush();
  } finally {
    Date.now = now;
  }
  assertEquals(await cardinality(server), 3);
});

Deno.test("A clock that is behind trims no more than its own events demand", async () => {
  await using server = await startRedis();
  await using redis = new Redis(server.url);
  await using recorder = new WebhookRecorder(redis, {
    retentionSeconds: 60,
    now: () => Date.now() - 3_600_000,
  });
  await recorder.record(EVENT);
  await recorder.flush();
  assertEquals(await cardinality(server), 1);
});

Deno.test("Where TIME is refused sets are trimmed by this machine's clock", async () => {
  await using server = await startRedis();
  await server.cli("ACL", "SETUSER", "default", "-time");
  await using redis = new Redis(server.url);
  const told = new Told();
  await using recorder = new WebhookRecorder(redis, {
    retentionSeconds: 60,
    onError: told.onError,
  });
  await server.cli("ZADD", KEY, inSeconds(-50), "young", inSeconds(-70), "old");
  assertEquals((await recorder.record(EVENT)).status, "recorded");
  await recorder.flush();
  assertEquals(await cardinality(server), 2);
  assertEquals(told.lines, []);
});

Deno.test("The server's clock is asked once, and again after a failure", async () => {
  await using server = await startRedis({ durable: true });
  await using redis = new Redis(server.url, { retry: false });
  const sender = new Counting(redis);
  await using recorder = new WebhookRecorder(sender, { retentionSeconds: 60 });
  for (let i = 0; i < 3; i++) {
    await recorder.record(EVENT);
    await recorder.flush();
  }
  assertEquals(sender.countOf("TIME"), 1);
  assertEquals(sender.countOf("EXPIRE"), 3);
  await server.stop();
  await recorder.record(EVENT);
  await server.start();
  await recorder.flush();
  assertEquals(sender.countOf("TIME"), 2);
});

Deno.test("A set whose trimming is lost is trimmed with the next event", async () => {
  await using server = await startRedis();
  await using redis = new Redis(server.url);
  const sender = new Counting(redis);
  let isLost = true;
  await using recorder = new WebhookRecorder({
    origin: sender.origin,
    isClosed: false,
    send: (command, options) => sender.send(command, options),
    pipeline: (commands, options) =>
      isLost && commands.some(([name]) => name === "EXPIRE")
        ? Promise.reject(new Error("lost"))
        : sender.pipeline(commands, options),
  }, { retentionSeconds: 60 });
  assertEquals((await recorder.record(EVENT)).status, "recorded");
  await recorder.flush();
  assertEquals(await ttl(server), -1);
  isLost = false;
  assertEquals((await recorder.record(ofShop(8))).status, "recorded");
  await recorder.flush();
  assertGreater(await ttl(server), 50);
  assertGreater(await ttl(server, keyOfShop(8)), 50);
});

Deno.test("record() does not wait until its set is trimmed", async () => {
  await using server = await startRedis();
  await using redis = new Redis(server.url);
  const sender = new Counting(redis);
  let isHeld = false;
  const { promise: held, resolve: letGo } = Promise.withResolvers<void>();
  await using recorder = new WebhookRecorder({
    origin: sender.origin,
    isClosed: false,
    send: (command, options) => sender.send(command, options),
    async pipeline(commands, options) {
      if (commands[0]![0] === "ZREMRANGEBYSCORE") {
        isHeld = true;
        await held;
      }
      return await sender.pipeline(commands, options);
    },
  }, { retentionSeconds: 60 });
  assertEquals((await recorder.record(EVENT)).status, "recorded");
  while (!isHeld) await delay(1);
  let isFlushed = false;
  const flushed = recorder.flush().then(() => isFlushed = true);
  await delay(10);
  assert(!isFlushed); // it waits for that
  letGo();
  await flushed;
  assertGreater(await ttl(server), 50);
});
