// Which cause a post-mortem names for which evidence: literal evidence, so that every rule is met at its edges.

import "../../support/strict.ts";
import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import type { CloseReport } from "../../../mod.ts";
import { diagnose } from "../../../pool/forensics/diagnose.ts";
import type { Silence } from "../../../pool/forensics/incident.ts";
import type { Cause, Verdict } from "../../../pool/forensics/verdict.ts";
import {
  aheadMs,
  infoCommand,
  readConfig,
  readInfo,
  readSlow,
  type ServerSnapshot,
  SLOW_COMMANDS,
} from "../../../pool/forensics/server_snapshot.ts";
import { settingsOf } from "../../../client/settings.ts";
import {
  limitAt,
  LIMITS,
  limitsBelow,
  safelyBelow,
} from "../../../pool/forensics/limits.ts";

const REPORT: CloseReport = {
  by: "server",
  how: "fin",
  during: "idle",
  cause: undefined,
  endpoint: "redis.example:6379",
  connection: 3,
  clientId: 12,
  closedAt: 1_700_000_000_000,
  ageMs: 400_000,
  idleMs: 100_000,
  silentMs: 100_000,
  owedMs: 0,
  commandsServed: 5,
  bytesIn: 100,
  bytesOut: 100,
  inFlight: 0,
  firstInFlight: undefined,
  replyBytes: 0,
};
const CLOSED_AT = REPORT.closedAt;
const OLD = "a".repeat(40), NEW = "b".repeat(40);
const INFO: ServerSnapshot["info"] = {
  redis_version: "7.0.15",
  run_id: "r1",
  process_id: "1",
  tcp_port: "6379",
  uptime_in_seconds: "1000",
  role: "master",
  master_replid: OLD,
  rejected_connections: "0",
};
const seen = (
  takenAt: number,
  info: ServerSnapshot["info"] = {},
  more: Partial<ServerSnapshot> = {},
): ServerSnapshot => ({
  ...{ takenAt, own: {}, config: {} },
  info: { ...INFO, ...info },
  ...more,
});

type Row = [
  what: string,
  causes: Cause | undefined | Cause[],
  confidence: Verdict["confidence"],
  circumstances: {
    report?: Partial<CloseReport>;
    before?: Partial<ServerSnapshot>;
    was?: ServerSnapshot["info"];
    after?: Partial<ServerSnapshot>;
    is?: ServerSnapshot["info"];
    besides?: Parameters<typeof diagnose>[3];
  },
  text?: RegExp,
];

const AWAITING: Partial<CloseReport> = {
  during: "awaiting-reply",
  inFlight: 1,
  firstInFlight: { name: "GET", args: 1 },
};
const TIMEOUT: Partial<ServerSnapshot> = { config: { timeout: "300" } };
const LISTED: Partial<ServerSnapshot> = { listed: "id=12 age=400 idle=100" };
const idle = (idleMs: number) => ({ report: { idleMs }, after: TIMEOUT });
const run = (uptime_in_seconds: string, more: ServerSnapshot["info"] = {}) => ({
  is: {
    run_id: "r2",
    process_id: "2",
    uptime_in_seconds,
    master_replid: NEW,
    ...more,
  },
});

const SILENT: Partial<CloseReport> = {
  ...AWAITING,
  by: "network",
  how: "silence",
  silentMs: 5010,
  owedMs: 5000,
};
/** Three connections that fell silent after 10 ms of rest, and a quick dial. */
const stall = (
  seen: Partial<Silence>,
  { report, besides, ...more }: Row[3] = {},
): Row[3] => ({
  report: { ...SILENT, ...report },
  besides: {
    silence: {
      silent: 3,
      answered: 0,
      unanswered: 0,
      opened: 1,
      dialMs: 2,
      usualDialMs: 1,
      ...seen,
    },
    ...besides,
  },
  ...more,
});
/** What SLOWLOG tells: a command, how long it took, and when it ended, from the end of the connection. */
const slow = (
  runs: readonly (readonly [what: string, tookMs: number, endedMs: number])[],
): Row[3] => ({
  after: {
    slow: {
      "SLOWLOG GET": runs.map(([what, tookMs, endedMs]) => ({
        what,
        tookMs,
        endedAt: CLOSED_AT + endedMs,
      })),
    },
  },
});

