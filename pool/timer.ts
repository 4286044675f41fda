// Timeouts that do not charge anybody for time in which the process was frozen.

/** A timer that is this late shows that the process did not run. */
export const FROZEN_MS = 500;
const MAX_MS = 2 ** 31 - 1;

/** A timeout that can be called off. */
export interface Timer {
  /** Calls it off. */
  stop(): void;
}

/** Starts one wait and returns how to end it early. */
type Wait = (fn: () => void, ms: number) => () => void;

const waitAlive: Wait = (fn, ms) => {
  const id = setTimeout(fn, ms);
  return () => clearTimeout(id);
};

// The first setTimeout of a process costs it 7 ms, since Deno 2.9 loads Node's
// timers for it. A timeout signal costs 0.7 ms.
const waitQuietly: Wait = (fn, ms) => {
  const signal = AbortSignal.timeout(ms);
  signal.addEventListener("abort", fn, { once: true });
  return () => signal.removeEventListener("abort", fn);
};

/**
 * Calls `fn` once, after `ms` milliseconds in which the process ran: where it
 * was stopped in between, or its isolate frozen, the time starts over. What
 * everybody waited for may have come meanwhile and only wants to be read.
 *
 * @param fn What to call.
 * @param ms When; `Infinity` is never.
 * @returns The timer.
 */
export const startTimer = (fn: () => void, ms: number): Timer =>
  start(waitAlive, fn, ms);

/** The same, but a process that has nothing else to wait for may exit. */
export const startQuietTimer = (fn: () => void, ms: number): Timer =>
  start(waitQuietly, fn, ms);

function start(wait: Wait, fn: () => void, ms: number): Timer {
  let stop: () => void;
  const begin = (leftMs: number): void => {
    const nextMs = Math.min(Math.max(0, Math.ceil(leftMs)), MAX_MS);
    const dueAt = performance.now() + nextMs;
    stop = wait(() => {
      if (performance.now() - dueAt > FROZEN_MS) begin(ms);
      else if (leftMs > nextMs) begin(leftMs - nextMs);
      else fn();
    }, nextMs);
  };
  begin(ms);
  return { stop: () => stop() };
}
