// What is queued: sent again by backoff.
import "../support/strict.ts";
import { assertEquals, assertGreater, assertLess } from "@std/assert";
import { delay } from "@std/async/delay";
import { Redis, WebhookRecorder } from "../../mod.ts";
import { startRedis } from "../support/redis_server.ts";
import { EVENT, Gone } from "./doubles.ts";

Deno.test("Without an outbox each event is tried, and then dropped", async () => {
  await using server = await startRedis({ durable: true });
  await using redis = new Redis(server.url, { retry: false });
  await using recorder = new WebhookRecorder(redis, { outboxCapacity: 0 });
  await server.stop();
  const since: unknown[] = [];
  for (let i = 0; i < 3; i++) {
    assertEquals((await recorder.record(EVENT)).status, "dropped");
    since.push(recorder.stats().awaySince);
    await delay(10);
  }
  assertEquals(new Set(since).size, 1); // since the first of them
  await server.start();
  while ((await recorder.record(EVENT)).status !== "recorded") await delay(10);
  assertEquals((await recorder.record(EVENT)).status, "recorded");
});

Deno.test("Sending the outbox makes one attempt at a time, without the retries of the client", async () => {
  await using server = await startRedis();
  await using redis = new Redis(server.url);
  const recorder = new WebhookRecorder(redis);
  await recorder.record(EVENT);
  await server.stop();
  assertEquals((await recorder.record(EVENT)).status, "queued");
  const { retries } = redis.stats();
  await delay(1500);
  assertEquals(redis.stats().retries, retries);
  await recorder.close({ drainMs: 0 });
});

Deno.test("Attempts to send the outbox become rarer while they fail", async () => {
  const sender = new Gone();
  const recorder = new WebhookRecorder(sender);
  await recorder.record(EVENT);
  await delay(2000);
  // One at once, then after 100, 300, 700 and 1500 ms, give or take a fifth.
  assertGreater(sender.attempts, 3);
  assertLess(sender.attempts, 7);
  await recorder.close({ drainMs: 0 });
});

Deno.test("A full outbox asks sooner whether Redis is back, but not with each event", async () => {
  const sender = new Gone();
  const recorder = new WebhookRecorder(sender, { outboxCapacity: 1 });
  await recorder.record(EVENT);
  await delay(2500); // the waits between attempts are a second now
  sender.attempts = 0;
  const startedAt = performance.now();
  while (performance.now() - startedAt < 1500) {
    assertEquals((await recorder.record(EVENT)).status, "dropped");
    await delay(5);
  }
  assertGreater(sender.attempts, 4);
  assertLess(sender.attempts, 20);
  await recorder.close({ drainMs: 0 });
});
