// What earlier processes have left for several servers: each gets its own, also after a failover.
import "../support/strict.ts";
import { assertEquals } from "@std/assert";
import { WebhookRecorder } from "../../mod.ts";
import { until } from "../support/wait.ts";
import { keyOfShop, ofShop } from "./doubles.ts";
import { Fleet } from "./fleet.ts";
import { storedEvent, storeWith } from "./map_store.ts";

/** Events of three shops, one after the other. */
const leftOf = (count: number) =>
  storeWith(
    Array.from({ length: count }, (_, n) =>
      storedEvent(n, { key: keyOfShop(n % 3), event: ofShop(n % 3) })),
  );

Deno.test("What was left for a server that is away makes nothing wait that was left for another", async () => {
  const fleet = new Fleet(3);
  const [first, sick, last] = fleet.primaries;
  sick!.become("gone");
  const store = leftOf(30);
  const recorder = new WebhookRecorder(fleet, { outbox: store });
  await until(() => recorder.stats().sent === 20);
  assertEquals(first!.members(keyOfShop(0)).size, 10);
  assertEquals(last!.members(keyOfShop(2)).size, 10);
  assertEquals([recorder.pending, recorder.stats().stored], [10, 10]);
  await until(() => store.entries.size === 10);
  sick!.become("well");
  await recorder.flush();
  assertEquals(sick!.members(keyOfShop(1)).size, 10);
  assertEquals(store.entries.size, 0);
  await recorder.close();
});

Deno.test("After a failover what was left goes to the server that is in charge then, at once", async () => {
  const fleet = new Fleet(3);
  fleet.primaries[1]!.become("gone");
  const store = leftOf(30);
  const recorder = new WebhookRecorder(fleet, { outbox: store });
  await until(() => recorder.stats().sent === 20);
  const promoted = fleet.promote(1);
  await until(() => recorder.pending === 0, "the outbox is empty", 500);
  assertEquals(promoted.members(keyOfShop(1)).size, 10);
  assertEquals(
    [...promoted.members(keyOfShop(1)).values()].sort(),
    Array.from({ length: 10 }, (_, i) => 1_700_000_001 + 3 * i),
  );
  await recorder.close();
  assertEquals(store.entries.size, 0);
});

Deno.test("close leaves in the store what waits for a server that is away, and records the rest", async () => {
  const fleet = new Fleet(3);
  fleet.primaries[1]!.become("silent");
  const store = leftOf(0);
  const recorder = new WebhookRecorder(fleet, { outbox: store });
  const outcomes = Array.from(
    { length: 30 },
    (_, n) => recorder.record(ofShop(n % 3)),
  );
  await recorder.close({ drainMs: 50 });
  const statuses = await Promise.all(outcomes);
  assertEquals(
    statuses.map(({ status }) => status),
    Array.from({ length: 30 }, (_, n) => n % 3 === 1 ? "queued" : "recorded"),
  );
  assertEquals(store.entries.size, 10);
});
