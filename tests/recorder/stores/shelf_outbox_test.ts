// What an outbox does when its store fails, or is changed by another process at a moment that no real store can be made to meet.
import "../../support/strict.ts";
import { assertEquals, assertRejects } from "@std/assert";
import type { Change, Item, Shelf } from "../../../recorder/stores/shelf.ts";
import { ShelfOutbox } from "../../../recorder/stores/shelf_outbox.ts";
import { storedEvent, storedEvents } from "./contract.ts";

/** Values under names in memory, read one by one, each as it is at that time. */
class MemoryShelf implements Shelf {
  readonly title = "memory";
  readonly largestValue = 1000;
  readonly values = new Map<string, unknown>();
  failure: Error | undefined;

  async *read(start: string, end: string): AsyncGenerator<Item> {
    let next: string | undefined = start;
    while (true) {
      next = [...this.values.keys()].sort().find((name) =>
        name >= next! && name < end
      );
      if (next === undefined) return;
      yield { name: next, value: this.values.get(next) };
      next += "\0";
    }
  }

  async change(groups: readonly (readonly Change[])[]): Promise<void> {
    await undefined;
    if (this.failure !== undefined) throw this.failure;
    for (const { name, value } of groups.flat()) {
      if (value === undefined) this.values.delete(name);
      else this.values.set(name, value);
    }
  }
}

function outboxes(count: number): [MemoryShelf, ...ShelfOutbox[]] {
  const shelf = new MemoryShelf();
  return [
    shelf,
    ...Array.from({ length: count }, () => new ShelfOutbox(shelf, 1e6)),
  ];
}

Deno.test("An event that another process removes while its parts are being read is not handed out", async () => {
  const [shelf, outbox, other] = outboxes(2);
  const entries = [storedEvent(), storedEvent(100), storedEvent()];
  await outbox!.append(entries);
  const loaded: unknown[] = [];
  const { read } = shelf;
  shelf.read = async function* (start, end) {
    for await (const item of read.call(shelf, start, end)) {
      yield item;
      if (!item.name.endsWith("#0002")) continue;
      shelf.read = read;
      await other!.remove([entries[1]!.id]);
    }
  };
  for await (const entry of await outbox!.load()) loaded.push(entry);
  assertEquals(loaded, [entries[0], entries[2]]);
});

Deno.test("A call that fails leaves the store as it was, and the next ones work", async () => {
  const [shelf, outbox] = outboxes(1);
  const entries = storedEvents(2);
  shelf.failure = new Error("disk on fire");
  const append = outbox!.append(entries);
  const remove = outbox!.remove(entries.map(({ id }) => id));
  await assertRejects(() => append, Error, "disk on fire");
  await assertRejects(() => remove, Error, "disk on fire");
  shelf.failure = undefined;
  await outbox!.append(entries);
  shelf.failure = new Error("disk on fire");
  await assertRejects(() => outbox!.remove([entries[0]!.id]));
  await assertRejects(() => outbox!.setAside([entries[0]!.id], "reason"));
  shelf.failure = undefined;
  assertEquals(await Array.fromAsync(await outbox!.load()), entries);
  await outbox!.remove(entries.map(({ id }) => id));
  assertEquals(shelf.values.size, 0);
});

Deno.test("Reading that is given up reads no further", async () => {
  const [shelf, outbox] = outboxes(1);
  await outbox!.append(storedEvents(3));
  let ended = false;
  const { read } = shelf;
  shelf.read = async function* (start, end) {
    try {
      yield* read.call(shelf, start, end);
    } finally {
      ended = true;
    }
  };
  for await (const _ of await outbox!.load()) break;
  assertEquals(ended, true);
});
