// How each command has to be sent: shared, on a connection of its own, on a lease, or not at all.

import "../../support/strict.ts";
import {
  assert,
  assertEquals,
  assertGreater,
  assertLess,
  assertMatch,
  assertStringIncludes,
} from "@std/assert";
import {
  COMMON,
  reasonAgainstPipeline,
  routeOf,
} from "../../../client/commands/routing.ts";
import { SHARED as SHARED_ROUTE } from "../../../client/commands/routes.ts";
import { rowOfName } from "../../../client/commands/table.ts";
import type { Change } from "../../../client/commands/row.ts";
import { textOf, upper } from "../../../client/commands/words.ts";
import type { Command } from "../../../resp/types.ts";

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
  "TS.READ BLOCK 0",
  "TS.READ series 0 MAX_COUNT 5",
  "CLIENT PAUSE 10",
  "CLIENT KILL TYPE pubsub",
  "CLIENT TRACKINGINFO",
  "HIMPORT HELP",
  "CLUSTER SLOTS",
  "SCRIPT FLUSH",
  "FUNCTION LIST",
  "FAILOVER",
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
  ["BLMOVEM a b LEFT RIGHT 2", 2000],
  ["BLMOVEM a b LEFT RIGHT 2 COUNT 3 OBO", 2000],
  ["BLMOVEM a b LEFT RIGHT 0 EXACTLY 3 BULK", Infinity],
  ["BZMOVE a b MIN 2", 2000],
  ["TS.READ series $ BLOCK 700 1", 700],
  ["TS.READ series - BLOCK 0 1 MAX_COUNT 5", Infinity],
  ["TS.READ BLOCK 5 MAX_COUNT 5 BLOCK 80 1", 80],
  ["XREAD BLOCK 700 STREAMS s $", 700],
  ["XREAD COUNT 1 BLOCK 700 STREAMS s $", 700],
  ["XREAD BLOCK 0 STREAMS s $", Infinity],
  ["XREAD BLOCK 0 BLOCK 5 STREAMS s $", 5], // the last one counts
  // The server reads an option up to a NUL.
  ["XREAD BLOCK\0x 700 STREAMS s $", 700],
  ["XREADGROUP GROUP\0x BLOCK c BLOCK 90 STREAMS s >", 90],
  ["TS.READ series $ BLOCK\0x 60 1", 60],
  ["XREADGROUP GROUP g c BLOCK 80 STREAMS s >", 80],
  ["XREADGROUP GROUP g c COUNT 1 BLOCK 0 NOACK STREAMS s >", Infinity],
];

/** Commands that change the connection. */
const STATEFUL: readonly string[] = [
  "MULTI",
  "EXEC",
  "DISCARD",
  "WATCH k",
  "UNWATCH",
  "SELECT 1",
  "AUTH password",
  "HELLO",
  "HELLO 2",
  "HELLO 2 SETNAME me",
  "RESET",
  "QUIT",
  "READONLY",
  "READWRITE",
  "ASKING",
  "CLIENT REPLY OFF",
  "CLIENT TRACKING ON",
  "CLIENT CACHING YES",
  "CLIENT SETNAME me",
  "CLIENT SETINFO LIB-NAME me",
  "CLIENT CAPA redirect",
  "CLIENT IMPORT-SOURCE ON",
  "CLIENT NO-EVICT ON",
  "CLIENT NO-TOUCH ON",
  "SCRIPT DEBUG YES",
  "HIMPORT PREPARE set a b",
  "HIMPORT SET k set 1 2",
  "HIMPORT DISCARD set",
  "HIMPORT DISCARDALL",
];

/** Commands that are not answered by exactly one reply, and a word of the reason. */
const REFUSED: readonly [string, string][] = [
  ["SUBSCRIBE channel", "more than one reply"],
  ["UNSUBSCRIBE", "more than one reply"],
  ["PSUBSCRIBE pattern", "more than one reply"],
  ["PUNSUBSCRIBE pattern", "more than one reply"],
  ["SSUBSCRIBE channel", "more than one reply"],
  ["SUNSUBSCRIBE channel", "more than one reply"],
  ["MONITOR", "more than one reply"],
  ["SYNC", "for a replica that"],
  ["PSYNC ? -1", "for a replica that"],
  ["REPLCONF ACK 0", "for a replica that"],
  ["REPLCONF GETACK *", "for a replica that"],
  ["CLUSTER SYNCSLOTS CAPA eof", "for a replica that"],
  ["HELLO 3", "RESP2"],
  ["HELLO 3 AUTH user password", "RESP2"],
  ["HELLO 4", "RESP2"],
];

