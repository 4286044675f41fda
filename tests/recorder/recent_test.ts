// What is kept of the last acknowledgements of each server.
import "../support/strict.ts";
import { assertEquals, assertLess } from "@std/assert";
import { Entry } from "../../recorder/entries/entry.ts";
import { Epoch } from "../../recorder/entries/epochs.ts";
import { Recent, type Written } from "../../recorder/recent.ts";

const entry = new Entry(
  { mallId: "m", shopNo: 1, eventType: "e" },
  1,
  new Epoch(),
  () => {},
);

const written = (at: number, events = 1): Written => ({
  entries: [entry],
  keepsLater: false,
  events,
  at,
});
const timesOf = (all: readonly Written[]) => all.map(({ at }) => at);

Deno.test("The span ends with the last acknowledgement of each server, not with the present", () => {
  const recent = new Recent(2000);
  for (let at = 0; at <= 10_000; at += 1000) recent.add("a", written(at));
  for (let at = 0; at <= 50_000; at += 1000) recent.add("b", written(at));
  assertEquals(timesOf(recent.take("a", 50_000)), [8000, 9000, 10_000]);
  assertEquals(timesOf(recent.take("b", 50_000)), [48_000, 49_000, 50_000]);
  assertEquals(timesOf(recent.take("a", 50_000)), []);
  assertEquals(recent.events, 0);
});

Deno.test("A server that was idle for a minute and then replaced has lost nothing, but one that was away for an hour may have", () => {
  const recent = new Recent(2000);
  for (const server of ["idle", "away"]) recent.add(server, written(0));
  const hour = 3_600_000;
  assertEquals(recent.take("idle", hour), []); // nothing has failed until now
  assertEquals(timesOf(recent.take("away", 5000)), [0]);
  assertEquals(recent.events, 0);
});

Deno.test("No more than 50,000 events are kept, and what a server that is gone did last stays", () => {
  const recent = new Recent(2000);
  for (let i = 0; i < 100; i++) recent.add("gone", written(i, 100));
  for (let i = 0; i < 1000; i++) {
    recent.add("busy", written(i, 100));
    assertLess(recent.events, 50_001);
  }
  assertEquals(recent.events, 50_000);
  assertEquals(recent.take("gone", 1000).length, 100);
  assertEquals(timesOf(recent.take("busy", 1000)).slice(0, 2), [600, 601]);
  assertEquals(recent.events, 0);
});

Deno.test("Where there is too much, what servers did that have long left gives way", () => {
  const recent = new Recent(2000);
  recent.add("left", written(0, 40_000));
  recent.add("busy", written(700_000, 20_000));
  assertEquals(recent.events, 20_000);
  assertEquals(timesOf(recent.take("busy", 700_000)), [700_000]);
  recent.add("large", written(0, 60_000));
  assertEquals(recent.events, 0);
});
