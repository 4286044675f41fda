// Which numbers an option of a client may be, and what it is without one.
import "../support/strict.ts";
import { assertEquals, assertThrows } from "@std/assert";
import { Redis } from "../../mod.ts";
import { settingsOf } from "../../client/settings.ts";

Deno.test("Options that are numbers have defaults, each replaced by itself", () => {
  const defaults = settingsOf({});
  assertEquals(defaults.maxConnections, 10);
  assertEquals(defaults.maxWaiting, 20_000);
  assertEquals(settingsOf({ maxWaiting: 1, idleTimeoutMs: Infinity }), {
    ...defaults,
    maxWaiting: 1,
    idleTimeoutMs: Infinity,
  });
});

Deno.test("A number out of the range of its option is refused by name", () => {
  const refused: [object, string][] = [
    [{ maxConnections: 0 }, "maxConnections 0: expected a whole number of 1"],
    [{ maxWaiting: 0 }, "maxWaiting 0: expected a whole number of 1 or more"],
    [{ maxWaiting: 1.5 }, "maxWaiting 1.5: expected a whole number of 1"],
    [{ replyTimeoutMs: -1 }, "replyTimeoutMs -1: expected a number of 0"],
    [{ connectTimeoutMs: NaN }, "connectTimeoutMs NaN: expected a number of 0"],
    [{ maxAgeMs: "1" }, 'maxAgeMs "1": expected a number of 0 or more'],
  ];
  for (const [options, text] of refused) {
    assertThrows(() => new Redis(undefined, options), RangeError, text);
  }
});
