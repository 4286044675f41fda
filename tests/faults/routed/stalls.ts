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

  /** How much of a time it did not run, in milliseconds. */
  within(startedAt: number, endedAt: number): number {
    let sum = 0;
    for (const { from, to } of this.#stalls) {
      sum += Math.max(0, Math.min(to, endedAt) - Math.max(from, startedAt));
    }
    return sum;
  }

  /** The longest, in milliseconds. */
  get longest(): number {
    return this.#stalls.reduce(
      (most, { from, to }) => Math.max(most, to - from),
      0,
    );
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
  }
}
