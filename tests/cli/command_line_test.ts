// How arguments are read.

import "../support/strict.ts";
import { assertEquals, assertThrows } from "@std/assert";
import { readCommandLine, UsageError } from "../../cli/command_line.ts";

Deno.test("The number of an argument counts the command before it", () => {
  const syntax = { flags: [], options: [] };
  assertThrows(
    () => readCommandLine(["x"], syntax),
    UsageError,
    "argument 1",
  );
  assertThrows(
    () => readCommandLine(["x"], syntax, 1),
    UsageError,
    "argument 2",
  );
});

Deno.test("A value may stand in its option or after it, and a value that is an option is missing", () => {
  const syntax = { flags: ["--json"], options: ["--url"] };
  for (const args of [["--url=a=b", "--json"], ["--json", "--url", "a=b"]]) {
    const { flags, values } = readCommandLine(args, syntax);
    assertEquals([[...flags], [...values]], [["--json"], [["--url", "a=b"]]]);
  }
  assertEquals(
    readCommandLine(["--url", "-1"], syntax).values.get("--url"),
    "-1",
  );
  assertThrows(
    () => readCommandLine(["--url", "--json"], syntax),
    UsageError,
    "Cannot use --url: it needs a value",
  );
});
