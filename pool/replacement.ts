// When connections to the wrong server may be replaced.

/** They are replaced at most this often, in milliseconds: the next dial may lead to the wrong server again. */
const PAUSE_MS = 250;

/** Without a pause, all calls together would replace one new connection after the other. */
export class Replacement {
  #begunAt = -Infinity;

  /**
   * Whether a connection may be replaced now. One that was opened before others
   * were replaced always may.
   *
   * @param openedAt When it was opened, by `performance.now()`.
   * @param now The present, by `performance.now()`.
   */
  mayTake(openedAt: number, now: number): boolean {
    if (openedAt <= this.#begunAt) return true;
    if (now - this.#begunAt < PAUSE_MS) return false;
    this.#begunAt = now;
    return true;
  }
}
