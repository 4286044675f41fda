// The blacklist on a real cluster: the events of a shop, its block and the list are on servers of their own.
import "../../support/strict.ts";
import { assert, assertEquals, assertLess } from "@std/assert";
import { Blacklist, Redis, WebhookRecorder } from "../../../mod.ts";
import { startCluster } from "../../support/redis_cluster.ts";
import { keyOfShop, ofShop } from "../doubles.ts";

const SHOPS = Array.from({ length: 30 }, (_, i) => i);
const blockKeyOf = (shopNo: number) => `webhook_blocked_mall_${shopNo}`;

Deno.test("In a cluster shops are blocked, listed and let through wherever their keys are, and a server that is frozen holds up only the shops that it has", async () => {
  await using cluster = await startCluster({
    primaries: 3,
    replicasPerPrimary: 0,
    config: { "cluster-require-full-coverage": "no" },
  });
  await using redis = new Redis(cluster.url);
  await using recorder = new WebhookRecorder(redis);
  const options = { limit: 2, windowSeconds: 60, blockSeconds: 600 };
  const blacklist = new Blacklist(recorder, options);
  const recordAll = (shops: readonly number[], other = blacklist) =>
    Promise.all(shops.map((shopNo) => other.record(ofShop(shopNo))));
  const blockedOf = async (shops: readonly number[], other = blacklist) =>
    (await recordAll(shops, other)).map(({ isBlocked }) => isBlocked);

  for (const isBlocked of [false, false, true, true]) {
    assertEquals(await blockedOf(SHOPS), SHOPS.map(() => isBlocked));
  }
  const listed = await Array.fromAsync(
    blacklist.blocked(),
    ({ shopNo }) => shopNo,
  );
  assertEquals(listed.toSorted((a, b) => a - b), SHOPS);
  await Promise.all(SHOPS.map((shopNo) => blacklist.unblock(ofShop(shopNo))));
  assertEquals(await Array.fromAsync(blacklist.blocked()), []);
  const second = new Blacklist(recorder, options);
  assertEquals(await blockedOf(SHOPS, second), SHOPS.map(() => false));

  const frozen = await cluster.primaryOf(blockKeyOf(1));
  const serverOf = async (key: string) => (await cluster.primaryOf(key)).id;
  const unconcerned: number[] = [];
  const undecided: number[] = [];
  for (const shopNo of SHOPS) {
    if (await serverOf(keyOfShop(shopNo)) === frozen.id) continue;
    const isElsewhere = await serverOf(blockKeyOf(shopNo)) !== frozen.id;
    (isElsewhere ? unconcerned : undecided).push(shopNo);
  }
  assert(unconcerned.length > 0 && undecided.length > 0);
  frozen.server.freeze();
  const third = new Blacklist(recorder, { ...options, limit: 100 });
  const startedAt = performance.now();
  const held = recordAll(undecided, third);
  assertEquals(
    await blockedOf(unconcerned, third),
    unconcerned.map(() => false),
  );
  assertLess(performance.now() - startedAt, 900);
  // Their events are recorded; whether they are blocked is not known.
  for (const { outcome, isBlocked } of await held) {
    assertEquals([outcome?.status, isBlocked], ["recorded", false]);
  }
  assertLess(performance.now() - startedAt, 3000);
  frozen.server.thaw();
});
