// Hash slots as text: ranges of them.

/** Hash slots in ascending order, as ranges. */
export class HashSlotRanges {
  readonly #ranges: { readonly start: number; end: number }[] = [];
  /** How many hash slots they are. */
  count = 0;

  /** Adds one that is behind all others. */
  add(hashSlot: number): void {
    this.count++;
    const last = this.#ranges.at(-1);
    if (last?.end === hashSlot - 1) last.end = hashSlot;
    else this.#ranges.push({ start: hashSlot, end: hashSlot });
  }

  /** Such as `0-99,200-300`. */
  toString(): string {
    return this.#ranges.map(({ start, end }) =>
      start === end ? `${start}` : `${start}-${end}`
    ).join();
  }
}
