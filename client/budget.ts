// How many commands may be sent again, so that an outage is not answered by a flood.

/** Tokens in a full bucket. */
const RESERVE = 100;
/** Tokens that a success earns. */
const PER_SUCCESS = 0.1;

/**
 * A token bucket: each success earns a tenth of a token, each retry that costs
 * the server work spends one. A full bucket, from which a client starts, holds 100.
 */
export class RetryBudget {
  readonly #paid = new WeakSet<object>();
  #tokens = RESERVE;

  /** How many retries there are at once. */
  get tokens(): number {
    return this.#tokens;
  }

  /** A command was answered. */
  earn(): void {
    if (this.#tokens < RESERVE) this.#tokens += PER_SUCCESS;
  }

  /**
   * Takes a token if there is one.
   *
   * @param cause What the retry is charged to. The end of one connection costs one
   * token, however many commands were lost with it.
   */
  spend(cause: object): boolean {
    if (this.#paid.has(cause)) return true;
    if (this.#tokens < 1) return false;
    this.#tokens--;
    this.#paid.add(cause);
    return true;
  }
}
