// What several servers have done and hold, taken together.

import "../../support/strict.ts";
import { assertEquals } from "@std/assert";
import type { Server, Tally } from "../../../client/servers/server.ts";
import { sumOf, tallyOfGone } from "../../../client/servers/server_set.ts";
import type { CloseReport, Verdict } from "../../../mod.ts";
import type { PoolStats } from "../../../pool/pool_stats.ts";
import { REPORT } from "../../pool/forensics/incidents.ts";

const STATS: PoolStats = {
  maxConnections: 10,
  open: 1,
  idle: 2,
  inFlight: 3,
  suspect: 4,
  leased: 5,
  dialing: 6,
  waiting: 7,
  dialed: 8,
  dialFailures: 9,
  evicted: { fin: 1, rst: 2 },
  lastClose: undefined,
  lastDialError: undefined,
  awaySince: undefined,
};
const tally = (
  stats: Partial<PoolStats> = {},
  more: Partial<Tally> = {},
): Tally => ({
  stats: { ...STATS, ...stats },
  lastVerdict: undefined,
  dialFailedAt: -Infinity,
  ...more,
});
const closed = (closedAt: number): CloseReport => ({ ...REPORT, closedAt });
const verdict = (closedAt: number) => ({ report: closed(closedAt) }) as Verdict;

Deno.test("The tally of one server is its own, and that of none is empty", () => {
  const one = tally({ awaySince: 5 });
  assertEquals(sumOf([one]), one);
  const { stats } = sumOf([]);
  assertEquals(
    Object.entries(stats).filter(([, value]) =>
      value !== 0 && value !== undefined
    ),
    [["evicted", {}]],
  );
});

Deno.test("Counts are added up, each reason of an eviction by itself", () => {
  const { stats } = sumOf([
    tally(),
    tally({ evicted: { rst: 3, "max-age": 4 } }),
    tally({ evicted: {} }),
  ]);
  assertEquals(stats, {
    ...STATS,
    maxConnections: 30,
    open: 3,
    idle: 6,
    inFlight: 9,
    suspect: 12,
    leased: 15,
    dialing: 18,
    waiting: 21,
    dialed: 24,
    dialFailures: 27,
    evicted: { fin: 1, rst: 5, "max-age": 4 },
  });
  assertEquals(STATS.evicted, { fin: 1, rst: 2 });
});

Deno.test("What was last is the newest of all, in any order", () => {
  const tallies = [
    tally({ lastClose: closed(3), lastDialError: "old" }, {
      dialFailedAt: 1,
      lastVerdict: verdict(7),
    }),
    tally({ lastClose: closed(5), lastDialError: "new" }, { dialFailedAt: 2 }),
    tally({ lastClose: closed(4) }, { lastVerdict: verdict(6) }),
  ];
  for (const order of [tallies, tallies.toReversed()]) {
    const { stats, lastVerdict, dialFailedAt } = sumOf(order);
    assertEquals(
      [stats.lastClose, stats.lastDialError, lastVerdict, dialFailedAt],
      [closed(5), "new", verdict(7), 2],
    );
  }
});

Deno.test("Of several servers that are away the oldest outage counts", () => {
  const since = (...times: (number | undefined)[]) =>
    sumOf(times.map((awaySince) => tally({ awaySince }))).stats.awaySince;
  assertEquals(since(undefined, 5, 3), 3);
  assertEquals(since(5, undefined), 5);
  assertEquals(since(undefined, undefined), undefined);
});

Deno.test("A server that has gone leaves what it has done, and holds nothing", () => {
  const server = {
    tally: () =>
      tally({ awaySince: 5, lastClose: closed(3) }, {
        lastVerdict: verdict(3),
        dialFailedAt: 4,
      }),
  } as Server;
  const { stats, ...rest } = tallyOfGone(server);
  assertEquals(rest, { lastVerdict: verdict(3), dialFailedAt: 4 });
  assertEquals(stats, {
    ...sumOf([]).stats,
    dialed: 8,
    dialFailures: 9,
    evicted: { fin: 1, rst: 2 },
    lastClose: closed(3),
  });
});
