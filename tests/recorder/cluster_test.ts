// The recorder on a real cluster: a primary is killed, and no event is missing.
import "../support/strict.ts";
import { assert, assertEquals, assertLess } from "@std/assert";
import { delay } from "@std/async/delay";
import { Redis, WebhookRecorder } from "../../mod.ts";
import { startCluster } from "../support/redis_cluster.ts";
import { until } from "../support/wait.ts";
import { keyOfShop, ofShop } from "./doubles.ts";

const SHOPS = 60;
/** One every 4 ms on a machine with nothing else to do, and fewer where this process seldom runs. */
const CALLS_IN_1500_MS = 400;

Deno.test("A primary of a cluster is killed: no event is missing, no other server's events wait, and the outbox is empty soon after the promotion", async () => {
  await using cluster = await startCluster();
  await using redis = new Redis(cluster.url);
  await using recorder = new WebhookRecorder(redis, { retentionSeconds: 3600 });
  const expected = new Map<string, number>();
  const recording: Promise<void>[] = [];
  /** How many calls began while one of them was open: the most. */
  let longest = 0;
  const record = (shopNo: number) => {
    const key = keyOfShop(shopNo);
    expected.set(key, (expected.get(key) ?? 0) + 1);
    const { length } = recording;
    recording.push(
      recorder.record(ofShop(shopNo)).then(() => {
        longest = Math.max(longest, recording.length - length);
      }),
    );
  };
  let isOver = false;
  const load = (async () => {
    for (let shopNo = 0; !isOver; shopNo = (shopNo + 1) % SHOPS) {
      record(shopNo);
      await delay(3);
    }
  })();

  await delay(500);
  const victim = await cluster.primaryOf(keyOfShop(1));
  const replicas = await cluster.replicasOf(victim);
  await cluster.kill(victim);
  await until(() => recorder.pending > 0, "events wait in the outbox");
  assert(
    recorder.stats().reason?.startsWith("Redis "),
    recorder.stats().reason,
  );
  await cluster.waitForPromotion(victim, replicas);
  const { length: before } = recording;
  await until(() => recorder.pending === 0, "the outbox is empty");
  const drained = recording.length - before;
  await delay(500);
  isOver = true;
  await load;
  await Promise.all(recording);
  await recorder.flush();

  const stats = recorder.stats();
  assertEquals(stats.dropped, 0);
  assertEquals(stats.reason, undefined);
  assert(stats.repeated > 0);
  const stored = await cluster.members("webhook_frequency_*");
  for (const [key, count] of expected) {
    assertEquals(new Set(stored.get(key)).size, count, key);
  }
  assertLess(longest, CALLS_IN_1500_MS);
  assertLess(drained, CALLS_IN_1500_MS);
});
