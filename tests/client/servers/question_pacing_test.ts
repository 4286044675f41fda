// That questions are paced: how long each pause is.

import "../../support/strict.ts";
import { assertEquals } from "@std/assert";
import { QuestionPacing } from "../../../client/servers/lookup.ts";

/** The pauses after questions, in milliseconds. */
function pausesAfter(
  outcomes: readonly boolean[],
  random: () => number,
): number[] {
  const pacing = new QuestionPacing(random);
  return outcomes.map((wasFruitful) => {
    pacing.ended(1000, wasFruitful);
    return pacing.waitMs(1000);
  });
}

Deno.test("The first question need not wait", () => {
  assertEquals(new QuestionPacing().waitMs(0) <= 0, true);
});

Deno.test("The pause after a question is 100 to 200 milliseconds", () => {
  assertEquals(pausesAfter([true], () => 0), [200]);
  assertEquals(pausesAfter([true], () => 0.5), [150]);
  assertEquals(pausesAfter([true], () => 1 - 1e-9).map(Math.round), [100]);
});

Deno.test("After three fruitless questions in a row the pause doubles, up to a second", () => {
  const fruitless = new Array<boolean>(6).fill(false);
  assertEquals(pausesAfter(fruitless, () => 0), [
    200,
    200,
    400,
    800,
    1000,
    1000,
  ]);
});

Deno.test("A fruitful question ends the longer pauses", () => {
  assertEquals(
    pausesAfter([false, false, false, true, false], () => 0),
    [200, 200, 400, 200, 200],
  );
});
