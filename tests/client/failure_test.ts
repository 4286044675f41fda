// What the loss of a command means: its fate, whether it may be sent again, and what that is charged to.

import "../support/strict.ts";
import { assert, assertEquals, assertMatch } from "@std/assert";
import type { Command, ConnectionClosedError } from "../../mod.ts";
import { lossFailure } from "../../client/failure.ts";

/** How a connection ended, as a slot is told. */
const report = {
  by: "server",
  how: "fin",
  during: "awaiting-reply",
  cause: undefined,
  endpoint: "redis.example:6379",
  connection: 1,
  clientId: undefined,
  closedAt: 0,
  ageMs: 10_000,
  idleMs: 0,
  commandsServed: 3,
  bytesIn: 0,
  bytesOut: 0,
  inFlight: 1,
  firstInFlight: undefined,
  replyBytes: 0,
  silentMs: 0,
  owedMs: 0,
} as const;
const lossOf = (fate: "unsent" | "unknown", untouched = true) => ({
  report,
  fate,
  untouched,
  openedAt: 5,
});
const SET: Command = ["SET", "k", "v"];
const INCR: Command = ["INCR", "n"];

Deno.test("What was never written may be sent again, and costs nothing", () => {
  const failure = lossFailure([{ loss: lossOf("unsent"), command: INCR }]);
  assertEquals((failure.error as ConnectionClosedError).fate, "unsent");
  assertEquals([failure.mayRunAgain, failure.isReplay], [true, false]);
  assertEquals(failure.charge, undefined);
});

Deno.test("The worst fate of a pipeline's commands is that of the pipeline", () => {
  const mixed = lossFailure([
    { loss: lossOf("unknown"), command: SET },
    { loss: lossOf("unsent"), command: INCR },
  ]);
  assertEquals((mixed.error as ConnectionClosedError).fate, "unknown");
  // INCR was never written: only SET may have run.
  assertEquals([mixed.mayRunAgain, mixed.isReplay], [true, true]);
  assertEquals(mixed.charge, report);
  const hazard = lossFailure([
    { loss: lossOf("unsent"), command: SET },
    { loss: lossOf("unknown"), command: INCR },
  ]);
  assertEquals(hazard.mayRunAgain, false);
  assertMatch(hazard.error.message, /INCR was not replayed/);
});

Deno.test("What replay says is done: always, never, and by the table", () => {
  const lost = (command: Command) => [{ loss: lossOf("unknown"), command }];
  assert(lossFailure(lost(SET), "auto").mayRunAgain);
  assert(!lossFailure(lost(INCR), "auto").mayRunAgain);
  assert(lossFailure(lost(INCR), "always").mayRunAgain);
  assert(!lossFailure(lost(SET), "never").mayRunAgain);
  const unsent = [{ loss: lossOf("unsent"), command: INCR }];
  assert(lossFailure(unsent, "never").mayRunAgain);
});

Deno.test("A reply over a limit is not asked for again, whatever replay says", () => {
  const tooLarge = {
    ...report,
    how: "protocol-error",
    cause: "Reply too large: 2 MB",
  } as const;
  const loss = { ...lossOf("unknown"), report: tooLarge };
  for (const replay of ["auto", "always"] as const) {
    const failure = lossFailure([{ loss, command: SET }], replay);
    assert(!failure.mayRunAgain);
    assertMatch(failure.error.message, /over one of this client's limits/);
  }
});

Deno.test("A zombie is a connection that died before a byte of the reply came, by no wish of ours", () => {
  const zombieOf = (changes: object, untouched = true) =>
    lossFailure([{
      loss: {
        ...lossOf("unknown", untouched),
        report: { ...report, ...changes },
      },
      command: SET,
    }]).zombie;
  assertEquals(zombieOf({}), { openedAt: 5, wasUsed: true });
  assertEquals(zombieOf({}, false), undefined);
  assertEquals(zombieOf({ how: "requested" }), undefined);
  assertEquals(zombieOf({ commandsServed: 0 })?.wasUsed, true); // old enough
  assertEquals(zombieOf({ ageMs: 10 })?.wasUsed, true);
  assertEquals(zombieOf({ commandsServed: 0, ageMs: 10 })?.wasUsed, false);
});
