// The arguments of the watch.

import "../../support/strict.ts";
import { assertEquals, assertThrows } from "@std/assert";
import { UsageError } from "../../../cli/command_line.ts";
import { parseWatchArguments } from "../../../cli/watch/arguments.ts";

Deno.test("The arguments of the watch keep to their limits, and have their defaults", () => {
  const { idle, busy, everyMs, forMs, json } = parseWatchArguments([]);
  assertEquals([idle, busy, everyMs, forMs, json], [
    8,
    2,
    1000,
    Infinity,
    false,
  ]);
  const at = (...args: string[]) => {
    const { idle, busy, everyMs, forMs } = parseWatchArguments(args);
    return [idle, busy, everyMs, forMs];
  };
  assertEquals(
    at("--connections=0", "--busy=1", "--every=10", "--minutes=0.5"),
    [0, 1, 10, 30_000],
  );
  assertEquals(
    at(
      "--connections=1000",
      "--busy=1000",
      "--every=3600000",
      "--minutes=30000",
    ),
    [1000, 1000, 3_600_000, 1_800_000_000],
  );
  assertEquals(at("--connections=1", "--busy=0", "--minutes=.5")[3], 30_000);
  const beyond = ["--connections=1001", "--busy=1001", "--every=9"]
    .concat("--every=3600001", "--minutes=30000.1", "--minutes=0");
  for (const argument of beyond) {
    assertThrows(() => parseWatchArguments([argument]), UsageError);
  }
});
