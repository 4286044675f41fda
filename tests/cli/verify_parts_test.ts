// The parts of the command line by themselves: what proves something, how arguments are read, what is counted.

import "../support/strict.ts";
import { assertEquals, assertThrows } from "@std/assert";
import { parseArguments } from "../../cli/proof/arguments.ts";
import { readCommandLine, UsageError } from "../../cli/command_line.ts";
import type { RequestResult } from "../../cli/proof/requests.ts";
import { flawOf, type Proof } from "../../cli/proof/result.ts";
import { Heartbeat } from "../../cli/watch/heartbeat.ts";
import { LateSocket } from "../../cli/proof/late_socket.ts";
import { Tally } from "../../cli/watch/cause_counts.ts";
import { inOptions } from "../../cli/tls.ts";
import { parseWatchArguments } from "../../cli/watch/arguments.ts";
import { dutiesOf } from "../../cli/watch/command.ts";
import type { DeathEvent } from "../../cli/watch/json_lines.ts";
import { conclusion, request, requestsSummary } from "../../cli/proof/text.ts";

const fine: RequestResult = {
  error: null,
  replays: 1,
  retries: 0,
  tookMs: 3,
  verdict: null,
};
const failed: RequestResult = {
  ...fine,
  error: { name: "ConnectionClosedError", message: "closed" },
};

type Results = Pick<Proof, "withoutRetry" | "withRetry" | "events">;

const good: Results = {
  withoutRetry: { failed: 2, requests: [failed, failed] },
  withRetry: { failed: 0, requests: [fine, fine] },
  events: {
    events: 1000,
    stored: 1000,
    outcomes: { recorded: 990, queued: 10, dropped: 0 },
    rounds: 16,
    connectionsKilled: 17,
    replays: 150,
    retries: 3,
    longestMs: 7,
    lastError: null,
  },
};

Deno.test("A proof has errors without retry, none with it, kills, and every event once", () => {
  assertEquals(flawOf(good), undefined);
  const flaws: [Partial<Results>, string][] = [
    [
      { withRetry: { failed: 1, requests: [fine, failed] } },
      "requests failed with retry, too",
    ],
    [
      { withoutRetry: { failed: 1, requests: [failed, fine] } },
      "not every zombie cost a request without retry",
    ],
    [
      {
        withoutRetry: {
          failed: 2,
          requests: [failed, {
            ...fine,
            error: { name: "ReplyError", message: "" },
          }],
        },
      },
      "requests failed for another reason than a closed connection",
    ],
    [
      { events: { ...good.events, connectionsKilled: 0 } },
      "no connection was killed while events were recorded",
    ],
    [
      { events: { ...good.events, stored: 999 } },
      "the sorted sets do not hold every event once",
    ],
    [
      { events: { ...good.events, stored: 1001, lastError: "gone" } },
      "the sorted sets do not hold every event once",
    ],
    [
      { events: { ...good.events, stored: 998, lastError: "gone" } },
      "2 events could not be delivered: gone",
    ],
  ];
  for (const [change, flaw] of flaws) {
    assertEquals(flawOf({ ...good, ...change }), flaw);
  }
});

