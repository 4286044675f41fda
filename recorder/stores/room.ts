// How much room there is in a store that several processes may fill.

/** How often a store that is full is measured, in milliseconds. */
const MEASURE_MS = 10_000;
/** A store is measured anew after this share of its limit was added: others may have added as much. */
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
 * What is in the store is measured before the first addition, and again from time to
 * time. In between, only additions and removals by this process are counted: each
 * further process may exceed the limit by an eighth of it.
 */
export class Room {
  readonly #maxBytes: number;
  readonly #title: string;
  readonly #measure: () => Promise<Measured>;
  #measured: Measured | undefined;
  #measuredAt = 0;
  #bytes = 0; // as measured, and what was added and removed since
  #added = 0; // since it was measured

  /**
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
   * @throws {RangeError} If there is none.
   */
  async need(bytes: number, events: number): Promise<void> {
    if (this.#measured === undefined || this.#added > SHARE * this.#maxBytes) {
      await this.#update();
    }
    if (
      !this.#hasRoomFor(bytes) &&
      performance.now() - this.#measuredAt > MEASURE_MS
    ) await this.#update();
    if (this.#hasRoomFor(bytes)) return;
    const aside = this.#measured!.aside;
    throw new RangeError(
      `Cannot store ${events} ${events === 1 ? "event" : "events"} of ${
        kib(bytes)
      }: ${this.#title} holds ${kib(this.#bytes)} of at most ${
        kib(this.#maxBytes)
      } (maxBytes)` + (aside > 0 ? `, ${kib(aside)} of them set aside` : ""),
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

  async #update(): Promise<void> {
    this.#measured = await this.#measure();
    this.#measuredAt = performance.now();
    this.#bytes = this.#measured.bytes;
    this.#added = 0;
  }
}

const kib = (bytes: number): string => `${Math.ceil(bytes / 1024)} KiB`;
