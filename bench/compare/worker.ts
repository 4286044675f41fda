// Worker of compare.ts: times one row with two checkouts of the module in turn, in one process.

import process from "node:process";
import type { Client } from "../client.ts";
import { connect, type Module } from "../clients/ours_client.ts";
import { type Row, rows } from "../rows.ts";
import { recordRows } from "./rows.ts";
import { openStore, type StoreName } from "./stores.ts";

/** What compare.ts asks of a worker: one JSON argument. */
export interface Pair {
  readonly row: string;
  readonly url: string;
  readonly caFile: string;
  /** How often both are timed. */
  readonly rounds: number;
  /** The two modules, as URLs. */
  readonly modules: readonly [string, string];
  /** The store of each recorder, if it has one. */
  readonly outboxes: readonly [StoreName | null, StoreName | null];
}

const WARM_UP_MS = 500;
/** How long one measurement takes, about. */
const MEASURE_MS = 25;

/** How long something took, in milliseconds. */
export interface Took {
  readonly wallMs: number;
  /** Of the processor, by all threads of the process. */
  readonly cpuMs: number;
}

async function time(row: Row, client: Client, steps: number): Promise<Took> {
  const before = process.cpuUsage();
  const startedAt = performance.now();
  for (let n = 0; n < steps; n++) await row.step(client);
  const wallMs = performance.now() - startedAt;
  const { user, system } = process.cpuUsage(before);
  return { wallMs, cpuMs: (user + system) / 1000 };
}

const pair = JSON.parse(Deno.args[0]!) as Pair;
const row = [...rows, ...recordRows].find(({ name }) => name === pair.row)!;
const ca = row.tls ? await Deno.readTextFile(pair.caFile) : undefined;
const clients: Client[] = [];
const ends: (() => unknown)[] = [];
for (const [n, url] of pair.modules.entries()) {
  const module = await import(url) as Module;
  const outbox = pair.outboxes[n];
  const opened = outbox ? await openStore(outbox) : undefined;
  const client = await connect(
    { maxConnections: 1 },
    module,
    opened ? { outbox: opened.store } : {},
  )(pair.url, ca);
  clients.push(client);
  ends.push(() => client.close(), () => opened?.close());
}
const [first, second] = clients as [Client, Client];
for (const client of clients) await row.check(client);

let steps = 0;
for (let spentMs = 0; spentMs < WARM_UP_MS; steps++) {
  spentMs += (await time(row, first, 1)).wallMs;
  await time(row, second, 1);
}
steps = Math.ceil(steps * MEASURE_MS / WARM_UP_MS);

const times: [first: Took, second: Took][] = [];
for (let round = 0; round < pair.rounds; round++) {
  if (round % 2 === 0) {
    const a = await time(row, first, steps);
    times.push([a, await time(row, second, steps)]);
  } else {
    const b = await time(row, second, steps);
    times.push([await time(row, first, steps), b]);
  }
}
for (const end of ends) await end();
console.log(JSON.stringify(times));
