// Idle limits and age limits, at their edges.

import "../../support/strict.ts";
import { AWAITING, idle, LISTED, testRows, TIMEOUT } from "./incidents.ts";

testRows([
  ["idle before the timeout", undefined, "none", idle(299_000)],
  ["idle at the timeout", "idle-timeout", "likely", idle(300_000)],
  ["idle a second over it", "idle-timeout", "likely", idle(301_500)],
  ["idle for much longer", "idle-timeout", "possible", idle(310_000)],
  ["idle and reset", undefined, "none", {
    report: { by: "network", how: "rst", idleMs: 300_500 },
    after: TIMEOUT,
  }],
  [
    "idle at the timeout of a server that refuses CONFIG GET now",
    "idle-timeout",
    "likely",
    {
      report: { idleMs: 300_500 },
      before: TIMEOUT,
    },
  ],
  ["idle ages that agree and a timeout of 0", "middlebox", "possible", {
    report: { idleMs: 130_000 },
    after: { config: { timeout: "0" } },
    besides: { earlierIdleMs: [130_200, 129_900, 20_000] },
  }, /idle 130 s, 3rd time at 129 to 131 s.* set idleTimeoutMs below 110000$/],
  ["idle ages that agree and CONFIG refused", "idle-timeout", "possible", {
    report: { idleMs: 130_000 },
    besides: { earlierIdleMs: [130_200, 129_900], refused: ["CONFIG GET"] },
  }],
  ["idle 51 ms too short for the timeout", undefined, "none", idle(299_949)],
  [
    "idle 49 ms too short for the timeout",
    "idle-timeout",
    "likely",
    idle(299_951),
  ],
  [
    "idle a little too long for the timeout",
    "idle-timeout",
    "possible",
    idle(301_501),
  ],
  ["a timeout of 0 is none", undefined, "none", {
    report: { idleMs: 5000 },
    after: { config: { timeout: "0" } },
  }],
  ["the newer timeout counts", "idle-timeout", "likely", {
    report: { idleMs: 100_500 },
    before: TIMEOUT,
    after: { config: { timeout: "100" } },
  }, /timeout is 100/],
  ["a timeout, ended by this client", undefined, "none", {
    report: { by: "client", how: "requested", idleMs: 300_500 },
    after: TIMEOUT,
  }],
  ["a timeout, but it awaited a reply", undefined, "none", {
    report: { ...AWAITING, idleMs: 300_500 },
    after: TIMEOUT,
  }],
  ["idle at the timeout, a public limit, too", "idle-timeout", "likely", {
    report: { idleMs: 350_400 },
    after: { config: { timeout: "350" } },
    besides: { earlierIdleMs: [350_300] },
  }, /^(?!.*AWS).*set idleTimeoutMs below 310000$/],
  ["two idle ages that agree are too few", undefined, "none", {
    report: { idleMs: 130_000 },
    besides: { earlierIdleMs: [130_200, 20_000] },
  }],
  ["three idle ages too far apart", undefined, "none", {
    report: { idleMs: 130_000 },
    besides: { earlierIdleMs: [143_100, 116_900] },
  }],
  ["three idle ages just near enough", "idle-timeout", "possible", {
    report: { idleMs: 130_000 },
    besides: { earlierIdleMs: [143_000, 117_000] },
  }, /3rd time at 117 to 143 s/],
  ["idle ages below a second are no limit", undefined, "none", {
    report: { idleMs: 999 },
    besides: { earlierIdleMs: [900, 950, 1000] },
  }],
  ["idle ages of a second may be one", "idle-timeout", "possible", {
    report: { idleMs: 1000 },
    besides: { earlierIdleMs: [1100, 1200] },
  }, /set idleTimeoutMs below 450$/],
  [
    "idle ages of a timeout of 7 s leave room for it",
    "idle-timeout",
    "possible",
    {
      report: { idleMs: 7700 },
      besides: { earlierIdleMs: [7587, 7600] },
    },
    /set idleTimeoutMs below 5400$/,
  ],
  ["an eleventh time", "idle-timeout", "possible", {
    report: { idleMs: 130_000 },
    besides: { earlierIdleMs: Array(10).fill(130_000) },
  }, /11th time at 130 to 130 s/],
  ["a 22nd time", "idle-timeout", "possible", {
    report: { idleMs: 130_000 },
    besides: { earlierIdleMs: Array(21).fill(130_000) },
  }, /22nd time/],
  ["a 21st time", "idle-timeout", "possible", {
    report: { idleMs: 130_000 },
    besides: { earlierIdleMs: Array(20).fill(130_000) },
  }, /21st time/],
  ["a 13th time", "idle-timeout", "possible", {
    report: { idleMs: 130_000 },
    besides: { earlierIdleMs: Array(12).fill(130_000) },
  }, /13th time/],
  ["a 23rd and a 24th time", "idle-timeout", "possible", {
    report: { idleMs: 130_000 },
    besides: { earlierIdleMs: Array(23).fill(130_000) },
  }, /24th time/],
  [
    "once at 350 s",
    "middlebox",
    "possible",
    {
      report: { idleMs: 350_200 },
    },
    /closed after 350 s idle: the idle limit of AWS NLB, NAT gateway and Nitro v6 instances.* set idleTimeoutMs below 310000$/,
  ],
  [
    "twice at 350 s",
    "middlebox",
    "likely",
    {
      report: { by: "network", how: "rst", idleMs: 350_200 },
      besides: { earlierIdleMs: [351_000] },
    },
    /closed after 350 s idle, 2nd time at 350 to 351 s: the idle limit of AWS/,
  ],
  ["once at 350 s, and near it before", "middlebox", "possible", {
    report: { idleMs: 350_200 },
    besides: { earlierIdleMs: [360_000] },
  }],
  [
    "once at 240 s",
    "middlebox",
    "possible",
    {
      report: { idleMs: 240_100 },
    },
    /closed after 240 s idle: the idle limit of Azure Load Balancer,.* below 210000$/,
  ],
  [
    "once at 600 s, CONFIG refused",
    "idle-timeout",
    "possible",
    {
      report: { idleMs: 600_100 },
      besides: { refused: ["CONFIG GET"] },
    },
    /an idle timeout: .*the idle limit of Azure Cache for Redis and App Engine,.* below 540000$/,
  ],
  ["once at 600 s, no timeout of the server", "middlebox", "possible", {
    report: { idleMs: 600_100 },
    after: { config: { timeout: "0" } },
  }],
  [
    "once at 1200 s",
    "middlebox",
    "possible",
    {
      report: { idleMs: 1_200_500 },
    },
    /closed after 1201 s idle: the idle limit of GCP Cloud NAT,.* below 1000000$/,
  ],
  ["closed by this client at 350 s", undefined, "none", {
    report: { by: "client", how: "requested", idleMs: 350_200 },
  }],
  [
    "twelve hours old",
    "session-limit",
    "possible",
    {
      report: { ...AWAITING, ageMs: 43_200_400 },
    },
    /a limit on its age: closed when it was 43200 s old: the limit of ElastiCache and MemoryDB sessions under IAM,.* set maxAgeMs below 38000000, and hold no lease for so long$/,
  ],
  ["twelve hours old, closed by this client", undefined, "none", {
    report: { by: "client", how: "requested", ageMs: 43_200_400 },
  }],
  [
    "used after 400 s and reset",
    "middlebox",
    "possible",
    {
      report: {
        ...AWAITING,
        by: "network",
        how: "rst",
        silentMs: 400_010,
        owedMs: 10,
      },
    },
    /used after 400 s of rest, longer than the idle limit of Azure Load Balancer \(240 s\) and that of AWS NLB, NAT gateway and Nitro v6 instances \(350 s\),.* below 210000$/,
  ],
  [
    "used after 300 s and silent",
    "middlebox",
    "possible",
    {
      report: {
        ...AWAITING,
        by: "network",
        how: "silence",
        silentMs: 305_000,
        owedMs: 5000,
      },
    },
    /used after 300 s of rest, longer than the idle limit of Azure Load Balancer \(240 s\),/,
  ],
  ["used after 239 s and reset", undefined, "none", {
    report: {
      ...AWAITING,
      by: "network",
      how: "rst",
      silentMs: 240_009,
      owedMs: 10,
    },
  }],
  ["used after 240 s and reset", "middlebox", "possible", {
    report: {
      ...AWAITING,
      by: "network",
      how: "rst",
      silentMs: 240_010,
      owedMs: 10,
    },
  }],
  ["used after 400 s and closed in good order", undefined, "none", {
    report: { ...AWAITING, silentMs: 400_010, owedMs: 10 },
  }],
  [
    "used after 400 s, silent, and the server still has it",
    "middlebox",
    "likely",
    {
      report: {
        ...AWAITING,
        by: "network",
        how: "silence",
        silentMs: 405_000,
        owedMs: 5000,
      },
      after: LISTED,
    },
    /CLIENT LIST has .*, used after 400 s of rest.* below 210000$/,
  ],
  ["reset while idle, after 300 s", undefined, "none", {
    report: { by: "network", how: "rst", idleMs: 300_000, silentMs: 300_000 },
  }],
  ["idle 50 ms too short for the timeout", undefined, "none", idle(299_950)],
  ["a timeout of a second", "idle-timeout", "likely", {
    report: { idleMs: 1500 },
    after: { config: { timeout: "1" } },
  }, /set idleTimeoutMs below 900$/],
  [
    "the newer timeout counts, though the older one fits better",
    "idle-timeout",
    "possible",
    {
      report: { idleMs: 300_500 },
      before: TIMEOUT,
      after: { config: { timeout: "100" } },
    },
    /timeout is 100,/,
  ],
  ["a 26th time", "idle-timeout", "possible", {
    report: { idleMs: 130_000 },
    besides: { earlierIdleMs: Array(25).fill(130_000) },
  }, /26th time/],
  ["a 12th time", "idle-timeout", "possible", {
    report: { idleMs: 130_000 },
    besides: { earlierIdleMs: Array(11).fill(130_000) },
  }, /12th time/],
  ["a 33rd time", "idle-timeout", "possible", {
    report: { idleMs: 130_000 },
    besides: { earlierIdleMs: Array(32).fill(130_000) },
  }, /33rd time/],
]);
