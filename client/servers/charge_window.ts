// What refusals are charged to that come from one event.

/** What comes within this time, in milliseconds, is one event. */
export const EVENT_MS = 100;

/**
 * Makes one charge of the refusals of one moment: a failover refuses every
 * command of a server, and would empty the retry budget with the first hundred of them.
 */
export class ChargeWindow {
  #charge: object = this;
  #since = -Infinity;

  /** What a refusal is charged to, at `now` by `performance.now()`. */
  chargeAt(now: number): object {
    if (now - this.#since > EVENT_MS) {
      this.#since = now;
      this.#charge = {};
    }
    return this.#charge;
  }
}
