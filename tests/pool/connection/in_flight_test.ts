// Slots in flight: the first in is the first out, whatever the order of pushes and shifts.

import "../../support/strict.ts";
import { assert, assertEquals, assertStrictEquals } from "@std/assert";
import { InFlight, type Slot } from "../../../pool/connection/in_flight.ts";
import { Random } from "../../support/random.ts";

const slot = (number: number): Slot => ({
  command: ["PING", number],
  binary: false,
  extraReplyTimeoutMs: 0,
  resolve: () => {},
  lose: () => {},
});

/** Compares by identity and says where they part. */
function assertAlike(inFlight: InFlight, model: readonly Slot[]): void {
  assertEquals(inFlight.length, model.length);
  assertStrictEquals(inFlight.first(), model[0]);
}

Deno.test("InFlight is empty at first", () => {
  const inFlight = new InFlight();
  assertEquals(inFlight.length, 0);
  assertStrictEquals(inFlight.first(), undefined);
  assertStrictEquals(inFlight.shift(), undefined);
  assertEquals(inFlight.length, 0);
});

Deno.test("InFlight answers the first slot without taking it", () => {
  const inFlight = new InFlight();
  const [a, b] = [slot(1), slot(2)];
  inFlight.push(a);
  inFlight.push(b);
  assertStrictEquals(inFlight.first(), a);
  assertStrictEquals(inFlight.first(), a);
  assertStrictEquals(inFlight.shift(), a);
  assertStrictEquals(inFlight.first(), b);
});

Deno.test("InFlight may hold the same slot twice", () => {
  const inFlight = new InFlight();
  const a = slot(1);
  inFlight.push(a);
  inFlight.push(a);
  assertEquals(inFlight.length, 2);
  assertStrictEquals(inFlight.shift(), a);
  assertStrictEquals(inFlight.shift(), a);
  assertStrictEquals(inFlight.shift(), undefined);
});

Deno.test("InFlight keeps the order across every size at which it grows or shrinks", () => {
  for (
    const size of [1, 63, 64, 65, 127, 128, 129, 4095, 4096, 4097, 300_000]
  ) {
    const inFlight = new InFlight();
    // Begin in the middle of the ring, so that it wraps when it grows.
    for (let i = 0; i < 40; i++) {
      inFlight.push(slot(-1));
      inFlight.shift();
    }
    const slots = Array.from({ length: size }, (_, i) => slot(i));
    for (const each of slots) inFlight.push(each);
    assertEquals(inFlight.length, size);
    assert(slots.every((each) => inFlight.shift() === each), `size ${size}`);
    assertEquals(inFlight.length, 0);
    assertStrictEquals(inFlight.shift(), undefined);
    inFlight.push(slots[0]!);
    assertStrictEquals(inFlight.shift(), slots[0]);
  }
});

Deno.test("InFlight does as a plain array does, through thousands of shuffled pushes and shifts", () => {
  const random = new Random();
  const inFlight = new InFlight();
  const model: Slot[] = [];
  let number = 0;
  for (let round = 0; round < 400; round++) {
    // Long runs of one kind make it grow, shrink and run dry.
    const pushes = random.oneIn(2) ? 3 : 1;
    for (let step = random.below(500); step > 0; step--) {
      if (random.below(4) < pushes) {
        const next = slot(number++);
        inFlight.push(next);
        model.push(next);
      } else {
        assertStrictEquals(inFlight.shift(), model.shift());
      }
      assertAlike(inFlight, model);
    }
    if (!random.oneIn(20)) continue;
    while (model.length > 0) {
      assertStrictEquals(inFlight.shift(), model.shift());
    }
    assertAlike(inFlight, model);
  }
});

Deno.test("InFlight stays in order while it shrinks from a great burst under load", () => {
  const random = new Random();
  const inFlight = new InFlight();
  const most = 200_000;
  let pushed = 0;
  let shifted = 0;
  const push = () => inFlight.push(slot(pushed++));
  const shift = () => {
    const next = inFlight.shift();
    if (next === undefined) return;
    assertEquals(next.command[1], shifted++);
  };
  for (let i = 0; i < most; i++) push();
  while (inFlight.length > 100) {
    if (random.oneIn(5)) push();
    else shift();
  }
  for (let i = 0; i < most; i++) push();
  while (inFlight.length > 0) shift();
  assertEquals(shifted, pushed);
});
