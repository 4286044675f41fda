// The typed face of @std/uuid/v5 where only npm can be reached.
// @ts-types="./uuid_v5.d.ts"
// As in async_delay.ts: looked up when it is met.
const npm = "npm:deno-std@1.4.0";
export const { generate, validate } = await import(`${npm}/uuid/v5.js`);
