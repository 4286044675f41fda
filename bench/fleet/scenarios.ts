// Scenarios: what happens to the servers of a fleet.
import type { Course, Size } from "./world.ts";

/**
 * Where all shards fare alike, events go to these alone: what one server gets is the
 * same, and the simulation takes a tenth of the time.
 */
const SAMPLE = 3;

/** Something that happens, and to what. */
export interface Scenario {
  readonly name: string;
  readonly title: string;
  readonly size: Size;
  readonly course: Course;
}

/** When it begins, in milliseconds. */
const START_MS = 1000;
/** From the end of a primary until its replica is promoted: measured with node-timeout 2000. */
const FAILOVER_MS = 4000;
/** Every server answers CLUSTERDOWN for so long before the promotion: measured, too. */
const CLUSTER_DOWN_MS = 800;
/** A restart of one server. */
const RESTART_MS = 1000;
const NEVER = { from: Infinity, to: Infinity };

const failover = (size: Size): Course => ({
  endMs: 15_000,
  backMs: START_MS + FAILOVER_MS,
  cuts: [[0, START_MS]],
  downtimes: [[0, START_MS, Infinity]],
  promotions: [[0, START_MS + FAILOVER_MS]],
  clusterDown: NEVER,
  watched: size.shards === 1 ? "all" : [0],
});

const fullCoverage = (size: Size): Course => ({
  ...failover(size),
  clusterDown: {
    from: START_MS + FAILOVER_MS - CLUSTER_DOWN_MS,
    to: START_MS + FAILOVER_MS,
  },
  watched: sampleOf(size),
});

const outage = (size: Size, forMs: number, afterMs: number): Course => {
  const primaries = Array.from({ length: size.shards }, (_, n) => 2 * n);
  return {
    endMs: START_MS + forMs + afterMs,
    backMs: START_MS + forMs,
    cuts: primaries.map((server) => [server, START_MS]),
    downtimes: primaries.flatMap((server) =>
      [server, server + 1].map((one) =>
        [one, START_MS, START_MS + forMs] as const
      )
    ),
    promotions: [],
    clusterDown: NEVER,
    watched: [0],
  };
};

const sampleOf = ({ shards }: Size): number[] =>
  Array.from({ length: Math.min(SAMPLE, shards) }, (_, n) => n);

/** One shard after the other: its replica is promoted by hand, then the old primary restarts. */
const upgrade = (size: Size, everyMs: number): Course => {
  const shards = sampleOf(size);
  const at = (shard: number) => START_MS + shard * everyMs;
  const restartAt = (shard: number) => at(shard) + everyMs / 2;
  return {
    endMs: at(shards.length) + 15_000,
    backMs: at(shards.length - 1),
    cuts: shards.map((shard) => [2 * shard, restartAt(shard)]),
    downtimes: shards.map((shard) => [
      2 * shard,
      restartAt(shard),
      restartAt(shard) + RESTART_MS,
    ]),
    promotions: shards.map((shard) => [shard, at(shard)]),
    clusterDown: NEVER,
    watched: shards,
  };
};

/** The scenarios, for a fleet of this size. */
export function scenariosOf(size: Size): Scenario[] {
  const one = { ...size, shards: 1, eventsPerSecond: size.eventsPerSecond / 2 };
  const all = `${size.isolates} isolates, ${size.shards} shards`;
  return [
    {
      name: "failover",
      title: `${all}: one primary ends, its replica is promoted after 4 s`,
      size,
      course: failover(size),
    },
    {
      name: "coverage",
      title:
        `${all}: the same, and every server answers CLUSTERDOWN for the last 0.8 s (full coverage; events to ${SAMPLE} shards)`,
      size,
      course: fullCoverage(size),
    },
    {
      name: "outage",
      title: `${all}: every server is away for 60 s (events to one shard)`,
      size,
      course: outage(size, 60_000, 10_000),
    },
    {
      name: "upgrade",
      title: `${all}: rolling upgrade, ${SAMPLE} shards, one every 2 s`,
      size,
      course: upgrade(size, 2000),
    },
    {
      name: "single",
      title:
        `${size.isolates} isolates, one server, ${one.eventsPerSecond} events a second each: away for 5 s`,
      size: one,
      course: outage(one, 5000, 2000),
    },
  ];
}
