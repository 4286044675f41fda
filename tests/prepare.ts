// Puts in place what tests need and what takes long to get: runtimes and bundlers, and the package for npm.
//
// Tests do so themselves where it is missing; CI does it while types are checked.
import { canPack, startRegistry } from "./support/published/project.ts";
import { installTools } from "./support/tools.ts";

await installTools();
if (canPack) await (await startRegistry())[Symbol.asyncDispose]();