/** Commands that end what holds up those on other connections. */
const URGENT: readonly string[] = [
  "SCRIPT KILL",
  "FUNCTION KILL",
  "FUNCTION STATS",
  "FAILOVER ABORT",
  "CLIENT UNPAUSE",
  "SHUTDOWN",
  "SHUTDOWN NOSAVE",
  "SHUTDOWN ABORT",
];

/** That a command blocks, and that its route leads to the argument with the time. */
function assertBlocks(
  command: Command,
  extraReplyTimeoutMs: number,
  message: string,
): void {
  const route = routeOf(command);
  assert(route.kind === "blocking", `${message}: ${route.kind}`);
  assertEquals(route.extraReplyTimeoutMs, extraReplyTimeoutMs, message);
  const timeout = Number(textOf(command[route.timeoutAt]));
  assertEquals(timeout * route.unitMs || Infinity, extraReplyTimeoutMs);
}

Deno.test("Commands that are routed without the table are shared by the table, too", () => {
  for (const name of COMMON) {
    assertEquals(rowOfName(name).route, SHARED_ROUTE, name);
    assertEquals(rowOfName(name).subcommands, undefined, name);
  }
});

Deno.test("A command that neither blocks nor changes the connection is shared", () => {
  for (const line of SHARED) {
    for (const [spelling, command] of spellings(line)) {
      assertEquals(routeOf(command), { kind: "shared" }, `${line} ${spelling}`);
    }
  }
});

Deno.test("A blocking command has a connection of its own, and as long as its timeout to be answered", async (t) => {
  for (const [line, extraReplyTimeoutMs] of BLOCKING) {
    await t.step(line, () => {
      for (const [spelling, command] of spellings(line)) {
        assertBlocks(command, extraReplyTimeoutMs, spelling);
      }
    });
  }
});

Deno.test("A blocking command may give its timeout as a number or a bigint", () => {
  for (
    const [timeout, extraReplyTimeoutMs] of [[2, 2000], [3n, 3000], [
      0,
      Infinity,
    ]] as const
  ) {
    const commands: Command[] = [
      ["BLPOP", "a", timeout],
      ["BLMPOP", timeout, 1, "a", "LEFT"],
    ];
    for (const command of commands) {
      assertBlocks(command, extraReplyTimeoutMs, `${command}`);
    }
  }
  assertBlocks(["XREAD", "BLOCK", 5, "STREAMS", "s", "$"], 5, "XREAD");
});

Deno.test("A blocking command may give its timeout as bytes", () => {
  for (const [line, extraReplyTimeoutMs] of BLOCKING) {
    assertBlocks(asBytes(typed(line), /./), extraReplyTimeoutMs, line);
  }
});

Deno.test("A consumer group may be named like an option", async (t) => {
  for (const name of ["STREAMS", "BLOCK", "streams"]) {
    await t.step(name, () => {
      const group = `XREADGROUP GROUP ${name} ${name}`;
      assertBlocks(typed(`${group} BLOCK 80 STREAMS s >`), 80, name);
      assertEquals(routeOf(typed(`${group} STREAMS s >`)), { kind: "shared" });
    });
  }
});

Deno.test("A command that changes the connection is stateful, and the reason says what to use", () => {
  for (const line of STATEFUL) {
    for (const [spelling, command] of spellings(line)) {
      const route = routeOf(command);
      assert(route.kind === "stateful", `${line} ${spelling}: ${route.kind}`);
      const { why, changes } = route;
      const instead = changes.endsWith("transaction")
        ? "redis.transaction(), or "
        : changes.startsWith("watches")
        ? "redis.watch(), or "
        : "";
      assertMatch(why, /^.{10,}; use .*redis\.lease\(\)$/, line);
      assert(why.endsWith(`; use ${instead}redis.lease()`), why);
    }
  }
});

Deno.test("The route of a stateful command says what it changes", () => {
  const changes = (line: string) => {
    const route = routeOf(typed(line));
    return route.kind === "stateful" && route.changes;
  };
  const others: Readonly<Record<string, Change>> = {
    MULTI: "opens a transaction",
    EXEC: "ends the transaction",
    DISCARD: "ends the transaction",
    "WATCH k": "watches keys",
    UNWATCH: "watches no key",
    RESET: "resets",
    "CLIENT REPLY OFF": "replies",
  };
  for (const line of STATEFUL) {
    assertEquals(changes(line), others[line] ?? "settings", line);
  }
});

