// What happens to the messages of a slow reader, by policy.

import "../support/strict.ts";
import {
  assert,
  assertEquals,
  assertLess,
  assertLessOrEqual,
  assertRejects,
  assertStringIncludes,
} from "@std/assert";
import { delay } from "@std/async/delay";
import { Redis } from "../../mod.ts";
import { ItemQueue } from "../../pubsub/item_queue.ts";
import type { Away, Gap, Item, Message } from "../../pubsub/items.ts";
import { QueueFullError, Subscriber } from "../../pubsub/mod.ts";
import { startRedis } from "../support/redis_server.ts";
import { until } from "../support/wait.ts";

const numbered = (from: number, to: number) =>
  Array.from(
    { length: to - from },
    (_, i) => ["PUBLISH", "a", `${from + i}`] as const,
  );

Deno.test("block: nothing is lost, and no more than maxQueued waits", async () => {
  await using server = await startRedis();
  await using redis = new Redis(server.url);
  await using subscriber = new Subscriber(server.url, { pingIntervalMs: 50 });
  const slow = await subscriber.subscribe("a", { maxQueued: 10 });
  const other = await subscriber.subscribe("b");
  await redis.pipeline(numbered(0, 5000));
  await redis.send(["PUBLISH", "b", "behind"]);
  await until(() => slow.queued === 10);
  await delay(300); // PINGs would be owed by now
  assertEquals([slow.queued, other.queued], [10, 0]); // one connection: what blocks one blocks all
  let expected = 0;
  for await (const item of slow) {
    assert(item.type === "message", JSON.stringify(item));
    assertEquals(item.payload, `${expected++}`);
    assertLessOrEqual(slow.queued, 10);
    if (expected === 5000) break;
  }
  assertEquals((await other.next()).value?.type, "message");
  assertEquals(subscriber.stats().losses, 0);
});

Deno.test("block: a reader that leaves makes room for the others", async () => {
  await using server = await startRedis();
  await using redis = new Redis(server.url);
  await using subscriber = new Subscriber(server.url);
  const slow = await subscriber.subscribe("a", { maxQueued: 1 });
  const other = await subscriber.subscribe("b");
  await redis.pipeline(numbered(0, 100));
  await redis.send(["PUBLISH", "b", "behind"]);
  await until(() => slow.queued === 1);
  slow.unsubscribe();
  assertEquals((await other.next()).value?.type, "message");
});

Deno.test("block: a server whose own limit is reached closes the connection, and the gap says so", async () => {
  await using server = await startRedis({
    config: { "client-output-buffer-limit": "pubsub 1mb 0 0" },
  });
  await using redis = new Redis(server.url);
  await using subscriber = new Subscriber(server.url);
  const slow = await subscriber.subscribe("a", { maxQueued: 5 });
  const payload = "x".repeat(100_000);
  for (let i = 0; i < 200; i++) await redis.send(["PUBLISH", "a", payload]);
  const items: Item[] = [];
  for await (const item of slow) {
    items.push(item);
    if (item.type === "gap") break;
  }
  const [away, gap] = items.slice(-2);
  // An absence that was over before it could be read is not told.
  assertEquals(gap?.type, "gap");
  assert(away?.type === "away" || away?.type === "message");
  assertLess(items.length, 200);
  assert(gap?.type === "gap");
  assertStringIncludes(gap.reason, "Connection ");
  assertEquals(gap.report?.by === "client", false);
});

Deno.test("drop-oldest: the newest are kept, and a gap in their place says how many are not", async () => {
  await using server = await startRedis();
  await using redis = new Redis(server.url);
  await using subscriber = new Subscriber(server.url, {
    whenFull: "drop-oldest",
    maxQueued: 10,
  });
  const slow = await subscriber.subscribe("a");
  const before = Date.now();
  await redis.pipeline(numbered(0, 1000));
  await until(() => subscriber.stats().dropped === 990);
  const { value: gap } = await slow.next();
  assert(gap?.type === "gap");
  assertEquals([gap.dropped, gap.report, gap.channels], [990, undefined, [
    "a",
  ]]);
  assertLessOrEqual(before, gap.from);
  assertLessOrEqual(gap.from, gap.until);
  assertLessOrEqual(gap.until, Date.now());
  assertStringIncludes(gap.reason, "990 messages were dropped");
  for (let n = 990; n < 1000; n++) {
    const { value } = await slow.next();
    assertEquals(value?.type === "message" && value.payload, `${n}`);
  }
});

