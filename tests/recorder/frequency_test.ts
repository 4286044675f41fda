// What an outcome says of its set: how many events there are, and whether this one is new.
import "../support/strict.ts";
import {
  assert,
  assertEquals,
  assertGreaterOrEqual,
  assertLessOrEqual,
  assertThrows,
} from "@std/assert";
import {
  type RecordedOutcome,
  type RecordOutcome,
  Redis,
  ReplyError,
  WebhookRecorder,
} from "../../mod.ts";
import { sequenceHazard } from "../../client/commands/replay.ts";
import { partsOf, recordWith } from "../../recorder/recorder.ts";
import { testWithFixture as test } from "../support/fixture.ts";
import { patient } from "../support/policies.ts";
import { Random, searchLength } from "../support/random.ts";
import { startCluster } from "../support/redis_cluster.ts";
import { startRedis } from "../support/redis_server.ts";
import { later, until } from "../support/wait.ts";
import {
  Counting,
  EVENT,
  inSeconds,
  KEY,
  keyOfShop,
  ofShop,
  Told,
} from "./doubles.ts";

const WINDOW = { windowSeconds: 60 };

const frequencies = (outcomes: readonly RecordOutcome[]) =>
  outcomes.map((outcome) => (outcome as RecordedOutcome).frequency);

const newness = (outcomes: readonly RecordOutcome[]) =>
  outcomes.map((outcome) => (outcome as RecordedOutcome).isNew);

const oneTo = (count: number): number[] =>
  Array.from({ length: count }, (_, i) => i + 1);

const inOrder = (numbers: readonly (number | undefined)[]) =>
  [...numbers].sort((a, b) => a! - b!);

/** Milliseconds since 1970, of some seconds from now. */
const at = (seconds: number): number => inSeconds(seconds) * 1000;

Deno.test("Of one recorder the frequencies of n events are 1 to n", async () => {
  await using server = await startRedis();
  await using redis = new Redis(server.url);
  await using recorder = new WebhookRecorder(redis, WINDOW);
  const outcomes: RecordOutcome[] = [];
  for (const count of [1, 5, 1, 2000]) {
    const recording = Array.from(
      { length: count },
      () => [recorder.record(EVENT), recorder.record(ofShop(8))],
    );
    outcomes.push(...await Promise.all(recording.map(([first]) => first!)));
    await Promise.all(recording.flat());
  }
  assertEquals(frequencies(outcomes), oneTo(2007));
  assertEquals(await recorder.frequency(EVENT, WINDOW), 2007);
  assertEquals(outcomes[0], { status: "recorded", count: 1, frequency: 1 });
});

Deno.test("An event that counts several times is counted so", async () => {
  await using server = await startRedis();
  await using redis = new Redis(server.url);
  await using recorder = new WebhookRecorder(redis, WINDOW);
  const outcomes = await Promise.all([
    recorder.record(EVENT, 3),
    recorder.record(EVENT),
    recorder.record({ ...EVENT, deliveryId: "d" }, 2),
  ]);
  assertEquals(frequencies(outcomes), [3, 4, 6]);
});

Deno.test("Only events in the window count: an event of the past is not among them, one of the future is", async () => {
  await using server = await startRedis();
  await using redis = new Redis(server.url);
  await using recorder = new WebhookRecorder(redis, WINDOW);
  const outcomes = await Promise.all([
    recorder.record(EVENT),
    recorder.record({ ...EVENT, receivedAt: at(-100) }),
    recorder.record({ ...EVENT, receivedAt: at(-30) }),
    recorder.record({ ...EVENT, receivedAt: at(-100), deliveryId: "d" }),
    recorder.record({ ...EVENT, receivedAt: at(1000) }),
  ]);
  const [a, b, c, old, future] = frequencies(outcomes);
  assertEquals([a, b, c, future, old], [1, 1, 2, 3, 3]);
  assertEquals(await recorder.frequency(EVENT, WINDOW), 3);
});

