// The typed face of @std/async/deadline where only npm can be reached.
// @ts-types="./async_deadline.d.ts"
export * from "npm:deno-std@1.4.0/async/deadline.js";
