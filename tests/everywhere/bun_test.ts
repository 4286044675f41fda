// The cases of all runtimes on Bun.

import "../support/strict.ts";
import { programForTests } from "../support/tools.ts";
import { processRuntime, testCases } from "./drivers.ts";

testCases(processRuntime({
  label: "Bun 1.4",
  name: "Bun",
  version: "1.4",
  ...await programForTests("bun"),
}));

testCases(processRuntime({
  label: "Bun 1.2",
  name: "Bun",
  version: "1.2",
  ...await programForTests("oldBun"),
}));
