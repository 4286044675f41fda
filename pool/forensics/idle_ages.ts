// Learns at what idle age connections are closed, so that idle ones are evicted before it.

/** How many closes at about the same idle age show a limit. */
export const MIN_CLOSES = 3;
/** How far apart, in milliseconds, the idle ages of one limit may lie: servers check once a second. */
export const apartMs = (ageMs: number): number => Math.max(1100, 0.1 * ageMs);

/** Closes of connections that were idle for less than this, in milliseconds, are ignored: no idle limit is that short. */
export const MIN_IDLE_MS = 1000;
/** Closes within this many milliseconds of each other are one event, such as a restart. */
const TOGETHER_MS = 1000;
/** The share of the limit after which an idle connection is evicted. */
const MARGIN = 0.9;
/** A limit is tested again after `factor` times its age, at least `leastMs`; each time it holds the factor doubles. */
const PROBE = { factor: 5, leastMs: 5000, mostFactor: 160 };

/**
 * Learns the idle limit of a server or proxy from the ages at which idle connections were closed.
 *
 * A limit may be raised, or may have been a coincidence. Connections that are
 * evicted before it cannot show that, so it is suspended now and then: a close
 * at that age confirms it, a connection that survives that age disproves it.
 *
 * @example Three closes at about five minutes
 * ```ts ignore
 * const ages = new IdleAges();
 * [300_200, 300_900, 300_500].forEach((ms, i) => ages.observe(ms, i * 400_000));
 * ages.limitMs; // 270180
 * ages.evictAfterMs(1_000_000); // 270180
 * ages.evictAfterMs(3_000_000); // Infinity: it is tested again
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
    if (ageMs < MIN_IDLE_MS || at - this.#lastAt < TOGETHER_MS) return;
    this.#lastAt = at;
    this.#ages.push(ageMs);
    if (this.#ages.length > MIN_CLOSES) this.#ages.shift();
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
    // One more close at that age restores the limit.
    this.#ages.shift();
    this.#probeAt = Infinity;
    this.#probeFactor = PROBE.factor;
  }

  /** The idle age after which connections may be closed, in milliseconds; `Infinity` while none is known. */
  get limitMs(): number {
    if (this.#ages.length < MIN_CLOSES) return Infinity;
    const least = Math.min(...this.#ages);
    return Math.max(...this.#ages) - least <= apartMs(least)
      ? MARGIN * least
      : Infinity;
  }

  /**
   * The idle age at which connections should be evicted, in milliseconds;
   * `Infinity` while no limit is known, or while it is tested again.
   *
   * @param at The present, in milliseconds.
   */
  evictAfterMs(at: number): number {
    return at < this.#probeAt ? this.limitMs : Infinity;
  }
}
