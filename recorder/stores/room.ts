// How much room there is in a store that several processes may fill.

/** How often a store that is full is measured, in milliseconds. */
const MEASURE_MS = 10_000;
/** So much of its limit may be added to a store between two measurements: others may add as much. */
const SHARE = 1 / 8;

/** What a measurement has found, in bytes. */
export interface Measured {
  readonly bytes: number;
  /** How much of that was set aside. */
  readonly aside: number;
}

/**
 * Keeps a store within its limit.
 *
 * - What is in the store is measured beside the first addition, and before each
 *   further eighth of the limit that this process adds. Only that is waited for: a
 *   measurement reads all that is there.
 * - In between, only additions and removals by this process are counted. So each of
 *   several processes may exceed the limit by an eighth of it.
 */
export class Room {
  readonly #maxBytes: number;
  readonly #title: string;
  readonly #measure: () => Promise<Measured>;
  #bytes = 0; // as measured, and what was added and removed since
  #added = 0; // since the last measurement began
  #aside = 0; // as measured
  #measuredAt = -Infinity;
  #measuring: Promise<void> | undefined;

  /**
   * @param maxBytes How much there may be, in bytes.
   * @param title What the store is called in errors.
   * @param measure Measures what is in the store.
   */
  constructor(
    maxBytes: number,
    title: string,
    measure: () => Promise<Measured>,
  ) {
    this.#maxBytes = maxBytes;
    this.#title = title;
    this.#measure = measure;
  }

  /**
   * Makes sure that there is room.
   *
   * @param bytes How much is needed.
   * @param events For how many events.
   * @throws {RangeError} If there is none.
   * @throws What a measurement fails with that had to be awaited.
   */
  async need(bytes: number, events: number): Promise<void> {
    const isUnsure = this.#added + bytes > SHARE * this.#maxBytes;
    const isNew = this.#measuredAt === -Infinity;
    if (isUnsure || isNew || this.#isOld && !this.#hasRoomFor(bytes)) {
      const measuring = this.#measuring ??= this.#update();
      if (isUnsure) await measuring;
      else measuring.catch(() => {}); // a later addition measures again
    }
    if (this.#hasRoomFor(bytes)) return;
    throw new RangeError(
      `Cannot store ${events} ${events === 1 ? "event" : "events"} of ${
        kib(bytes)
      }: ${this.#title} holds ${kib(this.#bytes)} of at most ${
        kib(this.#maxBytes)
      } (maxBytes)` +
        (this.#aside > 0 ? `, ${kib(this.#aside)} of them set aside` : ""),
    );
  }

  /** Bytes were added. */
  take(bytes: number): void {
    this.#bytes += bytes;
    this.#added += bytes;
  }

  /** Bytes were removed. Another process may have removed the same. */
  give(bytes: number): void {
    this.#bytes = Math.max(0, this.#bytes - bytes);
  }

  #hasRoomFor(bytes: number): boolean {
    return this.#bytes + bytes <= this.#maxBytes;
  }

  get #isOld(): boolean {
    return performance.now() - this.#measuredAt > MEASURE_MS;
  }

  async #update(): Promise<void> {
    const before = this.#added;
    try {
      const { bytes, aside } = await this.#measure();
      this.#added -= before;
      this.#bytes = bytes + this.#added; // some of these may have been measured
      this.#aside = aside;
      this.#measuredAt = performance.now();
    } finally {
      this.#measuring = undefined;
    }
  }
}

const kib = (bytes: number): string => `${Math.ceil(bytes / 1024)} KiB`;
