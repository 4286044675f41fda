// That a file of queued events does what a map does, through any calls, compactions and new processes.
import "../../../support/strict.ts";
import { assertEquals, assertLess } from "@std/assert";
import type { StoredEvent } from "../../../../recorder/stores/file/file_outbox.ts";
import { Random, searchLength } from "../../../support/random.ts";
import {
  idsOf,
  loaded,
  openOutbox,
  storedEvents,
  temporaryFile,
} from "./files.ts";

Deno.test("Any calls in any order leave what a map would have", {
  timeout: searchLength(180_000), // a write takes 0.1 s on a busy disk
}, async () => {
  const random = new Random();
  await using file = await temporaryFile();
  let { outbox } = await openOutbox(file.path);
  const model = new Map<string, StoredEvent>();
  const aside = new Set<string>();
  let largest = 0;
  for (let step = 0; step < searchLength(400); step++) {
    const ids = [...model.keys()];
    const some = (most: number): string[] =>
      Array.from(
        { length: Math.min(random.below(most), ids.length) },
        () => random.pick(ids),
      );
    const calls: Promise<void>[] = [];
    for (let n = random.below(4); n >= 0; n--) {
      switch (random.below(5)) {
        case 0:
        case 1: {
          const entries = storedEvents(
            1 + random.below(10),
            "x".repeat(random.below(8000)),
          );
          if (random.oneIn(4) && ids.length > 0) {
            entries.push(model.get(random.pick(ids)) ?? entries[0]!);
          }
          calls.push(outbox.append(entries));
          for (const entry of entries) {
            if (!model.has(entry.id)) model.set(entry.id, entry);
          }
          break;
        }
        case 2:
        case 3: {
          // The oldest ones mostly, as a recorder does; now and then all but them.
          const gone = random.oneIn(10)
            ? ids.slice(random.below(3))
            : random.oneIn(3)
            ? some(8)
            : ids.slice(0, random.below(12));
          calls.push(outbox.remove(gone));
          for (const id of gone) {
            model.delete(id);
            aside.delete(id);
          }
          break;
        }
        case 4: {
          if (!random.oneIn(5)) break;
          const gone = some(3);
          calls.push(outbox.setAside(gone, "why"));
          for (const id of gone) if (model.has(id)) aside.add(id);
        }
      }
    }
    await Promise.all(calls);
    largest = Math.max(largest, outbox.bytes);
    if (random.oneIn(8)) {
      await outbox.close();
      const next = await openOutbox(file.path);
      assertEquals(next.problems, []);
      outbox = next.outbox;
    }
    if (random.oneIn(4)) {
      const expected = [...model.values()].filter(({ id }) => !aside.has(id));
      const found = await loaded(outbox);
      assertEquals(outbox.size, expected.length);
      assertEquals(idsOf(found), idsOf(expected));
      assertEquals(found, expected);
    }
  }
  await outbox.remove([...model.keys()]);
  await outbox.close();
  console.log(`the file had at most ${largest} bytes, and has ${outbox.bytes}`);
  assertLess(outbox.bytes, 2 ** 18 + 20_000);
});