Deno.test("An outcome says whether its delivery is new", async () => {
  await using server = await startRedis();
  await using redis = new Redis(server.url);
  await using recorder = new WebhookRecorder(redis);
  const deliver = (deliveryId: string, count = 1) =>
    recorder.record({ ...EVENT, deliveryId }, count);
  assertEquals(await deliver("a"), {
    status: "recorded",
    count: 1,
    isNew: true,
  });
  assertEquals((await deliver("a") as RecordedOutcome).isNew, false);
  const together = await Promise.all([
    deliver("b"),
    recorder.record(EVENT),
    deliver("b"),
    deliver("c"),
    deliver("a", 3), // one of three was there
  ]);
  const [b, plain, again, c, a] = newness(together);
  assertEquals([plain, c, a], [undefined, true, false]);
  assertEquals([b, again].toSorted(), [false, true], "one of the two is first");
  assertEquals(await recorder.record(EVENT), { status: "recorded", count: 1 });
});

Deno.test("A redelivery is not counted again", async () => {
  await using server = await startRedis();
  await using redis = new Redis(server.url);
  await using recorder = new WebhookRecorder(redis, WINDOW);
  const event = { ...EVENT, deliveryId: "a" };
  await recorder.record(EVENT);
  const outcomes = await Promise.all([
    recorder.record(event),
    recorder.record(event),
  ]);
  assertEquals(frequencies(outcomes), [2, 2]);
  assertEquals(newness(outcomes).toSorted(), [false, true]);
  assertEquals(await recorder.record(event), {
    status: "recorded",
    count: 1,
    isNew: false,
    frequency: 2,
  });
});

Deno.test("A flush is one ZADD a key; a ZADD for each delivery, and one ZCOUNT a key at the end, are there only where they are asked for", async () => {
  await using server = await startRedis();
  await using redis = new Redis(server.url);
  const sender = new Counting(redis);
  const recordAll = async (recorder: WebhookRecorder, deliveryId?: string) => {
    sender.sent.length = 0;
    const delivery = deliveryId === undefined ? {} : { deliveryId };
    await Promise.all([
      recorder.record(EVENT),
      recorder.record(ofShop(8)),
      recorder.record({ ...EVENT, ...delivery }),
      recorder.record({ ...ofShop(8), ...delivery }),
    ]);
    await recorder.flush();
    return sender.sent.map((flush) =>
      flush.map(([name, ...words]) => `${name} ${words.length}`)
    );
  };
  await using plain = new WebhookRecorder(sender);
  assertEquals(await recordAll(plain), [["ZADD 5", "ZADD 5"]]);
  await using counting = new WebhookRecorder(sender, WINDOW);
  assertEquals(await recordAll(counting), [[
    "ZADD 5",
    "ZADD 5",
    "ZCOUNT 3",
    "ZCOUNT 3",
  ]]);
  assertEquals(sequenceHazard(sender.sent[0]!), undefined, "it may run twice");
  // Members of deliveries are made by and by: they travel in one later flush or two.
  const [alone, ...delivered] = await recordAll(counting, "a");
  assertEquals(alone, ["ZADD 3", "ZADD 3", "ZCOUNT 3", "ZCOUNT 3"]);
  assertEquals(delivered.flat().toSorted(), [
    "ZADD 4",
    "ZADD 4",
    "ZCOUNT 3",
    "ZCOUNT 3",
  ]);
});

test("A write that was acknowledged before its count was lost is recorded, without a frequency", async (fixture) => {
  const redis = fixture.client({ retry: false });
  const told = new Told();
  await using recorder = new WebhookRecorder(redis, {
    ...WINDOW,
    onError: told.onError,
  });
  await recorder.record(EVENT);
  const lose = () => {
    fixture.proxy.cut(":1\r\n".length, { scope: "open" });
    return recorder.record(EVENT);
  };
  assertEquals(await lose(), { status: "recorded", count: 1 });
  await redis.send(["PING"]);
  assertEquals(await lose(), { status: "recorded", count: 1 });
  assertEquals(told.lines, ["recorded 7"], "the first of several in a row");
  assertEquals(frequencies([await recorder.record(EVENT)]), [4]);
  await lose();
  assertEquals(told.lines, ["recorded 7", "recorded 7"]);
  assertEquals(recorder.stats().queued, 0);
  assertEquals(recorder.stats().reason, undefined);
});

test("A count that was lost is read again", async (fixture) => {
  await using recorder = new WebhookRecorder(fixture.client(), WINDOW);
  await recorder.record(EVENT);
  fixture.proxy.cut(":1\r\n".length, { scope: "open" });
  assertEquals(frequencies([await recorder.record(EVENT)]), [2]);
  assertEquals(await fixture.calls("zadd"), 2);
});

