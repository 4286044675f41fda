// Removals from a store that fails.
import "../../support/strict.ts";
import { assertEquals, assertGreater, assertLessOrEqual } from "@std/assert";
import { delay } from "@std/async/delay";
import type { OutboxError } from "../../../recorder/outbox/outbox_store.ts";
import { Removals } from "../../../recorder/outbox/removals.ts";
import { StoreCalls } from "../../../recorder/outbox/store_calls.ts";
import { MapStore } from "../map_store.ts";

function setUp() {
  const store = new MapStore();
  const errors: OutboxError[] = [];
  const calls = new StoreCalls(store, (error) => errors.push(error));
  const removals = new Removals(calls, () => {});
  const idsOf = (batch: number) =>
    Array.from({ length: 1000 }, (_, i) => `${batch}-${i}`);
  const add = async (batch: number) => {
    for (const id of idsOf(batch)) store.entries.set(id, {});
    removals.add(idsOf(batch));
    await removals.flush();
  };
  return { store, errors, removals, add };
}

Deno.test("What a store cannot remove is tried again by backoff, not with each of the next events", async () => {
  const { store, errors, removals, add } = setUp();
  store.failures.set("remove", new Error("refused"));
  const startedAt = performance.now();
  for (let batch = 0; batch < 50; batch++) await add(batch);
  // At 0 ms, then 80 ms later at the soonest, then 160 ms ...: each time at most 10 calls more.
  const retries = Math.log2((performance.now() - startedAt) / 80 + 1);
  assertLessOrEqual(store.countOf("remove"), 50 + 10 * (retries + 1));
  assertEquals(errors.length, 1);
  store.failures.clear();
  const callsBefore = store.countOf("remove");
  await removals.end(); // the oldest were let go
  assertEquals(store.countOf("remove"), callsBefore + 10);
  assertEquals(store.entries.size, 40_000);
});

Deno.test("What a store could not remove is removed with later events once the pause is over", async () => {
  const { store, removals, add } = setUp();
  store.failures.set("remove", new Error("refused"));
  await add(1);
  store.failures.clear();
  await add(2);
  assertEquals(store.entries.size, 1000); // those of the first batch
  await delay(110);
  await add(3);
  assertEquals(store.entries.size, 0);
  const { length } = store.calls;
  await removals.end();
  assertEquals(store.calls.length, length);
});

Deno.test("While a removal hangs no other one is made, and the end makes one more attempt at most", async () => {
  const { store, removals, add } = setUp();
  store.gate = () => new Promise(() => {});
  const startedAt = performance.now();
  await add(0);
  assertGreater(performance.now() - startedAt, 4900);
  for (let batch = 1; batch < 30; batch++) await add(batch);
  await removals.end();
  assertEquals(store.countOf("remove"), 1);
});
