// How many events come a minute, by counts that are taken whenever the page is made.
import type { RecorderStats } from "@unzombie/redis";

/** Counts of one moment. */
interface Sample {
  readonly at: number;
  readonly recorded: number;
  readonly queued: number;
  readonly dropped: number;
}

/** Events a minute. */
export type Rate = Readonly<Record<"recorded" | "queued" | "dropped", number>>;

const MINUTE_MS = 60_000;

/** Compares counts with those of a minute ago, or of the first page if that is later. */
export class Rates {
  #samples: Sample[] = [];

  /**
   * @param stats The counts now.
   * @param now Unix time in milliseconds.
   * @returns `undefined` for the first page: there is nothing to compare with.
   */
  perMinute(
    { recorded, queued, dropped }: RecorderStats,
    now: number,
  ): Rate | undefined {
    // The newest sample that is a minute old is kept, and all after it.
    const start = this.#samples.findLastIndex(({ at }) =>
      at <= now - MINUTE_MS
    );
    this.#samples = this.#samples.slice(Math.max(0, start));
    const [first] = this.#samples;
    const newest = this.#samples.at(-1);
    // Many readers make many pages: one sample a second is enough.
    if (newest === undefined || now - newest.at >= 1000) {
      this.#samples.push({ at: now, recorded, queued, dropped });
    }
    if (first === undefined || now <= first.at) return undefined;
    const rate = (from: number, to: number): number =>
      (to - from) * MINUTE_MS / (now - first.at);
    return {
      recorded: rate(first.recorded, recorded),
      queued: rate(first.queued, queued),
      dropped: rate(first.dropped, dropped),
    };
  }
}
