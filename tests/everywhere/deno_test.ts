// The cases of all runtimes on Deno, without a bundle.

import "../support/strict.ts";
import { deno, testCases } from "./drivers.ts";

testCases(deno);
