// The connections of a client that have ended, and why.
import type { CloseReport, Verdict } from "@unzombie/redis";

/** A connection that has ended. */
export interface Death {
  readonly report: CloseReport;
  /** What a post-mortem has found; `undefined` until then. */
  verdict?: Verdict | undefined;
}

/** Keeps the last deaths. Give {@linkcode Deaths.options} to the client. */
export class Deaths {
  readonly #most: number;
  #last: Death[] = [];

  /** @param most How many to keep. @default {20} */
  constructor(most = 20) {
    this.#most = most;
  }

  /** The last deaths, the newest first. */
  get last(): readonly Death[] {
    return this.#last;
  }

  /** Options of `Redis` that keep this up to date. Closes by the client itself do not count. */
  get options(): {
    onClose: (report: CloseReport) => void;
    onVerdict: (verdict: Verdict) => void;
  } {
    return {
      onClose: (report) => {
        if (report.by === "client") return;
        this.#last = [{ report }, ...this.#last].slice(0, this.#most);
      },
      onVerdict: (verdict) => {
        const death = this.#last.find(({ report }) =>
          report === verdict.report
        );
        if (death !== undefined) death.verdict = verdict;
      },
    };
  }
}
