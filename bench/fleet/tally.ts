// Tally: what became of the events of a fleet.

/** What became of the events. Every one is served, lost, or still held. */
export class Tally {
  /** Events that were recorded. */
  served = 0;
  /** Events whose caller got an error, or that were dropped. */
  lost = 0;
  /** Further attempts after a wait. */
  retries = 0;
  /** The most events that were neither served nor lost at one time. */
  mostHeld = 0;
  /** The longest time until a caller had an answer, in milliseconds. */
  longestMs = 0;
  /** When the last event ended that had begun to wait before `backMs`. */
  lastLateAt = 0;
  readonly #backMs: number;
  #arrived = 0;

  /** @param backMs When everything can be served again. */
  constructor(backMs: number) {
    this.#backMs = backMs;
  }

  /** Events so far. */
  get arrived(): number {
    return this.#arrived;
  }

  /** Events that are neither served nor lost. */
  get held(): number {
    return this.#arrived - this.served - this.lost;
  }

  /** An event arrives that is served at once. */
  pass(): void {
    this.#arrived++;
    this.served++;
  }

  /** An event arrives that has to wait. */
  hold(): void {
    this.#arrived++;
    if (this.held > this.mostHeld) this.mostHeld = this.held;
  }

  /** Events that had to wait since `since` are recorded. */
  serve(now: number, since: number, count = 1): void {
    this.served += count;
    if (since < this.#backMs) this.lastLateAt = now;
  }

  /** An event that had to wait since `since` is lost. */
  lose(now: number, since: number): void {
    this.lost++;
    if (since < this.#backMs) this.lastLateAt = now;
  }

  /** A caller has got its answer, whatever it is. */
  answer(now: number, startedAt: number): void {
    this.longestMs = Math.max(this.longestMs, now - startedAt);
  }
}
