// That sources are asked one beside the other, and the first answer counts.

import "../../support/strict.ts";
import { assertEquals, assertLess, assertRejects } from "@std/assert";
import { delay } from "@std/async/delay";
import {
  firstAnswer,
  NoAnswerError,
} from "../../../client/servers/first_answer.ts";

interface Source {
  readonly name: string;
  readonly afterMs: number;
  readonly fails?: boolean;
}

/** Asks sources that answer or fail after a time; says which were asked, and of which the signal has aborted. */
function askAll(sources: readonly Source[], staggerMs = 30) {
  const asked: string[] = [];
  const aborted: string[] = [];
  const answer = firstAnswer(sources, {
    staggerMs,
    isFinal: (error) => error === "final",
    ask: async ({ name, afterMs, fails }, signal) => {
      asked.push(name);
      signal.addEventListener("abort", () => aborted.push(name));
      await delay(afterMs);
      if (fails) throw name;
      return name;
    },
  });
  return { answer, asked, aborted };
}

Deno.test("A source that answers at once is the only one that is asked", async () => {
  const { answer, asked } = askAll([
    { name: "a", afterMs: 0 },
    { name: "b", afterMs: 0 },
  ], 5000);
  assertEquals(await answer, "a");
  await delay(50);
  assertEquals(asked, ["a"]);
});

Deno.test("The next source is asked as soon as one has failed", async () => {
  const startedAt = performance.now();
  const { answer, asked } = askAll([
    { name: "a", afterMs: 0, fails: true },
    { name: "b", afterMs: 0 },
  ], 5000);
  assertEquals(await answer, "b");
  assertEquals(asked, ["a", "b"]);
  assertLess(performance.now() - startedAt, 1000);
});

Deno.test("A slow source is not given up: it may answer first after all", async () => {
  const { answer, asked, aborted } = askAll([
    { name: "slow", afterMs: 100 },
    { name: "slower", afterMs: 500 },
  ]);
  assertEquals(await answer, "slow");
  assertEquals(asked, ["slow", "slower"]);
  assertEquals(aborted, ["slow", "slower"]);
  await delay(450); // the slower one ends
});

Deno.test("If all fail, the error holds each failure in the order of the sources", async () => {
  const { answer } = askAll([
    { name: "a", afterMs: 60, fails: true },
    { name: "b", afterMs: 0, fails: true },
  ]);
  const error = await assertRejects(() => answer, NoAnswerError);
  assertEquals(error.failures, ["a", "b"]);
});

Deno.test("A failure that every source would give is thrown at once", async () => {
  const { answer, asked } = askAll([
    { name: "final", afterMs: 0, fails: true },
    { name: "b", afterMs: 0 },
  ], 5000);
  assertEquals(await answer.catch((reason) => reason), "final");
  assertEquals(asked, ["final"]);
});

Deno.test("Without sources there is no answer", async () => {
  const error = await assertRejects(() => askAll([]).answer, NoAnswerError);
  assertEquals(error.failures, []);
});
