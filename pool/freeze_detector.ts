// Whether this process, or its machine, did not run for a while.

/** So long without running, in milliseconds, counts as a freeze. */
const FROZEN_MS = 500;

/** A time in which the process did not run. */
export interface Freeze {
  /** How long it was, in milliseconds. */
  readonly ms: number;
  /** Whether the machine was suspended: `performance.now()` stands still then. */
  readonly wasAsleep: boolean;
}

/**
 * Detects freezes by two clocks: `performance.now()` goes on while a process is
 * stopped and stands still while its machine is suspended; `Date.now()` goes on
 * in both, and may be set by hand. Set forward it looks like a suspended
 * machine; set back it changes nothing.
 */
export class FreezeDetector {
  readonly #now: () => number;
  readonly #wall: () => number;
  #at: number;
  #wallAt: number;

  /**
   * Begins to compare the clocks.
   *
   * @param now `performance.now`.
   * @param wall `Date.now`.
   */
  constructor(
    now: () => number = () => performance.now(),
    wall: () => number = () => Date.now(),
  ) {
    this.#now = now;
    this.#wall = wall;
    this.#at = now();
    this.#wallAt = wall();
  }

  /**
   * Looks for a freeze since the last beat. One that is found counts as a beat.
   *
   * @param expectedMs How much may have passed by itself, in milliseconds.
   * @param now The present, by `performance.now()`.
   * @returns The freeze, if there was one of more than half a second.
   */
  look(expectedMs: number, now: number = this.#now()): Freeze | undefined {
    const ranMs = now - this.#at;
    const sleptMs = this.#wall() - this.#wallAt - ranMs;
    const wasAsleep = sleptMs > FROZEN_MS;
    const ms = ranMs - expectedMs + (wasAsleep ? sleptMs : 0);
    if (!wasAsleep && ms <= FROZEN_MS) return undefined;
    this.restart();
    return { ms, wasAsleep };
  }

  /** The same, and the next beat begins in any case. */
  beat(expectedMs: number): Freeze | undefined {
    const freeze = this.look(expectedMs);
    if (freeze === undefined) this.restart();
    return freeze;
  }

  /** Begins a beat: what was before does not count. */
  restart(): void {
    this.#at = this.#now();
    this.#wallAt = this.#wall();
  }
}
