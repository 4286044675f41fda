// That a freeze shows on one of two clocks.

import "../support/strict.ts";
import { assertEquals } from "@std/assert";
import { FreezeDetector } from "../../pool/liveness.ts";

/** Both clocks, set by hand. */
function clocks(): { now: number; wall: number; detector: FreezeDetector } {
  const clocks = { now: 5000, wall: 1_700_000_000_000 };
  const detector = new FreezeDetector(() => clocks.now, () => clocks.wall);
  return Object.assign(clocks, { detector });
}

Deno.test("FreezeDetector detects that the process was stopped", () => {
  const it = clocks();
  it.now += 1300;
  it.wall += 1300;
  assertEquals(it.detector.look(1000), undefined);
  it.now += 1700;
  it.wall += 1700;
  assertEquals(it.detector.look(1000), { ms: 2000, wasAsleep: false });
  assertEquals(it.detector.look(1000), undefined); // once
});

Deno.test("FreezeDetector detects that the machine was suspended, while performance.now() stood still", () => {
  const it = clocks();
  it.now += 100;
  it.wall += 60_100;
  assertEquals(it.detector.look(100), { ms: 60_000, wasAsleep: true });
  assertEquals(it.detector.look(100), undefined);
});

Deno.test("FreezeDetector works on after a clock was set back", () => {
  const it = clocks();
  it.now += 1000;
  it.wall -= 3_600_000;
  assertEquals(it.detector.beat(1000), undefined);
  it.now += 3000; // and a freeze is seen all the same
  it.wall += 3000;
  assertEquals(it.detector.look(1000), { ms: 2000, wasAsleep: false });
});

Deno.test("FreezeDetector counts from the last beat, not from the last look", () => {
  const it = clocks();
  it.now += 900;
  it.wall += 900;
  assertEquals(it.detector.look(1000), undefined);
  it.now += 900;
  it.wall += 900;
  assertEquals(it.detector.look(1000), { ms: 800, wasAsleep: false });
  it.now += 900;
  it.wall += 900;
  assertEquals(it.detector.beat(1000), undefined);
  it.now += 900;
  it.wall += 900;
  assertEquals(it.detector.look(1000), undefined);
});
