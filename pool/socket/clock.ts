// How long this process could run: freezes, and waits that are not charged for them.
import { LightTimer } from "./timer.ts";

/** So long without running counts as a freeze: of the process, or of its machine. */
const FROZEN_MS = 500;
/** A timer that is called later than this, in milliseconds, was kept waiting by a busy or frozen process. */
export const LATE_MS = 25;
/** The last look of a wait that ended late: the process runs for this long, so what has come meanwhile is read. */
export const LOOK_MS = 20;
/** A wait is watched in quarters, of at most so many milliseconds: what a beat is late, the process did not run. */
const BEATS = 4;
const MAX_BEAT_MS = 5000;

/**
 * A wait that knows how much of it the process was able to run.
 *
 * - What it waits for may have come while the process was busy or frozen, and
 *   only need to be read: the first such time of a wait is not charged to it,
 *   for as long as it was, and no wait ends before one more look at what came.
 * - Later ones are charged: a process that works in long slices must not wait
 *   for ever.
 * - Progress begins the wait anew, at the cost of a store.
 */
export class Patience {
  readonly #limitMs: () => number;
  readonly #onOver: () => void;
  readonly #timer = new LightTimer((lateMs) => this.#beat(lateMs));
  #since = 0;
  #forgivenMs = 0;
  #forgivenAt = -Infinity; // before #since: nothing was forgiven in this wait
  #lookedAt = -Infinity; // the same

  /**
   * @param limitMs How long to wait, in milliseconds, asked at each look.
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

  /** What was waited for is on its way: the wait begins anew, if there is one. */
  progressed(now: number): void {
    this.#since = now;
  }

  /** The limit is another one now. */
  shorten(now: number = performance.now()): void {
    const limitMs = this.#limitMs();
    const beatMs = Math.min(limitMs / BEATS, MAX_BEAT_MS);
    this.#timer.start(Math.min(beatMs, this.#left(limitMs, now)), now);
  }

  /** Ends the wait without a call. */
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
    const forgivenMs = this.#forgivenAt > since ? this.#forgivenMs : 0;
    return since + limitMs + forgivenMs - now;
  }

  #beat(lateMs: number): void {
    const now = performance.now();
    const isLate = lateMs > LATE_MS;
    if (isLate && this.#forgivenAt <= this.#since) {
      this.#forgivenAt = now;
      this.#forgivenMs = Math.min(lateMs, now - this.#since);
    }
    if (this.#left(this.#limitMs(), now) > 0) return this.shorten(now);
    if (isLate && this.#lookedAt <= this.#since) {
      this.#lookedAt = now;
      return this.#timer.start(LOOK_MS, now);
    }
    this.#onOver();
  }
}

/** A time in which nothing ran. */
export interface Freeze {
  /** How long it was, in milliseconds. */
  readonly ms: number;
  /** Whether the machine was suspended: `performance.now()` stands still then. */
  readonly wasAsleep: boolean;
}

/**
 * Notices freezes by two clocks: `performance.now()` goes on while a process is
 * stopped and stands still while its machine is suspended; `Date.now()` goes on
 * in both, and may be set by hand. Set forward it looks like a suspended
 * machine, set back like nothing.
 */
export class FreezeWatch {
  readonly #now: () => number;
  readonly #wall: () => number;
  #at: number;
  #wallAt: number;

  /**
   * Begins to watch.
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

  /** Looks for a freeze, and begins the next beat. */
  beat(expectedMs: number): Freeze | undefined {
    const freeze = this.look(expectedMs);
    if (freeze === undefined) this.restart();
    return freeze;
  }

  /** Begins a beat: what was before is no freeze. */
  restart(): void {
    this.#at = this.#now();
    this.#wallAt = this.#wall();
  }
}
