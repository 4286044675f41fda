// Deaths counted by cause.

import "../../support/strict.ts";
import { assertEquals } from "@std/assert";
import { CauseCounts } from "../../../cli/watch/cause_counts.ts";
import type { DeathEvent } from "../../../cli/watch/json_lines.ts";

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
  const counts = new CauseCounts();
  counts.add(death({}), []);
  counts.add(death({ frozenMs: 3000 }), []);
  counts.add(death({ confidence: "likely", idleMs: 50 }), ["restart"]);
  const other = { confidence: "possible", idleMs: 70, advice: "look" } as const;
  counts.add(death({ ...other, refused: ["CONFIG GET"], frozenMs: 3000 }), [
    "restart",
  ]);
  assertEquals(counts.deaths, 4);
  assertEquals(counts.refused, ["CONFIG GET"]);
  const [most, ...others] = counts.rows;
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

Deno.test("A death with two possible causes is counted for both, not for the first", () => {
  const death = {
    idleMs: 5,
    frozenMs: 0,
    advice: "look",
    confidence: "possible",
    refused: [],
  } as unknown as DeathEvent;
  const counts = new CauseCounts();
  counts.add(death, ["client-kill", "acl-change"]);
  counts.add({ ...death, confidence: "likely" }, ["client-kill"]);
  counts.add({ ...death, idleMs: 7, advice: null }, [
    "client-kill",
    "acl-change",
  ]);
  counts.add({ ...death, confidence: "none", frozenMs: 9 }, []);
  counts.add({ ...death, confidence: "none", refused: ["B", "A", "B"] }, []);
  const none = { likely: 0, possible: 0, none: 0 };
  assertEquals(counts.rows, [
    {
      cause: "client-kill or acl-change",
      deaths: 2,
      confidence: { ...none, possible: 2 },
      afterFreeze: false,
      idleMs: { min: 5, max: 7 },
      advice: "look",
    },
    ...([
      ["client-kill", { ...none, likely: 1 }, false],
      [null, { ...none, none: 1 }, true],
      [null, { ...none, none: 1 }, false],
    ] as const).map(([cause, confidence, afterFreeze]) => ({
      cause,
      deaths: 1,
      confidence,
      afterFreeze,
      idleMs: { min: 5, max: 5 },
      advice: "look",
    })),
  ]);
  assertEquals([counts.deaths, counts.refused], [5, ["A", "B"]]);
});
