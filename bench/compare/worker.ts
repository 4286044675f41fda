// Worker of compare.ts: times one row with two checkouts of the module in turn, in one process.

import type { Client } from "../client.ts";
import { connect, type Module } from "../clients/ours_client.ts";
import { type Row, rows } from "../rows.ts";
import { recordRows } from "./rows.ts";

/** What compare.ts asks of a worker: one JSON argument. */
export interface Pair {
  readonly row: string;
  readonly url: string;
  readonly caFile: string;
  /** How often both are timed. */
  readonly rounds: number;
  /** The two modules, as URLs. */
  readonly modules: readonly [string, string];
}

const WARM_UP_MS = 500;
/** How long one measurement takes, about. */
const MEASURE_MS = 25;

async function time(row: Row, client: Client, steps: number): Promise<number> {
  const startedAt = performance.now();
  for (let n = 0; n < steps; n++) await row.step(client);
  return performance.now() - startedAt;
}

const pair = JSON.parse(Deno.args[0]!) as Pair;
const row = [...rows, ...recordRows].find(({ name }) => name === pair.row)!;
const ca = row.tls ? await Deno.readTextFile(pair.caFile) : undefined;
const clients: Client[] = [];
for (const url of pair.modules) {
  const module = await import(url) as Module;
  clients.push(await connect({ maxConnections: 1 }, module)(pair.url, ca));
}
const [first, second] = clients as [Client, Client];
for (const client of clients) await row.check(client);

let steps = 0;
for (let spentMs = 0; spentMs < WARM_UP_MS; steps++) {
  spentMs += await time(row, first, 1);
  await time(row, second, 1);
}
steps = Math.ceil(steps * MEASURE_MS / WARM_UP_MS);

const times: [first: number, second: number][] = [];
for (let round = 0; round < pair.rounds; round++) {
  if (round % 2 === 0) {
    const a = await time(row, first, steps);
    times.push([a, await time(row, second, steps)]);
  } else {
    const b = await time(row, second, steps);
    times.push([await time(row, first, steps), b]);
  }
}
for (const client of clients) await client.close();
console.log(JSON.stringify(times));
