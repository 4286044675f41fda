// Waiting for what a test cannot await.
import { assertLess } from "@std/assert";
import { delay } from "@std/async/delay";
import { DIAL_PAUSE_MS } from "../../pool/dialer.ts";

/** What takes longer than this hangs: a generous limit, for busy machines. */
export const SOON_MS = 8000;

const LEAST_PAUSE_MS = 5;
const MOST_PAUSE_MS = 30;

/** How long {@linkcode until} waits: what passes in the end costs no time. */
const PATIENCE_MS = 20_000;

/**
 * Waits until a condition is met.
 *
 * @param what What is awaited, for the error.
 * @throws {AssertionError} If it is not met after `limitMs`.
 */
export async function until(
  condition: () => boolean | Promise<boolean>,
  what = String(condition),
  limitMs: number = PATIENCE_MS,
): Promise<void> {
  const startedAt = performance.now();
  while (true) {
    const met = condition();
    if (await met) return;
    const passedMs = performance.now() - startedAt;
    assertLess(passedMs, limitMs, `never: ${what}`);
    // What asks a server does so less often where it waits for long.
    await delay(
      typeof met === "boolean"
        ? LEAST_PAUSE_MS
        : Math.min(MOST_PAUSE_MS, LEAST_PAUSE_MS + passedMs / 40),
    );
  }
}

/** A promise that is awaited later: until then its failure does not count as unhandled. */
export function later<T>(promise: Promise<T>): Promise<T> {
  promise.catch(() => {});
  return promise;
}

/** Waits until the pool dials again: for a while after a failed dial, callers get that dial's error. */
export const pastDialPause = (): Promise<void> => delay(2 * DIAL_PAUSE_MS + 10);
