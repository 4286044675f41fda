// Which commands share a connection, which get one of their own, and which only the caller can send.

import "./support/strict.ts";
import { assert, assertEquals } from "@std/assert";
import { routeOf } from "../client/routing.ts";
import type { Command } from "../resp/mod.ts";

const utf8 = new TextEncoder();

/** A command as one types it. */
const typed = (line: string): Command => line.split(" ") as unknown as Command;

/** The command with those of its arguments as bytes that are `like` this. */
const asBytes = ([name, ...rest]: Command, like: RegExp): Command => [
  name,
  ...rest.map((argument) =>
    typeof argument === "string" && like.test(argument)
      ? utf8.encode(argument)
      : argument
  ),
];

const optionsAsBytes = (command: Command): Command => asBytes(command, /\D/);

const mixed = (word: string): string =>
  Array.from(
    word,
    (letter, i) => i % 2 === 0 ? letter.toLowerCase() : letter.toUpperCase(),
  ).join("");

/** The same command in lower case, in mixed case, and with its options as bytes. */
function spellings(line: string): [string, Command][] {
  const lower = typed(line.toLowerCase());
  return [
    ["as written", typed(line)],
    ["in lower case", lower],
    ["in mixed case", typed(line.split(" ").map(mixed).join(" "))],
    ["with options as bytes", optionsAsBytes(typed(line))],
    ["in lower case with options as bytes", optionsAsBytes(lower)],
  ];
}

const SHARED = [
  "PING",
  "GET k",
  "SET k v",
  "SET MULTI SELECT",
  "ZADD k 1 m",
  "INCR k",
  "EVAL script 0",
  "LPOP k",
  "LMPOP 1 k LEFT",
  "ZMPOP 1 k MIN",
  "PUBLISH channel message",
  "PUBSUB CHANNELS",
  "CLIENT ID",
  "CLIENT LIST",
  "CLIENT GETNAME",
  "CLIENT KILL ID 5",
  "CLIENT INFO",
  "CONFIG GET timeout",
  "SCRIPT LOAD script",
  "SCRIPT EXISTS abc",
  "XREAD STREAMS s 0",
  "XREAD COUNT 2 STREAMS s 0",
  "XREAD COUNT 2 STREAMS block 0",
  "XREAD STREAMS block 5",
  "XREADGROUP GROUP g c STREAMS s >",
  "XREADGROUP GROUP g c COUNT 1 NOACK STREAMS block >",
  "XADD s * block 0",
  "MYMODULE.COMMAND a b",
];

/** Commands and how long the server may stay silent on purpose, in milliseconds. */
const BLOCKING: readonly [string, number][] = [
  ["BLPOP a b 5", 5000],
  ["BLPOP a 0.25", 250],
  ["BLPOP a 0", Infinity],
  ["BRPOP a 1", 1000],
  ["BRPOPLPUSH a b 2", 2000],
  ["BLMOVE a b LEFT RIGHT 3", 3000],
  ["BLMOVE a b LEFT RIGHT 0", Infinity],
  ["BZPOPMIN a b 1.5", 1500],
  ["BZPOPMAX a 4", 4000],
  ["BLMPOP 5 2 a b LEFT COUNT 10", 5000],
  ["BLMPOP 0 1 a LEFT", Infinity],
  ["BLMPOP 0.5 1 a LEFT", 500],
  ["BZMPOP 6 1 a MIN", 6000],
  ["BZMPOP 0 1 a MAX COUNT 3", Infinity],
  ["XREAD BLOCK 700 STREAMS s $", 700],
  ["XREAD COUNT 1 BLOCK 700 STREAMS s $", 700],
  ["XREAD BLOCK 0 STREAMS s $", Infinity],
  ["XREADGROUP GROUP g c BLOCK 80 STREAMS s >", 80],
  ["XREADGROUP GROUP g c COUNT 1 BLOCK 0 NOACK STREAMS s >", Infinity],
];

/** Commands that change the connection, and whether each is answered once. */
const STATEFUL: readonly [string, "once" | "many"][] = [
  ["MULTI", "once"],
  ["EXEC", "once"],
  ["DISCARD", "once"],
  ["WATCH k", "once"],
  ["UNWATCH", "once"],
  ["SUBSCRIBE channel", "many"],
  ["UNSUBSCRIBE", "many"],
  ["PSUBSCRIBE pattern", "many"],
  ["PUNSUBSCRIBE pattern", "many"],
  ["SSUBSCRIBE channel", "many"],
  ["SUNSUBSCRIBE channel", "many"],
  ["MONITOR", "many"],
  ["SYNC", "many"],
  ["PSYNC ? -1", "many"],
  ["SELECT 1", "once"],
  ["AUTH password", "once"],
  ["HELLO 3", "once"],
  ["RESET", "once"],
  ["QUIT", "once"],
  ["READONLY", "once"],
  ["READWRITE", "once"],
  ["ASKING", "once"],
  ["CLIENT REPLY OFF", "once"],
  ["CLIENT TRACKING ON", "once"],
  ["CLIENT CACHING YES", "once"],
  ["CLIENT SETNAME me", "once"],
  ["CLIENT SETINFO LIB-NAME me", "once"],
  ["CLIENT NO-EVICT ON", "once"],
  ["CLIENT NO-TOUCH ON", "once"],
  ["SCRIPT DEBUG YES", "once"],
];

