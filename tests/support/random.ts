// Chance that can be had again: random numbers from a printed seed.

/** Numbers that look random and follow from a seed: `SEED=1 deno task test` repeats a run. */
export class Random {
  #state: number;

  /** Prints the seed, so that a failure can be repeated. */
  constructor(seed: number = seedOfThisRun()) {
    console.log(`SEED=${seed}`);
    this.#state = seed >>> 0;
  }

  /** A whole number from 0 to 2^32 - 1: Tommy Ettinger's mulberry32. */
  word(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let z = this.#state;
    z = Math.imul(z ^ (z >>> 15), z | 1);
    z ^= z + Math.imul(z ^ (z >>> 7), z | 61);
    return (z ^ (z >>> 14)) >>> 0;
  }

  /** A whole number from 0 to `bound` - 1. */
  below(bound: number): number {
    return Math.floor(this.word() / 2 ** 32 * bound);
  }

  /** Whether something happens that happens once in `times`. */
  oneIn(times: number): boolean {
    return this.below(times) === 0;
  }

  /** One of them. */
  pick<T>(from: readonly T[]): T {
    return from[this.below(from.length)]!;
  }

  /** That many bytes, any of the 256. */
  bytes(length: number): Uint8Array<ArrayBuffer> {
    return Uint8Array.from({ length }, () => this.below(256));
  }
}

/** The number in an environment variable, or else `otherwise`. */
export function numberFromEnv(name: string, otherwise: number): number {
  const text = Deno.env.get(name);
  return text === undefined || text === "" ? otherwise : Number(text);
}

/** How long a random search goes on: `SEARCH=10` makes all of them ten times as long. */
export const searchLength = (usual: number): number =>
  Math.ceil(usual * numberFromEnv("SEARCH", 1));

function seedOfThisRun(): number {
  return numberFromEnv("SEED", Math.floor(Math.random() * 2 ** 32));
}
