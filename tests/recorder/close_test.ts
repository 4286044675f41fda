// The end of a recorder: each event has one end, and its caller learns of it.
import "../support/strict.ts";
import {
  assert,
  assertEquals,
  assertGreater,
  assertInstanceOf,
  assertLess,
  assertMatch,
  assertRejects,
} from "@std/assert";
import { delay } from "@std/async/delay";
import { ClosedError, Redis, type Sender, WebhookRecorder } from "../../mod.ts";
import { startRedis } from "../support/redis_server.ts";
import { EVENT, NOWHERE, ofShop, Told } from "./doubles.ts";

Deno.test("A recorder that gives up leaves its client nothing to wait for", async () => {
  await using server = await startRedis();
  const redis = new Redis(server.url);
  const told = new Told();
  const recorder = new WebhookRecorder(redis, {
    onError: told.onError,
    retentionSeconds: 60,
  });
  assertEquals((await recorder.record(EVENT)).status, "recorded");
  server.freeze();
  const outcome = recorder.record(ofShop(8), 2);
  await delay(20);
  const startedAt = performance.now();
  await recorder.close({ drainMs: 300 });
  await redis.close();
  assertLess(performance.now() - startedAt, 1500);
  const { status, error } = await outcome;
  assertEquals(status, "dropped");
  assertMatch(`${error}`, /^Error: 2 events are lost: /);
  assertEquals(told.lines, ["dropped 8"]);
  server.thaw();
});

Deno.test("A recorder that gives up while it sends its outbox is done, although the server answers then", async () => {
  await using server = await startRedis();
  await using redis = new Redis(server.url, {
    retry: false,
    replyTimeoutMs: 300,
  });
  const told = new Told();
  const recorder = new WebhookRecorder(redis, { onError: told.onError });
  await recorder.record(EVENT);
  server.freeze();
  for (const shopNo of [1, 2]) {
    assertEquals((await recorder.record(ofShop(shopNo))).status, "queued");
  }
  await delay(150);
  await recorder.close({ drainMs: 100 });
  assertEquals(told.lines, ["queued 1", "queued 2", "dropped 1", "dropped 2"]);
  server.thaw();
  await delay(300);
  assertEquals(told.lines.length, 4);
  assertEquals(recorder.pending, 0);
  assertEquals(recorder.stats().dropped, 2);
  // Why they were lost, not that they are.
  assert(!`${recorder.stats().lastError}`.includes("lost"));
});

Deno.test("A client that ignores its signal cannot make an event end twice", async () => {
  const answers: (() => void)[] = [];
  const sender: Sender = {
    ...NOWHERE,
    send: () => new Promise((resolve) => answers.push(() => resolve(1))),
    pipeline: () => new Promise(() => {}),
  };
  const told = new Told();
  const recorder = new WebhookRecorder(sender, { onError: told.onError });
  const outcome = recorder.record(EVENT);
  await delay(0);
  await recorder.close({ drainMs: 0 });
  assertEquals((await outcome).status, "dropped");
  for (const answer of answers) answer();
  await delay(0);
  assertEquals(told.lines, ["dropped 7"]);
  assertEquals([recorder.stats().recorded, recorder.stats().dropped], [0, 1]);
});

Deno.test("An event whose members are made when the recorder gives up is dropped", async () => {
  await using redis = new Redis("redis://127.0.0.1:1", { retry: false });
  const told = new Told();
  const recorder = new WebhookRecorder(redis, { onError: told.onError });
  const outcome = recorder.record({ ...EVENT, deliveryId: "d" }, 500);
  await recorder.close({ drainMs: 0 });
  assertEquals((await outcome).status, "dropped");
  assertEquals(told.lines, ["dropped 7"]);
  await recorder.flush();
});

Deno.test("Nothing is sent any more once a recorder has given up", async () => {
  let calls = 0;
  const answer = (): Promise<never> => {
    calls++;
    return new Promise(() => {});
  };
  const recorder = new WebhookRecorder({
    ...NOWHERE,
    send: answer,
    pipeline: answer,
  });
  const outcome = recorder.record({ ...EVENT, deliveryId: "d" }, 500);
  await recorder.close({ drainMs: 0 });
  const { status, error } = await outcome;
  assertEquals([status, calls], ["dropped", 0]);
  assertMatch(`${error}`, /lost/);
});

Deno.test("Closing twice is closing once, and its option is checked", async () => {
  await using redis = new Redis("redis://127.0.0.1:1", { retry: false });
  const recorder = new WebhookRecorder(redis);
  for (const drainMs of [-1, 1.5, NaN, "1", null]) {
    await assertRejects(
      () =>
        new WebhookRecorder(redis).close(
          { drainMs } as unknown as { drainMs: number },
        ),
      TypeError,
      "drainMs is ",
    );
  }
  await recorder.record(EVENT);
  const startedAt = performance.now();
  const closing = recorder.close({ drainMs: 200 });
  assert(recorder.close() === closing);
  await assertRejects(() => recorder.record(EVENT), TypeError, "closed");
  const disposed = recorder[Symbol.asyncDispose]().then(() =>
    performance.now() - startedAt
  );
  await closing;
  assertGreater(await disposed, 150);
  assertLess(await disposed, 1500);
  assertMatch(Deno.inspect(recorder), /^WebhookRecorder closed, 0 of .*1 lost/);
});

Deno.test("Once its client is closed an event is dropped, and flush() ends", async () => {
  await using server = await startRedis();
  const redis = new Redis(server.url, { retry: false });
  const told = new Told();
  await using recorder = new WebhookRecorder(redis, { onError: told.onError });
  await server.stop();
  assertEquals((await recorder.record(EVENT)).status, "queued");
  await redis.close();
  await recorder.flush();
  const { status, error } = await recorder.record(ofShop(8));
  assertEquals(status, "dropped");
  assertInstanceOf(error, ClosedError);
  assertEquals(told.lines, ["queued 7", "dropped 7", "dropped 8"]);
});
