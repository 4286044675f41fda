// When this process did not run: frozen, or the machine asleep.

/** How often it looks, in milliseconds. */
const BEAT_MS = 250;
/** A beat that is this late was missed because nothing ran. */
const FROZEN_MS = 2000;
/** What is noticed this soon afterwards may have happened meanwhile. */
const WAKE_MS = 10_000;

/** A time in which the process did not run. */
interface Freeze {
  readonly ms: number;
  /** When it ended, by `performance.now()`. */
  readonly endedAt: number;
  /** Whether `performance.now()` stood still, as on a machine asleep. */
  readonly wasAsleep: boolean;
}

/** Notices freezes, by a clock that stands still in them and one that does not. */
export class Heartbeat implements Disposable {
  readonly #onFreeze: (ms: number) => void;
  readonly #freezes: Freeze[] = [];
  readonly #timer: ReturnType<typeof setInterval>;
  #at = performance.now();
  #wallAt = Date.now();

  /** @param onFreeze Told how long each one was, in milliseconds. */
  constructor(onFreeze: (ms: number) => void) {
    this.#onFreeze = onFreeze;
    this.#timer = setInterval(() => this.#beat(), BEAT_MS);
  }

  /** How long the process has been frozen altogether, in milliseconds. */
  get frozenMs(): number {
    return this.#freezes.reduce((sum, { ms }) => sum + ms, 0);
  }

  /**
   * How much of what is noticed now may have happened in a freeze, in
   * milliseconds: 0 if it cannot have.
   *
   * @param since When the connection was last known to be well, by `performance.now()`.
   * @param isPrompt Whether it would have been noticed at once, had the process run.
   */
  bearingOn(since: number, isPrompt: boolean): number {
    this.#beat(); // what a freeze hid may be noticed before the next beat
    const now = performance.now();
    return this.#freezes
      .filter(({ endedAt, wasAsleep }) =>
        endedAt > since &&
        (!isPrompt || wasAsleep || now - endedAt < WAKE_MS)
      )
      .reduce((sum, { ms }) => sum + ms, 0);
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
  }

  #beat(): void {
    const [now, wall] = [performance.now(), Date.now()];
    const ranMs = now - this.#at;
    const wallMs = wall - this.#wallAt;
    this.#at = now;
    this.#wallAt = wall;
    const ms = Math.max(ranMs, wallMs) - BEAT_MS;
    if (ms < FROZEN_MS) return;
    const wasAsleep = wallMs - ranMs > FROZEN_MS;
    this.#freezes.push({ ms, endedAt: now, wasAsleep });
    this.#onFreeze(ms);
  }
}
