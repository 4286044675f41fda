// How long a client that is being closed waits for the calls under way.

/** The most that a timer can wait, in milliseconds. */
const MOST_MS = 2 ** 31 - 1;

/** A wait for calls to be done, whose end can be brought forward but not put off. */
export class Drain {
  readonly #over = Promise.withResolvers<void>();
  #dueAt = Infinity;
  #timer: ReturnType<typeof setTimeout> | undefined;

  /** Resolves when the calls are done, or the time is up. */
  get over(): Promise<void> {
    return this.#over.promise;
  }

  /** Waits for `ms` milliseconds from now, unless it ends before. */
  within(ms: number): void {
    const dueAt = performance.now() + ms;
    if (dueAt >= this.#dueAt) return;
    this.#dueAt = dueAt;
    clearTimeout(this.#timer);
    if (ms > 0) {
      this.#timer = setTimeout(() => this.end(), Math.min(ms, MOST_MS));
    } else this.end();
  }

  /** Ends the wait. */
  end(): void {
    this.#dueAt = -Infinity;
    clearTimeout(this.#timer);
    this.#over.resolve();
  }
}
