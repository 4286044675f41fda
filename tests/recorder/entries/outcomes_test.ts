// What onError and the statistics say of events.
import "../../support/strict.ts";
import {
  assert,
  assertEquals,
  assertInstanceOf,
  assertLess,
  assertMatch,
} from "@std/assert";
import { delay } from "@std/async/delay";
import { Redis, WebhookRecorder } from "../../../mod.ts";
import { startRedis } from "../../support/redis_server.ts";
import { EVENT, ofShop, Told } from "../doubles.ts";

Deno.test("onError knows the event, its time, its count and what became of it", async () => {
  await using server = await startRedis();
  await using redis = new Redis(server.url, { retry: false });
  const told = new Told();
  const recorder = new WebhookRecorder(redis, {
    onError: told.onError,
    outboxCapacity: 3,
  });
  await server.stop();
  const receivedAt = 1_700_000_000_999;
  await recorder.record({ ...EVENT, deliveryId: "d", receivedAt }, 3);
  await recorder.record({ ...ofShop(8), receivedAt });
  const context = (status: "queued" | "dropped") => ({
    status,
    context: {
      ...EVENT,
      deliveryId: "d",
      score: 1_700_000_000,
      count: 3,
      status,
    },
    tags: { category: "webhook_blacklist" as const },
  });
  assertEquals(told.calls[0]!.info, context("queued"));
  assertEquals(told.calls[1]!.info.status, "dropped");
  assert(!("deliveryId" in told.calls[1]!.info.context));
  await recorder.close({ drainMs: 0 });
  assertEquals(told.calls.length, 3);
  assertEquals(told.calls[2]!.info, context("dropped"));
  assertMatch(`${told.calls[2]!.error}`, /^Error: 3 events are lost: /);
  assertEquals(recorder.stats(), {
    pending: 0,
    capacity: 3,
    recorded: 0,
    queued: 3,
    sent: 0,
    dropped: 4,
    stored: 0,
    restored: 0,
    left: 0,
    lastOutboxError: undefined,
    repeated: 0,
    awaySince: recorder.stats().awaySince,
    lastError: recorder.stats().lastError,
    reason: recorder.stats().reason,
  });
});

Deno.test("Statistics count what was recorded, queued, sent and dropped, and say why", async () => {
  await using server = await startRedis({ durable: true });
  await using redis = new Redis(server.url, { retry: false });
  await using recorder = new WebhookRecorder(redis);
  const counts = () => {
    const { pending, recorded, queued, sent, dropped } = recorder.stats();
    return [pending, recorded, queued, sent, dropped];
  };
  await recorder.record(EVENT, 2);
  assertEquals(counts(), [0, 2, 0, 0, 0]);
  assertEquals(recorder.stats().awaySince, undefined);
  assertEquals(recorder.stats().reason, undefined);
  await server.stop();
  await recorder.record(EVENT, 3);
  await recorder.record(EVENT);
  assertEquals(counts(), [4, 2, 4, 0, 0]);
  const { awaySince, lastError, reason } = recorder.stats();
  assertLess(Math.abs(Date.now() - awaySince!), 5000);
  assertInstanceOf(lastError, Error);
  assertMatch(reason!, /^Redis has been away for \d+\.\d s: /);
  assertMatch(
    Deno.inspect(recorder),
    /^WebhookRecorder open, 4 of 10000 events in the outbox, Redis has been away for/,
  );
  await delay(300);
  assertEquals(recorder.stats().awaySince, awaySince); // since the first failure
  await server.start();
  await recorder.flush();
  assertEquals(counts(), [0, 6, 4, 4, 0]);
  assertEquals(recorder.stats().reason, undefined);
  assertEquals(
    Deno.inspect(recorder),
    "WebhookRecorder open, 0 of 10000 events in the outbox",
  );
});

Deno.test("Why events wait is said: memory, a replica, a server that loads", async () => {
  await using server = await startRedis();
  await using redis = new Redis(server.url, { retry: false });
  const recorder = new WebhookRecorder(redis);
  await server.cli("CONFIG", "SET", "maxmemory", 1);
  assertEquals((await recorder.record(EVENT)).status, "queued");
  assertMatch(
    Deno.inspect(recorder),
    /1 of .*Redis has refused to record for .*: OOM /,
  );
  await server.cli("CONFIG", "SET", "maxmemory", 0);
  await server.cli("REPLICAOF", "127.0.0.1", 1);
  await recorder.flush({ signal: AbortSignal.timeout(300) }).catch(() => {});
  assertEquals((await recorder.record(EVENT)).status, "queued");
  assertMatch(
    Deno.inspect(recorder),
    /Redis has refused to record for .*: READONLY /,
  );
  await server.cli("REPLICAOF", "NO", "ONE");
  await recorder.flush();
  await recorder.close();
});
