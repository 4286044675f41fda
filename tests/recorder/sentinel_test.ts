// The recorder on a primary that Sentinels name: a failover by hand, and no event is missing.
import "../support/strict.ts";
import { assert, assertEquals, assertLess } from "@std/assert";
import { delay } from "@std/async/delay";
import { Redis, WebhookRecorder } from "../../mod.ts";
import { startSentinels } from "../support/redis_sentinels.ts";
import { keyOfShop, ofShop } from "./doubles.ts";

const SHOPS = 60;

Deno.test("Sentinels are made to name another primary while the old one still acknowledges: no event is missing", async () => {
  await using set = await startSentinels();
  await using redis = new Redis(set.url);
  await using recorder = new WebhookRecorder(redis, { retentionSeconds: 3600 });
  const expected = new Map<string, number>();
  const recording: Promise<unknown>[] = [];
  let isOver = false;
  const load = (async () => {
    for (let shopNo = 0; !isOver; shopNo = (shopNo + 1) % SHOPS) {
      const key = keyOfShop(shopNo);
      expected.set(key, (expected.get(key) ?? 0) + 1);
      recording.push(recorder.record(ofShop(shopNo)));
      await delay(3);
    }
  })();
  await delay(500);
  const first = await set.primary();
  await set.failover();
  const { server } = await set.waitForPrimary({ than: first });
  await delay(1500);
  isOver = true;
  await load;
  await Promise.all(recording);
  await recorder.flush();

  const { dropped, repeated, reason, recorded } = recorder.stats();
  assertEquals([dropped, reason], [0, undefined]);
  assert(repeated > 0);
  assertLess(repeated, recorded + 1);
  for (const [key, count] of expected) {
    assertEquals(Number(await server.cli("ZCARD", key)), count, key);
    assert(Number(await server.cli("TTL", key)) > 3000);
  }
});
