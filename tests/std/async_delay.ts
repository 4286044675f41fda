// The typed face of @std/async/delay where only npm can be reached.
// @ts-types="./async_delay.d.ts"
// Who never waits shall not pay for npm at its start: a name that is computed is looked up when it is met.
const npm = "npm:deno-std@1.4.0";
export const { delay } = await import(`${npm}/async/delay.js`);