Deno.test("A user who may not count records without frequencies, and is told so once", async () => {
  await using server = await startRedis();
  const rights = ["on", ">secret", "~*", "+@all", "-zcount"];
  await server.cli("ACL", "SETUSER", "writer", ...rights);
  const login = { username: "writer", password: "secret" };
  await using redis = new Redis(server.url, login);
  const told = new Told();
  await using recorder = new WebhookRecorder(redis, {
    ...WINDOW,
    onError: told.onError,
  });
  for (let i = 0; i < 3; i++) {
    assertEquals(await recorder.record(EVENT), {
      status: "recorded",
      count: 1,
    });
  }
  assertEquals(told.lines, ["recorded 7"]);
  assertEquals((told.calls[0]!.error as ReplyError).code, "NOPERM");
});

test("After a replay a delivery that was there is neither new nor old, since the first copy may have added it", async (fixture) => {
  await using recorder = new WebhookRecorder(fixture.client(), WINDOW);
  await recorder.record(EVENT);
  fixture.proxy.cut(0, { scope: "open" });
  assertEquals(await recorder.record({ ...EVENT, deliveryId: "a" }), {
    status: "recorded",
    count: 1,
    frequency: 2,
  });
  assertEquals(await fixture.calls("zadd"), 3);
  fixture.proxy.cut(0, { scope: "open" });
  const both = await Promise.all([
    recorder.record(EVENT),
    recorder.record(EVENT),
  ]);
  assertEquals(frequencies(both), [3, 4]);
});

test("After a replay a delivery that was not there is new", async (fixture) => {
  const redis = fixture.client({ replyTimeoutMs: 100 });
  await using recorder = new WebhookRecorder(redis, WINDOW);
  await recorder.record(EVENT);
  fixture.proxy.silence({ scope: "open" });
  assertEquals(await recorder.record({ ...EVENT, deliveryId: "a" }), {
    status: "recorded",
    count: 1,
    isNew: true,
    frequency: 2,
  });
  assertEquals(redis.stats().replays, 1);
});

test("While a primary is a replica that answers reads, events are written by the client's retries, and counted after that", async (fixture) => {
  const redis = fixture.client({ retry: patient() });
  await using recorder = new WebhookRecorder(redis, WINDOW);
  await recorder.record(EVENT);
  await fixture.server.cli("REPLICAOF", "127.0.0.1", 1);
  const outcomes = later(Promise.all([
    recorder.record(EVENT),
    recorder.record({ ...EVENT, deliveryId: "a" }),
    recorder.record(ofShop(8)),
  ]));
  await until(() => fixture.retried.length > 0, "an attempt");
  await fixture.server.cli("REPLICAOF", "NO", "ONE");
  const found = await outcomes;
  assertEquals(newness(found), [undefined, true, undefined]);
  const [plain, delivered, other] = frequencies(found);
  // They travel in two flushes, either of which may be the first.
  assert([2, 3].includes(plain!), `${plain}`);
  assert([2, 3].includes(delivered!), `${delivered}`);
  assertEquals([Math.max(plain!, delivered!), other], [3, 1]);
});

test("The deadline of a first attempt includes the reads", async (fixture) => {
  const redis = fixture.client({ retry: patient() });
  await using recorder = new WebhookRecorder(redis, {
    ...WINDOW,
    deadlineMs: 300,
  });
  await recorder.record(EVENT);
  await fixture.server.cli("REPLICAOF", "127.0.0.1", 1);
  const startedAt = performance.now();
  const { status } = await recorder.record(EVENT);
  assertEquals(status, "queued");
  assertLessOrEqual(performance.now() - startedAt, 1000);
  await fixture.server.cli("REPLICAOF", "NO", "ONE");
  await recorder.flush();
});

test("An event that was queued says neither", async (fixture) => {
  const redis = fixture.client({ retry: false });
  await using recorder = new WebhookRecorder(redis, WINDOW);
  await fixture.server.stop();
  const outcome = await recorder.record({ ...EVENT, deliveryId: "a" });
  assertEquals(Object.keys(outcome), ["status", "count", "error"]);
  assertEquals(outcome.status, "queued");
  await fixture.server.start();
  await recorder.flush();
  assertEquals(frequencies([await recorder.record(EVENT)]), [2]);
});

