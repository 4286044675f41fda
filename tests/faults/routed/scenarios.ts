// The faults past one machine that a client must survive, one after the other.
import type { Cluster, ClusterNode } from "../../support/redis_cluster.ts";
import type { Timeline } from "../timeline.ts";
import {
  onCluster,
  onSentinels,
  patient,
  type RoutedScenario,
} from "./scenario.ts";

const SETTLE_MS = 3000;

/** Kills a primary, and waits for the next one. */
async function killPrimary(
  cluster: Cluster,
  timeline: Timeline,
): Promise<void> {
  await timeline.wait(2000, 500);
  const [primary] = await cluster.primaries();
  const replicas = await cluster.replicasOf(primary!);
  timeline.away();
  await cluster.kill(primary!);
  await cluster.waitForPromotion(primary!, replicas);
  timeline.back();
  await timeline.wait(SETTLE_MS, 1500);
}

/** Freezes a primary, which is replaced, and lets it go on. */
async function freezePrimary(
  cluster: Cluster,
  timeline: Timeline,
): Promise<void> {
  await timeline.wait(2000, 500);
  const [primary] = await cluster.primaries();
  const replicas = await cluster.replicasOf(primary!);
  const frozen = timeline.wait(9000, 3000);
  timeline.away();
  cluster.freeze(primary!);
  await cluster.waitForPromotion(primary!, replicas);
  timeline.back();
  await frozen;
  cluster.thaw(primary!);
  await timeline.wait(SETTLE_MS, 1500);
}

/** Two primaries, the first of which gives hash slots to the other. */
async function twoOf(cluster: Cluster): Promise<[ClusterNode, ClusterNode]> {
  const [from, to] = await cluster.primaries();
  return [from!, to!];
}

export const routedScenarios: readonly RoutedScenario[] = [
  onCluster({
    name: "cluster-calm",
    fault: "nothing goes wrong",
    onlyLong: true,
    demands: { onlyUnknown: true },
  }, (_, timeline) => timeline.wait(3000)),
  onCluster({
    name: "cluster-kill",
    fault: "a primary is killed",
    demands: { longestMs: () => 1000, catchUpMs: 1200 },
  }, killPrimary),
  onCluster({
    name: "cluster-patient",
    fault: "the same, ZADD by send with 40 retries",
    onlyLong: true,
    bySend: true,
    retry: patient(),
    demands: { onlyUnknown: true },
  }, killPrimary),
  onCluster({
    name: "cluster-freeze",
    fault: "a primary freezes for 9 s",
    onlyLong: true,
    demands: { longestMs: (failoverMs) => failoverMs + 500 },
  }, freezePrimary),
  onCluster(
    {
      name: "cluster-freeze-partial",
      fault: "the same without full coverage",
      onlyLong: true,
      demands: { longestMs: (failoverMs) => failoverMs + 500 },
    },
    freezePrimary,
    { config: { "cluster-require-full-coverage": "no" } },
  ),
  onCluster({
    name: "cluster-cut",
    fault: "all connections are killed each 100 ms",
    demands: { p99HitMs: 10, onlyUnknown: true },
  }, async (cluster, timeline) => {
    await timeline.wait(1000, 300);
    await timeline.repeat(100, 5000, () => cluster.killConnections());
    await timeline.wait(1000, 300);
  }),
  onCluster({
    name: "cluster-reshard",
    fault: "1,000 hash slots move to another server",
    demands: { longestMs: () => 20, onlyUnknown: true },
  }, async (cluster, timeline) => {
    await timeline.wait(1000, 300);
    const [from, to] = await twoOf(cluster);
    const last = Math.round(timeline.span(1000)) - 1;
    await cluster.migrate([0, last], from, to);
    await timeline.wait(1000, 300);
  }),
  onCluster({
    name: "cluster-ask",
    fault: "100 hash slots are in migration for 2 s",
    demands: { longestMs: () => 10, onlyUnknown: true },
  }, async (cluster, timeline) => {
    await timeline.wait(1000, 300);
    const [from, to] = await twoOf(cluster);
    await cluster.migrate([0, 99], from, to, {
      holdMs: timeline.span(2000, 300),
    });
    await timeline.wait(1000, 300);
  }),
  onCluster({
    name: "cluster-failover",
    fault: "two planned failovers",
    demands: { longestMs: () => 100, onlyUnknown: true },
  }, async (cluster, timeline) => {
    await timeline.wait(1000, 300);
    const [primary] = await cluster.primaries();
    await cluster.failover(await cluster.replicaOf(primary!));
    await timeline.wait(1500, 300);
    await cluster.failover(primary!);
    await timeline.wait(1500, 300);
  }),
  onCluster({
    name: "cluster-forget",
    fault: "a server is removed (FORGET) and stopped",
    onlyLong: true,
    demands: { longestMs: () => 100, onlyUnknown: true },
  }, async (cluster, timeline) => {
    await timeline.wait(1000);
    await remove(cluster, (await cluster.primaries())[0]!, timeline);
    await timeline.wait(2000);
  }),
  onCluster(
    {
      name: "cluster-seed",
      fault: "the only seed is gone, then a failover",
      onlyLong: true,
      demands: { longestMs: () => 100, onlyUnknown: true },
    },
    async (cluster, timeline) => {
      const [seed, other] = cluster.nodes;
      await timeline.wait(1000);
      await remove(cluster, seed!, timeline);
      await timeline.wait(500);
      await cluster.killConnections();
      await timeline.wait(500);
      await cluster.failover(await cluster.replicaOf(other!));
      await timeline.wait(1000);
    },
    { onlySeed: 0 },
  ),
  onSentinels({
    name: "sentinel-failover",
    fault: "SENTINEL FAILOVER",
    demands: { catchUpMs: 500, repeatMs: 500, mayLoseIncr: true },
  }, async (sentinels, timeline) => {
    await timeline.wait(1000, 500);
    const primary = await sentinels.primary();
    timeline.away();
    await sentinels.failover();
    await sentinels.waitForPrimary({ than: primary });
    timeline.back();
    // The old primary takes writes for seconds more.
    await timeline.wait(12_000, 2000);
  }),
  onSentinels({
    name: "sentinel-crash",
    fault: "the primary crashes",
    onlyLong: true,
    // The retries, and a question to the Sentinels before each of them.
    demands: { longestMs: () => 1500, catchUpMs: 500, repeatMs: 500 },
  }, async (sentinels, timeline) => {
    await timeline.wait(1000, 500);
    timeline.away();
    const primary = await sentinels.crash();
    await sentinels.waitForPrimary({ than: primary });
    timeline.back();
    await timeline.wait(2000);
  }),
];

/** Takes a primary out of the cluster as an operator does, and stops it. */
async function remove(
  cluster: Cluster,
  primary: ClusterNode,
  timeline: Timeline,
): Promise<void> {
  await cluster.failover(await cluster.replicaOf(primary));
  await timeline.wait(500);
  await cluster.forget(primary);
  await timeline.wait(500);
  await primary.server.stop();
}
