// That a watch looks again while there is something to watch, and then no more.

import "../../support/strict.ts";
import { assertEquals, assertLessOrEqual } from "@std/assert";
import { delay } from "@std/async/delay";
import { Watch } from "../../../client/servers/watch.ts";

Deno.test("A watch looks until a look finds nothing, and begins again when it is started", async () => {
  let looks = 0;
  const watch = new Watch(10, () => ++looks % 3 !== 0);
  watch.start();
  watch.start(); // without effect
  await delay(150);
  assertEquals(looks, 3);
  watch.start();
  await delay(150);
  assertEquals(looks, 6);
  watch.end();
});

Deno.test("A watch that has ended does not look, and cannot be started", async () => {
  let looks = 0;
  const watch = new Watch(10, () => {
    looks++;
    return true;
  });
  watch.start();
  await delay(35);
  watch.end();
  const before = looks;
  watch.start();
  await delay(50);
  assertLessOrEqual(looks, before);
});