Deno.test("The report counts what there was", () => {
  const environment: Proof["environment"] = {
    deno: "2.5.0",
    system: "linux x86_64",
    server: "Redis 7.0.15",
    origin: "--url",
    endpoint: "redis.example:6379",
    tls: false,
  };
  const method = { name: "kill", reason: null } as const;
  const lines = conclusion({ ...good, environment, method, ok: true });
  assertEquals(lines.slice(1, 5), [
    "  Settings                               Errors      Result",
    "  retry: false                           2 of 2      requests lost",
    "  default retry                          0 of 2      every request answered",
    "  default retry, killed again and again  0 of 1,000  1,000 of 1,000 events recorded",
  ]);
  const events = {
    ...good.events,
    stored: 993,
    outcomes: { recorded: 990, queued: 3, dropped: 7 },
    lastError: "gone",
  };
  const poor = conclusion({ ...good, environment, method, events, ok: false });
  assertEquals(
    poor[4],
    "  default retry, killed again and again  7 of 1,000  993 of 1,000 events recorded",
  );
  assertEquals(
    poor.at(-1),
    "Not proved: 7 events could not be delivered: gone.",
  );
  assertEquals(request({ ...fine, retries: 2 }, 7), [
    "   7  ok      3 ms, 1 replay, 2 retries",
  ]);
  assertEquals(request({ ...fine, replays: 2, retries: 1 }, 12), [
    "  12  ok      3 ms, 2 replays, 1 retry",
  ]);
  const why = { cause: "client-kill", confidence: "likely", text: "" } as const;
  assertEquals(
    requestsSummary({
      failed: 2,
      requests: [{ ...failed, verdict: why }, {
        ...failed,
        verdict: { ...why, cause: null },
      }, fine],
    }, "kill"),
    [
      "  2 of 3 requests failed",
      "  found as the zombies' cause: client-kill (likely) 1 of 3, none found 1 of 3, " +
      "not sought 1 of 3; it was CLIENT KILL from the admin connection",
    ],
  );
});

Deno.test("Arguments of the proof keep to their limits, and have their defaults", () => {
  assertEquals(parseArguments([]), {
    help: false,
    json: false,
    url: undefined,
    requests: 5,
    method: "auto",
    ca: undefined,
    cert: undefined,
    key: undefined,
    serverName: undefined,
  });
  assertEquals(
    parseArguments([
      ...["--json", "--url=redis://a", "--requests", "1000", "--help"],
      ...["--method=shutdown", "--ca", "a", "--cert=c", "--key", "k"],
      ...["--server-name", "n"],
    ]),
    {
      help: true,
      json: true,
      url: "redis://a",
      requests: 1000,
      method: "shutdown",
      ca: "a",
      cert: "c",
      key: "k",
      serverName: "n",
    },
  );
  assertEquals(parseArguments(["--requests", "1"]).requests, 1);
  assertEquals(parseArguments(["--method", "kill"]).method, "kill");
  for (const args of [["--requests", "1001"], ["--requests", "0"], ["watch"]]) {
    assertThrows(() => parseArguments(args), UsageError);
  }
});

Deno.test("Arguments of the watch keep to their limits, and have their defaults", () => {
  const { idle, busy, everyMs, forMs, json } = parseWatchArguments([]);
  assertEquals([idle, busy, everyMs, forMs, json], [
    8,
    2,
    1000,
    Infinity,
    false,
  ]);
  const at = (...args: string[]) => {
    const { idle, busy, everyMs, forMs } = parseWatchArguments(args);
    return [idle, busy, everyMs, forMs];
  };
  assertEquals(
    at("--connections=0", "--busy=1", "--every=10", "--minutes=0.5"),
    [0, 1, 10, 30_000],
  );
  assertEquals(
    at(
      "--connections=1000",
      "--busy=1000",
      "--every=3600000",
      "--minutes=30000",
    ),
    [1000, 1000, 3_600_000, 1_800_000_000],
  );
  assertEquals(at("--connections=1", "--busy=0", "--minutes=.5")[3], 30_000);
  const beyond = ["--connections=1001", "--busy=1001", "--every=9"]
    .concat("--every=3600001", "--minutes=30000.1", "--minutes=0");
  for (const argument of beyond) {
    assertThrows(() => parseWatchArguments([argument]), UsageError);
  }
});

Deno.test("The number of an argument counts the command before it", () => {
  const accepted = { flags: [], options: [] };
  assertThrows(
    () => readCommandLine(["x"], accepted),
    UsageError,
    "argument 1",
  );
  assertThrows(
    () => readCommandLine(["x"], accepted, 1),
    UsageError,
    "argument 2",
  );
});

Deno.test("The rests of idle connections come in turn, and the first is never used", () => {
  const duties = dutiesOf({ idle: 9, busy: 1, everyMs: 50 });
  assertEquals(
    duties.map(({ role, everyMs }) => [role, everyMs / 60_000]),
    [
      ...[Infinity, 1, 2, 5, 10, 20, 30, 60, Infinity].map((m) => ["idle", m]),
      ["busy", 50 / 60_000],
    ],
  );
});

