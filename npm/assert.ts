// The typed face of @std/assert where only npm can be reached.
// @ts-types="./assert.d.ts"
export * from "npm:deno-std@1.4.0/assert/mod.js";