Deno.test("A command that blocks nobody and changes nothing of the connection is shared", () => {
  for (const line of SHARED) {
    for (const [spelling, command] of spellings(line)) {
      assertEquals(routeOf(command), { kind: "shared" }, `${line} ${spelling}`);
    }
  }
});

Deno.test("A blocking command gets a connection of its own, and patience for as long as it asked", async (t) => {
  for (const [line, patienceMs] of BLOCKING) {
    await t.step(line, () => {
      for (const [spelling, command] of spellings(line)) {
        const expected = { kind: "blocking", patienceMs } as const;
        assertEquals(routeOf(command), expected, spelling);
      }
    });
  }
});

Deno.test("A blocking command may give its timeout as a number or a bigint", () => {
  for (
    const [timeout, patienceMs] of [[2, 2000], [3n, 3000], [
      0,
      Infinity,
    ]] as const
  ) {
    const expected = { kind: "blocking", patienceMs } as const;
    assertEquals(routeOf(["BLPOP", "a", timeout]), expected);
    assertEquals(routeOf(["BLMPOP", timeout, 1, "a", "LEFT"]), expected);
  }
  assertEquals(routeOf(["XREAD", "BLOCK", 5, "STREAMS", "s", "$"]), {
    kind: "blocking",
    patienceMs: 5,
  });
});

Deno.test("A blocking command may give its timeout as bytes", () => {
  for (const [line, patienceMs] of BLOCKING) {
    const expected = { kind: "blocking", patienceMs } as const;
    assertEquals(routeOf(asBytes(typed(line), /./)), expected, line);
  }
});

Deno.test("A consumer group may be called like an option", async (t) => {
  for (const name of ["STREAMS", "BLOCK", "streams"]) {
    await t.step(name, () => {
      assertEquals(
        routeOf(
          typed(`XREADGROUP GROUP ${name} ${name} BLOCK 80 STREAMS s >`),
        ),
        { kind: "blocking", patienceMs: 80 },
      );
      assertEquals(
        routeOf(typed(`XREADGROUP GROUP ${name} ${name} STREAMS s >`)),
        { kind: "shared" },
      );
    });
  }
});

Deno.test("A command that changes the connection is stateful, and says why", () => {
  for (const [line, answers] of STATEFUL) {
    for (const [spelling, command] of spellings(line)) {
      const route = routeOf(command);
      assert(route.kind === "stateful", `${line} ${spelling}: ${route.kind}`);
      assertEquals(route.answers, answers, line);
      assert(route.why.length > 10, line);
    }
  }
});

Deno.test("WAIT asks about its own connection's writes: only on a lease, with patience", () => {
  const cases = [
    ["WAIT 1 200", 200],
    ["WAIT 1 0", Infinity],
    ["WAITAOF 1 0 300", 300],
    ["WAITAOF 1 0 0", Infinity],
  ] as const;
  for (const [line, patienceMs] of cases) {
    for (const [spelling, command] of spellings(line)) {
      const route = routeOf(command);
      assert(route.kind === "own-writes", `${line} ${spelling}: ${route.kind}`);
      assertEquals(route.patienceMs, patienceMs, line);
    }
  }
});

Deno.test("A command that lacks its arguments is routed all the same", () => {
  const names = [...SHARED, ...BLOCKING, ...STATEFUL].map((entry) =>
    (typeof entry === "string" ? entry : entry[0]).split(" ")[0]!
  );
  for (const name of names) routeOf([name]);
  assertEquals(routeOf(["CLIENT"]), { kind: "shared" });
  assertEquals(routeOf(["XREAD"]), { kind: "shared" });
});

Deno.test("A command is routed the same after ten thousand others", () => {
  for (let i = 0; i < 10_000; i++) {
    assertEquals(routeOf([`UNKNOWN${i}`]), { kind: "shared" });
  }
  for (const [line, patienceMs] of BLOCKING) {
    assertEquals(routeOf(typed(line)), { kind: "blocking", patienceMs }, line);
  }
  for (const [line] of STATEFUL) {
    assertEquals(routeOf(typed(line)).kind, "stateful", line);
  }
});
