// Timing: how often a step can be done, on any runtime.

import type { Row } from "./rows.ts";

/** How long to measure. */
export interface Pace {
  warmUpMs: number;
  measureMs: number;
}

/** What a worker prints: one line of JSON. */
export interface Timing {
  steps: number;
  elapsedMs: number;
  perSecond: number;
}

/** Runs steps to warm up, then runs and times them. */
export async function timed(
  pace: Pace,
  row: Row,
  step: () => Promise<unknown>,
): Promise<Timing> {
  await repeat(pace.warmUpMs, step);
  const { steps, elapsedMs } = await repeat(pace.measureMs, step);
  return { steps, elapsedMs, perSecond: steps * row.units / elapsedMs * 1000 };
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
