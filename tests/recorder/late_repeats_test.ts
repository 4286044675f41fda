// Repeats whose code cannot be loaded.
import "../support/strict.ts";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { assertEquals } from "@std/assert";
import { delay } from "@std/async/delay";
import { LateRepeats } from "../../recorder/late_repeats.ts";
import { Entry } from "../../recorder/entries/entry.ts";
import { Epoch } from "../../recorder/entries/epochs.ts";
import { EVENT } from "./doubles.ts";
import { Fleet } from "./fleet.ts";

Deno.test("If the code for repeats cannot be loaded nothing is repeated or kept, which is said once", async () => {
  const lines: unknown[][] = [];
  const { error: original } = console;
  console.error = (...words) => lines.push(words);
  try {
    const failure = new TypeError("no such module");
    const repeats = new LateRepeats({
      sender: new Fleet(1),
      spanMs: 3000,
      sendOptions: {},
      serverOf: () => "server",
      onRepeated() {},
    }, () => Promise.reject(failure));
    const notes = repeats.notesOf("server");
    const note = () => {
      const entry = new Entry(EVENT, 1, new Epoch(), () => {});
      notes.add([entry], false, notes.failovers);
      return new WeakRef(entry);
    };
    const early = note();
    repeats.failover("server", 10);
    await repeats.flush();
    const late = note();
    repeats.failover("server", 10);
    repeats.end();
    await repeats.flush();
    assertEquals(repeats.repeated, 0);
    assertEquals(lines.map(([text, error]) => [typeof text, error]), [
      ["string", failure],
    ]);
    await delay(0); // a WeakRef holds on until the turn ends
    setFlagsFromString("--expose-gc");
    runInNewContext("gc")();
    assertEquals([early.deref(), late.deref()], [undefined, undefined]);
  } finally {
    console.error = original;
  }
});
