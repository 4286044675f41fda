// When this process did not run, because it was frozen or the machine was asleep.
import { type Freeze, FreezeDetector } from "../../pool/liveness.ts";

/** How often it looks, in milliseconds. */
const BEAT_MS = 250;
/** What is noticed this soon after a freeze, in milliseconds, may have happened in it. */
const WAKE_MS = 10_000;

/** A freeze, and when it ended by `performance.now()`. */
type PastFreeze = Freeze & { readonly endedAt: number };

/** Notes the freezes of this process. */
export class Heartbeat implements Disposable {
  readonly #onFreeze: (ms: number) => void;
  readonly #freezes: PastFreeze[] = [];
  readonly #watch = new FreezeDetector();
  readonly #timer: ReturnType<typeof setInterval>;

  /** @param onFreeze Called with the length of each freeze, in milliseconds. */
  constructor(onFreeze: (ms: number) => void) {
    this.#onFreeze = onFreeze;
    this.#timer = setInterval(
      () => this.#note(this.#watch.beat(BEAT_MS)),
      BEAT_MS,
    );
  }

  /** How long the process has been frozen altogether, in milliseconds. */
  get frozenMs(): number {
    return this.#freezes.reduce((sum, { ms }) => sum + ms, 0);
  }

  /**
   * How much of what is noticed now may have happened in a freeze, in
   * milliseconds: 0 if it cannot have.
   *
   * @param since When the connection was last known to be open, by `performance.now()`.
   * @param isPrompt Whether it would have been noticed at once, had the process run.
   */
  bearingOn(since: number, isPrompt: boolean): number {
    this.#note(this.#watch.look(BEAT_MS)); // what a freeze hid may be noticed before the next beat
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

  #note(freeze: Freeze | undefined): void {
    if (freeze === undefined) return;
    this.#freezes.push({ ...freeze, endedAt: performance.now() });
    this.#onFreeze(freeze.ms);
  }
}
