// How findings are weighed where several causes fit.

import "../../support/strict.ts";
import { assertEquals } from "@std/assert";
import { diagnose } from "../../../pool/forensics/diagnose.ts";
import {
  AWAITING,
  CLOSED_AT,
  idle,
  LISTED,
  REPORT,
  run,
  snapshot,
  stall,
  testRows,
  TIMEOUT,
} from "./incidents.ts";

testRows([
  ["nothing moved", undefined, "none", {}],
  ["idle ages that agree and a kill", "client-kill", "likely", {
    report: { idleMs: 130_000 },
    is: { "cmdstat_client|kill": "1" },
    besides: { earlierIdleMs: [130_200, 129_900] },
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
  ["silence, and another connection was killed", "client-kill", "possible", {
    report: { ...AWAITING, by: "network", how: "silence" },
    is: { "cmdstat_client|kill": "1" },
  }],
  ["a kill, but the server still has it", "middlebox", "likely", {
    is: { "cmdstat_client|kill": "1" },
    after: LISTED,
  }],
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
  [
    "an error reply about max clients beside an eviction",
    "max-clients",
    "likely",
    {
      report: { cause: "ERR max number of clients reached" },
      is: { evicted_clients: "1", rejected_connections: "1" },
    },
    /reached, rejected_connections 0 -> 1/,
  ],
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
  ["closed by this client while others were killed", undefined, "none", {
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
    "closed by this client as readonly, still there for a moment",
    undefined,
    "none",
    {
      report: { by: "client", how: "requested", cause: "readonly" },
      after: LISTED,
    },
  ],
  [
    "no answer to a new one, gone from the server",
    ["server-stall", "middlebox"],
    "possible",
    stall({ unanswered: 1 }, { after: { listed: "" } }),
    /^(?!.*no longer lists)(?!.*fell silent.*fell silent)/,
  ],
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
  ["taken at one moment", "client-kill", "likely", {
    before: { takenAt: CLOSED_AT + 5000 },
    is: { "cmdstat_client|kill": "1" },
  }, /0 -> 1, all within 0 ms\. To do/],
]);

Deno.test("Without any evidence a verdict says where it was sought", () => {
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
    snapshot(CLOSED_AT - 60_000),
    snapshot(CLOSED_AT + 1000, {}, TIMEOUT),
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