Deno.test("Frequencies are right on a server that does not know GT", async () => {
  await using server = await startRedis();
  await using redis = new Redis(server.url);
  const sender = new Counting(redis);
  sender.answer = ([, , option]) =>
    option === "GT" ? new ReplyError("ERR syntax error") : undefined;
  await using recorder = new WebhookRecorder(sender, WINDOW);
  const event = { ...EVENT, deliveryId: "a" };
  const outcomes = await Promise.all([
    recorder.record(event),
    recorder.record(EVENT),
    recorder.record(event),
    recorder.record({ ...EVENT, deliveryId: "b" }),
  ]);
  const [a, plain, again, b] = newness(outcomes);
  assertEquals([plain, b], [undefined, true]);
  assertEquals([a, again].toSorted(), [false, true]);
  assertEquals(frequencies(outcomes)[1], 1, "it is written first");
  assertEquals(Math.max(...frequencies(outcomes) as number[]), 3);
});

Deno.test("A key that is no sorted set is no trouble of the count", async () => {
  await using server = await startRedis();
  await server.cli("SET", KEY, "text");
  await using redis = new Redis(server.url);
  const told = new Told();
  await using recorder = new WebhookRecorder(redis, {
    ...WINDOW,
    onError: told.onError,
  });
  const outcomes = await Promise.all([
    recorder.record(EVENT),
    recorder.record(ofShop(8)),
  ]);
  assertEquals(outcomes.map(({ status }) => status), ["dropped", "recorded"]);
  assertEquals(told.lines, ["dropped 7"]);
});

Deno.test("A clock that throws, or gives no time, costs the frequency, not the event", async () => {
  await using server = await startRedis();
  await using redis = new Redis(server.url);
  const clocks = [
    () => {
      throw new Error("no clock");
    },
    () => NaN,
    () => Infinity,
  ];
  for (const now of clocks) {
    const told = new Told();
    await using recorder = new WebhookRecorder(redis, {
      ...WINDOW,
      onError: told.onError,
      now,
    });
    const event = { ...EVENT, receivedAt: Date.now() };
    const outcome = await recorder.record(event);
    assertEquals(outcome, { status: "recorded", count: 1 });
    assertEquals(told.lines, ["recorded 7"]);
  }
});

Deno.test("windowSeconds is a whole number from 1", async () => {
  await using redis = new Redis();
  for (const windowSeconds of [0, -1, 1.5, NaN, "60", null]) {
    const options = { windowSeconds } as { windowSeconds: number };
    assertThrows(
      () => new WebhookRecorder(redis, options),
      TypeError,
      "windowSeconds",
    );
  }
});

Deno.test("Trimming does not disturb the frequency", async () => {
  await using server = await startRedis();
  await using redis = new Redis(server.url);
  await using recorder = new WebhookRecorder(redis, {
    ...WINDOW,
    retentionSeconds: 100,
  });
  for (let i = 1; i <= 20; i++) {
    await recorder.record({ ...EVENT, receivedAt: at(-200) });
    assertEquals(frequencies([await recorder.record(EVENT)]), [i]);
  }
  await recorder.flush();
  assertEquals(await server.cli("ZCARD", KEY), "20");
});

