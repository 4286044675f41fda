// First attempts: the entries of a turn together, in chunks, within the window and the deadline.
import "../support/strict.ts";
import {
  assert,
  assertEquals,
  assertGreater,
  assertInstanceOf,
  assertLess,
  assertMatch,
} from "@std/assert";
import { delay } from "@std/async/delay";
import {
  fateOf,
  Redis,
  type Sender,
  type WebhookEvent,
  WebhookRecorder,
} from "../../mod.ts";
import { startProxy } from "../support/fault_proxy.ts";
import { startRedis } from "../support/redis_server.ts";
import {
  cardinality,
  Counting,
  EVENT,
  NOWHERE,
  ofShop,
  Told,
} from "./doubles.ts";

Deno.test("60,000 shops in one turn are all recorded, in chunks, and in bounds", async () => {
  await using server = await startRedis();
  await using redis = new Redis(server.url);
  const sender = new Counting(redis);
  const told = new Told();
  await using recorder = new WebhookRecorder(sender, {
    retentionSeconds: 3600,
    onError: told.onError,
  });
  const events = 60_000; // more than a window's
  const outcomes = await Promise.all(
    Array.from({ length: events }, (_, i) => recorder.record(ofShop(i))),
  );
  assert(outcomes.every(({ status }) => status === "recorded"));
  await recorder.flush();
  assertEquals(Number(await server.cli("DBSIZE")), events);
  assertEquals(told.lines, []);
  assert(sender.sent.every((chunk) => chunk.length <= 3001)); // and what trims as many sets
  assertEquals(sender.countOf("EXPIRE"), events);
});

Deno.test("While more than enough is on its way, the rest waits for room, and no longer than Redis answers", async () => {
  const waiting: (() => void)[] = [];
  const sender: Sender = {
    ...NOWHERE,
    send: () => new Promise((resolve) => waiting.push(() => resolve(1))),
    pipeline: (commands) =>
      new Promise((resolve) =>
        waiting.push(() => resolve(commands.map(() => 1)))
      ),
  };
  await using recorder = new WebhookRecorder(sender, { outboxCapacity: 1000 });
  const statuses: string[] = [];
  const record = (event: WebhookEvent) =>
    recorder.record(event).then(({ status }) => void statuses.push(status));
  const recorded = Promise.all(
    Array.from({ length: 70_000 }, (_, i) => record(ofShop(i))),
  );
  await delay(0);
  assertLess(waiting.length, 60);
  for (let i = 0; i < 70_000; i++) {
    const next = waiting.shift();
    if (next === undefined) break;
    next();
    await delay(0);
  }
  await recorded;
  assertEquals(new Set(statuses), new Set(["recorded"]));

  statuses.length = 0;
  const later = Promise.all(
    Array.from({ length: 70_000 }, (_, i) => record(ofShop(i))),
  );
  const startedAt = performance.now();
  while (statuses.length === 0) await delay(10);
  await delay(50);
  assertGreater(performance.now() - startedAt, 400);
  assertLess(performance.now() - startedAt, 4000);
  assertEquals(recorder.pending, 1000);
  assertEquals(recorder.stats().dropped, statuses.length - 1000);
  assertMatch(`${recorder.stats().reason}`, /^Redis has been away/);
  const calls = waiting.length;
  assertEquals((await recorder.record(EVENT)).status, "dropped");
  assertEquals(waiting.length, calls); // without an attempt
  while (waiting.length > 0 || recorder.pending > 0) {
    waiting.shift()?.();
    await delay(0);
  }
  await later;
});

Deno.test("What waits for room waits on while Redis answers, however slowly", async () => {
  const waiting: (() => void)[] = [];
  const sender: Sender = {
    ...NOWHERE,
    send: () => Promise.reject(new Error("not used")),
    pipeline: (commands) =>
      new Promise((resolve) =>
        waiting.push(() => resolve(commands.map(() => 1)))
      ),
  };
  await using recorder = new WebhookRecorder(sender);
  const outcomes = Array.from(
    { length: 70_000 },
    (_, i) => recorder.record(ofShop(i)),
  );
  for (let i = 0; i < 8; i++) {
    await delay(250);
    waiting.shift()!();
  }
  while (waiting.length > 0) {
    waiting.shift()!();
    await delay(0);
  }
  for (const { status } of await Promise.all(outcomes)) {
    assertEquals(status, "recorded");
  }
});

