// Calls at a rate, with a limit in flight, and how long each took.
import { delay } from "@std/async/delay";

/** The loop looks at its calls this often at least, in milliseconds. */
const MOST_PAUSE_MS = 5;

/** A call and when it was. */
export interface Timing {
  /** By `performance.now()`. */
  readonly startedAt: number;
  /** By `performance.now()`; `undefined` while there is no outcome. */
  endedAt: number | undefined;
}

/** The rate and the limits of calls. */
export interface RateOptions {
  /** How many calls. */
  readonly calls: number;
  /** When each is due, in milliseconds after the first. */
  readonly dueMs: (call: number) => number;
  /** How many may be without an outcome. */
  readonly inFlight: number;
  /** A call without an outcome this long after the last outcome hangs. */
  readonly hangMs: number;
  /** Ends the calls early. */
  readonly stop: AbortSignal;
}

/**
 * Makes calls when they are due, as far as the limit in flight allows.
 *
 * @returns One timing for each call that was started; those that hang have no end.
 */
export async function callAtRate(
  options: RateOptions,
  call: (number: number) => Promise<void>,
): Promise<Timing[]> {
  const { calls, dueMs, inFlight, hangMs, stop } = options;
  const timings: Timing[] = [];
  const startedAt = performance.now();
  let open = 0;
  let progressAt = startedAt;

  async function start(): Promise<void> {
    const timing: Timing = { startedAt: performance.now(), endedAt: undefined };
    const number = timings.push(timing) - 1;
    open++;
    try {
      await call(number);
    } finally {
      timing.endedAt = progressAt = performance.now();
      open--;
    }
  }

  /** How long nothing is to be done, but what an outcome or the end of the load asks for. */
  function pauseMs(passedMs: number): number {
    if (timings.length === calls) return MOST_PAUSE_MS;
    if (open >= inFlight) return 1;
    return Math.min(
      MOST_PAUSE_MS,
      Math.max(1, dueMs(timings.length) - passedMs),
    );
  }

  while (open > 0 || (timings.length < calls && !stop.aborted)) {
    const now = performance.now();
    if (open > 0 && now - progressAt > hangMs) break;
    while (
      open < inFlight && timings.length < calls && !stop.aborted &&
      dueMs(timings.length) <= now - startedAt
    ) {
      if (open === 0) progressAt = now;
      start();
    }
    await delay(pauseMs(now - startedAt));
  }
  return timings;
}

/** How long the calls took that have an outcome, the shortest first. */
export function durations(timings: readonly Timing[]): number[] {
  return timings
    .filter(({ endedAt }) => endedAt !== undefined)
    .map(({ startedAt, endedAt }) => endedAt! - startedAt)
    .sort((a, b) => a - b);
}

/** The value that `share` of the sorted values do not exceed; NaN of none. */
export function percentile(sorted: readonly number[], share: number): number {
  const rank = Math.ceil(sorted.length * share);
  return sorted[Math.max(0, rank - 1)] ?? NaN;
}