Deno.test("Within the library an event can read more in the same flush", async () => {
  await using server = await startRedis();
  await using redis = new Redis(server.url);
  const sender = new Counting(redis);
  await using recorder = new WebhookRecorder(sender);
  const { client, keyOf, now } = partsOf(recorder);
  assertEquals([client, keyOf(EVENT)], [sender, KEY]);
  await server.cli("SET", "block", "1");
  await recorder.record({ ...EVENT, receivedAt: at(-50) });
  const values: unknown[] = [];
  const reading = {
    windowSeconds: 60,
    key: "block",
    onValue: (value: unknown) => void values.push(value),
  };
  sender.sent.length = 0;
  const outcomes = await Promise.all([
    recordWith(recorder, EVENT, reading),
    recordWith(recorder, EVENT, { ...reading }),
    recordWith(recorder, EVENT, { windowSeconds: 60, since: inSeconds(-20) }),
    recordWith(recorder, EVENT, { windowSeconds: 10, since: inSeconds(-20) }),
    recordWith(recorder, EVENT, { windowSeconds: 60, since: now() / 1000 + 9 }),
    recordWith(recorder, { ...EVENT, deliveryId: "a" }, reading),
  ]);
  assertEquals(frequencies(outcomes), [2, 3, 3, 4, 0, 7]);
  assertEquals(values, ["1", "1", "1"]);
  assertEquals(sender.sent[0]!.map(([name]) => name), [
    "ZADD",
    "GET",
    "ZCOUNT",
    "ZCOUNT",
    "ZCOUNT",
    "ZCOUNT",
  ]);
  await server.stop();
  values.length = 0;
  const { status, error } = await recordWith(recorder, EVENT, reading);
  assertEquals([status, values], ["queued", [error]]);
  await server.start();
  const { length: sent } = sender.sent;
  await recorder.flush();
  assertEquals(values, [error], "what is queued reads nothing");
  const later = sender.sent.slice(sent).flat().map(([name]) => name);
  assert(later.every((name) => name === "ZADD"), `${later}`);
});

Deno.test("In a cluster each key has its frequencies, while hash slots move as well", async () => {
  await using cluster = await startCluster({ replicasPerPrimary: 0 });
  await using redis = new Redis(cluster.url);
  await using recorder = new WebhookRecorder(redis, WINDOW);
  const shops = oneTo(12);
  const byShop = new Map<number, (number | undefined)[]>(
    shops.map((shop) => [shop, []]),
  );
  const recordAll = async () => {
    await Promise.all(
      shops.flatMap((shop) => [shop, shop, shop]).map(async (shop) =>
        byShop.get(shop)!.push(
          ...frequencies([await recorder.record(ofShop(shop))]),
        )
      ),
    );
  };
  await recordAll();
  let isOver = false;
  const load = (async () => {
    while (!isOver) await recordAll();
  })();
  for (const shop of [1, 2, 3]) {
    const hashSlot = await cluster.hashSlotOf(keyOfShop(shop));
    const from = await cluster.primaryOf(hashSlot);
    const to = (await cluster.primaries()).find((node) => node !== from)!;
    await cluster.migrate([hashSlot, hashSlot], from, to);
  }
  isOver = true;
  await load;
  for (const [shop, found] of byShop) {
    assertEquals(inOrder(found), oneTo(found.length), `shop ${shop}`);
  }
  assert(redis.stats().redirects.moved > 0);
});

Deno.test("With several recorders each frequency is between the event's own rank and the final count", async () => {
  await using server = await startRedis();
  await using redis = new Redis(server.url);
  for (let run = 0; run < searchLength(5); run++) {
    const random = new Random();
    await server.cli("FLUSHALL");
    const recorders = Array.from(
      { length: 3 },
      () => new WebhookRecorder(redis, WINDOW),
    );
    const added = new Map<number, number>();
    const ranks = new Map<number, [rank: number, frequency: number][]>();
    const recording: Promise<void>[] = [];
    for (let n = 0; n < 300; n++) {
      const shop = random.below(3);
      const event = random.oneIn(3)
        ? { ...ofShop(shop), deliveryId: `${random.below(60)}` }
        : ofShop(shop);
      recording.push((async () => {
        // What was acknowledged before it began is among what it counts.
        const rank = added.get(shop) ?? 0;
        const { isNew, frequency } = await random.pick(recorders)
          .record(event) as RecordedOutcome;
        const own = isNew === false ? 0 : 1;
        added.set(shop, (added.get(shop) ?? 0) + own);
        const known = ranks.get(shop) ?? [];
        ranks.set(shop, [...known, [rank + own, frequency!]]);
      })());
      if (random.oneIn(8)) await Promise.race(recording.slice(-3));
    }
    await Promise.all(recording);
    for (const [shop, found] of ranks) {
      const count = added.get(shop)!;
      const stored = await server.cli("ZCARD", keyOfShop(shop));
      assertEquals(Number(stored), count);
      for (const [rank, frequency] of found) {
        assertGreaterOrEqual(frequency, rank);
        assertLessOrEqual(frequency, count);
      }
      assert(found.some(([, frequency]) => frequency === count));
    }
    for (const recorder of recorders) await recorder.close();
  }
});
