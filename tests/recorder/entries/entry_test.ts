// The states of an entry, and its ways from one to another.
import "../../support/strict.ts";
import { assertEquals, assertThrows } from "@std/assert";
import type { RecordOutcome } from "../../../mod.ts";
import { Entry, type EntryState } from "../../../recorder/entries/entry.ts";
import { Epoch, Epochs } from "../../../recorder/entries/epochs.ts";

const EVENT = { mallId: "mall", shopNo: 1, eventType: "e" };

/** A way to each state. */
const WAYS: Record<EntryState, EntryState[]> = {
  "accepted": [],
  "pending": ["pending"],
  "in flight": ["pending", "in flight"],
  "queued": ["queued"],
  "recorded": ["pending", "in flight", "recorded"],
  "dropped": ["dropped"],
  "left": ["queued", "left"],
};
const STATES = Object.keys(WAYS) as EntryState[];
const TRANSITIONS = [
  "accepted > pending",
  "accepted > queued",
  "accepted > dropped",
  "pending > in flight",
  "pending > queued",
  "pending > dropped",
  "in flight > queued",
  "in flight > recorded",
  "in flight > dropped",
  "queued > recorded",
  "queued > dropped",
  "queued > left",
];

function entryIn(state: EntryState, epoch = new Epoch()): Entry {
  const entry = new Entry(EVENT, 1, epoch, () => {});
  for (const next of WAYS[state]) entry.enter(next);
  return entry;
}

Deno.test("An entry goes from state to state only by the transitions there are", () => {
  for (const before of STATES) {
    for (const next of STATES) {
      const entry = entryIn(before);
      assertEquals(entry.state, before);
      if (TRANSITIONS.includes(`${before} > ${next}`)) {
        assertEquals(entry.enter(next), before);
        assertEquals(entry.state, next);
      } else {
        assertThrows(
          () => entry.enter(next),
          Error,
          `no transition from ${before} to ${next}`,
        );
        assertEquals(entry.state, before);
      }
    }
  }
});

Deno.test("An epoch ends once it is over and each of its entries is recorded or dropped", async () => {
  for (const state of ["recorded", "dropped"] as const) {
    const epoch = new Epoch();
    let hasEnded = false;
    epoch.ended.then(() => hasEnded = true);
    const held = entryIn("accepted", epoch);
    entryIn(state, epoch);
    epoch.end();
    for (const next of ["pending", "in flight", "queued"] as const) {
      held.enter(next);
      await undefined;
      assertEquals(hasEnded, false, next);
    }
    held.enter(state);
    await undefined;
    assertEquals(hasEnded, true);
  }
});

Deno.test("A flush waits for no entry that is accepted later", async () => {
  const epochs = new Epochs();
  const first = entryIn("queued", epochs.current);
  let flushes = 0;
  const flush = () => epochs.flushed().then(() => flushes++);
  const flushed = flush();
  const second = entryIn("queued", epochs.current);
  first.enter("recorded");
  await flushed;
  assertEquals(flushes, 1);
  const again = flush();
  second.enter("dropped");
  await again;
  await epochs.flushed(); // there is nothing left
});

Deno.test("The first answer is the outcome that the caller gets, with an error unless it is recorded", async () => {
  const fault = new Error("gone");
  const outcomes: [RecordOutcome["status"], RecordOutcome][] = [
    ["recorded", { status: "recorded", count: 3 }],
    ["queued", { status: "queued", count: 3, error: fault }],
    ["dropped", { status: "dropped", count: 3, error: fault }],
  ];
  for (const [status, outcome] of outcomes) {
    const { promise, resolve } = Promise.withResolvers<RecordOutcome>();
    const entry = new Entry(EVENT, 3, new Epoch(), resolve);
    entry.answer(status, status === "recorded" ? undefined : fault);
    entry.answer("dropped", new Error("later"));
    assertEquals(await promise, outcome);
  }
});

Deno.test("An entry is given up after ten refusals over a quarter of an hour, not sooner", () => {
  const often = entryIn("queued");
  for (let i = 0; i < 20; i++) assertEquals(often.refuse(i), false);
  assertEquals(often.refuse(899_999), false);
  assertEquals(often.refuse(900_000), true);
  const seldom = entryIn("queued");
  for (let i = 0; i < 9; i++) {
    assertEquals(seldom.refuse(i * 1_000_000), false);
  }
  assertEquals(seldom.refuse(9_000_000), true);
});
