// What time it is on the server.
import "../support/strict.ts";
import { assert, assertLess } from "@std/assert";
import { ReplyError } from "../../mod.ts";
import { ServerClock } from "../../recorder/retention.ts";

const assertNear = (actual: number, expected: number, room: number): void =>
  assertLess(Math.abs(actual - expected), room);

Deno.test("The server's clock goes on from the last answer, which is good for a minute", () => {
  const clock = new ServerClock();
  const now = performance.now();
  assert(clock.isStale(now));
  clock.set(["1000", "999999"]);
  assert(!clock.isStale(performance.now()));
  assert(!clock.isStale(now + 59_000));
  assert(clock.isStale(performance.now() + 61_000));
  assertNear(clock.seconds(performance.now()), 1000, 0.5);
  assertNear(clock.seconds(performance.now() + 30_000), 1030, 0.5);
  clock.forget();
  assert(clock.isStale(performance.now()));
});

Deno.test("Without an answer the server's clock is this machine's, and is not asked for again at once", () => {
  for (const reply of [new ReplyError("NOPERM no"), undefined, [], "1000"]) {
    const clock = new ServerClock();
    clock.set(["1000", "0"]);
    clock.set(reply);
    assert(!clock.isStale(performance.now()));
    assertNear(clock.seconds(performance.now()), Date.now() / 1000, 1);
  }
});
