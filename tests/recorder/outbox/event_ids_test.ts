// Ids of stored events: in order of time, and different in each recorder.
import "../../support/strict.ts";
import { assert, assertEquals, assertGreater, assertMatch } from "@std/assert";
import { EventIds } from "../../../recorder/outbox/event_ids.ts";

Deno.test("Ids sort in the order in which they were made, and none comes twice", () => {
  const ids = new EventIds();
  const made = Array.from({ length: 20_000 }, () => ids.next());
  assertEquals([...made].sort(), made);
  assertEquals(new Set(made).size, made.length);
  for (const id of made.slice(0, 100)) assertMatch(id, /^[0-9a-z-]{31}$/);
});

Deno.test("Ids of two recorders differ, and each has its own", () => {
  const [a, b] = [new EventIds(), new EventIds()];
  assertEquals(a.has("0mf3k2x9q-0000-"), false); // has made none
  const [ofA, ofB] = [a.next(), b.next()];
  assert(a.has(ofA) && b.has(ofB));
  assert(!a.has(ofB) && !b.has(ofA));
});

Deno.test("Ids sort by time when the clock is set back, and after very many in one millisecond", () => {
  const { now } = Date;
  const ids = new EventIds();
  const time = 1_800_000_000_000;
  try {
    Date.now = () => time;
    const first = ids.next();
    Date.now = () => time - 3_600_000;
    let last = first;
    for (let i = 0; i < 36 ** 4 + 10; i++) {
      const next = ids.next();
      if (next <= last || next.length !== first.length) {
        assertGreater(next, last);
        assertEquals(next.length, first.length);
      }
      last = next;
    }
    Date.now = () => time + 1000;
    assertGreater(ids.next(), last);
  } finally {
    Date.now = now;
  }
});
