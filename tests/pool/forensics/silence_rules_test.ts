// Stalls of a server, and losses on the network, as a silence shows them.

import "../../support/strict.ts";
import { CLOSED_AT, LISTED, run, slow, stall, testRows } from "./incidents.ts";

testRows([
  [
    "all silent, a slow dial",
    "server-stall",
    "likely",
    stall({ dialMs: 100, usualDialMs: 20 }),
    /3 connections fell silent at once, no other connection was answered meanwhile, a new connection took 100 ms to open, usually 20 ms,.* look for slow commands/,
  ],
  [
    "no answer to a new one, and a slow dial",
    "server-stall",
    "likely",
    stall({ dialMs: 900, unanswered: 1 }),
    /meanwhile, 1 new connection got no answer, a new connection took 900 ms to open/,
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
    "one silent, gone from the server, and another connection was killed",
    "client-kill",
    "possible",
    stall({ silent: 1 }, {
      after: { listed: "" },
      is: { "cmdstat_client|kill": "1" },
    }),
  ],
  [
    "two silent, gone from the server, and another connection was killed",
    ["server-stall", "client-kill"],
    "possible",
    stall({ silent: 2 }, {
      after: { listed: "" },
      is: { "cmdstat_client|kill": "1" },
    }),
  ],
  [
    "two silent, CLIENT LIST refused, and another connection was killed",
    "client-kill",
    "possible",
    stall({ silent: 2 }, { is: { "cmdstat_client|kill": "1" } }),
  ],
  [
    "silent, no answer to a new one",
    ["server-stall", "middlebox"],
    "possible",
    stall({ unanswered: 1 }),
    /1 new connection got no answer/,
  ],
  [
    "silent, no answer to new ones",
    ["server-stall", "middlebox"],
    "possible",
    stall({ unanswered: 2 }),
    /2 new connections got no answer/,
  ],
  [
    "silent, the HELLO of new ones never came",
    "middlebox",
    "likely",
    stall({ unanswered: 2 }, {
      was: { cmdstat_hello: "3" },
      is: { cmdstat_hello: "5" },
    }),
    /2 new connections got no answer, what they sent never reached the server: cmdstat_hello calls 3 -> 5/,
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
    "silent, and other clients sent HELLO, too",
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
    "a handshake that this client gave up for another reason",
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
  [
    "two silent, gone from the server",
    "server-stall",
    "possible",
    stall({ silent: 2 }, { after: { listed: "" } }),
    /: 2 connections fell silent at once, no other/,
  ],
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
]);
