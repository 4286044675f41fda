// What time it is on the server, without asking each time.

/** How long an answer of TIME is used, in milliseconds. */
const REFRESH_MS = 60_000;

/**
 * The server's clock, by the answer of TIME and the time that has passed since.
 * That time is taken from `performance.now()`, which nothing sets ahead: the
 * clock may be slow, after a sleep of this machine, but it is never fast.
 *
 * Where TIME is refused, it is this machine's clock.
 *
 * @see {@link https://redis.io/docs/latest/commands/time/}
 */
export class ServerClock {
  #atServer: number | undefined; // in seconds
  #askedAt = -Infinity;

  /** Whether TIME should be asked again, at `now` by `performance.now()`. */
  isStale(now: number): boolean {
    return now - this.#askedAt > REFRESH_MS;
  }

  /** Takes the reply of TIME: an array of seconds and microseconds, or a refusal. */
  set(reply: unknown): void {
    const seconds = Array.isArray(reply) ? Number(reply[0]) : NaN;
    this.#atServer = Number.isSafeInteger(seconds) ? seconds : undefined;
    this.#askedAt = performance.now();
  }

  /** The next server may have another clock. */
  forget(): void {
    this.#askedAt = -Infinity;
  }

  /** Unix time in seconds, at `now` by `performance.now()`. */
  seconds(now: number): number {
    return this.#atServer === undefined
      ? Date.now() / 1000
      : this.#atServer + (now - this.#askedAt) / 1000;
  }
}