const TABLE: Row[] = [
  ["nothing moved", undefined, "none", {}],
  ["idle before the timeout", undefined, "none", idle(299_000)],
  ["idle at the timeout", "idle-timeout", "likely", idle(300_000)],
  ["idle a second over it", "idle-timeout", "likely", idle(301_500)],
  ["idle for much longer", "idle-timeout", "possible", idle(310_000)],
  ["idle and reset", undefined, "none", {
    report: { by: "network", how: "rst", idleMs: 300_500 },
    after: TIMEOUT,
  }],
  [
    "idle at the timeout of a server that tells no more",
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
  ["idle ages that agree and a kill", "client-kill", "likely", {
    report: { idleMs: 130_000 },
    is: { "cmdstat_client|kill": "1" },
    besides: { earlierIdleMs: [130_200, 129_900] },
  }],
  ["Redis 6 counts every CLIENT command", "client-kill", "possible", {
    was: { redis_version: "6.2.0", cmdstat_client: "3" },
    is: { redis_version: "6.2.0", cmdstat_client: "4" },
  }],
  ["Redis 6 and our own CLIENT LIST", undefined, "none", {
    was: { redis_version: "6.2.0", cmdstat_client: "3" },
    is: { redis_version: "6.2.0", cmdstat_client: "4" },
    after: { own: { cmdstat_client: 1 } },
  }],
  ["an output buffer that is counted", "output-buffer-limit", "likely", {
    report: AWAITING,
    was: {
      client_output_buffer_limit_disconnections: "1",
      client_query_buffer_limit_disconnections: "0",
    },
    is: {
      client_output_buffer_limit_disconnections: "2",
      client_query_buffer_limit_disconnections: "0",
    },
  }],
  ["an output limit that is counted and did not move", undefined, "none", {
    report: AWAITING,
    is: {
      client_output_buffer_limit_disconnections: "0",
      client_query_buffer_limit_disconnections: "0",
    },
    after: {
      config: { "client-output-buffer-limit": "normal 1 0 0 slave 0 0 0" },
    },
  }],
  ["no output limit", undefined, "none", {
    report: AWAITING,
    after: {
      config: { "client-output-buffer-limit": "normal 0 0 0 slave 9 9 9" },
    },
  }],
  [
    "a kill, or an output limit that is not counted",
    ["client-kill", "output-buffer-limit"],
    "possible",
    {
      report: AWAITING,
      is: { "cmdstat_client|kill": "1" },
      after: { config: { "client-output-buffer-limit": "normal 9 0 0" } },
    },
  ],
  ["silence, and somebody was killed", "client-kill", "possible", {
    report: { ...AWAITING, by: "network", how: "silence" },
    is: { "cmdstat_client|kill": "1" },
  }],
  ["a kill, but the server still has it", "middlebox", "likely", {
    is: { "cmdstat_client|kill": "1" },
    after: LISTED,
  }],
  ["max clients in words", "max-clients", "likely", {
    report: {
      how: "protocol-error",
      during: "handshake",
      cause: "Unasked error reply: ERR max number of clients reached",
    },
  }],
  ["others were rejected", undefined, "none", {
    is: { rejected_connections: "7" },
  }],
  ["ACL LOAD", "acl-change", "likely", { is: { "cmdstat_acl|load": "1" } }],
  ["ACL SETUSER", "acl-change", "possible", {
    is: { "cmdstat_acl|setuser": "1" },
  }],
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
  [
    "demoted and closed, as Sentinel does",
    ["client-kill", "demotion"],
    "possible",
    {
      is: {
        role: "slave",
        master_host: "h",
        master_port: "1",
        "cmdstat_client|kill": "2",
      },
    },
  ],
  ["readonly, elsewhere now", "failover", "likely", {
    report: { by: "client", how: "requested", cause: "readonly" },
    ...run("5000", { master_replid2: OLD }),
  }],
  ["readonly from the start", undefined, "none", {
    report: { by: "client", how: "requested", cause: "readonly" },
    was: { role: "slave" },
    is: { role: "slave" },
  }],
  // Idle ages and the timeout of the server.
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
  ["a timeout, ended by ourselves", undefined, "none", {
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

  // Public limits.
  [
    "once at 350 s",
    "middlebox",
    "possible",
    {
      report: { idleMs: 350_200 },
    },
    /closed after 350 s idle: the idle limit of AWS NLB, NAT gateway and of Nitro v6 instances.* set idleTimeoutMs below 310000$/,
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
  ["once at 350 s, and a kill", "client-kill", "likely", {
    report: { idleMs: 350_200 },
    is: { "cmdstat_client|kill": "1" },
  }],
  ["twice at 350 s, and a kill", ["middlebox", "client-kill"], "possible", {
    report: { idleMs: 350_200 },
    is: { "cmdstat_client|kill": "1" },
    besides: { earlierIdleMs: [350_400] },
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
    /an idle timeout: .*the idle limit of Azure Cache for Redis and of App Engine,.* below 540000$/,
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
  ["closed by ourselves at 350 s", undefined, "none", {
    report: { by: "client", how: "requested", idleMs: 350_200 },
  }],
  [
    "twelve hours old",
    "session-limit",
    "possible",
    {
      report: { ...AWAITING, ageMs: 43_200_400 },
    },
    /a limit on its age: closed when it was 43200 s old: the limit of ElastiCache sessions under IAM,.* set maxAgeMs below 38000000$/,
  ],
  ["twelve hours old, closed by ourselves", undefined, "none", {
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
    /used after 400 s of rest, longer than the idle limit of Azure Load Balancer \(240 s\) and that of AWS NLB, NAT gateway and of Nitro v6 instances \(350 s\),.* below 210000$/,
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

  // A server that stood still.
  [
    "all silent, a slow dial",
    "server-stall",
    "likely",
    stall({ dialMs: 100, usualDialMs: 20 }),
    /3 connections fell silent at once, no other one was answered meanwhile, a new one took 100 ms to open, usually 20 ms,.* look for slow commands/,
  ],
  [
    "no answer to a new one, and a slow dial",
    "server-stall",
    "likely",
    stall({ dialMs: 900, unanswered: 1 }),
    /meanwhile, 1 new one got no answer, a new one took 900 ms to open/,
  ],
  [
    "silent, a dial of 99 ms",
    "server-stall",
    "possible",
    stall({ dialMs: 99, usualDialMs: 1 }),
  ],
  [
    "silent, a dial not five times as long as usual",
    "server-stall",
    "possible",
    stall({ dialMs: 119, usualDialMs: 24 }),
  ],
  [
    "silent, a dial of a second, none known before",
    "server-stall",
    "likely",
    stall({ dialMs: 1000, usualDialMs: undefined }),
    /took 1\.0 s to open,/,
  ],
  [
    "silent, a dial of less than a second, none known before",
    "server-stall",
    "possible",
    stall({ dialMs: 999, usualDialMs: undefined }),
  ],
  [
    "silent, a slow dial, but another was answered",
    "middlebox",
    "possible",
    stall({ dialMs: 5000, answered: 1 }),
    /it fell silent, 1 other answered meanwhile/,
  ],
  [
    "silent, and two others were answered",
    "middlebox",
    "possible",
    stall({ answered: 2 }),
    /2 others answered meanwhile/,
  ],
  [
    "silent, a slow dial, but the server still has it",
    "middlebox",
    "likely",
    stall({ dialMs: 5000 }, { after: LISTED }),
  ],
  [
    "all silent, and gone from the server",
    "server-stall",
    "possible",
    stall({}, { after: { listed: "" } }),
    /3 connections fell silent.*the server no longer lists it/,
  ],
  [
    "one silent, and gone from the server",
    "server-stall",
    "possible",
    stall({ silent: 1 }, { after: { listed: "" } }),
    /: it fell silent, no other/,
  ],
  [
    "one silent, gone from the server, and somebody was killed",
    "client-kill",
    "possible",
    stall({ silent: 1 }, {
      after: { listed: "" },
      is: { "cmdstat_client|kill": "1" },
    }),
  ],
  [
    "two silent, gone from the server, and somebody was killed",
    ["server-stall", "client-kill"],
    "possible",
    stall({ silent: 2 }, {
      after: { listed: "" },
      is: { "cmdstat_client|kill": "1" },
    }),
  ],
  [
    "two silent, CLIENT LIST refused, and somebody was killed",
    "client-kill",
    "possible",
    stall({ silent: 2 }, { is: { "cmdstat_client|kill": "1" } }),
  ],
  [
    "silent, no answer to a new one",
    ["server-stall", "middlebox"],
    "possible",
    stall({ unanswered: 1 }),
    /1 new one got no answer/,
  ],
  [
    "silent, no answer to new ones",
    ["server-stall", "middlebox"],
    "possible",
    stall({ unanswered: 2 }),
    /2 new ones got no answer/,
  ],
  [
    "silent, the HELLO of new ones never came",
    "middlebox",
    "likely",
    stall({ unanswered: 2 }, {
      was: { cmdstat_hello: "3" },
      is: { cmdstat_hello: "5" },
    }),
    /2 new ones got no answer, what they sent never came to the server: cmdstat_hello calls 3 -> 5/,
  ],
  [
    "silent, the HELLO of new ones was run in the end",
    "server-stall",
    "possible",
    stall({ unanswered: 2 }, {
      was: { cmdstat_hello: "3" },
      is: { cmdstat_hello: "6" },
    }),
    /the server ran their HELLO: cmdstat_hello calls 3 -> 6/,
  ],
  [
    "silent, and strangers said HELLO, too",
    ["server-stall", "middlebox"],
    "possible",
    stall({ unanswered: 2 }, {
      was: { cmdstat_hello: "3" },
      is: { cmdstat_hello: "7" },
    }),
    /^(?!.*HELLO)/,
  ],
  [
    "silent, HELLO never came, but clients were paused",
    "server-stall",
    "likely",
    stall({ unanswered: 2 }, {
      was: { cmdstat_hello: "3" },
      is: { cmdstat_hello: "4", "cmdstat_client|pause": "1" },
    }),
  ],
  [
    "silent after a minute of rest",
    undefined,
    "none",
    stall({}, { report: { silentMs: 65_000 } }),
  ],
  [
    "silent after less than a minute of rest",
    "server-stall",
    "possible",
    stall({}, { report: { silentMs: 64_999 } }),
  ],
  [
    "silent after a freeze of this process",
    undefined,
    "none",
    stall({ dialMs: 900 }, { report: { by: "client" } }),
  ],
  [
    "a handshake that was never answered",
    "server-stall",
    "likely",
    stall({ dialMs: 900 }, {
      report: {
        by: "client",
        how: "requested",
        during: "handshake",
        cause: "connect timeout",
      },
    }),
  ],
  [
    "a handshake that we gave up for another reason",
    undefined,
    "none",
    stall({ dialMs: 900 }, {
      report: {
        by: "client",
        how: "requested",
        during: "handshake",
        cause: "the pool was closed",
      },
    }),
  ],
  [
    "a slow dial after a FIN",
    undefined,
    "none",
    stall({ dialMs: 900 }, { report: { how: "fin" } }),
  ],
  ["a slow dial, and another run answers", "restart", "likely", {
    ...stall({ dialMs: 900 }),
    ...run("3"),
  }],
  [
    "a slow dial where INFO is refused",
    "server-stall",
    "likely",
    stall({ dialMs: 900 }, {
      was: { run_id: undefined },
      is: { run_id: undefined },
    }),
  ],
  [
    "CLIENT PAUSE",
    "server-stall",
    "likely",
    stall({ answered: 1 }, { is: { "cmdstat_client|pause": "1" } }),
    /^(?!.*fell silent, 1).*cmdstat_client\|pause calls 0 -> 1,.* find out what sends CLIENT PAUSE$/,
  ],
  ["CLIENT PAUSE is no cause of a FIN", undefined, "none", {
    is: { "cmdstat_client|pause": "1" },
  }],
  [
    "a slow command",
    "server-stall",
    "likely",
    stall({ answered: 1 }, slow([["KEYS", 2500, 0]])),
    /SLOWLOG GET: KEYS took 2\.5 s, all within .* make KEYS shorter, or send it elsewhere$/,
  ],
  [
    "a slow command that is too short",
    "server-stall",
    "possible",
    stall({}, slow([["KEYS", 2499, 0]])),
  ],
  [
    "slow commands that do it together",
    "server-stall",
    "likely",
    stall({}, slow([["GET", 1000, 0], ["KEYS", 1600, -1000]])),
    /SLOWLOG GET: KEYS took 1\.6 s, 2 such together 2\.6 s, 3 conn/,
  ],
  [
    "a slow command that ended too early",
    "server-stall",
    "possible",
    stall({}, slow([["KEYS", 2500, -6001]])),
  ],
  [
    "a slow command that ended just not too early",
    "server-stall",
    "likely",
    stall({}, slow([["KEYS", 2500, -6000]])),
  ],
  [
    "a slow command that began too late",
    "server-stall",
    "possible",
    stall({}, slow([["KEYS", 2500, 7501]])),
  ],
  [
    "a slow command that began just not too late",
    "server-stall",
    "likely",
    stall({}, slow([["KEYS", 2500, 7500]])),
  ],
  [
    "an event of the latency monitor",
    "server-stall",
    "likely",
    stall({}, {
      after: {
        slow: {
          "SLOWLOG GET": [],
          "LATENCY LATEST": [{
            what: "fork",
            endedAt: CLOSED_AT,
            tookMs: 4000,
          }],
        },
      },
    }),
    /LATENCY LATEST: fork took 4\.0 s,.* To do: look for slow commands/,
  ],
  [
    "a slow command, but the server still has it",
    ["server-stall", "middlebox"],
    "possible",
    stall({}, {
      after: {
        ...LISTED,
        slow: {
          "SLOWLOG GET": [{ what: "KEYS", endedAt: CLOSED_AT, tookMs: 4000 }],
        },
      },
    }),
  ],
  [
    "a fork",
    "server-stall",
    "likely",
    stall({ answered: 1 }, {
      was: { latest_fork_usec: "9" },
      is: { latest_fork_usec: "2500000" },
    }),
    /a fork took 2\.5 s/,
  ],
  [
    "a fork that is too short",
    "server-stall",
    "possible",
    stall({}, {
      was: { latest_fork_usec: "9" },
      is: { latest_fork_usec: "2499000" },
    }),
  ],
  [
    "a fork of before",
    "server-stall",
    "possible",
    stall({}, {
      was: { latest_fork_usec: "2500000" },
      is: { latest_fork_usec: "2500000" },
    }),
  ],

  // What the server and the wire say.
  ["rejected in the handshake", "max-clients", "likely", {
    report: { during: "handshake" },
    is: { rejected_connections: "7", maxclients: "10" },
  }, /rejected_connections 0 -> 7, maxclients 10/],
  ["a bad reply", "protocol-error", "likely", {
    report: { how: "protocol-error", cause: "Bad type" },
    is: { errorstat_ERR: "2" },
  }, /Bad type, errorstat_ERR 0 -> 2,.*look for a proxy/],
  ["a reply over our own limit", "protocol-error", "likely", {
    report: { how: "protocol-error", cause: "Reply too large: 9 bytes" },
  }, /raise the limits of this client$/],
  ["a kill", "client-kill", "likely", { is: { "cmdstat_client|kill": "1" } }],
  ["a kill of ours", undefined, "none", {
    is: { "cmdstat_client|kill": "1" },
    after: { own: { "cmdstat_client|kill": 1 } },
  }],
  ["a kill, and one of ours", "client-kill", "likely", {
    is: { "cmdstat_client|kill": "2" },
    after: { own: { "cmdstat_client|kill": 1 } },
  }, /calls 0 -> 2, 1 of them by this client/],
  ["kills of ours before", "client-kill", "likely", {
    was: { "cmdstat_client|kill": "3" },
    is: { "cmdstat_client|kill": "4" },
    before: { own: { "cmdstat_client|kill": 3 } },
    after: { own: { "cmdstat_client|kill": 3 } },
  }, /calls 3 -> 4,/],
  ["a kill and CLIENT of Redis 6", "client-kill", "likely", {
    is: { "cmdstat_client|kill": "1", cmdstat_client: "1" },
  }],
  ["evicted", "client-eviction", "likely", { is: { evicted_clients: "1" } }],
  ["ACL DELUSER", "acl-change", "likely", {
    is: { "cmdstat_acl|deluser": "1" },
  }],
  ["ACL of Redis 6", "acl-change", "possible", { is: { cmdstat_acl: "1" } }],
  ["a query buffer that is counted", "query-buffer-limit", "likely", {
    report: AWAITING,
    is: { client_query_buffer_limit_disconnections: "1" },
  }],
  ["in a handshake others' kills are faint", "client-kill", "possible", {
    report: { during: "handshake" },
    is: { "cmdstat_client|kill": "1" },
  }],
  ["bytes up to the query limit", "query-buffer-limit", "possible", {
    report: { ...AWAITING, bytesOut: 1000 },
    after: { config: { "client-query-buffer-limit": "1000" } },
  }, /1000 bytes out, client-query-buffer-limit 1000/],
  ["bytes below the query limit", undefined, "none", {
    report: { ...AWAITING, bytesOut: 999 },
    after: { config: { "client-query-buffer-limit": "1000" } },
  }],
  ["the query limit while idle", undefined, "none", {
    report: { bytesOut: 1000 },
    after: { config: { "client-query-buffer-limit": "1000" } },
  }],
  ["the query limit in silence", undefined, "none", {
    report: {
      ...AWAITING,
      bytesOut: 1000,
      how: "silence",
      silentMs: 9e4,
      owedMs: 1,
    },
    after: { config: { "client-query-buffer-limit": "1000" } },
  }],
  ["demoted while it was used", "demotion", "possible", {
    report: AWAITING,
    is: { role: "slave", master_host: "h", master_port: "1" },
  }, /role master -> slave of h:1/],
  ["demoted and refused a write", "demotion", "likely", {
    report: { by: "client", how: "requested", cause: "readonly" },
    is: {
      role: "slave",
      master_host: "h",
      master_port: "1",
      "cmdstat_client|kill": "1",
    },
  }],
  ["promoted", undefined, "none", { was: { role: "slave" } }],

  // Another run.
  ["a restart that its siblings outlived", "restart", "possible", {
    ...run("3"),
    besides: { survivors: 2 },
  }, /outlived by 2 of its siblings/],
  [
    "a restart found by silence, though others lived on unheard",
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
  ["up since the end, as coarsely as it tells", "restart", "likely", run("7")],
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
    "an heir by its own id",
    "failover",
    "likely",
    run("50", { master_replid: OLD }),
  ],
  ["no run afterwards", undefined, "none", { is: { run_id: undefined } }],

  // Where two fit: what is faint does not stand beside what is likely, and proof stands alone.
  [
    "CLIENT of Redis 6, beside an eviction",
    ["client-eviction", "client-kill"],
    "possible",
    {
      is: { cmdstat_client: "1", evicted_clients: "1" },
    },
    /fits client-eviction and client-kill, evicted_clients/,
  ],
  [
    "ACL SETUSER beside an eviction",
    ["client-eviction", "acl-change"],
    "possible",
    {
      is: { "cmdstat_acl|setuser": "1", evicted_clients: "1" },
    },
  ],
  [
    "ACL of Redis 6 beside an eviction",
    ["client-eviction", "acl-change"],
    "possible",
    {
      is: { cmdstat_acl: "1", evicted_clients: "1" },
    },
  ],
  ["an output limit that is not counted", "output-buffer-limit", "possible", {
    report: AWAITING,
    after: { config: { "client-output-buffer-limit": "normal 9 0 0" } },
  }, /GET awaited its reply, client-output-buffer-limit normal 9 0 0/],
  [
    "a query limit beside an eviction",
    ["client-eviction", "query-buffer-limit"],
    "possible",
    {
      report: { ...AWAITING, bytesOut: 1000 },
      is: { evicted_clients: "1" },
      after: { config: { "client-query-buffer-limit": "1000" } },
    },
  ],
  ["words of maxclients beside an eviction", "max-clients", "likely", {
    report: { cause: "ERR max number of clients reached" },
    is: { evicted_clients: "1", rejected_connections: "1" },
  }, /reached, rejected_connections 0 -> 1/],
  ["a bad reply beside an eviction", "protocol-error", "likely", {
    report: { how: "protocol-error", cause: "Bad type" },
    is: { evicted_clients: "1" },
  }],
  ["twelve hours old, and killed", "client-kill", "likely", {
    report: { ageMs: 43_200_400 },
    is: { "cmdstat_client|kill": "1" },
  }],
  ["used after 400 s and reset, and killed", "client-kill", "likely", {
    report: {
      ...AWAITING,
      by: "network",
      how: "rst",
      silentMs: 400_010,
      owedMs: 10,
    },
    is: { "cmdstat_client|kill": "1" },
  }],
  ["closed by ourselves while others were killed", undefined, "none", {
    report: { by: "client", how: "requested", cause: "max-age" },
    is: { "cmdstat_client|kill": "1" },
  }, /^This client closed connection 3 to redis\.example:6379: max-age$/],
  [
    "given up in the handshake while others were killed",
    "client-kill",
    "possible",
    {
      report: { by: "client", how: "requested", during: "handshake" },
      is: { "cmdstat_client|kill": "1" },
    },
  ],
  [
    "closed by ourselves as readonly, still there for a moment",
    undefined,
    "none",
    {
      report: { by: "client", how: "requested", cause: "readonly" },
      after: LISTED,
    },
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
  [
    "two silent, gone from the server",
    "server-stall",
    "possible",
    stall({ silent: 2 }, { after: { listed: "" } }),
    /: 2 connections fell silent at once, no other/,
  ],
  [
    "no answer to a new one, gone from the server",
    ["server-stall", "middlebox"],
    "possible",
    stall({ unanswered: 1 }, { after: { listed: "" } }),
    /^(?!.*no longer lists)(?!.*fell silent.*fell silent)/,
  ],
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
  [
    "idle for much longer than the timeout, and killed",
    ["client-kill", "idle-timeout"],
    "possible",
    {
      ...idle(310_000),
      is: { "cmdstat_client|kill": "1" },
    },
  ],
  [
    "an idle timeout before a restart",
    ["idle-timeout", "restart"],
    "possible",
    {
      ...run("3"),
      report: { idleMs: 300_500 },
      after: { ...TIMEOUT, takenAt: CLOSED_AT + 600_000 },
    },
  ],
  [
    "an idle timeout and another server that answers",
    ["idle-timeout", "failover"],
    "possible",
    {
      ...run("5000"),
      report: { idleMs: 300_500 },
      after: TIMEOUT,
      besides: { survivors: 1 },
    },
  ],
  [
    "an idle timeout and a start while it was idle",
    ["idle-timeout", "restart"],
    "possible",
    {
      ...run("50"),
      report: { idleMs: 300_500 },
      after: TIMEOUT,
    },
  ],
  [
    "an idle timeout and a younger server, none known before",
    ["idle-timeout", "restart"],
    "possible",
    {
      report: { idleMs: 300_500 },
      was: { run_id: undefined },
      is: { run_id: "r2", uptime_in_seconds: "3" },
      after: TIMEOUT,
    },
  ],
  ["up for just as long as it was idle", "restart", "possible", run("107")],
  ["up for a second longer than it was idle", "failover", "likely", run("108")],
  [
    "advice of the weightiest finding",
    "server-stall",
    "likely",
    stall({}, {
      ...slow([["KEYS", 2500, 0]]),
      is: { "cmdstat_client|pause": "1" },
    }),
    /make KEYS shorter, or send it elsewhere$/,
  ],
  [
    "a slow command of less than half the silence",
    "server-stall",
    "possible",
    stall({}, {
      ...slow([["KEYS", 700, 0]]),
      report: { owedMs: 1500, silentMs: 1510 },
      after: { listed: "" },
    }),
  ],
  [
    "a slow command of 700 ms",
    "server-stall",
    "likely",
    stall({}, {
      ...slow([["KEYS", 700, 0]]),
      report: { owedMs: 1400, silentMs: 1410 },
    }),
    /KEYS took 700 ms,/,
  ],
  [
    "a slow command of 9.9 s",
    "server-stall",
    "likely",
    stall({}, slow([["KEYS", 9940, 0]])),
    /KEYS took 9\.9 s,/,
  ],
  [
    "a slow command of 10 s",
    "server-stall",
    "likely",
    stall({}, slow([["KEYS", 10_000, 0]])),
    /KEYS took 10 s,/,
  ],
  [
    "a slow command of 1 s and a bit",
    "server-stall",
    "likely",
    stall({}, {
      ...slow([["KEYS", 1000, 0]]),
      report: { owedMs: 1400, silentMs: 1410 },
    }),
    /KEYS took 1\.0 s,/,
  ],
  ["taken at one moment", "client-kill", "likely", {
    before: { takenAt: CLOSED_AT + 5000 },
    is: { "cmdstat_client|kill": "1" },
  }, /0 -> 1, all within 0 ms\. To do/],
];

for (const [what, causes, confidence, { besides, ...c }, text] of TABLE) {
  Deno.test(`diagnose: ${what}`, () => {
    const verdict = diagnose(
      { ...REPORT, ...c.report },
      seen(CLOSED_AT - 60_000, c.was, c.before),
      seen(CLOSED_AT + 5000, c.is, c.after),
      besides,
    );
    const expected = causes === undefined ? [] : [causes].flat();
    assertEquals(
      [verdict.causes, verdict.confidence],
      [expected, confidence],
      verdict.text,
    );
    assertEquals(verdict.cause, expected[0]);
    if (text !== undefined) assertMatch(verdict.text, text);
    for (const line of verdict.evidence) {
      assertStringIncludes(verdict.text, line);
    }
    JSON.stringify(verdict);
  });
}

Deno.test("diagnose: no evidence at all", () => {
  const verdict = diagnose(REPORT, undefined, undefined);
  assertEquals([verdict.cause, verdict.confidence], [undefined, "none"]);
  assertEquals(verdict.lookedAt, ["the close report"]);
  assertEquals(
    [verdict.text, verdict.outcome],
    [
      "Cannot tell why connection 3 to redis.example:6379 ended: no evidence in the close report",
      "cannot tell why: no evidence in the close report",
    ],
  );
});

Deno.test("A verdict reads as a sentence, with and without the connection", () => {
  const verdict = diagnose(
    { ...REPORT, idleMs: 301_000 },
    seen(CLOSED_AT - 60_000),
    seen(CLOSED_AT + 1000, {}, TIMEOUT),
    { earlierIdleMs: [300_400, 301_900, 300_700] },
  );
  assertEquals(
    verdict.text,
    "Connection 3 to redis.example:6379 was likely ended by an idle timeout: " +
      "idle 301 s, 4th time at 300 to 302 s; the server's timeout is 300, all within 61 s. " +
      "To do: set idleTimeoutMs below 270000",
  );
  assertEquals(
    verdict.text,
    `Connection 3 to redis.example:6379 was ${verdict.outcome}`,
  );
  assertEquals(verdict.advice, "set idleTimeoutMs below 270000");
});

Deno.test("readInfo keeps what matters, and counts calls that did not fail", () => {
  assertEquals(
    readInfo(
      "# Server\r\nredis_version:7.0.15\r\nrun_id:abc\r\nos:Linux\r\n" +
        "cmdstat_client|kill:calls=4,usec=1,usec_per_call=1.0,rejected_calls=0,failed_calls=1\r\n" +
        "cmdstat_client|list:calls=4,usec=1\r\ncmdstat_client:calls=2,usec=1\r\n" +
        "errorstat_ERR:count=3\r\n",
    ),
    {
      redis_version: "7.0.15",
      run_id: "abc",
      "cmdstat_client|kill": "3",
      cmdstat_client: "2",
      errorstat_ERR: "3",
    },
  );
});

Deno.test("infoCommand asks Redis before 7 for everything, later ones for sections", () => {
  assertEquals(infoCommand(), ["INFO", "all"]);
  assertEquals(infoCommand("6.2.14"), ["INFO", "all"]);
  assertEquals(infoCommand("7.0.0").slice(0, 2), ["INFO", "server"]);
  assertEquals(infoCommand("10.1.0").length, 7);
});

Deno.test("readConfig keeps names and values, of buffers those of normal clients", () => {
  assertEquals(
    readConfig([
      ...["timeout", "0", "client-output-buffer-limit"],
      "normal 1 2 3 slave 4 5 6 pubsub 7 8 9",
    ]),
    { timeout: "0", "client-output-buffer-limit": "normal 1 2 3" },
  );
  assertEquals(
    readConfig(["client-output-buffer-limit", "normal 1 2 3 replica 4 5 6"]),
    { "client-output-buffer-limit": "normal 1 2 3" },
  );
  assertEquals(readConfig(["timeout"]), {});
  assertEquals(readConfig("timeout"), {});
});

Deno.test("Of slow commands the last 32 are asked for, and the latest events", () => {
  assertEquals(SLOW_COMMANDS, [["SLOWLOG", "GET", 32], ["LATENCY", "LATEST"]]);
});

Deno.test("readSlow keeps names and times of commands and events, never arguments", () => {
  assertEquals(
    readSlow([
      [7, 1_700_000_000, 2_500_000, ["eval", "secret"], "127.0.0.1:1", ""],
      [6, 1_699_999_999, 12_000, ["KEYS", "*"]],
    ], 250),
    [
      { what: "EVAL", endedAt: 1_700_000_000_250, tookMs: 2500 },
      { what: "KEYS", endedAt: 1_699_999_999_250, tookMs: 12 },
    ],
  );
  assertEquals(
    readSlow([["fork", 1_700_000_000, 900, 1200, 3000, 4]], 0),
    [{ what: "fork", endedAt: 1_700_000_000_000, tookMs: 900 }],
  );
  assertEquals(readSlow([1, "x"], 0), []);
  assertEquals(readSlow("nothing", 0), []);
});

Deno.test("aheadMs compares the clocks where the server tells its own", () => {
  assertEquals(aheadMs(seen(5000)), 0);
  assertEquals(aheadMs(seen(5000, { server_time_usec: "3000000" })), 2000);
});

Deno.test("Each public limit fits itself, a little before and more after it, and says where it is documented", () => {
  for (const limit of LIMITS) {
    const { seconds, counts, sources, name, closes } = limit;
    const ms = seconds * 1000;
    const early = Math.max(1000, ms / 200), late = Math.max(5000, ms / 50);
    for (const age of [ms - early, ms, ms + late]) {
      assertEquals(limitAt(age, counts), limit, `${name} at ${age}`);
    }
    for (const age of [ms - early - 1, ms + late + 1]) {
      assertEquals(limitAt(age, counts), undefined, `${name} at ${age}`);
    }
    assertEquals(limitAt(ms, counts === "idle" ? "age" : "idle"), undefined);
    assertEquals(sources.length > 0 && closes.length > 0, true);
    for (const source of sources) new URL(source);
  }
  assertEquals(LIMITS.map(({ seconds }) => seconds), [
    ...[240, 350, 600, 1200, 43_200],
  ]);
  assertEquals(
    [239_999, 240_000, 599_999, 1e9].map((ms) => limitsBelow(ms).length),
    [0, 1, 2, 4],
  );
});

Deno.test("Advice stays a tenth below a limit, is a plain number, and never 0", () => {
  for (
    const [limitMs, advised] of [
      ...[[100, 90], [450, 400], [1000, 900], [7000, 6300], [7587, 6800]],
      ...[[300_000, 270_000], [350_000, 310_000], [43_200_000, 38_000_000]],
    ] as const
  ) assertEquals(safelyBelow(limitMs), advised);
  for (let ms = 100; ms < 1e8; ms *= 1.37) {
    const advised = safelyBelow(ms);
    assertEquals(advised > 0.8 * ms && advised <= 0.9 * ms, true, `${ms}`);
    assertMatch(`${advised}`, /^\d\d?0*$/);
  }
});

Deno.test("By default an idle connection is closed before any public limit, though looked at once a second", () => {
  const { idleTimeoutMs } = settingsOf({});
  assertEquals(idleTimeoutMs, 230_000);
  for (const { seconds } of LIMITS) {
    assertEquals(idleTimeoutMs + 1000 < seconds * 1000, true);
  }
});
