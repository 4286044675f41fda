// When no connection could be opened, and for how long.
import { ExponentialBackoff } from "../../mod.ts";

const BACKOFF = new ExponentialBackoff({ capMs: 5000, jitter: 0.2 });

/** Counts the outages of a server, one after the other. Times are those of `performance.now()`. */
export class Outages {
  #count = 0;
  #totalMs = 0;
  #reason: string | null = null;
  #current: { readonly since: number; attempts: number } | undefined;

  /** Whether one lasts. */
  get isAway(): boolean {
    return this.#current !== undefined;
  }

  /** How many there were. */
  get count(): number {
    return this.#count;
  }

  /** Why no connection could be opened, the last time. */
  get reason(): string | null {
    return this.#reason;
  }

  /** How long they lasted together, in milliseconds. */
  get totalMs(): number {
    return this.#totalMs +
      (this.#current === undefined
        ? 0
        : performance.now() - this.#current.since);
  }

  /**
   * A connection could not be opened.
   *
   * @returns Whether an outage began by that.
   */
  begin(reason: string): boolean {
    this.#reason = reason;
    if (this.#current !== undefined) return false;
    this.#current = { since: performance.now(), attempts: 0 };
    this.#count++;
    return true;
  }

  /**
   * All connections are open again.
   *
   * @param at When the first of them was opened.
   * @returns How long the outage lasted, in milliseconds; `undefined` if there was none.
   */
  end(at: number): number | undefined {
    if (this.#current === undefined) return undefined;
    const ms = Math.round(at - this.#current.since);
    this.#current = undefined;
    this.#totalMs += ms;
    return ms;
  }

  /** How long to wait before the next attempt to connect, in milliseconds; `undefined` while there is no outage. */
  nextDelayMs(): number | undefined {
    return this.#current && BACKOFF.delayMs(this.#current.attempts++);
  }
}
