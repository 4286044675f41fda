// That a wait is charged only for time in which the process could run, and a freeze is noticed by one of two clocks.

import "../../support/strict.ts";
import {
  assert,
  assertEquals,
  assertGreaterOrEqual,
  assertLess,
} from "@std/assert";
import { delay } from "@std/async/delay";
import { FreezeWatch, Patience } from "../../../pool/socket/clock.ts";

/** Keeps the process from running anything else. */
function busy(ms: number): void {
  const until = performance.now() + ms;
  while (performance.now() < until);
}

/** A wait of `limitMs` that has begun, and how long it took in the end. */
function wait(limitMs: number): { patience: Patience; over: Promise<number> } {
  const { promise, resolve } = Promise.withResolvers<number>();
  const startedAt = performance.now();
  const patience = new Patience(
    () => limitMs,
    () => resolve(performance.now() - startedAt),
  );
  patience.start();
  return { patience, over: promise };
}

Deno.test("a wait is over after its limit", async () => {
  const tookMs = await wait(200).over;
  assertGreaterOrEqual(tookMs, 199);
  assertLess(tookMs, 400);
});

Deno.test("a wait that was stopped is never over", async () => {
  const { patience, over } = wait(50);
  patience.stop();
  assertEquals(await Promise.race([over, delay(200)]), undefined);
});

Deno.test("progress begins a wait anew", async () => {
  const { patience, over } = wait(200);
  await delay(120);
  patience.progressed(performance.now());
  const tookMs = await over;
  assertGreaterOrEqual(tookMs, 319);
  assertLess(tookMs, 600);
});

Deno.test("a wait is not charged for time in which the process was busy", async () => {
  const { over } = wait(400);
  await delay(150); // a beat of 100 ms has passed, and half of one
  busy(600);
  const tookMs = await over;
  assertGreaterOrEqual(tookMs, 900);
  assertLess(tookMs, 1300);
});

Deno.test("what came while the process was busy is looked at before the wait is over", async () => {
  let hasCome = false;
  const startedAt = performance.now();
  const { patience, over } = wait(100);
  // By another timer, as a socket does: it is called after ours.
  const coming = delay(150).then(() => {
    hasCome = true;
    patience.stop();
  });
  busy(400);
  assertEquals(await Promise.race([over, coming]), undefined);
  assert(hasCome);
  assertLess(performance.now() - startedAt, 600);
});

Deno.test("what came is looked at where there is nothing left to forgive, too", async () => {
  let hasCome = false;
  const { patience, over } = wait(100);
  busy(200); // forgiven
  await delay(5);
  const coming = delay(250).then(() => {
    hasCome = true;
    patience.stop();
  });
  busy(300);
  await Promise.race([over, coming]);
  assert(hasCome);
});

Deno.test("what was forgiven before progress is not forgiven after it", async () => {
  const { patience, over } = wait(300);
  busy(600);
  await delay(10);
  const since = performance.now();
  patience.progressed(since);
  await over;
  assertLess(performance.now() - since, 550);
});

Deno.test("a process that works in slices does not wait for ever", async () => {
  const { over } = wait(200);
  let tookMs: number | undefined;
  over.then((ms) => tookMs = ms);
  let slices = 0;
  for (; tookMs === undefined && slices < 10; slices++) {
    busy(300);
    await delay(5);
  }
  assertLess(slices, 5);
});

Deno.test("a wait without a limit goes on", async () => {
  const { patience, over } = wait(Infinity);
  assertEquals(await Promise.race([over, delay(100)]), undefined);
  patience.stop();
});

/** Both clocks, set by hand. */
function clocks(): { now: number; wall: number; watch: FreezeWatch } {
  const clocks = { now: 5000, wall: 1_700_000_000_000 };
  const watch = new FreezeWatch(() => clocks.now, () => clocks.wall);
  return Object.assign(clocks, { watch });
}

Deno.test("FreezeWatch notices a process that was stopped", () => {
  const it = clocks();
  it.now += 1300;
  it.wall += 1300;
  assertEquals(it.watch.look(1000), undefined);
  it.now += 1700;
  it.wall += 1700;
  assertEquals(it.watch.look(1000), { ms: 2000, wasAsleep: false });
  assertEquals(it.watch.look(1000), undefined); // once
});

Deno.test("FreezeWatch notices a machine that was suspended, while performance.now() stood still", () => {
  const it = clocks();
  it.now += 100;
  it.wall += 60_100;
  assertEquals(it.watch.look(100), { ms: 60_000, wasAsleep: true });
  assertEquals(it.watch.look(100), undefined);
});

Deno.test("FreezeWatch takes no harm from a clock that is set back", () => {
  const it = clocks();
  it.now += 1000;
  it.wall -= 3_600_000;
  assertEquals(it.watch.beat(1000), undefined);
  it.now += 3000; // and a freeze is seen all the same
  it.wall += 3000;
  assertEquals(it.watch.look(1000), { ms: 2000, wasAsleep: false });
});

Deno.test("FreezeWatch counts from the last beat, not from the last look", () => {
  const it = clocks();
  it.now += 900;
  it.wall += 900;
  assertEquals(it.watch.look(1000), undefined);
  it.now += 900;
  it.wall += 900;
  assertEquals(it.watch.look(1000), { ms: 800, wasAsleep: false });
  it.now += 900;
  it.wall += 900;
  assertEquals(it.watch.beat(1000), undefined);
  it.now += 900;
  it.wall += 900;
  assertEquals(it.watch.look(1000), undefined);
});
