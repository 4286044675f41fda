// The ids of stored events: in order of time, and different in each process.

/** Digits of the time in milliseconds: enough until the year 5188. */
const TIME_DIGITS = 9;
/** Digits of the number of an id within its millisecond. */
const NUMBER_DIGITS = 4;
const MAX_NUMBER = 36 ** NUMBER_DIGITS - 1;
/** 82 bits: two recorders with the same would take each other's events for their own. */
const RANDOM_DIGITS = 16;

const inBase36 = (value: number, digits: number): string =>
  value.toString(36).padStart(digits, "0");

/**
 * Makes ids such as `0mf3k2x9q-0000-5k0c…`: the time in milliseconds, a number, and
 * what is random and the same for all ids of one recorder, in base 36.
 */
export class EventIds {
  #time = 0;
  #number = 0;
  #own = ""; // made with the first id: Workers refuse random numbers while a module is loaded

  /** An id that sorts behind all earlier ones, though the clock be set back. */
  next(): string {
    const now = Date.now();
    if (now > this.#time || this.#number === MAX_NUMBER) {
      this.#time = Math.max(now, this.#time + 1);
      this.#number = 0;
    } else {
      this.#number++;
    }
    if (this.#own === "") this.#own = random();
    const time = inBase36(this.#time, TIME_DIGITS);
    return `${time}-${inBase36(this.#number, NUMBER_DIGITS)}-${this.#own}`;
  }

  /** Whether an id was made here. */
  has(id: string): boolean {
    return this.#own !== "" && id.endsWith(this.#own);
  }
}

const random = (): string =>
  Array.from(
    crypto.getRandomValues(new Uint32Array(RANDOM_DIGITS)),
    (value) => (value % 36).toString(36),
  ).join("");
