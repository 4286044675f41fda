// What servers have done and hold, taken together.
import type { EvictionReason, PoolStats } from "../../pool/pool_stats.ts";
import { NOTHING, type Server, type Tally } from "./server.ts";

/** What is left of a server that has gone: what it has done. */
export function tallyOfGone(server: Server): Tally {
  const tally = server.tally();
  const { stats } = tally;
  const { dialed, dialFailures, evicted, lastClose, lastDialError } = stats;
  return {
    ...tally,
    stats: {
      ...NOTHING.stats,
      dialed,
      dialFailures,
      evicted,
      lastClose,
      lastDialError,
    },
  };
}

/** What several have done and hold together. */
export const sumOf = (tallies: readonly Tally[]): Tally =>
  tallies.length === 0 ? NOTHING : tallies.reduce(sumOfTwo);

function sumOfTwo(a: Tally, b: Tally): Tally {
  const dialedLast = b.dialFailedAt >= a.dialFailedAt ? b : a;
  const { stats: one } = a, { stats: other } = b;
  return {
    stats: {
      maxConnections: one.maxConnections + other.maxConnections,
      open: one.open + other.open,
      idle: one.idle + other.idle,
      inFlight: one.inFlight + other.inFlight,
      suspect: one.suspect + other.suspect,
      leased: one.leased + other.leased,
      dialing: one.dialing + other.dialing,
      waiting: one.waiting + other.waiting,
      dialed: one.dialed + other.dialed,
      dialFailures: one.dialFailures + other.dialFailures,
      evicted: sumOfEvicted(one.evicted, other.evicted),
      lastClose: newer(one.lastClose, other.lastClose, (it) => it.closedAt),
      lastDialError: dialedLast.stats.lastDialError,
      awaySince: one.awaySince === undefined || other.awaySince === undefined
        ? one.awaySince ?? other.awaySince
        : Math.min(one.awaySince, other.awaySince),
    },
    lastVerdict: newer(
      a.lastVerdict,
      b.lastVerdict,
      (verdict) => verdict.report.closedAt,
    ),
    dialFailedAt: dialedLast.dialFailedAt,
  };
}

function sumOfEvicted(
  a: PoolStats["evicted"],
  b: PoolStats["evicted"],
): PoolStats["evicted"] {
  const sum = { ...a };
  for (const [reason, count] of Object.entries(b)) {
    const name = reason as EvictionReason;
    sum[name] = (sum[name] ?? 0) + count;
  }
  return sum;
}

const newer = <T>(
  a: T | undefined,
  b: T | undefined,
  at: (it: T) => number,
): T | undefined =>
  a === undefined || b === undefined ? a ?? b : at(b) >= at(a) ? b : a;
