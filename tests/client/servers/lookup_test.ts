// That a lookup asks one question at a time, and ends every wait.

import "../../support/strict.ts";
import { assertEquals, assertGreaterOrEqual } from "@std/assert";
import { delay } from "@std/async/delay";
import type { CheckoutTimeoutError } from "../../../pool/errors.ts";
import { Lookup } from "../../../client/servers/lookup.ts";

/** A lookup whose questions are answered by the test. */
function lookupByHand(maxWaiting = Infinity) {
  const questions: {
    answer: (wasFruitful: boolean) => void;
    fail: (reason: unknown) => void;
    at: number;
  }[] = [];
  const lookup = new Lookup({
    maxWaiting,
    what: "a server of a test",
    ask: () =>
      new Promise((answer, fail) =>
        questions.push({ answer, fail, at: performance.now() })
      ),
  });
  return { lookup, questions };
}

const waitOn = (lookup: Lookup) =>
  new Promise((resolve) => lookup.wait((failure) => resolve(failure)));

Deno.test("A thousand calls that wait ask one question, whose end ends every wait", async () => {
  const { lookup, questions } = lookupByHand();
  const waits = Array.from({ length: 1000 }, () => waitOn(lookup));
  await Promise.resolve();
  assertEquals(questions.length, 1);
  waits.push(waitOn(lookup)); // while it is under way
  questions[0]!.answer(true);
  assertEquals(new Set(await Promise.all(waits)), new Set([undefined]));
  await delay(250);
  assertEquals([questions.length, lookup.asked], [1, 1]);
  await lookup.close("over");
});

Deno.test("A question that fails ends the waits with its reason", async () => {
  const { lookup, questions } = lookupByHand();
  const waiting = waitOn(lookup);
  questions[0]!.fail("no server answers");
  assertEquals(await waiting, { reason: "no server answers" });
  await lookup.close("over");
});

Deno.test("A lookup that is renewed while a question is under way asks one more, however often, after a pause", async () => {
  const { lookup, questions } = lookupByHand();
  lookup.renew();
  for (let i = 0; i < 100; i++) lookup.renew();
  questions[0]!.answer(true);
  const endedAt = performance.now();
  await delay(20);
  assertEquals(questions.length, 1);
  await delay(230);
  assertEquals(questions.length, 2);
  assertGreaterOrEqual(questions[1]!.at - endedAt, 90);
  questions[1]!.answer(true);
  await delay(250);
  assertEquals(questions.length, 2);
  await lookup.close("over");
});

Deno.test("A wait that was ended is not called", async () => {
  const { lookup, questions } = lookupByHand();
  let calls = 0;
  lookup.wait(() => calls++)();
  const other = waitOn(lookup);
  questions[0]!.answer(true);
  await other;
  assertEquals(calls, 0);
  await lookup.close("over");
});

Deno.test("A closed lookup ends its waits and asks nothing", async () => {
  const { lookup, questions } = lookupByHand();
  const waiting = waitOn(lookup);
  const closed = lookup.close("it is closed");
  assertEquals(await waiting, { reason: "it is closed" });
  questions[0]!.answer(false);
  await closed;
  lookup.renew();
  assertEquals(await waitOn(lookup), { reason: "it is closed" });
  assertEquals(questions.length, 1);
});

Deno.test("A call too many does not wait, and does not end the others", async () => {
  const { lookup, questions } = lookupByHand(2);
  const waits = [waitOn(lookup), waitOn(lookup)];
  const refused = await waitOn(lookup) as { reason: CheckoutTimeoutError };
  assertEquals(
    refused.reason.message,
    "Cannot find a server of a test: 2 callers wait already (maxWaiting)",
  );
  assertEquals(refused.reason.isRetriable, false);
  let calls = 0;
  lookup.wait(() => calls++)(); // ends before it is refused
  questions[0]!.answer(true);
  assertEquals(await Promise.all(waits), [undefined, undefined]);
  assertEquals([calls, questions.length], [0, 1]);
  await lookup.close("over");
});
