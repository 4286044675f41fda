// The cases of all runtimes on Bun.

import "../support/strict.ts";
import { programForTests } from "../support/tools.ts";
import { DENO } from "./child.ts";
import { processOf, SOCKETS, testCases } from "./drivers.ts";
import { testLives } from "./test_lives.ts";

const bun = {
  label: "Bun 1.4",
  name: "Bun",
  version: "1.4",
  ...await programForTests("bun"),
} as const;

const oldBun = {
  label: "Bun 1.2",
  name: "Bun",
  version: "1.2",
  ...await programForTests("oldBun"),
} as const;

testCases(processOf(bun));
testLives(bun, [bun]);
testCases(processOf(oldBun), SOCKETS);
testLives(oldBun, [DENO]);
