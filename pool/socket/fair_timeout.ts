// A timeout that does not count the time in which this process could not run.
import { runtime } from "./runtime.ts";

/** A timer that is called this late, in milliseconds, shows that the process was busy or frozen. */
export const LATE_MS = 25;
/** Before a timeout that was late takes effect the process runs for this long, in milliseconds, to read what has come meanwhile. */
export const GRACE_MS = 20;
/** A wait is checked four times, and every five seconds at least: a late check shows how long the process did not run. */
const CHECKS = 4;
const MAX_CHECK_MS = 5000;

/**
 * A timeout that does not count the time in which the process could not run.
 *
 * - What it waits for may have come while the process was busy or frozen, and
 *   only need to be read. The longest such interruption of a wait is added to its
 *   limit, and no wait ends before one more chance to read.
 * - The others count: a process that works in long slices must not wait for ever.
 * - Progress restarts the wait, at the cost of one store.
 */
export class FairTimeout {
  readonly #limitMs: () => number;
  readonly #onOver: () => void;
  readonly #timer = runtime.newTimer((lateMs) => this.#check(lateMs));
  #since = 0;
  #addedMs = 0;
  #addedAt = -Infinity; // before #since: nothing was added in this wait
  #graceAt = -Infinity; // before #since: no grace was given in this wait

  /**
   * @param limitMs How long to wait, in milliseconds; called at each check.
   * @param onOver Called once the wait is over; not before `start`, nor after `stop`.
   */
  constructor(limitMs: () => number, onOver: () => void) {
    this.#limitMs = limitMs;
    this.#onOver = onOver;
  }

  /** When the wait began or there was progress, by `performance.now()`. */
  get since(): number {
    return this.#since;
  }

  /**
   * Begins a wait. While it lasts the process stays alive.
   *
   * @param since When it began, by `performance.now()`.
   * @param now The present, by `performance.now()`.
   */
  start(since: number = performance.now(), now: number = since): void {
    this.#since = since;
    this.shorten(now);
  }

  /** Restarts the wait, if there is one: what it waits for is on its way. */
  progressed(now: number): void {
    this.#since = now;
  }

  /** The limit may be shorter now. */
  shorten(now: number = performance.now()): void {
    const limitMs = this.#limitMs();
    const checkMs = Math.min(limitMs / CHECKS, MAX_CHECK_MS);
    this.#timer.start(Math.min(checkMs, this.#left(limitMs, now)), now);
  }

  /** Ends the wait; `onOver` is not called. */
  stop(): void {
    this.#timer.stop();
  }

  /**
   * How much is left of a wait, in milliseconds.
   *
   * @param since When it began, if not at the last `start` or `progressed`.
   * @param now The present, by `performance.now()`.
   */
  leftMs(since: number, now: number): number {
    return this.#left(this.#limitMs(), now, since);
  }

  #left(limitMs: number, now: number, since = this.#since): number {
    const addedMs = this.#addedAt > since ? this.#addedMs : 0;
    return since + limitMs + addedMs - now;
  }

  #check(lateMs: number): void {
    const now = performance.now();
    const isLate = lateMs > LATE_MS;
    if (isLate) {
      const addedMs = this.#addedAt > this.#since ? this.#addedMs : 0;
      this.#addedMs = Math.max(addedMs, Math.min(lateMs, now - this.#since));
      this.#addedAt = now;
    }
    if (this.#left(this.#limitMs(), now) > 0) return this.shorten(now);
    if (isLate && this.#graceAt <= this.#since) {
      this.#graceAt = now;
      return this.#timer.start(GRACE_MS, now);
    }
    this.#onOver();
  }
}
