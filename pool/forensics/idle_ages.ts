// At what idle age connections keep dying, so that idle ones go before it.

/** So many deaths at about the same idle age show a limit. */
export const AGREE = 3;
/** How far apart, in milliseconds, idle ages of one limit may lie: servers look once a second. */
export const apartMs = (ageMs: number): number => Math.max(1100, 0.1 * ageMs);

/** Connections idle for less than this were killed: no idle limit is that short. */
export const LEAST_MS = 1000;
/** Deaths this close together, in milliseconds, are one event, such as a restart. */
const TOGETHER_MS = 1000;
/** How much before the age an idle connection goes. */
const MARGIN = 0.9;
/** A limit is put to the test after so many times its age: twice as long each time that it holds. */
const PROBE = { factor: 5, leastMs: 5000, mostFactor: 160 };

/**
 * Learns the idle limit of a server or proxy from the ages at which idle connections were closed.
 *
 * A limit may be raised, or never have been one. Since connections that are
 * evicted before it can show neither, it is suspended now and then: a death at
 * that age confirms it, a connection that lives on makes it void.
 *
 * @example Three deaths at about five minutes
 * ```ts ignore
 * const ages = new IdleAges();
 * [300_200, 300_900, 300_500].forEach((ms, i) => ages.observe(ms, i * 400_000));
 * ages.limitMs; // 270180
 * ages.evictAfterMs(1_000_000); // 270180
 * ages.evictAfterMs(3_000_000); // Infinity: it is put to the test
 * ages.survived(400_000);
 * ages.limitMs; // Infinity
 * ```
 */
export class IdleAges {
  readonly #ages: number[] = [];
  #lastAt = -Infinity;
  #probeAt = Infinity;
  #probeFactor = PROBE.factor;

  /**
   * An idle connection was closed by the other side.
   *
   * @param ageMs How long it had been idle, in milliseconds.
   * @param at When, in milliseconds.
   */
  observe(ageMs: number, at: number): void {
    if (ageMs < LEAST_MS || at - this.#lastAt < TOGETHER_MS) return;
    this.#lastAt = at;
    this.#ages.push(ageMs);
    if (this.#ages.length > AGREE) this.#ages.shift();
    if (this.limitMs === Infinity) return;
    if (at >= this.#probeAt) {
      this.#probeFactor = Math.min(2 * this.#probeFactor, PROBE.mostFactor);
    }
    this.#probeAt = at + Math.max(PROBE.leastMs, this.#probeFactor * ageMs);
  }

  /**
   * A connection has answered after it was idle.
   *
   * @param ageMs For how long, in milliseconds.
   */
  survived(ageMs: number): void {
    if (this.limitMs === Infinity || ageMs <= Math.max(...this.#ages)) return;
    // One more death at that age, and the limit is back.
    this.#ages.shift();
    this.#probeAt = Infinity;
    this.#probeFactor = PROBE.factor;
  }

  /** Connections idle for longer may be closed, in milliseconds; `Infinity` while nothing is known. */
  get limitMs(): number {
    if (this.#ages.length < AGREE) return Infinity;
    const least = Math.min(...this.#ages);
    return Math.max(...this.#ages) - least <= apartMs(least)
      ? MARGIN * least
      : Infinity;
  }

  /**
   * At which age idle connections should go, in milliseconds; `Infinity` while
   * nothing is known, or while the limit is put to the test.
   *
   * @param at The present, in milliseconds.
   */
  evictAfterMs(at: number): number {
    return at < this.#probeAt ? this.limitMs : Infinity;
  }
}
