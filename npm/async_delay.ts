// The typed face of @std/async/delay where only npm can be reached.
// @ts-types="./async_delay.d.ts"
export * from "npm:deno-std@1.4.0/async/delay.js";
