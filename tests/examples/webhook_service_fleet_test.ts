// That the example service runs unchanged on a cluster, and with Sentinels.
import "../support/strict.ts";
import { assertEquals } from "@std/assert";
import { startCluster } from "../support/redis_cluster.ts";
import { startSentinels } from "../support/redis_sentinels.ts";
import { RunningService } from "./running_service.ts";

/** Posts an event of each of 20 shops, asks for one of them, and ends the service. */
async function use(redisUrl: string): Promise<void> {
  await using service = await RunningService.start(redisUrl);
  const paths = Array.from({ length: 20 }, (_, shop) => `mall/${shop}/orders`);
  const answers = await Promise.all(
    paths.map((path) => service.post(`/webhooks/${path}`)),
  );
  const recorded = { status: 200, body: { status: "recorded", count: 1 } };
  assertEquals(answers, paths.map(() => recorded));
  const { body: { frequency } } = await service.get(`/frequency/${paths[7]}`);
  assertEquals(frequency, 1);
  const { status, body } = await service.get("/healthz");
  assertEquals([status, body.status, body.recorded], [200, "ok", 20]);
  service.process.kill("SIGTERM");
  assertEquals((await service.process.status).code, 0);
  assertEquals((await service.lines()).map(({ level }) => level), ["info"]);
}

Deno.test("Webhook service runs on a cluster", async () => {
  await using cluster = await startCluster();
  await use(cluster.url);
  const members = await cluster.members("webhook_frequency_mall_*");
  assertEquals(
    [...members.values()].map(({ length }) => length),
    Array(20).fill(1),
  );
});

Deno.test("Webhook service runs with Sentinels", async () => {
  await using set = await startSentinels();
  await use(set.url);
  const primary = await set.primary();
  const keys = await primary.cli("KEYS", "webhook_frequency_mall_*");
  assertEquals(keys.split("\n").length, 20);
});
