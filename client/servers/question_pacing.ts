// When the next question to the directory of a deployment may be asked.

/** The pause after a question, in milliseconds; the second half of it is by chance. */
const PAUSE_MS = 200;
/** The same after questions without a useful answer: it doubles up to this. */
const MAX_PAUSE_MS = 1000;
/** So many questions in a row may be without a useful answer before the pause grows. */
const PATIENCE = 3;

/**
 * Paces questions such as CLUSTER SLOTS: one at a time, at most 5 to 10 a second,
 * fewer while they are fruitless. Without a clock of its own.
 */
export class QuestionPacing {
  readonly #random: () => number;
  #readyAt = -Infinity;
  #fruitless = 0;

  /** @param random Gives numbers of 0 or more, less than 1. */
  constructor(random: () => number = Math.random) {
    this.#random = random;
  }

  /** How long to wait before the next question, in milliseconds; 0 or less: it may be asked now. */
  waitMs(now: number): number {
    return this.#readyAt - now;
  }

  /**
   * A question has ended.
   *
   * @param now When, by `performance.now()`.
   * @param wasFruitful Whether the answer was of use.
   */
  ended(now: number, wasFruitful: boolean): void {
    this.#fruitless = wasFruitful ? 0 : this.#fruitless + 1;
    const doublings = Math.max(0, this.#fruitless - PATIENCE + 1);
    const pauseMs = Math.min(MAX_PAUSE_MS, PAUSE_MS * 2 ** doublings);
    this.#readyAt = now + pauseMs * (1 - this.#random() / 2);
  }
}
