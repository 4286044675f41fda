// Subscriptions behind real Sentinels: they follow the primary.

import "../support/strict.ts";
import { assertEquals, assertGreater } from "@std/assert";
import { delay } from "@std/async/delay";
import { Redis } from "../../mod.ts";
import { type Item, Subscriber } from "../../pubsub/mod.ts";
import { startSentinels } from "../support/redis_sentinels.ts";
import { until } from "../support/wait.ts";
import { checkCovered, Publisher } from "./coverage.ts";

/** In a failover by hand the old primary takes messages for a while, from clients that have not heard of the new one. */
const SLACK_MS = 1000;

Deno.test("A subscription follows the primary through a failover by hand and a freeze", async () => {
  await using setup = await startSentinels();
  await using redis = new Redis(setup.url);
  await using subscriber = new Subscriber(setup.url, {
    pingIntervalMs: 200,
    replyTimeoutMs: 1000,
  });
  const subscription = await subscriber.subscribe(["a", "b"]);
  const items: Item[] = [];
  const reading = (async () => {
    for await (const item of subscription) items.push(item);
  })();
  const gaps = () => items.filter(({ type }) => type === "gap").length;
  const publisher = new Publisher(redis, "PUBLISH", ["a", "b"], () => delay(5));
  await until(() => items.length > 20);
  assertEquals(gaps(), 0);

  const first = await setup.primary();
  await setup.failover();
  const { server } = await setup.waitForPrimary({ than: first });
  await until(async () =>
    (await server.cli("PUBSUB", "NUMSUB", "a")).endsWith("1")
  );
  assertGreater(gaps(), 0);
  await setup.settled();

  setup.freeze(server);
  const { server: third } = await setup.waitForPrimary({ than: server });
  await until(async () =>
    (await third.cli("PUBSUB", "NUMSUB", "a")).endsWith("1")
  );
  await publisher.stop(items);
  subscription.unsubscribe();
  await reading;
  const missing = checkCovered(publisher.published, items, SLACK_MS);
  console.log(
    `${publisher.published.length} published, ${missing} missing in ${gaps()} gaps`,
  );
  setup.thaw(server);
});
