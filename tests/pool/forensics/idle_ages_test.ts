// That an idle limit is learned from deaths at the same age, tested now and then, and forgotten.

import "../../support/strict.ts";
import { assertEquals } from "@std/assert";
import { IdleAges } from "../../../pool/forensics/idle_ages.ts";

Deno.test("IdleAges learns the limit of a server from three deaths that agree", () => {
  const ages = new IdleAges();
  ages.observe(300_200, 0);
  ages.observe(300_900, 2000);
  ages.observe(300_901, 2500); // together with the one before
  ages.observe(5, 9000); // killed
  assertEquals(ages.limitMs, Infinity);
  ages.observe(300_500, 10_000);
  assertEquals(ages.limitMs, 270_180);
  ages.observe(20_000, 20_000); // something else happened
  assertEquals(ages.limitMs, Infinity);
});

Deno.test("IdleAges puts a limit to the test now and then, and forgets it when a connection lives on", () => {
  const ages = new IdleAges();
  for (const at of [0, 3000, 6000]) ages.observe(2000, at);
  assertEquals(ages.limitMs, 1800);
  assertEquals(ages.evictAfterMs(15_999), 1800);
  assertEquals(ages.evictAfterMs(16_000), Infinity); // five times the age later
  assertEquals(ages.limitMs, 1800); // a PING goes before the next command, even so

  ages.observe(2100, 18_000); // it holds: the next test is later
  assertEquals(ages.evictAfterMs(18_000), 1800);
  assertEquals(ages.evictAfterMs(18_000 + 10 * 2100 - 1), 1800);
  assertEquals(ages.evictAfterMs(18_000 + 10 * 2100), Infinity);

  ages.survived(2050); // not as long as the others were idle
  assertEquals(ages.limitMs, 1800);
  ages.survived(2500);
  assertEquals([ages.limitMs, ages.evictAfterMs(40_000)], [Infinity, Infinity]);
  ages.observe(2000, 50_000); // one more death, and it is back
  assertEquals(ages.evictAfterMs(50_000), 1800);
  assertEquals(ages.evictAfterMs(60_000), Infinity); // tested as early as at first
});

Deno.test("IdleAges tests a limit less and less often, but goes on", () => {
  const ages = new IdleAges();
  let at = 0;
  for (let i = 0; i < 3; i++) ages.observe(1000, at += 2000);
  const waits: number[] = [];
  for (let i = 0; i < 8; i++) {
    const since = at;
    while (ages.evictAfterMs(at) < Infinity) at += 1000;
    waits.push((at - since) / 1000);
    ages.observe(1000, at);
  }
  assertEquals(waits, [5, 10, 20, 40, 80, 160, 160, 160]);
});
