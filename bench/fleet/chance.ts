// Chance: random numbers that follow from a seed, so that a run can be repeated.

/** Numbers that look random: mulberry32. */
export class Chance {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  /** A number of 0 or more, less than 1. */
  readonly random = (): number => {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let z = this.#state;
    z = Math.imul(z ^ (z >>> 15), z | 1);
    z ^= z + Math.imul(z ^ (z >>> 7), z | 61);
    return ((z ^ (z >>> 14)) >>> 0) / 2 ** 32;
  };

  /** A whole number from 0 to `bound` - 1. */
  below(bound: number): number {
    return Math.floor(this.random() * bound);
  }

  /** The time until an event that comes at random, so many milliseconds apart on average. */
  waitMs(meanMs: number): number {
    return -Math.log(1 - this.random()) * meanMs;
  }

  /** A random order, of a copy. */
  shuffled<T>(items: readonly T[]): T[] {
    const order = [...items];
    for (let n = order.length - 1; n > 0; n--) {
      const other = this.below(n + 1);
      [order[n], order[other]] = [order[other]!, order[n]!];
    }
    return order;
  }
}
