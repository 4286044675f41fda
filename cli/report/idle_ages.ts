// How long connections had been idle when they ended, counted in steps of a tenth.
import type { DeathEvent } from "../watch/json_lines.ts";

/** How much longer each step is than the one before it. */
const STEP = 1.1;

/** Deaths after about the same idle time. */
export interface IdleAge {
  /** Idle times from this one on, in milliseconds, */
  readonly from: number;
  /** and below this one. */
  readonly to: number;
  readonly deaths: number;
}

/** Counts deaths by idle time. Those after a freeze of this process say nothing about idle limits. */
export class IdleAges {
  readonly #counts = new Map<number, number>();
  #afterFreeze = 0;

  /** How many are left out, since this process was frozen before. */
  get afterFreeze(): number {
    return this.#afterFreeze;
  }

  /** Counts a death. */
  add({ idleMs, frozenMs }: DeathEvent): void {
    if (frozenMs > 0) {
      this.#afterFreeze++;
      return;
    }
    const step = Math.floor(Math.log(Math.max(1, idleMs)) / Math.log(STEP));
    this.#counts.set(step, (this.#counts.get(step) ?? 0) + 1);
  }

  /** The steps at which there were deaths, the shortest first. */
  get all(): IdleAge[] {
    return [...this.#counts].sort(([a], [b]) => a - b)
      .map(([step, deaths]) => ({
        from: STEP ** step,
        to: STEP ** (step + 1),
        deaths,
      }));
  }
}