Deno.test("What is said of options of the module is said of those of the command line", () => {
  const texts: [string, string][] = [
    ["pass it in tls.caCerts", "pass it with --ca FILE"],
    ["Cannot use tls.caCerts[0]: x", "Cannot use --ca: x"],
    ["tls.cert and tls.key", "--cert and --key"],
    ["Cannot use tls.serverName", "Cannot use --server-name"],
    ["tls.certain", "tls.certain"],
  ];
  for (const [from, to] of texts) assertEquals(inOptions(from), to);
});

/** A death, as far as it is counted. */
const death = (event: Partial<DeathEvent>): DeathEvent => ({
  cause: null,
  idleMs: 100,
  advice: null,
  confidence: "none",
  refused: [],
  frozenMs: 0,
  ...event,
} as DeathEvent);

Deno.test("Deaths are counted by cause, those after a freeze apart, the most frequent first", () => {
  const tally = new Tally();
  tally.add(death({}), []);
  tally.add(death({ frozenMs: 3000 }), []);
  tally.add(death({ confidence: "likely", idleMs: 50 }), ["restart"]);
  const other = { confidence: "possible", idleMs: 70, advice: "look" } as const;
  tally.add(death({ ...other, refused: ["CONFIG GET"], frozenMs: 3000 }), [
    "restart",
  ]);
  assertEquals(tally.deaths, 4);
  assertEquals(tally.refused, ["CONFIG GET"]);
  const [most, ...others] = tally.rows;
  assertEquals(
    [most?.cause, most?.deaths, most?.idleMs, most?.advice, most?.afterFreeze],
    ["restart", 2, { min: 50, max: 70 }, "look", false],
  );
  assertEquals(most?.confidence, { likely: 1, possible: 1, none: 0 });
  assertEquals(
    others.map((
      { cause, deaths, afterFreeze },
    ) => [cause, deaths, afterFreeze]),
    [[null, 1, false], [null, 1, true]],
  );
});

Deno.test("A freeze bears on what was well before it, and on what it hid until it was looked at", () => {
  const { performance, Date, setInterval, clearInterval } = globalThis;
  let beat = () => {};
  let now = 1000;
  let wall = 5000;
  Object.assign(globalThis, {
    performance: { now: () => now },
    Date: Object.assign(class extends Date {}, { now: () => wall }),
    setInterval: (run: () => void) => beat = run,
    clearInterval: () => {},
  });
  try {
    const told: number[] = [];
    using heartbeat = new Heartbeat((ms) => told.push(ms));
    now += 10_250; // it was frozen for 10 s, and both clocks ran
    wall += 10_250;
    const isPrompt = true;
    assertEquals(heartbeat.bearingOn(1000, isPrompt), 10_000);
    assertEquals(told, [10_000]);
    assertEquals(heartbeat.bearingOn(now + 1, isPrompt), 0); // well since
    assertEquals(heartbeat.bearingOn(now + 1, !isPrompt), 0);
    for (let i = 0; i < 100; i++) {
      now += 250;
      wall += 250;
      beat();
    }
    // What shows at once would have shown long ago; what shows when it is used may be of then.
    assertEquals(heartbeat.bearingOn(1000, isPrompt), 0);
    assertEquals(heartbeat.bearingOn(1000, !isPrompt), 10_000);
    wall += 60_250; // the machine slept: a limit may have run on at the server
    now += 250;
    assertEquals(heartbeat.bearingOn(1000, isPrompt), 60_000);
    assertEquals(heartbeat.frozenMs, 70_000);
  } finally {
    Object.assign(globalThis, {
      performance,
      Date,
      setInterval,
      clearInterval,
    });
  }
});

Deno.test("A socket whose writing was shut down takes writes as if the server had closed by itself", async () => {
  const socket = new LateSocket({
    read: () => Promise.resolve(null),
    write: () => Promise.reject(new Deno.errors.BrokenPipe()),
    close: () => {},
  });
  await socket.shutdown();
  assertEquals(await socket.write(new Uint8Array(7)), 7);
});
