// Restarts and failovers, as another run of a server shows them.

import "../../support/strict.ts";
import { CLOSED_AT, OLD, run, SILENT, testRows } from "./incidents.ts";

/** What it served went to another server, so long after it ended. */
const takeover = (afterMs: number) => ({
  takeover: {
    evidence: "hash slots 0-5460 went to h:7004",
    at: CLOSED_AT + afterMs,
  },
});

testRows([
  ["started after the end", "restart", "likely", run("3")],
  ["started long after the end", "restart", "possible", {
    ...run("3"),
    after: { takenAt: CLOSED_AT + 600_000 },
  }],
  [
    "started after the end, by another port",
    "failover",
    "possible",
    run("3", { tcp_port: "6380" }),
  ],
  [
    "up for longer than the connection was idle",
    "failover",
    "likely",
    run("5000"),
  ],
  ["started while the connection was idle", "restart", "possible", run("50")],
  [
    "a promoted replica, started while it was idle",
    "failover",
    "likely",
    run("50", { master_replid2: OLD }),
  ],
  [
    "the same data after a restart",
    "restart",
    "likely",
    run("3", { master_replid2: OLD }),
  ],
  [
    "kill counters of another run",
    "failover",
    "likely",
    run("5000", { "cmdstat_client|kill": "9" }),
  ],
  ["readonly, elsewhere now", "failover", "likely", {
    report: { by: "client", how: "requested", cause: "readonly" },
    ...run("5000", { master_replid2: OLD }),
  }],
  ["a restart that its siblings outlived", "restart", "possible", {
    ...run("3"),
    besides: { survivors: 2 },
  }, /outlived by 2 of its siblings/],
  [
    "a restart found by silence, though others lived on in silence",
    "restart",
    "likely",
    {
      ...run("3"),
      report: { how: "silence" },
      besides: { survivors: 2 },
    },
  ],
  ["started a minute after the end", "restart", "likely", {
    ...run("3"),
    after: { takenAt: CLOSED_AT + 61_000 },
  }, /uptime_in_seconds 3, 61 s after the end/],
  ["started more than a minute after the end", "restart", "possible", {
    ...run("3"),
    after: { takenAt: CLOSED_AT + 61_001 },
  }],
  ["up since just before the end", "restart", "possible", run("8")],
  [
    "up since the end, as far as its coarse uptime shows",
    "restart",
    "likely",
    run("7"),
  ],
  ["another one behind one address", "failover", "possible", {
    ...run("5000"),
    besides: { survivors: 1 },
  }],
  [
    "elsewhere, started while it was idle",
    "failover",
    "possible",
    run("50", { tcp_port: "6380" }),
    /tcp_port 6379 -> 6380/,
  ],
  ["no run before, younger than the connection", "restart", "possible", {
    was: { run_id: undefined },
    is: { run_id: "r2", uptime_in_seconds: "402" },
  }],
  ["no run before, as old as the connection", undefined, "none", {
    was: { run_id: undefined },
    is: { run_id: "r2", uptime_in_seconds: "403" },
  }],
  [
    "a server whose own replication id is the old one",
    "failover",
    "likely",
    run("50", { master_replid: OLD }),
  ],
  ["no run afterwards", undefined, "none", { is: { run_id: undefined } }],
  [
    "a restart with long ids",
    "restart",
    "likely",
    {
      was: { run_id: "0123456789", process_id: "123456789" },
      ...run("3", { run_id: "abcdefghij", process_id: "987654321" }),
    },
    /run_id 01234567 -> abcdefgh, process_id 12345678 -> 98765432, uptime_in_seconds 3, 5\.0 s after the end, all/,
  ],
  ["a restart that one sibling outlived", "restart", "possible", {
    ...run("3"),
    besides: { survivors: 1 },
  }, /outlived by 1 of its siblings/],
  ["a restart that no sibling outlived", "restart", "likely", {
    ...run("3"),
    besides: { survivors: 0 },
  }, /^(?!.*outlived)/],
  ["up for just as long as it was idle", "restart", "possible", run("107")],
  ["up for a second longer than it was idle", "failover", "likely", run("108")],
  ["taken over before it ended", "failover", "likely", {
    besides: takeover(0),
  }, /failover: hash slots 0-5460 went to h:7004, all within/],
  ["taken over a minute after it ended", "failover", "likely", {
    besides: takeover(60_000),
  }, /went to h:7004, 1 min after the end/],
  ["taken over long after it ended", "failover", "possible", {
    besides: takeover(60_001),
  }],
  ["silent, then taken over", "failover", "likely", {
    report: SILENT,
    besides: takeover(4000),
  }],
  [
    "closed at its idle limit, then taken over",
    [
      "failover",
      "idle-timeout",
    ],
    "possible",
    {
      report: { idleMs: 300_500 },
      was: {},
      before: { config: { timeout: "300" } },
      after: { config: { timeout: "300" } },
      besides: takeover(1000),
    },
  ],
]);
