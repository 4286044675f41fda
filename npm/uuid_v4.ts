// The typed face of @std/uuid/v4 where only npm can be reached.
// @ts-types="./uuid_v4.d.ts"
export * from "npm:deno-std@1.4.0/uuid/v4.js";
