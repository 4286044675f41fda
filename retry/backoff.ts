// How long to wait before which attempt.

/** Options of an {@linkcode ExponentialBackoff}. */
export interface BackoffOptions {
  /** The first wait, in milliseconds. @default {100} */
  baseMs?: number | undefined;
  /** No wait is longer, in milliseconds. @default {1000} */
  capMs?: number | undefined;
  /** The share of a wait, 0 to 1, that chance may take off it. @default {0} */
  jitter?: number | undefined;
  /** A random number from 0 (inclusive) to 1 (exclusive). @default {Math.random} */
  random?: (() => number) | undefined;
}

/**
 * Waits that double from a base up to a cap. Jitter only ever shortens them.
 *
 * @example The default schedule
 * ```ts
 * import { ExponentialBackoff } from "@unzombie/redis";
 * import { assertEquals } from "@std/assert";
 *
 * const backoff = new ExponentialBackoff({ baseMs: 100, capMs: 1000 });
 * const waits = [0, 1, 2, 3, 4, 5].map((attempt) => backoff.delayMs(attempt));
 * assertEquals(waits, [100, 200, 400, 800, 1000, 1000]);
 * ```
 */
export class ExponentialBackoff {
  readonly #baseMs: number;
  readonly #capMs: number;
  readonly #jitter: number;
  readonly #random: () => number;

  /**
   * Makes a schedule.
   *
   * @param options See {@linkcode BackoffOptions}.
   * @throws {RangeError} If a number is out of its range.
   */
  constructor(options: BackoffOptions = {}) {
    this.#baseMs = inRange("baseMs", options.baseMs ?? 100, 0, Infinity);
    this.#capMs = inRange("capMs", options.capMs ?? 1000, 0, Infinity);
    this.#jitter = inRange("jitter", options.jitter ?? 0, 0, 1);
    this.#random = options.random ?? Math.random;
  }

  /**
   * The wait after a failed attempt.
   *
   * @param attempt Which attempt failed: 0 for the first.
   * @returns Milliseconds.
   */
  delayMs(attempt: number): number {
    // 0 times infinity is not 0.
    const factor = 2 ** Math.min(attempt, 1000);
    const delayMs = Math.min(this.#capMs, this.#baseMs * factor);
    return delayMs * (1 - this.#jitter * this.#random());
  }
}

/** Returns `value` if it is a number in `[least, most]`. */
export function inRange(
  name: string,
  value: number,
  least: number,
  most: number,
): number {
  if (typeof value === "number" && value >= least && value <= most) {
    return value;
  }
  const expected = most === Infinity
    ? `a number of ${least} or more`
    : `a number from ${least} to ${most}`;
  throw new RangeError(
    `Cannot use ${name} ${String(value)}: expected ${expected}`,
  );
}
