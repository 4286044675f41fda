// Repeats after a failover, whose code is loaded only where failovers are noticed.
import type { Entry } from "./entry.ts";
import type { Repeats, RepeatsOptions } from "./repeats.ts";

/** Takes notes of the writes to one server. */
export interface Notes {
  /** How many failovers there have been when a write begins. */
  readonly failovers: number;
  /**
   * Entries of one key were acknowledged.
   *
   * @param keepsLater Whether by ZADD GT.
   * @param failovers What it was when the write began.
   */
  add(
    entries: readonly Entry[],
    keepsLater: boolean,
    failovers: number,
  ): void;
}

/** {@linkcode Repeats} that are being loaded. What happens meanwhile is done once they are there. */
export class LateRepeats {
  readonly #loading: Promise<void>;
  #loaded: Repeats | undefined;
  #early: ((repeats: Repeats) => void)[] = [];
  #failovers = 0;

  constructor(options: RepeatsOptions) {
    this.#loading = this.#load(options);
  }

  /** How many events were written once more so far. */
  get repeated(): number {
    return this.#loaded?.repeated ?? 0;
  }

  /** Takes notes of the writes to a server. */
  notesOf(server: string): Notes {
    const failovers = () => this.#failovers;
    return {
      get failovers() {
        return failovers();
      },
      add: (entries, keepsLater, before) => {
        const isLate = before !== this.#failovers;
        if (this.#loaded !== undefined) {
          this.#loaded.note(server, entries, keepsLater, isLate);
        } else {
          this.#early.push((repeats) =>
            repeats.note(server, entries, keepsLater, isLate)
          );
        }
      },
    };
  }

  /** A server was replaced; `awayMs` is how long it has been away, in milliseconds. */
  failover(server: string, awayMs: number): void {
    this.#failovers++;
    this.#do((repeats) => repeats.failover(server, awayMs));
  }

  /** Repeats now. Resolves once everything is repeated, or cannot be. */
  async flush(): Promise<void> {
    await this.#loading;
    await this.#loaded?.flush();
  }

  /** Repeats nothing any more. */
  end(): void {
    this.#do((repeats) => repeats.end());
  }

  #do(what: (repeats: Repeats) => void): void {
    if (this.#loaded === undefined) this.#early.push(what);
    else what(this.#loaded);
  }

  async #load(options: RepeatsOptions): Promise<void> {
    const { Repeats } = await import("./repeats.ts");
    this.#loaded = new Repeats(options);
    for (const what of this.#early) what(this.#loaded);
    this.#early = [];
  }
}
