// That a queue of entries keeps their order, and nothing that has left it.
import "../../support/strict.ts";
import { assertEquals, assertLess } from "@std/assert";
import { delay } from "@std/async/delay";
import { Entry } from "../../../recorder/entries/entry.ts";
import { Epoch } from "../../../recorder/entries/epochs.ts";
import { countOf, EntryQueue } from "../../../recorder/entries/queue.ts";

const epoch = new Epoch();

function entryOf(name: string, count = 1): Entry {
  const event = { mallId: "mall", shopNo: 1, eventType: "e" };
  const entry = new Entry(event, count, epoch, () => {});
  entry.key = "key";
  entry.members = Array.from({ length: count }, (_, i) => `${name}${i}`);
  return entry;
}

const namesOf = (entries: readonly Entry[]): string[] =>
  entries.map(({ members }) => members[0]!);

Deno.test("Entries leave a queue in the order in which they came", () => {
  const queue = new EntryQueue();
  assertEquals(queue.first, undefined);
  assertEquals(queue.shift(), undefined);
  assertEquals(queue.take(), []);
  for (const name of ["a", "b", "c", "d"]) queue.push(entryOf(name));
  assertEquals(namesOf([queue.shift()!, queue.first!]), ["a0", "b0"]);
  const taken = queue.take();
  assertEquals(namesOf(taken), ["b0", "c0", "d0"]);
  assertEquals(queue.events, 0);
  queue.push(entryOf("e"));
  queue.putBack(taken);
  assertEquals(queue.events, 4);
  assertEquals(namesOf(queue.clear()), ["b0", "c0", "d0", "e0"]);
  assertEquals([queue.events, queue.clear().length], [0, 0]);
});

Deno.test("A chunk has 1000 events at most, or a single entry", () => {
  const queue = new EntryQueue();
  for (const count of [600, 400, 1, 5000, 999, 2]) {
    queue.push(entryOf("m", count));
  }
  assertEquals(queue.events, 7002);
  const chunks = [];
  for (let chunk; (chunk = queue.take()).length > 0;) chunks.push(chunk);
  assertEquals(
    chunks.map((chunk) => chunk.map(({ count }) => count)),
    [[600, 400], [1], [5000], [999], [2]],
  );
  assertEquals(queue.events, 0);
});

Deno.test("A chunk has 256 KiB at most, or a single entry", () => {
  const queue = new EntryQueue();
  for (const length of [100_000, 100_000, 100_000, 1_000_000, 1]) {
    const entry = entryOf("m");
    entry.members = ["m".repeat(length)];
    queue.push(entry);
  }
  const lengths = [];
  for (let chunk; (chunk = queue.take()).length > 0;) {
    lengths.push(chunk.length);
  }
  assertEquals(lengths, [2, 1, 1, 1]);
});

Deno.test("A queue that is never empty keeps nothing of what has left it", async () => {
  const queue = new EntryQueue();
  const fill = (events: number): void => {
    for (let i = 0; i < events; i++) queue.push(entryOf("m"));
  };
  fill(10);
  await delay(0);
  (globalThis as unknown as { gc?: () => void }).gc?.();
  const before = Deno.memoryUsage().heapUsed;
  for (let round = 0; round < 3000; round++) {
    fill(1000);
    assertEquals(countOf(queue.take()), 1000);
    assertEquals(queue.events, 10);
  }
  assertLess(Deno.memoryUsage().heapUsed - before, 150 * 1024 * 1024);
});
