// That the events of a watch are gathered right: life lines, moments, idle times, interruptions.
import "../../support/strict.ts";
import { assertEquals, assertLessOrEqual } from "@std/assert";
import { Night } from "../../../cli/report/night.ts";
import type { DeathEvent, WatchEvent } from "../../../cli/watch/json_lines.ts";
import { at, death, MIDNIGHT, NODE, open, start } from "./events.ts";

function nightOf(...events: WatchEvent[]): Night {
  const night = new Night();
  for (const event of events) night.add(event);
  return night;
}

const seconds = (ms: number | undefined) =>
  ms === undefined ? undefined : (ms - MIDNIGHT) / 1000;

/** The lives of each line, in seconds. */
const livesOf = (night: Night) =>
  night.servers[0]!.lines.all.map(({ lives }) =>
    lives.map(({ connection, from, to, isDead }) => [
      connection,
      seconds(from),
      seconds(to),
      isDead,
    ])
  );

Deno.test("A place has one life after the other, and the last one is open", () => {
  const night = nightOf(
    start(),
    ...[1, 2, 3].map((slot) => open(slot, slot, 0)),
    death(1, 1, 300),
    open(1, 4, 302),
  );
  assertEquals(livesOf(night), [
    [[1, 0, 300, true], [4, 302, undefined, false]],
    [[2, 0, undefined, false]],
    [[3, 0, undefined, false]],
  ]);
});

Deno.test("The end of the watch is no death", () => {
  const night = nightOf(start(0), open(1, 1, 0), {
    ...{ type: "summary", at: at(60), endpoint: NODE, watchedMs: 60_000 },
    ...{ connections: 1, open: 1, deaths: 0, causes: [], longestIdleMs: 1000 },
    ...{ awayTimes: 0, awayMs: 0, awayReason: null, frozenMs: 0, refused: [] },
  });
  assertEquals(livesOf(night), [[[1, 0, 60, false]]]);
  assertEquals([night.isOver, night.deaths], [true, 0]);
});

Deno.test("Lines without open events and places are drawn by role, rhythm and age", () => {
  const withoutSlot = (event: DeathEvent): DeathEvent => {
    const { slot: _, ...rest } = event;
    return rest as DeathEvent;
  };
  const night = nightOf(
    start(),
    withoutSlot(death(0, 2, 300, { ageMs: 300_000 })),
    withoutSlot(death(0, 4, 620, { ageMs: 310_000, event: 2 })),
  );
  assertEquals(livesOf(night), [
    [[1, 0, undefined, false]],
    [[2, 0, 300, true], [4, 310, 620, true]],
    [[3, 0, undefined, false]],
  ]);
});

Deno.test("Deaths of one moment are together by cause, and moments alike in a row are one", () => {
  const killed = {
    ...{ cause: "client-kill", advice: "find out what sends it" },
    ...{ outcome: "likely ended by CLIENT KILL", idleMs: 40 },
  };
  const night = nightOf(
    start(),
    ...[1, 2].map((event) => death(1, event, event * 300, { event })),
    ...[1, 2, 3].map((slot) =>
      death(slot, slot + 2, 700, { event: 3, together: 3, ...killed })
    ),
    death(1, 6, 1000, { event: 4 }),
  );
  assertEquals(
    night.moments.all.map(({ id, times, from, to, kinds }) => [
      ...[id, times, seconds(from), seconds(to)],
      kinds.map(({ cause, deaths }) => [cause, deaths]),
    ]),
    [
      [1, 2, 300, 600, [["idle-timeout", 2]]],
      [3, 1, 700, 700, [["client-kill", 3]]],
      [4, 1, 1000, 1000, [["idle-timeout", 1]]],
    ],
  );
  assertEquals([night.moments.count, night.deaths], [4, 6]);
});

Deno.test("Of very many moments the oldest are counted alone", () => {
  const night = nightOf(start());
  for (let event = 1; event <= 1000; event++) {
    const cause = event % 2 === 0 ? "idle-timeout" : "client-kill";
    night.add(death(1, event, event, { event, cause }));
  }
  const { all, left, count } = night.moments;
  assertLessOrEqual(all.length, 300);
  assertEquals([count, left.moments + all.length], [1000, 1000]);
  assertEquals(left.deaths + all.length, night.deaths);
});

Deno.test("Interruptions have the times at which they began and ended", () => {
  const night = nightOf(
    start(),
    { type: "away", node: NODE, at: at(10), reason: "refused", open: 0 },
    { type: "back", node: NODE, at: at(20), afterMs: 8000 },
    { type: "stalled", node: NODE, at: at(30), forMs: 1500 },
    { type: "frozen", at: at(60), forMs: 5000 },
    { type: "away", node: NODE, at: at(90), reason: "refused", open: 0 },
  );
  const [server] = night.servers;
  const spans = (all: readonly { from: number; to?: number }[]) =>
    all.map(({ from, to }) => [seconds(from), seconds(to)]);
  assertEquals(spans(server!.aways), [[10, 18], [90, undefined]]);
  assertEquals(spans(server!.stalls), [[30, 31.5]]);
  assertEquals(spans(night.freezes), [[55, 60]]);
});

Deno.test("Idle times after a freeze are left out of the histogram", () => {
  const night = nightOf(
    start(),
    death(1, 1, 300, { idleMs: 300_000 }),
    death(2, 2, 300, { idleMs: 303_000 }),
    death(3, 3, 900, { event: 2, cause: null, frozenMs: 5000 }),
  );
  const ages = night.idleAges.all;
  assertEquals(ages.reduce((sum, { deaths }) => sum + deaths, 0), 2);
  for (const { from, to } of ages) {
    assertLessOrEqual(from, 303_000);
    assertLessOrEqual(300_000, to);
  }
  assertEquals(night.idleAges.afterFreeze, 1);
});
