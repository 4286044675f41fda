// Counts deaths by cause.
import type { CauseRow, DeathEvent } from "./json_lines.ts";

/** Keeps a row for each cause, so that a long watch takes no more memory. */
export class CauseCounts {
  readonly #rows = new Map<string, CauseRow>();
  readonly #refused = new Set<string>();

  /**
   * Counts a death.
   *
   * @param death The death.
   * @param causes Every cause that fits it. Several causes together have a row of their own.
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

  /** How many deaths were counted. */
  get deaths(): number {
    return this.rows.reduce((sum, { deaths }) => sum + deaths, 0);
  }

  /** The rows, the most frequent cause first. */
  get rows(): CauseRow[] {
    return [...this.#rows.values()].sort((a, b) => b.deaths - a.deaths);
  }

  /** The probes that the server refused. */
  get refused(): string[] {
    return [...this.#refused].sort();
  }
}
