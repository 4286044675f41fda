// That a timeout counts only time in which the process could run.

import "../../support/strict.ts";
import {
  assert,
  assertEquals,
  assertGreaterOrEqual,
  assertLess,
} from "@std/assert";
import { delay } from "@std/async/delay";
import { FairTimeout } from "../../../pool/socket/fair_timeout.ts";

/** Keeps the process from running anything else. */
function busy(ms: number): void {
  const until = performance.now() + ms;
  while (performance.now() < until);
}

/** A wait of `limitMs` that has begun, and how long it took in the end. */
function wait(
  limitMs: number,
): { timeout: FairTimeout; over: Promise<number> } {
  const { promise, resolve } = Promise.withResolvers<number>();
  const startedAt = performance.now();
  const timeout = new FairTimeout(
    () => limitMs,
    () => resolve(performance.now() - startedAt),
  );
  timeout.start();
  return { timeout, over: promise };
}

Deno.test("A timeout ends after its limit", async () => {
  const tookMs = await wait(200).over;
  assertGreaterOrEqual(tookMs, 199);
  assertLess(tookMs, 400);
});

Deno.test("A timeout that was stopped never ends", async () => {
  const { timeout, over } = wait(50);
  timeout.stop();
  assertEquals(await Promise.race([over, delay(200)]), undefined);
});

Deno.test("Progress restarts a timeout", async () => {
  const { timeout, over } = wait(200);
  await delay(120);
  timeout.progressed(performance.now());
  const tookMs = await over;
  assertGreaterOrEqual(tookMs, 319);
  assertLess(tookMs, 600);
});

Deno.test("A timeout does not count the time in which the process was busy", async () => {
  const { over } = wait(400);
  await delay(150); // a beat of 100 ms has passed, and half of one
  busy(600);
  const tookMs = await over;
  assertGreaterOrEqual(tookMs, 900);
  assertLess(tookMs, 1300);
});

Deno.test("A timeout does not count the longest of several interruptions, whichever comes first", async () => {
  const { over } = wait(400);
  await delay(80);
  busy(60); // the first beat is late
  await delay(20);
  busy(700);
  const tookMs = await over;
  assertGreaterOrEqual(tookMs, 960);
});

Deno.test("What came while the process was busy is read before the timeout ends", async () => {
  let hasCome = false;
  const startedAt = performance.now();
  const { timeout, over } = wait(100);
  // By another timer, as a socket does: it is called after ours.
  const coming = delay(150).then(() => {
    hasCome = true;
    timeout.stop();
  });
  busy(400);
  assertEquals(await Promise.race([over, coming]), undefined);
  assert(hasCome);
  assertLess(performance.now() - startedAt, 600);
});

Deno.test("What came is read before the timeout ends after a second interruption, too", async () => {
  let hasCome = false;
  const { timeout, over } = wait(100);
  busy(200); // added to the limit
  await delay(5);
  const coming = delay(250).then(() => {
    hasCome = true;
    timeout.stop();
  });
  busy(300);
  await Promise.race([over, coming]);
  assert(hasCome);
});

Deno.test("Time added before progress is not added after it", async () => {
  const { timeout, over } = wait(300);
  busy(600);
  await delay(10);
  const since = performance.now();
  timeout.progressed(since);
  await over;
  assertLess(performance.now() - since, 550);
});

Deno.test("A process that works in slices does not wait for ever", async () => {
  const { over } = wait(200);
  let tookMs: number | undefined;
  over.then((ms) => tookMs = ms);
  let slices = 0;
  for (; tookMs === undefined && slices < 10; slices++) {
    busy(300);
    await delay(5);
  }
  assertLess(slices, 5);
});

Deno.test("A timeout without a limit does not end", async () => {
  const { timeout, over } = wait(Infinity);
  assertEquals(await Promise.race([over, delay(100)]), undefined);
  timeout.stop();
});
