// That the places of events are those of a map, through growth and removal.
import "../../../support/strict.ts";
import { assertEquals } from "@std/assert";
import { type Place, Places } from "../../../../recorder/stores/file/places.ts";
import { Random } from "../../../support/random.ts";

const walk = (places: Places): number[] => {
  const offsets: number[] = [];
  for (let from = 0;;) {
    const place = places.nextFrom(from);
    if (place === undefined) return offsets;
    offsets.push(place.offset);
    from = place.offset + place.length;
  }
};

Deno.test("Places are those of a map, in the order in which they were put", () => {
  const random = new Random();
  const places = new Places();
  const model = new Map<string, Place>();
  let offset = 0;
  for (let step = 0; step < 20_000; step++) {
    const id = `${random.below(3000)}-x`;
    const length = 1 + random.below(100);
    if (random.oneIn(2)) {
      places.put(id, offset, length);
      model.delete(id);
      model.set(id, { offset, length });
      offset += length;
    } else {
      places.remove(id);
      model.delete(id);
    }
    if (random.oneIn(20)) {
      const gone = [...model.keys()].slice(0, random.below(100));
      for (const id of gone) places.remove(id);
      for (const id of gone) model.delete(id);
    }
    if (!random.oneIn(200)) continue;
    const all = [...model.values()];
    assertEquals(places.size, model.size);
    assertEquals(
      places.bytes,
      all.reduce((sum, { length }) => sum + length, 0),
    );
    assertEquals(places.first, all[0]?.offset ?? Infinity);
    assertEquals(walk(places), all.map(({ offset }) => offset));
    const from = random.below(offset + 1);
    const rank = all.filter(({ offset }) => offset < from).length;
    assertEquals(places.nextFrom(from), all[rank]);
    assertEquals(places.rankOf(from), rank);
    assertEquals(places.offsetAt(rank), all[rank]?.offset);
    const known = random.pick([...model.keys(), "none"]);
    assertEquals(places.get(known), model.get(known));
    assertEquals(places.has(known), model.has(known));
  }
});

Deno.test("No two of half a million ids are taken for one", () => {
  const places = new Places();
  let count = 0;
  for (let n = 0; n < 250_000; n++) {
    const time = (1_780_000_000_000 + Math.floor(n / 50)).toString(36);
    places.put(`${time}-${n.toString(36)}`, count, 1);
    places.put(`${String(n).padStart(12, "0")}-a1b2c3d4`, count + 1, 1);
    count += 2;
  }
  assertEquals(places.size, count);
});
