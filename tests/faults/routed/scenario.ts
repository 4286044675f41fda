// What a row past one machine is: the servers, what becomes of them under load, and what must hold then.
import { Retry } from "../../../mod.ts";
import {
  type Cluster,
  type ClusterOptions,
  startCluster,
} from "../../support/redis_cluster.ts";
import {
  type Sentinels,
  type SentinelsOptions,
  startSentinels,
} from "../../support/redis_sentinels.ts";
import type { LoadProfile } from "../load_profile.ts";
import type { Timeline } from "../timeline.ts";
import { ClusterSite, SentinelSite, type Site } from "./site.ts";

/** Servers, and the fault on them. */
export interface Stage {
  readonly site: Site;
  /** Makes the fault and ends it, while the load runs. */
  run(timeline: Timeline): Promise<void>;
}

/** One row of the table. */
export interface RoutedScenario {
  /** Its name on the command line. */
  readonly name: string;
  /** What goes wrong, in words. */
  readonly fault: string;
  /** Whether the short form of all faults leaves it out. @default {false} */
  readonly onlyLong?: boolean;
  /** Whether events are sent by `send`, and not by a recorder. @default {false} */
  readonly bySend?: boolean;
  /** The policy of the client. @default the one it has by default */
  readonly retry?: Retry;
  readonly demands: RoutedDemands;
  start(profile: LoadProfile): Promise<Stage>;
}

/** Limits of a row. In every row nothing may be missing, doubled or hung. */
export interface RoutedDemands {
  /** No event may take longer, in milliseconds; `failoverMs` is how long there was no primary. */
  readonly longestMs?: (failoverMs: number) => number;
  /** p99 of the events that a connection died under, in milliseconds. */
  readonly p99HitMs?: number;
  /** From a new primary until nothing is kept, in milliseconds. */
  readonly catchUpMs?: number;
  /** From a new primary until it has all events that were acknowledged before, in milliseconds. */
  readonly repeatMs?: number;
  /** No INCR may fail except with the fate "unknown". */
  readonly onlyUnknown?: boolean;
  /** Whether an acknowledged INCR may be lost: a primary that was replaced still took it. */
  readonly mayLoseIncr?: boolean;
}

/** A policy that outlasts a failover. */
export const patient = (): Retry =>
  new Retry({ retries: 40, deadlineMs: 20_000 });

/** A scenario on a cluster of three primaries with a replica each. */
export function onCluster(
  scenario: Omit<RoutedScenario, "start">,
  run: (cluster: Cluster, timeline: Timeline) => Promise<void>,
  { onlySeed, ...options }: ClusterOptions & {
    /** The number of the node that the URL names, without further seeds. @default all of them */
    readonly onlySeed?: number;
  } = {},
): RoutedScenario {
  return {
    ...scenario,
    async start({ scale }) {
      const cluster = await startCluster({
        nodeTimeoutMs: scale < 1 ? 500 : 2000,
        ...options,
      });
      const url = onlySeed === undefined
        ? cluster.url
        : cluster.urlOf([cluster.nodes[onlySeed]!]);
      return {
        site: new ClusterSite(cluster, url),
        run: (timeline) => run(cluster, timeline),
      };
    },
  };
}

/** A scenario on a primary with a replica and three Sentinels. */
export function onSentinels(
  scenario: Omit<RoutedScenario, "start">,
  run: (sentinels: Sentinels, timeline: Timeline) => Promise<void>,
  options: SentinelsOptions = {},
): RoutedScenario {
  return {
    ...scenario,
    async start() {
      const sentinels = await startSentinels(options);
      return {
        site: new SentinelSite(sentinels),
        run: (timeline) => run(sentinels, timeline),
      };
    },
  };
}
