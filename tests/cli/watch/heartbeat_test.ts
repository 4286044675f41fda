// Which freezes bear on the end of a connection.

import "../../support/strict.ts";
import { assertEquals } from "@std/assert";
import { Heartbeat } from "../../../cli/watch/heartbeat.ts";

Deno.test("A freeze bears on a connection that was open before it, until its end would have been noticed", () => {
  const { performance, Date, setInterval, clearInterval } = globalThis;
  let beat = () => {};
  let now = 1000;
  let wall = 5000;
  Object.assign(globalThis, {
    performance: { now: () => now },
    Date: Object.assign(class extends Date {}, { now: () => wall }),
    setInterval: (run: () => void) => beat = run,
    clearInterval: () => {},
  });
  try {
    const told: number[] = [];
    using heartbeat = new Heartbeat((ms) => told.push(ms));
    now += 10_250; // it was frozen for 10 s, and both clocks ran
    wall += 10_250;
    const isPrompt = true;
    assertEquals(heartbeat.bearingOn(1000, isPrompt), 10_000);
    assertEquals(told, [10_000]);
    assertEquals(heartbeat.bearingOn(now + 1, isPrompt), 0); // well since
    assertEquals(heartbeat.bearingOn(now + 1, !isPrompt), 0);
    for (let i = 0; i < 100; i++) {
      now += 250;
      wall += 250;
      beat();
    }
    // What shows at once would have shown long ago; what shows when it is used may be of then.
    assertEquals(heartbeat.bearingOn(1000, isPrompt), 0);
    assertEquals(heartbeat.bearingOn(1000, !isPrompt), 10_000);
    wall += 60_250; // the machine slept: a limit may have run on at the server
    now += 250;
    assertEquals(heartbeat.bearingOn(1000, isPrompt), 60_000);
    assertEquals(heartbeat.frozenMs, 70_000);
  } finally {
    Object.assign(globalThis, {
      performance,
      Date,
      setInterval,
      clearInterval,
    });
  }
});
