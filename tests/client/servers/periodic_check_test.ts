// That a check is made again while there is need of it, and then no more.

import "../../support/strict.ts";
import { assertEquals, assertLessOrEqual } from "@std/assert";
import { delay } from "@std/async/delay";
import { PeriodicCheck } from "../../../client/servers/periodic_check.ts";

Deno.test("A check is made until none is needed, and again when it is started", async () => {
  let checks = 0;
  const check = new PeriodicCheck(10, () => ++checks % 3 !== 0);
  check.start();
  check.start(); // without effect
  await delay(150);
  assertEquals(checks, 3);
  check.start();
  await delay(150);
  assertEquals(checks, 6);
  check.end();
});

Deno.test("A check that has ended is not made, and cannot be started", async () => {
  let checks = 0;
  const check = new PeriodicCheck(10, () => {
    checks++;
    return true;
  });
  check.start();
  await delay(35);
  check.end();
  const before = checks;
  check.start();
  await delay(50);
  assertLessOrEqual(checks, before);
});
