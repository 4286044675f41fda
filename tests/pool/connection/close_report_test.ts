// What a close report says, on real connections and word for word.

import "../../support/strict.ts";
import { assertEquals, assertGreaterOrEqual, assertLess } from "@std/assert";
import { delay } from "@std/async/delay";
import {
  type CloseReport,
  ConnectionClosedError,
  describeClose,
  Redis,
} from "../../../mod.ts";
import { isOverLimit } from "../../../pool/connection/close_report.ts";
import { startProxy } from "../../support/fault_proxy.ts";
import { startRedis } from "../../support/redis_server.ts";

const REPORT: CloseReport = {
  by: "server",
  how: "fin",
  during: "idle",
  cause: undefined,
  endpoint: "redis.example:6379",
  connection: 3,
  clientId: undefined,
  closedAt: 1_700_000_000_000,
  ageMs: 301_240,
  idleMs: 999.4,
  silentMs: 1000,
  owedMs: 0,
  commandsServed: 14,
  bytesIn: 100,
  bytesOut: 100,
  inFlight: 0,
  firstInFlight: undefined,
  replyBytes: 0,
};

Deno.test("A report of silence says how long a reply was owed, however much was written meanwhile", async () => {
  await using server = await startRedis();
  await using proxy = await startProxy({ target: server });
  const reports: CloseReport[] = [];
  await using redis = new Redis(proxy.url, {
    replyTimeoutMs: 400,
    maxConnections: 1,
    retry: false,
    onClose: (report) => reports.push(report),
  });
  await redis.send(["PING"]);
  await delay(100);
  proxy.silence({ scope: "open" });
  const calls = [];
  for (let i = 0; i < 8; i++) {
    const call = redis.send(["INCR", "n"]);
    call.catch(() => {}); // looked at below
    calls.push(call);
    await delay(45);
  }
  const outcomes = await Promise.allSettled(calls);
  assertEquals(outcomes.map(({ status }) => status), Array(8).fill("rejected"));
  const [report] = reports;
  assertGreaterOrEqual(report!.owedMs, 395);
  assertLess(report!.owedMs, 900);
  assertGreaterOrEqual(report!.silentMs, report!.owedMs + 90);
  assertLess(report!.idleMs, report!.owedMs - 200); // our own writes
  const words = `Connection closed by client after ${
    Math.round(report!.owedMs)
  } ms without a reply`;
  assertEquals(describeClose(report!).slice(0, words.length), words);
});

Deno.test("A report of an idle connection says that no reply was owed", async () => {
  await using server = await startRedis();
  const { promise, resolve } = Promise.withResolvers<CloseReport>();
  await using redis = new Redis(server.url, { onClose: resolve });
  await redis.send(["PING"]);
  await delay(60);
  await server.cli("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes");
  const { owedMs, silentMs, idleMs } = await promise;
  assertEquals(owedMs, 0);
  assertGreaterOrEqual(silentMs, 55);
  assertGreaterOrEqual(idleMs, 55);
});

Deno.test("A close that was requested is not the last close of stats()", async () => {
  await using server = await startRedis();
  await using redis = new Redis(server.url, {
    idleTimeoutMs: 100,
    validateAfterIdleMs: Infinity,
  });
  await redis.send(["PING"]);
  while (redis.stats().open > 0) await delay(50);
  assertEquals(redis.stats().evicted, { "idle-timeout": 1 });
  assertEquals(redis.stats().lastClose, undefined);
});

const WORDS: [what: string, more: Partial<CloseReport>, text: RegExp][] = [
  [
    "a FIN while idle",
    {},
    /^Connection closed by server: connection 3 to redis\.example:6379 ended \(FIN\) while idle, 301\.2 s old, 999 ms since the last byte, 14 commands served, 0 in flight$/,
  ],
  [
    "one of each",
    {
      commandsServed: 1,
      inFlight: 1,
      firstInFlight: { name: "GET", args: 1 },
      clientId: 5127,
    },
    /, 1 command served, 1 in flight \(first: GET with 1 argument\), client id 5127$/,
  ],
  ["no arguments", {
    inFlight: 2,
    firstInFlight: { name: "PING", args: 0 },
  }, /2 in flight \(first: PING with 0 arguments\)$/],
  [
    "a reset",
    { by: "network", how: "rst", during: "awaiting-reply" },
    /^Connection reset by server or network: connection 3 to \S+ ended \(RST\) awaiting a reply, /,
  ],
  [
    "a cut reply",
    { during: "inside-reply", replyBytes: 1 },
    /ended \(FIN\) inside a reply after 1 byte, /,
  ],
  [
    "a cut reply of many bytes",
    { during: "inside-reply", replyBytes: 2 },
    /inside a reply after 2 bytes, /,
  ],
  [
    "silence",
    {
      by: "network",
      how: "silence",
      during: "writing",
      owedMs: 5000,
      cause: "no byte came",
    },
    /^Connection closed by client after 5\.0 s without a reply: .* ended \(silence\) while writing, .*: no byte came$/,
  ],
  [
    "a connection that the system has given up while no reply was owed",
    { by: "network", how: "silence", cause: "Connection timed out" },
    /^Connection lost to a server or network that does not answer: .* ended \(silence\) while idle, .*: Connection timed out$/,
  ],
  [
    "a bad reply",
    { how: "protocol-error", cause: "Bad type" },
    /^Connection closed by client because of a bad reply: .* ended \(protocol error\) .*: Bad type$/,
  ],
  [
    "a TLS alert",
    { how: "tls-alert", during: "handshake" },
    /^Connection closed by server: .* ended \(TLS alert\) during the handshake, /,
  ],
  ["a second", { ageMs: 1000 }, /1\.0 s old, 999 ms since/],
  [
    "our own wish",
    { by: "client", how: "requested", cause: "max-age" },
    /^Connection closed by client: .* ended \(on request\) while idle, .*: max-age$/,
  ],
  ["its pool", {
    pool: { open: 3, leased: 1, dialing: 9, waiting: 2 },
  }, /, pool: 3 open, 1 leased, 2 waiting$/],
];

for (const [what, more, text] of WORDS) {
  Deno.test(`describeClose describes ${what}`, () => {
    const told = describeClose({ ...REPORT, ...more });
    assertEquals(text.test(told), true, told);
  });
}

Deno.test("The error says what became of the command, and a note", () => {
  for (
    const [fate, words] of [
      ["unsent", "the command did not run"],
      ["executed", "the command was executed"],
      ["unknown", "the command may have run"],
    ] as const
  ) {
    const error = new ConnectionClosedError(REPORT, fate);
    assertEquals(error.message, `${describeClose(REPORT)}; ${words}`);
    assertEquals([error.fate, error.report], [fate, REPORT]);
    assertEquals(
      new ConnectionClosedError(REPORT, fate, "because").message,
      `${error.message}, because`,
    );
  }
});

Deno.test("isOverLimit is true of a reply that was too large, and of no other bad reply", () => {
  const large = "Reply too large: 5 bytes";
  assertEquals(
    ([
      { how: "protocol-error", cause: large },
      { how: "protocol-error", cause: "Bad type" },
      { how: "protocol-error" },
      { how: "fin", cause: large },
    ] as const).map((more) => isOverLimit({ ...REPORT, ...more })),
    [true, false, false, false],
  );
});
