// The cases of all runtimes on Node.

import "../support/strict.ts";
import { programForTests } from "../support/tools.ts";
import { processRuntime, testCases } from "./drivers.ts";

testCases(processRuntime({
  label: "Node 24",
  name: "Node",
  version: "24",
  ...await programForTests("node24"),
}));

testCases(processRuntime({
  label: "Node 22",
  name: "Node",
  version: "22",
  ...await programForTests("node22"),
}));
