// When a store is measured, and what is refused for lack of room.
import "../../support/strict.ts";
import { assertEquals, assertRejects } from "@std/assert";
import { type Measured, Room } from "../../../recorder/stores/room.ts";

/** A room of 8000 bytes in a store, of which others may change what is in it. */
function roomIn(store: { held: Measured; failure?: Error }) {
  const counted = { measurements: 0 };
  const room = new Room(8000, "the store", () => {
    counted.measurements++;
    const { held, failure } = store;
    return failure ? Promise.reject(failure) : Promise.resolve(held);
  });
  return { room, counted };
}

async function add(room: Room, bytes: number): Promise<void> {
  await room.need(bytes, 1);
  room.take(bytes);
}

/** Runs what a measurement that is not awaited has left to do. */
const settled = () => new Promise((resolve) => setTimeout(resolve));

Deno.test("A store is measured beside the first addition, and before each further eighth of its limit", async () => {
  const { room, counted } = roomIn({ held: { bytes: 0, aside: 0 } });
  await add(room, 400);
  assertEquals(counted.measurements, 1);
  await settled();
  for (
    const [bytes, measurements] of [[400, 1], [200, 1], [400, 2], [1001, 3]]
  ) {
    await add(room, bytes!);
    assertEquals(counted.measurements, measurements, `${bytes} bytes`);
  }
});

Deno.test("What others have added is found after an eighth of the limit", async () => {
  const store = { held: { bytes: 1000, aside: 0 } };
  const { room } = roomIn(store);
  await add(room, 100);
  await settled();
  store.held = { bytes: 7990, aside: 1500 };
  await add(room, 900);
  await assertRejects(
    () => add(room, 100),
    RangeError,
    "Cannot store 1 event of 1 KiB: the store holds 8 KiB of at most 8 KiB (maxBytes), 2 KiB of them set aside",
  );
});

Deno.test("A store that is full is measured every ten seconds, and has room once others have removed something", async () => {
  const store = { held: { bytes: 8000, aside: 0 } };
  const { room, counted } = roomIn(store);
  const { now } = performance;
  try {
    let at = 0;
    performance.now = () => at;
    await assertRejects(() => room.need(2000, 1), RangeError);
    await assertRejects(() => room.need(1, 1), RangeError);
    assertEquals(counted.measurements, 1);
    store.held = { bytes: 10, aside: 0 };
    at = 10_001;
    await assertRejects(() => room.need(1, 1), RangeError);
    assertEquals(counted.measurements, 2);
    for (let i = 0; i < 10; i++) await undefined;
    await room.need(1, 1);
  } finally {
    performance.now = now;
  }
});

Deno.test("What is added while a store is measured counts, and what is removed counts no more", async () => {
  const { promise, resolve } = Promise.withResolvers<Measured>();
  const room = new Room(8000, "the store", () => promise);
  await add(room, 500);
  await add(room, 300);
  resolve({ bytes: 7200, aside: 0 });
  await settled();
  await assertRejects(() => room.need(1, 1), RangeError);
  room.give(400);
  await room.need(101, 1);
});

Deno.test("A measurement that fails does not refuse an addition unless it is large", async () => {
  const store = { held: { bytes: 0, aside: 0 }, failure: new Error("away") };
  const { room } = roomIn(store);
  await add(room, 500);
  await settled();
  await assertRejects(() => room.need(600, 1), Error, "away");
});