Deno.test("fail: what waits is delivered, then the reader gets the error", async () => {
  await using server = await startRedis();
  await using redis = new Redis(server.url);
  await using subscriber = new Subscriber(server.url, {
    whenFull: "fail",
    maxQueued: 3,
  });
  const slow = await subscriber.subscribe("a");
  await redis.pipeline(numbered(0, 10));
  await until(() => slow.isEnded);
  const heard: string[] = [];
  const error = await assertRejects(async () => {
    for await (const item of slow) {
      if (item.type === "message") heard.push(item.payload);
    }
  }, QueueFullError);
  assertEquals([heard, error.queued], [["0", "1", "2"], 3]);
  await until(async () => (await redis.send(["PUBLISH", "a", "x"])) === 0);
});

Deno.test("The size of payloads is bounded as well as their number, and a callback's promise makes others wait", async () => {
  await using server = await startRedis();
  await using redis = new Redis(server.url);
  await using subscriber = new Subscriber(server.url);
  const bytes = await subscriber.subscribe("a", {
    binary: true,
    maxQueuedBytes: 1000,
    whenFull: "drop-oldest",
  });
  const { promise: gate, resolve: open } = Promise.withResolvers<void>();
  const heard: number[] = [];
  const gaps: Gap[] = [];
  await subscriber.subscribe("a", {
    maxQueued: 2,
    whenFull: "drop-oldest",
    onMessage: ({ payload }) => {
      heard.push(payload.length);
      return gate;
    },
    onGap: (gap) => gaps.push(gap),
  });
  for (const size of [400, 400, 400, 5000, 1]) {
    await redis.send(["PUBLISH", "a", "x".repeat(size)]);
  }
  await until(() => subscriber.stats().messages === 5);
  await until(() => subscriber.stats().dropped === 6);
  assertEquals(bytes.queued, 1); // 5000 made room for itself, and 1 does not fit beside it
  open();
  await until(() => heard.length === 3);
  assertEquals([heard, gaps.map(({ dropped }) => dropped)], [[400, 5000, 1], [
    2,
  ]]);
});

const message = (n: number): Message => ({
  type: "message",
  channel: "a",
  pattern: undefined,
  payload: `${n}`,
});
const gap = (from: number, until: number, ...channels: string[]): Gap => ({
  type: "gap",
  channels,
  from,
  until,
  ms: until - from,
  dropped: 0,
  reason: "r",
  report: undefined,
});
const away = (from: number, ...channels: string[]): Away => ({
  type: "away",
  channels,
  from,
  reason: "r",
  report: undefined,
});

Deno.test("A queue keeps its order across its growth, and counts what it holds", () => {
  const queue = new ItemQueue<string>();
  let next = 0, taken = 0;
  for (let round = 1; round < 200; round++) {
    for (let i = 0; i < round; i++) queue.push(message(next++), next);
    for (let i = 0; i < round - 1; i++) {
      assertEquals(queue.since, taken + 1);
      assertEquals(queue.shift(), message(taken++));
    }
    assertEquals(queue.messages, next - taken);
  }
  while (!queue.isEmpty) queue.shift();
  assertEquals([queue.messages, queue.size], [0, 0]);
});

Deno.test("Gaps and absences that meet in a queue become one", () => {
  const queue = new ItemQueue<string>();
  const drain = (): Item[] => {
    const items: Item[] = [];
    while (!queue.isEmpty) items.push(queue.shift());
    return items;
  };
  queue.pushGap(away(1, "a"));
  queue.pushGap(gap(1, 2, "a"));
  assertEquals(drain(), [gap(1, 2, "a")]);

  queue.pushGap(gap(1, 2, "a"));
  queue.push(message(1), 0);
  queue.pushGap(gap(3, 4, "a"));
  queue.pushGap(away(5, "a", "b"));
  queue.pushGap(gap(5, 6, "b"));
  assertEquals(drain(), [
    gap(1, 2, "a"),
    message(1),
    gap(3, 6, "a", "b"),
    away(5, "a"),
  ]);
  for (let i = 0; i < 1000; i++) {
    queue.pushGap(away(i, "a", "b"));
    queue.pushGap(gap(i, i + 1, i % 2 === 0 ? "a" : "b"));
  }
  assertLessOrEqual(drain().length, 2);
});
