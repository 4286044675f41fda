// At what idle age connections keep dying, so that idle ones go before it.

/** So many deaths at about the same idle age show a limit. */
export const AGREE = 3;
/** How far apart, in milliseconds, idle ages of one limit may lie: servers look once a second. */
export const apartMs = (ageMs: number): number => Math.max(1100, 0.1 * ageMs);

/** Nobody means to close what was used a moment ago: these were killed. */
export const LEAST_MS = 1000;
/** Deaths this close together, in milliseconds, are one event, such as a restart. */
const TOGETHER_MS = 1000;
/** How much before the age an idle connection goes. */
const MARGIN = 0.9;

/**
 * Learns the idle limit of a server or proxy from the ages at which idle connections were closed.
 *
 * @example Three deaths at about five minutes
 * ```ts ignore
 * const ages = new IdleAges();
 * [300_200, 300_900, 300_500].forEach((ms, i) => ages.observe(ms, i * 400_000));
 * ages.limitMs; // 270180
 * ```
 */
export class IdleAges {
  readonly #ages: number[] = [];

  #lastAt = -Infinity;

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
  }

  /** Idle connections should go at this age, in milliseconds; `Infinity` while nothing is known. */
  get limitMs(): number {
    if (this.#ages.length < AGREE) return Infinity;
    const least = Math.min(...this.#ages);
    return Math.max(...this.#ages) - least <= apartMs(least)
      ? MARGIN * least
      : Infinity;
  }
}
