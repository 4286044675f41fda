// What was measured of one load under one fault.
import type { LoadProfile } from "./load_profile.ts";
import { durations, percentile, type Timing } from "./rate_limiter.ts";
import type { Scenario } from "./scenario.ts";
import type { FaultFixture } from "./fixture.ts";

/** A row of the table. */
export interface Measured {
  readonly name: string;
  readonly fault: string;
  /** Calls that were started. */
  readonly events: number;
  /** What should be in Redis and is not. */
  readonly missing: number;
  /** Calls that were rejected, and events that were dropped. */
  readonly errors: number;
  /** Events that waited in the outbox. */
  readonly queued: number;
  /** Calls without an outcome. */
  readonly hung: number;
  /** What is in Redis and should not be. */
  readonly doubled: number;
  readonly p50: number;
  readonly p99: number;
  /** p99 of the calls that a connection died under; NaN of none. */
  readonly p99Hit: number;
  readonly longest: number;
  /** Connections that died. */
  readonly hit: number;
  /** From the end of the fault until everything was delivered, in milliseconds; NaN where nothing waited. */
  readonly catchUpMs: number;
  /** Dials a second while the fault lasted. */
  readonly dialsPerSecond: number;
  /** What is wrong, in sentences. */
  readonly misses: readonly string[];
  /** How long the row took, in seconds. */
  readonly seconds: number;
}

/** Counts that differ by the kind of load. */
export interface Counts {
  readonly missing: number;
  readonly errors: number;
  readonly queued: number;
  readonly doubled: number;
  readonly catchUpMs: number;
}

/** How many events a scenario has in a profile. */
export const eventsOf = (scenario: Scenario, profile: LoadProfile): number =>
  scenario.events?.(profile) ?? profile.events;

/** When its events are due. */
export const dueMsOf = (
  { dueMs }: Scenario,
  profile: LoadProfile,
): (event: number) => number =>
  dueMs === undefined
    ? (event) => event * 1000 / profile.perSecond
    : (event) => dueMs(event, profile);

/** Makes a row, and checks it against the demands of the scenario. */
export function measure(
  scenario: Scenario,
  fixture: FaultFixture,
  timings: readonly Timing[],
  counts: Counts,
): Measured {
  const { profile, hits } = fixture;
  const all = durations(timings);
  const struck = durations(
    timings.filter(({ startedAt, endedAt = Infinity }) =>
      hits.some(({ at }) => startedAt <= at && at <= endedAt)
    ),
  );
  const { missing, errors, queued, doubled, catchUpMs } = counts;
  const row = {
    name: scenario.name,
    fault: scenario.fault,
    events: timings.length,
    missing,
    errors,
    queued,
    hung: timings.length - all.length,
    doubled,
    p50: percentile(all, 0.5),
    p99: percentile(all, 0.99),
    p99Hit: percentile(struck, 0.99),
    longest: percentile(all, 1),
    hit: hits.length,
    catchUpMs,
    dialsPerSecond: dialsPerSecond(fixture),
    seconds: (performance.now() - fixture.loadStartedAt) / 1000,
  };
  const misses = [
    ...fixture.violations,
    ...owed(row),
    ...demanded(scenario, profile, row),
    ...(scenario.demands?.paysOnce ? paidTwice(fixture, timings) : []),
  ];
  return { ...row, misses };
}

/** NaN where there was no time without Redis. */
function dialsPerSecond({ dialedAt, faultAt, backAt }: FaultFixture): number {
  if (faultAt === undefined || backAt === undefined) return NaN;
  const dials = dialedAt.filter((at) => faultAt <= at && at <= backAt).length;
  // A short fault says nothing about the rate: its first dials come at once.
  return dials / Math.max(1, (backAt - faultAt) / 1000);
}

type Row = Omit<Measured, "misses">;

/** Everything queued is delivered this long after Redis is back. */
const CATCH_UP_MS = 2000;

function owed({ missing, doubled, hung }: Row): string[] {
  return [
    missing > 0 ? `${missing} are missing` : "",
    doubled > 0 ? `${doubled} are doubled` : "",
    hung > 0 ? `${hung} calls hang` : "",
  ].filter((miss) => miss !== "");
}

function demanded(
  { demands = {} }: Scenario,
  profile: LoadProfile,
  row: Row,
): string[] {
  const { noneFails, p99HitMs, longestMs, dialsPerSecond } = demands;
  const misses: string[] = [];
  const limit = (what: string, value: number, most: number | undefined) => {
    if (most === undefined || !(value > most + profile.leewayMs)) return;
    misses.push(`${what} ${value.toFixed(0)} ms, ${most} ms are allowed`);
  };
  limit("delivering what was queued took", row.catchUpMs, CATCH_UP_MS);
  limit("p99 of the calls that met a dead connection is", row.p99Hit, p99HitMs);
  limit("the longest call took", row.longest, longestMs?.(profile));
  if (noneFails && row.errors + row.queued > 0) {
    misses.push(`${row.errors + row.queued} calls failed, none had to`);
  }
  if (dialsPerSecond !== undefined && row.dialsPerSecond > dialsPerSecond) {
    misses.push(
      `${
        row.dialsPerSecond.toFixed(0)
      } connections a second were tried, ${dialsPerSecond} are allowed`,
    );
  }
  return misses;
}

/** A call that begins after a dead host was found out must not wait for it again. */
function paidTwice(
  { hits, profile }: FaultFixture,
  timings: readonly Timing[],
): string[] {
  const found = hits.find(({ report }) => report.how === "silence")?.at;
  if (found === undefined) return []; // no call used it
  const victims = timings.filter(({ startedAt, endedAt = Infinity }) =>
    startedAt > found && endedAt - startedAt >= profile.replyTimeoutMs
  );
  return victims.length === 0 ? [] : [
    `${victims.length} calls waited out a timeout after the dead host was known`,
  ];
}
