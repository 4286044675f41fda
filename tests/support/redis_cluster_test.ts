// That a cluster for tests is one, and that its verbs do what they say.

import "./strict.ts";
import {
  assert,
  assertEquals,
  assertGreater,
  assertMatch,
  assertRejects,
} from "@std/assert";
import { startCluster } from "./redis_cluster.ts";

Deno.test("Cluster of the tests moves hash slots, changes primaries, and keeps all keys", async () => {
  await using cluster = await startCluster();
  const names = Array.from({ length: 50 }, (_, number) => `key-${number}`);
  await Promise.all(names.map((name) => cluster.at(name, "INCR", name)));
  assertEquals((await cluster.keys("key-*")).length, 50);
  const source = await cluster.primaryOf("key-1");
  const [target] = (await cluster.primaries()).filter((one) => one !== source);
  const hashSlot = await cluster.hashSlotOf("key-1");
  const migration = await cluster.openMigration(
    [hashSlot, hashSlot],
    source,
    target!,
  );
  assertEquals(await source.server.cli("GET", "key-1"), "1");
  await migration.moveKeys();
  const ask = `ASK ${hashSlot} ${target!.address}`;
  await assertRejects(() => source.server.cli("GET", "key-1"), Error, ask);
  await migration.finish();
  await migration[Symbol.asyncDispose]();
  assertEquals(await cluster.primaryOf("key-1"), target);

  await cluster.migrate([hashSlot, hashSlot], target!, source);
  const replica = await cluster.replicaOf(source);
  await cluster.failover(replica);
  assertEquals(await cluster.primaryOf("key-1"), replica);
  assertEquals(await cluster.replicaOf(replica), source);
  assertEquals(await cluster.sum("key-*"), 50);
  await cluster.forget(source);
  const known = await replica.server.cli("CLUSTER", "NODES");
  assert(!known.includes(source.id));
});

Deno.test("Replica of a primary that is killed or frozen is promoted", async () => {
  await using cluster = await startCluster({ nodeTimeoutMs: 500 });
  const [frozen, killed] = cluster.nodes;
  for (const primary of [frozen!, killed!]) {
    const state = (await cluster.states()).find(({ node }) => node === primary);
    const [hashSlot] = state!.hashSlots[0]!;
    const replicas = await cluster.replicasOf(primary);
    if (primary === frozen) cluster.freeze(primary);
    else await cluster.kill(primary);
    const { node, ms } = await cluster.waitForPromotion(primary, replicas);
    assertEquals([node], replicas);
    assertGreater(ms, 500);
    assertEquals(await cluster.primaryOf(hashSlot), node);
    if (primary === frozen) cluster.thaw(primary);
    await cluster.settled();
  }
});

Deno.test("Cluster over TLS names its nodes by host name, and takes a password", async () => {
  const password = 'a "b';
  await using cluster = await startCluster({
    tls: true,
    hostnames: true,
    password,
    primaries: 2,
    replicasPerPrimary: 0,
  });
  assertMatch(
    cluster.url,
    /^rediss:\/\/:a%20%22b@localhost:\d+\?cluster=true&seeds=localhost:\d+$/,
  );
  const [first, second] = cluster.nodes;
  const hashSlot = await cluster.hashSlotOf("key");
  const owner = await cluster.primaryOf(hashSlot);
  const other = owner === first ? second! : first!;
  await owner.server.cli("SET", "key", "value");
  await cluster.migrate([hashSlot, hashSlot], owner, other);
  assertEquals(await cluster.at("key", "GET", "key"), "value");
  await assertRejects(
    () => owner.server.cli("GET", "key"),
    Error,
    `MOVED ${hashSlot} localhost:`,
  );
});
