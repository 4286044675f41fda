// A load on a cluster for minutes, while its servers fail over, freeze, crash and are resharded.
import { delay } from "@std/async/delay";
import { LONG } from "../faults/load_profile.ts";
import { ours } from "../faults/routed/client.ts";
import { type Checked, KeyedLoad } from "../faults/routed/keyed_load.ts";
import { ClusterSite } from "../faults/routed/site.ts";
import type { Random } from "../support/random.ts";
import {
  type Cluster,
  type ClusterNode,
  startCluster,
} from "../support/redis_cluster.ts";
import type { OutcomeLog } from "./outcome_log.ts";

const ROUND_MS = 20_000;
const FLUSH_MS = 10_000;
/** Asynchronous replication: what a crash may take along of what was acknowledged. */
const MOST_LOST_BY_CRASH = 3;

/** Runs round after round until `endAt`, then closes. */
export async function soakCluster(
  random: Random,
  log: OutcomeLog,
  endAt: number,
  interrupt: AbortSignal,
): Promise<void> {
  const cluster = await startCluster({ nodeTimeoutMs: 1000 });
  await using site = new ClusterSite(cluster);
  const client = await ours(site, {});
  try {
    for (let round = 0; performance.now() < endAt; round++) {
      if (interrupt.aborted) break;
      const load = new KeyedLoad(client, LONG, `${round}:`);
      const calls = load.run();
      const faults: string[] = [];
      const roundEndsAt = performance.now() + ROUND_MS;
      try {
        while (performance.now() < roundEndsAt && !interrupt.aborted) {
          const { name, play } = random.pick(WEATHER);
          faults.push(name);
          await play(cluster, random);
          await cluster.settled();
          await delay(random.below(1000));
        }
      } finally {
        load.stop.abort();
        await calls;
      }
      await client.flush(AbortSignal.timeout(FLUSH_MS)).catch(() =>
        log.violate(`${client.pending} events wait in the outbox`)
      );
      const checked = await load.check(site);
      const said = faults.join(", ");
      for (const sentence of wrongOf(checked, faults)) {
        log.violate(`${sentence}, under ${said}`);
      }
      const { success, unsent, unknown } = checked.increments;
      console.log(
        `${checked.events} events, ${checked.queued} of them queued; ` +
          `${success} INCRs, ${unsent} unsent, ${unknown} unknown; ${said}`,
      );
    }
  } finally {
    await client.close();
  }
}

function wrongOf(checked: Checked, faults: readonly string[]): string[] {
  const crashes = faults.filter((name) => name === "crash").length;
  const { missing, doubled, dropped, hung, incrLost, incrDoubled } = checked;
  const lost = incrLost - crashes * MOST_LOST_BY_CRASH;
  return [
    missing > 0 ? `${missing} events are missing` : "",
    doubled > 0 ? `${doubled} events are doubled` : "",
    dropped > 0 ? `${dropped} events are dropped` : "",
    hung > 0 ? `${hung} calls hang` : "",
    lost > 0 ? `${incrLost} INCRs succeeded and did not run` : "",
    incrDoubled > 0 ? `${incrDoubled} INCRs ran twice in silence` : "",
  ].filter((sentence) => sentence !== "");
}

interface Weather {
  readonly name: string;
  readonly play: (cluster: Cluster, random: Random) => Promise<unknown>;
}

const WEATHER: readonly Weather[] = [
  {
    name: "failover",
    play: async (cluster, random) =>
      cluster.failover(
        await cluster.replicaOf(random.pick(await cluster.primaries())),
      ),
  },
  {
    name: "freeze",
    play: (cluster, random) =>
      replaced(cluster, random, async (primary, wait) => {
        cluster.freeze(primary);
        await wait();
        await delay(random.below(2000));
        cluster.thaw(primary);
      }),
  },
  {
    name: "crash",
    play: (cluster, random) =>
      replaced(cluster, random, async (primary, wait) => {
        await cluster.kill(primary);
        // Started any sooner it would be a primary without data.
        await wait();
        await cluster.restart(primary);
      }),
  },
  {
    name: "short freeze",
    play: async (cluster, random) => {
      const primary = random.pick(await cluster.primaries());
      cluster.freeze(primary);
      await delay(random.below(500));
      cluster.thaw(primary);
    },
  },
  {
    name: "reshard",
    play: async (cluster, random) => {
      const [range, from, to] = await someHashSlots(cluster, random);
      await cluster.migrate(range, from, to);
    },
  },
  {
    name: "ASK",
    play: async (cluster, random) => {
      const [range, from, to] = await someHashSlots(cluster, random);
      await cluster.migrate(range, from, to, { holdMs: random.below(1000) });
    },
  },
  {
    name: "cuts",
    play: async (cluster, random) => {
      for (let time = 0; time <= random.below(10); time++) {
        await cluster.killConnections();
        await delay(random.below(200));
      }
    },
  },
];

/** Takes a primary away; `wait` ends when a replica has its place. */
async function replaced(
  cluster: Cluster,
  random: Random,
  act: (primary: ClusterNode, wait: () => Promise<unknown>) => Promise<void>,
): Promise<void> {
  const primary = random.pick(await cluster.primaries());
  const replicas = await cluster.replicasOf(primary);
  await act(primary, () => cluster.waitForPromotion(primary, replicas));
}

/** Some hash slots of one primary, and another primary. */
async function someHashSlots(cluster: Cluster, random: Random) {
  const states = (await cluster.states())
    .filter(({ hashSlots }) => hashSlots.length > 0);
  const from = random.pick(states);
  const to = random.pick(states.filter((state) => state !== from));
  const [first, last] = random.pick(from.hashSlots);
  const end = Math.min(last, first + random.below(200));
  return [[first, end], from.node, to.node] as const;
}
