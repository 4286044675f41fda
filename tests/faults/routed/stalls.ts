// How long this process did not run: what a call cannot be blamed for.

const EVERY_MS = 2;
/** Timers are this late on a machine with nothing else to do. */
const USUAL_MS = 4;

/** Measures between its creation and its end. */
export class Stalls implements Disposable {
  readonly #stalls: { from: number; to: number }[] = [];
  readonly #timer: ReturnType<typeof setInterval>;
  #ranAt = performance.now();

  constructor() {
    this.#timer = setInterval(() => {
      const now = performance.now();
      const from = this.#ranAt + EVERY_MS + USUAL_MS;
      if (now > from) this.#stalls.push({ from, to: now });
      this.#ranAt = now;
    }, EVERY_MS);
  }

  /** The longest time within another in which it did not run, in milliseconds. */
  within(startedAt: number, endedAt: number): number {
    return this.#stalls.reduce(
      (most, { from, to }) =>
        Math.max(most, Math.min(to, endedAt) - Math.max(from, startedAt)),
      0,
    );
  }

  /** The longest of all, in milliseconds. */
  get longest(): number {
    return this.within(-Infinity, Infinity);
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
  }
}
