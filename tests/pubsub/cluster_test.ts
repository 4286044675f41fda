// Subscriptions in a real cluster: shard channels go where their hash slots go.

import "../support/strict.ts";
import {
  assert,
  assertEquals,
  assertGreater,
  assertStringIncludes,
} from "@std/assert";
import { delay } from "@std/async/delay";
import { Redis } from "../../mod.ts";
import { type Item, Subscriber } from "../../pubsub/mod.ts";
import { startCluster } from "../support/redis_cluster.ts";
import { until } from "../support/wait.ts";
import { checkCovered, Publisher } from "./coverage.ts";

Deno.test("Shard channels follow their hash slots through migrations, a failover and a crash", async () => {
  await using cluster = await startCluster({ nodeTimeoutMs: 1000 });
  await using redis = new Redis(cluster.url);
  await using subscriber = new Subscriber(cluster.url, {
    pingIntervalMs: 200,
    replyTimeoutMs: 1000,
  });
  const channels = ["a", "b", "c", "d"];
  const owners = await Promise.all(
    channels.map((channel) => cluster.primaryOf(channel)),
  );
  assertGreater(new Set(owners).size, 1);
  const subscription = await subscriber.ssubscribe(channels);
  const everywhere = await subscriber.subscribe("a"); // another channel of that name
  assertEquals(subscriber.stats().active, 5);
  const items: Item[] = [];
  const reading = (async () => {
    for await (const item of subscription) items.push(item);
  })();
  const gaps = () => items.filter(({ type }) => type === "gap");
  const publisher = new Publisher(redis, "SPUBLISH", channels, () => delay(5));
  const active = () =>
    until(() => subscriber.stats().active === 5, "all are active");
  await until(() => items.length > 50);
  assertEquals(gaps(), []);

  const slot = await cluster.hashSlotOf("a");
  const from = await cluster.primaryOf(slot);
  const to = (await cluster.primaries()).find((node) => node !== from)!;
  await cluster.migrate([slot, slot], from, to);
  await until(() => gaps().length === 1, "a gap after the migration");
  await active();
  const [gap] = gaps();
  assert(gap?.type === "gap");
  assertEquals([gap.channels, gap.report], [["a"], undefined]);
  assertStringIncludes(gap.reason, "hash slot");

  const primary = await cluster.primaryOf("b");
  await cluster.failover(await cluster.replicaOf(primary));
  await active();
  await delay(300);

  const crashed = await cluster.primaryOf("c");
  const replicas = await cluster.replicasOf(crashed);
  await cluster.kill(crashed);
  await cluster.waitForPromotion(crashed, replicas);
  await active();
  await publisher.stop(items);
  subscription.unsubscribe();
  await reading;
  const missing = checkCovered(publisher.published, items);
  console.log(
    `${publisher.published.length} published, ${missing} missing in ${gaps().length} gaps`,
  );
  assertGreater(await redis.send(["PUBLISH", "a", "x"]), -1);
  await until(() => everywhere.queued > 0);
});

Deno.test("A node that freezes is replaced for all kinds of channels, and one that is forgotten is left", async () => {
  await using cluster = await startCluster({ nodeTimeoutMs: 1000 });
  await using redis = new Redis(cluster.url);
  await using subscriber = new Subscriber(cluster.url, {
    pingIntervalMs: 200,
    replyTimeoutMs: 1000,
  });
  const subscription = await subscriber.subscribe(["a", "b"]);
  const pattern = await subscriber.psubscribe("a*");
  assertEquals(subscriber.stats().open, 1);
  const items: Item[] = [];
  const reading = (async () => {
    for await (const item of subscription) items.push(item);
  })();
  let frozen;
  for (const node of await cluster.primaries()) {
    if ((await node.server.cli("PUBSUB", "NUMSUB", "a")).endsWith("1")) {
      frozen = node;
    }
  }
  const publisher = new Publisher(redis, "PUBLISH", ["a", "b"], () => delay(5));
  await until(() => items.length > 20);
  cluster.freeze(frozen!);
  await until(() => items.some(({ type }) => type === "gap"), "a gap");
  await cluster.waitForPromotion(frozen!);
  await publisher.stop(items);
  subscription.unsubscribe();
  await reading;
  checkCovered(publisher.published, items);
  assertGreater(pattern.queued, 20);
  cluster.thaw(frozen!);
});
