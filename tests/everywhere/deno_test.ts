// The cases of all runtimes on Deno, without a bundle.

import "../support/strict.ts";
import { DENO } from "./child.ts";
import { processOf, testCases } from "./drivers.ts";
import { testLives } from "./test_lives.ts";

testCases(processOf(DENO));
testLives(DENO);
