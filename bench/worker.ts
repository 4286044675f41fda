// Worker: times one row with one client, in a process of its own. Runs on Deno and on Bun.

import { readFileSync } from "node:fs";
import process from "node:process";
import type { Connect } from "./client.ts";
import { type Row, rows } from "./rows.ts";

/** What bench.ts asks of a worker: one JSON argument. */
export interface Job {
  row: string;
  url: string;
  caFile: string;
  warmUpMs: number;
  measureMs: number;
}

/** What a worker prints: one line of JSON. */
export interface Timing {
  steps: number;
  elapsedMs: number;
  perSecond: number;
}

/** Reads the job, connects, does the row's work, prints the timing. */
export async function work(connect: Connect): Promise<void> {
  const { job, row, ca } = readJob();
  const client = await connect(job.url, ca);
  await row.check(client);
  await time(job, row, () => row.step(client));
  await client.close();
}

/** The job, its row and the certificate to trust. */
export function readJob(): { job: Job; row: Row; ca?: string } {
  const job = JSON.parse(process.argv.at(-1)!) as Job;
  const row = rows.find(({ name }) => name === job.row);
  if (row === undefined) throw new Error(`Cannot work: no row ${job.row}`);
  return row.tls
    ? { job, row, ca: readFileSync(job.caFile, "utf8") }
    : { job, row };
}

/** Runs steps to warm up, then runs and times them, and prints the timing. */
export async function time(
  job: Job,
  row: Row,
  step: () => Promise<unknown>,
): Promise<void> {
  await repeat(job.warmUpMs, step);
  const { steps, elapsedMs } = await repeat(job.measureMs, step);
  const perSecond = steps * row.units / elapsedMs * 1000;
  const timing: Timing = { steps, elapsedMs, perSecond };
  console.log(JSON.stringify(timing));
}

async function repeat(
  forMs: number,
  step: () => Promise<unknown>,
): Promise<{ steps: number; elapsedMs: number }> {
  const start = performance.now();
  let steps = 0;
  let elapsedMs = 0;
  do {
    await step();
    steps++;
    elapsedMs = performance.now() - start;
  } while (elapsedMs < forMs);
  return { steps, elapsedMs };
}
