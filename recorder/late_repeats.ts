// Repeats after a failover, whose code is loaded only where failovers are noticed.
import type { Entry } from "./entries/entry.ts";
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

/**
 * {@linkcode Repeats} that are being loaded. What happens meanwhile is done once they are there.
 * If they cannot be loaded nothing is repeated, which is said on the console.
 */
export class LateRepeats {
  readonly #loading: Promise<void>;
  #loaded: Repeats | undefined;
  #early: ((repeats: Repeats) => void)[] = [];
  #failovers = 0;
  #isMissing = false; // the code cannot be loaded

  /** @param load Loads what repeats. */
  constructor(
    options: RepeatsOptions,
    load: () => Promise<{ Repeats: typeof Repeats }> = () =>
      import("./repeats.ts"),
  ) {
    this.#loading = this.#load(options, load);
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
        } else if (!this.#isMissing) {
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
    if (this.#loaded !== undefined) what(this.#loaded);
    else if (!this.#isMissing) this.#early.push(what);
  }

  async #load(
    options: RepeatsOptions,
    load: () => Promise<{ Repeats: typeof Repeats }>,
  ): Promise<void> {
    const early = this.#early;
    try {
      const { Repeats } = await load();
      this.#loaded = new Repeats(options);
      for (const what of early) what(this.#loaded);
    } catch (error) {
      this.#isMissing = true;
      console.error(
        "WebhookRecorder writes nothing once more after a failover: the code for that cannot be loaded",
        error,
      );
    }
    this.#early = [];
  }
}
