// A timeout that does not charge anybody for time in which the process was frozen.

/** A timer that is this late shows that the process did not run. */
export const FROZEN_MS = 500;
const MAX_MS = 2 ** 31 - 1;

/** A timeout that can be called off. */
export interface Timer {
  /** Calls it off. */
  stop(): void;
}

/**
 * Calls `fn` once, after `ms` milliseconds in which the process ran: where it
 * was stopped in between, or its isolate frozen, the time starts over. What
 * everybody waited for may have come meanwhile and only wants to be read.
 *
 * @param fn What to call.
 * @param ms When; `Infinity` keeps the process alive and never calls.
 * @returns The timer.
 */
export function startTimer(fn: () => void, ms: number): Timer {
  let dueAt: number;
  let id: ReturnType<typeof setTimeout>;
  const start = (leftMs: number): void => {
    const nextMs = Math.min(Math.max(0, Math.ceil(leftMs)), MAX_MS);
    dueAt = performance.now() + nextMs;
    id = setTimeout(() => {
      if (performance.now() - dueAt > FROZEN_MS) start(ms);
      else if (leftMs > nextMs) start(leftMs - nextMs);
      else fn();
    }, nextMs);
  };
  start(ms);
  return { stop: () => clearTimeout(id) };
}
