// Worker: times one row or makes one trial with one limiter, in a process of its own. Runs without an import map.

import process from "node:process";
import { trials } from "./conduct.ts";
import type { MakeLimiter } from "./limiter.ts";
import { limiterRows, TIMED_LIMITS, timeRow } from "./rows.ts";

/** What is asked of a worker: one JSON argument. */
export type LimiterJob =
  | {
    readonly row: string;
    readonly url: string;
    readonly warmUpMs: number;
    readonly measureMs: number;
  }
  | { readonly trial: string; readonly url: string; readonly calls: number };

/** What the programs of limiters have before the job in their arguments. */
export const variants: readonly string[] = process.argv.slice(2, -1);

/** Makes a limiter, does the job, prints one line of JSON, ends the process. */
export async function work(make: MakeLimiter): Promise<void> {
  const job = JSON.parse(process.argv.at(-1)!) as LimiterJob;
  let found: unknown;
  if ("row" in job) {
    const row = limiterRows.find(({ name }) => name === job.row)!;
    const limiter = make(job.url, TIMED_LIMITS);
    found = await timeRow(limiter, row, job);
    await limiter.close();
  } else {
    const { limits, make: makeTrial } = trials[job.trial]!;
    found = await makeTrial(make(job.url, limits), job.calls);
  }
  console.log(JSON.stringify(found ?? null));
  process.exit(); // a client whose server is away would go on dialing
}
