// Worker: times one row with one client, in a process of its own. Runs on Deno and on Bun.

import { readFileSync } from "node:fs";
import process from "node:process";
import type { Connect } from "./client.ts";
import { type Row, rows } from "./rows.ts";
import { type Pace, timed, type Timing } from "./timing.ts";

/** What bench.ts asks of a worker: one JSON argument. */
export interface Job extends Pace {
  row: string;
  url: string;
  caFile: string;
}

export type { Timing };

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

/** Times steps, and prints the timing. */
export async function time(
  job: Job,
  row: Row,
  step: () => Promise<unknown>,
): Promise<void> {
  console.log(JSON.stringify(await timed(job, row, step)));
}
