// That the timers of Node, Bun and Workers come in time, and keep a process alive only while they run.

import "../../support/strict.ts";
import {
  assertEquals,
  assertGreaterOrEqual,
  assertLess,
  assertThrows,
} from "@std/assert";
import { delay } from "@std/async/delay";
import {
  otherRuntime,
  PlainSleep,
  PlainTimer,
} from "../../../pool/socket/other_runtimes.ts";

/** Runs `fn` with timers like those of Node, and says what was asked of them. */
async function withTimeouts(
  fn: (asked: string[]) => void | Promise<void>,
  hasUnref = true,
): Promise<void> {
  const { setTimeout, clearTimeout } = globalThis;
  const asked: string[] = [];
  const ids = new Map<object, ReturnType<typeof setTimeout>>();
  globalThis.setTimeout = ((onDue: () => void, ms: number) => {
    asked.push(`set ${ms}`);
    const timeout = hasUnref
      ? { ref: () => asked.push("ref"), unref: () => asked.push("unref") }
      : {};
    ids.set(timeout, setTimeout(onDue, ms));
    return timeout;
  }) as unknown as typeof setTimeout;
  globalThis.clearTimeout = ((timeout: object) => {
    if (ids.has(timeout)) asked.push("clear");
    clearTimeout(ids.get(timeout));
  }) as unknown as typeof clearTimeout;
  try {
    await fn(asked);
  } finally {
    Object.assign(globalThis, { setTimeout, clearTimeout });
    for (const id of ids.values()) clearTimeout(id);
  }
}

Deno.test("A timer fires after its time, once, and not when it was stopped", async () => {
  const fired: number[] = [];
  const timer = new PlainTimer((lateMs) => fired.push(lateMs));
  const startedAt = performance.now();
  timer.start(30);
  while (fired.length === 0) await delay(1);
  assertGreaterOrEqual(performance.now() - startedAt, 29);
  assertLess(fired[0]!, 1000);
  timer.start(10);
  timer.stop();
  timer.stop();
  await delay(30);
  assertEquals(fired.length, 1);
});

Deno.test("A timer that was stopped keeps no process alive, and serves the next start", async () => {
  await withTimeouts((asked) => {
    const timer = new PlainTimer(() => {});
    timer.start(1000, 0);
    timer.stop();
    timer.start(1000, 5);
    timer.start(2000, 6);
    assertEquals(asked.splice(0), ["set 1000", "unref", "ref"]);
    timer.start(100, 7); // the one that is pending would come too late
    assertEquals(asked.splice(0), ["clear", "set 100"]);
    timer.start(1e9, 8);
    timer.stop();
    assertEquals(asked.splice(0), ["unref"]);
  });
});

Deno.test("Where a timer cannot be told to keep nothing alive, none is left when it stops", async () => {
  await withTimeouts((asked) => {
    const timer = new PlainTimer(() => {});
    timer.start(1000);
    timer.stop();
    assertEquals(asked, ["set 1000", "clear"]);
  }, false);
});

Deno.test("A timer that is far away is set for a minute at most", async () => {
  await withTimeouts((asked) => {
    const timer = new PlainTimer(() => {});
    timer.start(1e12);
    timer.stop();
    assertEquals(asked, ["set 60000", "unref"]);
  });
});

Deno.test("A sleep ends after its time or by end(), and keeps no process alive", async () => {
  await withTimeouts(async (asked) => {
    const sleep = new PlainSleep();
    await sleep.wait(20);
    const startedAt = performance.now();
    const both = Promise.all([sleep.wait(5000), sleep.wait(6000)]);
    sleep.end();
    await both;
    assertLess(performance.now() - startedAt, 1000);
    assertEquals(asked.filter((one) => one !== "clear"), [
      "set 20",
      "unref",
      "set 5000",
      "unref",
      "set 6000",
      "unref",
    ]);
  });
});

Deno.test("A runtime as old as Node 20 is refused, with what is expected", () => {
  const { withResolvers } = Promise;
  Reflect.deleteProperty(Promise, "withResolvers");
  try {
    assertThrows(
      () => otherRuntime("Node"),
      TypeError,
      "Cannot use @unzombie/redis on this version of Node: expected Node 22",
    );
  } finally {
    Object.defineProperty(Promise, "withResolvers", {
      value: withResolvers,
      writable: true,
      configurable: true,
    });
  }
  assertEquals(otherRuntime("Node").name, "Node");
});
