// How many commands may be sent again, so that an outage is not answered by a flood.

const RESERVE = 100;
const PER_SUCCESS = 0.1;

/**
 * A token bucket: each success earns a tenth of a token, each retry that costs
 * the server work spends one. A full bucket, from which a client starts, holds 100.
 */
export class RetryBudget {
  #tokens = RESERVE;

  /** A command was answered. */
  earn(): void {
    if (this.#tokens < RESERVE) this.#tokens += PER_SUCCESS;
  }

  /** Takes a token if there is one. */
  spend(): boolean {
    if (this.#tokens < 1) return false;
    this.#tokens--;
    return true;
  }
}
