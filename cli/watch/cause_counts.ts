// Deaths, counted by what may have been their cause.
import type { CauseRow, DeathEvent } from "./json_lines.ts";

/** Keeps a row for each cause, and no list that grows with the hours. */
export class Tally {
  readonly #rows = new Map<string, CauseRow>();
  readonly #refused = new Set<string>();

  /**
   * @param death A death.
   * @param causes Every cause that fits it: where there are several, none is counted for it alone.
   */
  add(death: DeathEvent, causes: readonly string[]): void {
    const { idleMs, advice, confidence, refused } = death;
    const cause = causes.length === 0 ? null : causes.join(" or ");
    const afterFreeze = cause === null && death.frozenMs > 0;
    const key = `${cause} ${afterFreeze}`;
    const row = this.#rows.get(key);
    const counts = row?.confidence ?? { likely: 0, possible: 0, none: 0 };
    this.#rows.set(key, {
      cause,
      deaths: (row?.deaths ?? 0) + 1,
      confidence: { ...counts, [confidence]: counts[confidence] + 1 },
      afterFreeze,
      idleMs: {
        min: Math.min(row?.idleMs.min ?? idleMs, idleMs),
        max: Math.max(row?.idleMs.max ?? idleMs, idleMs),
      },
      advice: advice ?? row?.advice ?? null,
    });
    refused.forEach((probe) => this.#refused.add(probe));
  }

  get deaths(): number {
    return this.rows.reduce((sum, { deaths }) => sum + deaths, 0);
  }

  /** The most frequent first. */
  get rows(): CauseRow[] {
    return [...this.#rows.values()].sort((a, b) => b.deaths - a.deaths);
  }

  get refused(): string[] {
    return [...this.#refused].sort();
  }
}
