// Numbers of things and lengths of time in texts.

import "../../support/strict.ts";
import { assertEquals } from "@std/assert";
import {
  count,
  duration,
  preciseDuration,
  seconds,
} from "../../../pool/connection/quantities.ts";

Deno.test("A duration and a count read well at the edges of their units", () => {
  const texts: [number, string][] = [
    [0, "0 ms"],
    [999.4, "999 ms"],
    [999.5, "1.0 s"],
    [9949, "9.9 s"],
    [9950, "10 s"],
    [599_000, "599 s"],
    [60_000, "1 min"],
    [600_000, "10 min"],
    [119 * 60_000, "119 min"],
    [120 * 60_000, "2 h"],
    [125 * 60_000, "2 h 5 min"],
  ];
  for (const [ms, text] of texts) assertEquals(duration(ms), text);
  assertEquals(
    [count(0, "event"), count(1, "event"), count(1000, "event")],
    ["0 events", "1 event", "1000 events"],
  );
});

Deno.test("A count takes a plural of its own", () => {
  assertEquals(count(2, "entry", "entries"), "2 entries");
});

Deno.test("Seconds stay seconds, however many, so that they can be compared with a limit", () => {
  assertEquals(
    [900, 1500, 9949, 9950, 350_200, 43_200_400].map(seconds),
    ["0.9 s", "1.5 s", "9.9 s", "10 s", "350 s", "43200 s"],
  );
});

Deno.test("A precise duration keeps tenths of a second, however long it is", () => {
  assertEquals(
    [999.4, 1000, 301_240].map(preciseDuration),
    ["999 ms", "1.0 s", "301.2 s"],
  );
});
