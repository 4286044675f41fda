// The cases of all runtimes on Node.

import "../support/strict.ts";
import { programForTests } from "../support/tools.ts";
import { DENO } from "./child.ts";
import { processOf, SOCKETS, testCases } from "./drivers.ts";
import { testLives } from "./test_lives.ts";

const node24 = {
  label: "Node 24",
  name: "Node",
  version: "24",
  ...await programForTests("node24"),
} as const;

const node22 = {
  label: "Node 22",
  name: "Node",
  version: "22",
  ...await programForTests("node22"),
} as const;

testCases(processOf(node24));
testLives(node24, [node24]);
testCases(processOf(node22), SOCKETS);
testLives(node22, [DENO]);