Deno.test("A command that is not answered by exactly one reply is refused, with the reason", () => {
  for (const [line, why] of REFUSED) {
    for (const [spelling, command] of spellings(line)) {
      const route = routeOf(command);
      assert(route.kind === "refused", `${line} ${spelling}: ${route.kind}`);
      assertStringIncludes(route.why, why, line);
      assertStringIncludes(route.why, "which this client does not support");
    }
  }
  assertEquals(routeOf(["HELLO", 3]).kind, "refused");
  assertEquals(routeOf(["HELLO", 2]).kind, "stateful");
});

Deno.test("A command that ends what holds up others goes to a fresh connection", () => {
  for (const line of URGENT) {
    for (const [spelling, command] of spellings(line)) {
      assertEquals(routeOf(command), { kind: "urgent" }, `${line} ${spelling}`);
    }
  }
});

Deno.test("The reason against a command in a pipeline says what to use", () => {
  const reasons = ["BLPOP a 0", "SCRIPT KILL", "MULTI", "SYNC", "WAIT 1 0"]
    .map((line) => {
      const route = routeOf(typed(line));
      assert(route.kind !== "shared", line);
      return reasonAgainstPipeline(route);
    });
  assertEquals(reasons, [
    "it would block every caller that shares the connection; use redis.lease()",
    "it would wait behind the commands that it is meant to end; use redis.send()",
    "a transaction belongs to one connection; use redis.transaction(), or redis.lease()",
    "it is for a replica that talks to its primary, and the server leaves some forms of it unanswered, which this client does not support",
    "it waits for what was written on the same connection; use redis.lease()",
  ]);
});

Deno.test("WAIT concerns the writes of its own connection: it needs a lease, and as long as its timeout to be answered", () => {
  const cases = [
    ["WAIT 1 200", 200],
    ["WAIT 1 0", Infinity],
    ["WAITAOF 1 0 300", 300],
    ["WAITAOF 1 0 0", Infinity],
  ] as const;
  for (const [line, extraReplyTimeoutMs] of cases) {
    for (const [spelling, command] of spellings(line)) {
      const route = routeOf(command);
      assert(route.kind === "own-writes", `${line} ${spelling}: ${route.kind}`);
      assertEquals(route.extraReplyTimeoutMs, extraReplyTimeoutMs, line);
    }
  }
});

Deno.test("A command that lacks its arguments is routed all the same", () => {
  const lines = [...SHARED, ...BLOCKING, ...STATEFUL, ...REFUSED, ...URGENT];
  for (const entry of lines) {
    const line = typeof entry === "string" ? entry : entry[0];
    routeOf([line.split(" ")[0]!]);
  }
  assertEquals(routeOf(["CLIENT"]), { kind: "shared" });
  assertEquals(routeOf(["XREAD"]), { kind: "shared" });
});

Deno.test("A command is routed the same after ten thousand others", () => {
  for (let i = 0; i < 10_000; i++) {
    assertEquals(routeOf([`UNKNOWN${i}`]), { kind: "shared" });
  }
  for (const [line, extraReplyTimeoutMs] of BLOCKING) {
    assertBlocks(typed(line), extraReplyTimeoutMs, line);
  }
  for (const line of STATEFUL) {
    assertEquals(routeOf(typed(line)).kind, "stateful", line);
  }
});

Deno.test("A value of hundreds of megabytes is cut before it is read as a word", () => {
  const huge = new Uint8Array(600 * 2 ** 20);
  assertEquals(upper(huge).length, 1024);
  assertEquals(upper("x".repeat(5000)).length, 1024);
  assertEquals(routeOf(["CLIENT", huge]), { kind: "shared" });
});

Deno.test("The memory for the names of commands is bounded", async () => {
  const code = `
    import { routeOf } from "${
    import.meta.resolve("../../../client/commands/routing.ts")
  }";
    const heap = () => (gc(), Deno.memoryUsage().heapUsed);
    const before = heap();
    for (let i = 0; i < 50_000; i++) routeOf(["UNKNOWN" + i + "X".repeat(500)]);
    console.log(heap() - before);`;
  const { stdout } = await new Deno.Command(Deno.execPath(), {
    args: ["eval", "--v8-flags=--expose-gc", code],
  }).output();
  const grownBy = Number(new TextDecoder().decode(stdout));
  assertGreater(grownBy, -10_000_000);
  assertLess(grownBy, 2_000_000);
});
