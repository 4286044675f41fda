// When a fault begins and ends, and what is wrong in the meantime.
import { delay } from "@std/async/delay";
import type { LoadProfile } from "./load_profile.ts";

/** What a scenario does its faults by. */
export class Timeline {
  readonly profile: LoadProfile;
  /** What is wrong, in sentences. */
  readonly violations: string[] = [];
  /** When the fault began and ended, by `performance.now()`. */
  faultAt: number | undefined;
  backAt: number | undefined;

  constructor(profile: LoadProfile) {
    this.profile = profile;
  }

  /** A duration of the long profile, scaled to this one, and at least `leastMs`. */
  span(ms: number, leastMs = 0): number {
    return Math.max(leastMs, ms * this.profile.scale);
  }

  /** Waits for a duration of the long profile, scaled to this one. */
  async wait(ms: number, leastMs = 0): Promise<void> {
    await delay(this.span(ms, leastMs));
  }

  /** Repeats something for a duration of the long profile, scaled to this one. */
  async repeat(
    everyMs: number,
    forMs: number,
    act: () => unknown,
  ): Promise<void> {
    const startedAt = performance.now();
    const end = startedAt + this.span(forMs, 3 * everyMs);
    for (let next = startedAt; next < end;) {
      await act();
      next = Math.max(next + everyMs, performance.now());
      await delay(Math.max(0, next - performance.now()));
    }
  }

  /** Notes that the fault begins. */
  away(): void {
    this.faultAt ??= performance.now();
  }

  /** Notes that the fault is over. */
  back(): void {
    this.backAt = performance.now();
  }

  violate(sentence: string): void {
    this.violations.push(sentence);
  }
}
