// That Deno's cheap timers come in time, and can be ended.

import "../../support/strict.ts";
import { assertGreaterOrEqual, assertLess } from "@std/assert";
import { delay } from "@std/async/delay";
import { WaitAsyncSleep } from "../../../pool/socket/deno.ts";

Deno.test("A sleep ends after its time", async () => {
  const startedAt = performance.now();
  await new WaitAsyncSleep().wait(50);
  assertGreaterOrEqual(performance.now() - startedAt, 49);
});

Deno.test("end() ends a sleep early", async () => {
  const sleep = new WaitAsyncSleep();
  const startedAt = performance.now();
  const over = sleep.wait(5000);
  await delay(20);
  sleep.end();
  await over;
  assertLess(performance.now() - startedAt, 1000);
});
