// What time it is on the server, and which sets are trimmed at which time.
import "../support/strict.ts";
import { assert, assertEquals, assertLess } from "@std/assert";
import type { Command } from "../../mod.ts";
import { ReplyError } from "../../mod.ts";
import { Cohort } from "../../recorder/cohorts.ts";
import { Delivery } from "../../recorder/delivery.ts";
import { Retention } from "../../recorder/retention.ts";
import { ServerClock } from "../../recorder/server_clock.ts";

const assertNear = (actual: number, expected: number, room: number): void =>
  assertLess(Math.abs(actual - expected), room);

function delivered(key: string, score: number): Delivery {
  const event = { mallId: "m", shopNo: 1, eventType: "e" };
  const delivery = new Delivery(event, 1, new Cohort(), () => {});
  delivery.key = key;
  delivery.score = score;
  return delivery;
}

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

Deno.test("A set is trimmed once for all that was written to it, by the latest of its times", () => {
  const retention = new Retention(10);
  retention.clock.set(["1000", "0"]);
  for (const score of [500, 700, 600]) retention.add(delivered("a", score));
  retention.add(delivered("b", 5000));
  assertEquals(retention.size, 2);
  const sets = retention.take();
  assertEquals(retention.size, 0);
  assertEquals(retention.take(), []);
  const commands: Command[] = [];
  for (const set of sets) retention.trim(set, performance.now(), commands);
  assertEquals(commands, [
    ["ZREMRANGEBYSCORE", "a", "-inf", "(690"],
    ["EXPIRE", "a", 10],
    ["ZREMRANGEBYSCORE", "b", "-inf", "(990"],
    ["EXPIRE", "b", 10],
  ]);
  const no = new ReplyError("NOPERM no");
  assertEquals(retention.refusalIn([0, 1, 0, 1], sets), undefined);
  assertEquals(retention.refusalIn([0, 1, 0, no], sets), {
    error: no,
    delivery: sets[1]!,
  });
  assertEquals(retention.refusalIn([no, no, no, no], sets)!.delivery, sets[0]);
});

Deno.test("A flush trims so many sets and leaves the others to the next", () => {
  const retention = new Retention(10);
  for (let i = 0; i < 2500; i++) retention.add(delivered(`${i}`, 1));
  assertEquals(
    [1, 2, 3, 4].map(() => retention.take().length),
    [1000, 1000, 500, 0],
  );
});
