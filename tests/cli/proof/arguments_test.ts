// The arguments of the proof.

import "../../support/strict.ts";
import { assertEquals, assertThrows } from "@std/assert";
import { UsageError } from "../../../cli/command_line.ts";
import { parseArguments } from "../../../cli/proof/arguments.ts";

Deno.test("The arguments of the proof keep to their limits, and have their defaults", () => {
  assertEquals(parseArguments([]), {
    help: false,
    json: false,
    url: undefined,
    requests: 5,
    method: "auto",
    ca: undefined,
    cert: undefined,
    key: undefined,
    serverName: undefined,
  });
  assertEquals(
    parseArguments([
      ...["--json", "--url=redis://a", "--requests", "1000", "--help"],
      ...["--method=shutdown", "--ca", "a", "--cert=c", "--key", "k"],
      ...["--server-name", "n"],
    ]),
    {
      help: true,
      json: true,
      url: "redis://a",
      requests: 1000,
      method: "shutdown",
      ca: "a",
      cert: "c",
      key: "k",
      serverName: "n",
    },
  );
  assertEquals(parseArguments(["--requests", "1"]).requests, 1);
  assertEquals(parseArguments(["--method", "kill"]).method, "kill");
  for (const args of [["--requests", "1001"], ["--requests", "0"], ["watch"]]) {
    assertThrows(() => parseArguments(args), UsageError);
  }
});
