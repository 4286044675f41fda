// The typed face of @std/uuid/v5 where only npm can be reached.
// @ts-types="./uuid_v5.d.ts"
export * from "npm:deno-std@1.4.0/uuid/v5.js";