for (const outboxCapacity of [0, 100_000]) {
  Deno.test(
    `When Redis goes away, what waits for room is ${
      outboxCapacity === 0 ? "tried nevertheless" : "queued at once"
    } with an outbox for ${outboxCapacity}`,
    async () => {
      const waiting: PromiseWithResolvers<number[]>[] = [];
      const sender: Sender = {
        ...NOWHERE,
        send: () => Promise.reject(new Error("gone")),
        pipeline: () => {
          const call = Promise.withResolvers<number[]>();
          waiting.push(call);
          return call.promise;
        },
      };
      const recorder = new WebhookRecorder(sender, { outboxCapacity });
      const statuses: string[] = [];
      for (let i = 0; i < 60_000; i++) {
        recorder.record(ofShop(i)).then(({ status }) => statuses.push(status));
      }
      await delay(0);
      assertEquals(waiting.length, 50);
      waiting[0]!.reject(new Error("gone"));
      await delay(0);
      // Its own chunk, and with an outbox the 10,000 that waited for room.
      assertEquals(statuses.length, outboxCapacity === 0 ? 1000 : 11_000);
      for (let i = 1; i < waiting.length; i++) {
        waiting[i]!.reject(new Error("gone"));
        await delay(0);
      }
      await recorder.close({ drainMs: 0 });
      assertEquals(statuses.length, 60_000);
    },
  );
}

Deno.test("Of calls of one event each, too, no more than a window's are on their way", async () => {
  const waiting: (() => void)[] = [];
  const sender: Sender = {
    ...NOWHERE,
    send: () => new Promise((resolve) => waiting.push(() => resolve(1))),
    pipeline: (commands) =>
      new Promise((resolve) =>
        waiting.push(() => resolve(commands.map(() => 1)))
      ),
  };
  await using recorder = new WebhookRecorder(sender);
  const outcomes = [];
  for (let i = 0; i < 700; i++) {
    outcomes.push(recorder.record(ofShop(i)));
    await undefined;
    await undefined;
  }
  assertEquals(waiting.length, 500);
  waiting.shift()!();
  await delay(0);
  assertEquals(waiting.length, 500); // the others have gone together
  for (const answer of waiting) answer();
  for (const { status } of await Promise.all(outcomes)) {
    assertEquals(status, "recorded");
  }
});

Deno.test("Members of one key in one turn are written by ZADDs of at most 1000", async () => {
  await using server = await startRedis();
  await using redis = new Redis(server.url);
  const sender = new Counting(redis);
  await using recorder = new WebhookRecorder(sender);
  await Promise.all([recorder.record(EVENT, 600), recorder.record(EVENT, 600)]);
  assertEquals(sender.sent.flat().map((command) => command.length), [
    1202,
    1202,
  ]);
  assertEquals(await cardinality(server), 1200);
  sender.sent.length = 0;
  await Promise.all([recorder.record(EVENT, 400), recorder.record(EVENT, 600)]);
  assertEquals(sender.sent.flat().length, 1);
});

Deno.test("A chunk is bounded in bytes, too", async () => {
  await using server = await startRedis();
  await using redis = new Redis(server.url);
  const sender = new Counting(redis);
  await using recorder = new WebhookRecorder(sender, {
    keyOf: ({ shopNo }) => `${shopNo}`.padEnd(100_000, "."),
  });
  await Promise.all(
    Array.from({ length: 10 }, (_, i) => recorder.record(ofShop(i))),
  );
  assertEquals(sender.sent.map(({ length }) => length), [2, 2, 2, 2, 2]);
});

Deno.test("deadlineMs bounds record(), whatever Redis and the client's attempts do", async () => {
  await using server = await startRedis();
  await using proxy = await startProxy({ target: server });
  await using redis = new Redis(proxy.url);
  await redis.send(["PING"]); // the deadline is not for the dial
  await using recorder = new WebhookRecorder(redis, { deadlineMs: 200 });
  assertEquals((await recorder.record(EVENT)).status, "recorded");
  proxy.silence();
  const startedAt = performance.now();
  const { status, error } = await recorder.record(EVENT);
  assertEquals(status, "queued");
  assertInstanceOf(error, Error);
  assertMatch(error.message, /not done within \d+ ms \(deadlineMs\)/);
  assertLess(performance.now() - startedAt, 1000);
  assertGreater(performance.now() - startedAt, 150);
  proxy.pass();
  await proxy.killAll("rst");
  await recorder.flush();
  assertEquals(await cardinality(server), 2);
});

Deno.test("deadlineMs bounds the wait for room, too", async () => {
  const sender: Sender = {
    ...NOWHERE,
    send: () => new Promise(() => {}),
    pipeline: () => new Promise(() => {}),
  };
  const recorder = new WebhookRecorder(sender, {
    deadlineMs: 300,
    outboxCapacity: 100_000,
  });
  let queued = 0;
  for (let i = 0; i < 60_000; i++) {
    recorder.record(ofShop(i)).then(() => queued++);
  }
  const startedAt = performance.now();
  while (queued < 9_000) await delay(10);
  assertLess(performance.now() - startedAt, 5000); // it would never end
  const { lastError } = recorder.stats();
  assertMatch(`${lastError}`, /could not be sent for 300 ms/);
  assertEquals(fateOf(lastError), "unsent");
  await recorder.close({ drainMs: 0 });
  assertEquals(queued, 60_000);
});
