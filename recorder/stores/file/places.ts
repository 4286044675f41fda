// Where events are, by id: typed arrays, since a Map of a million ids takes three times the memory and the time.

/** Where a record is. */
export interface Place {
  readonly offset: number;
  readonly length: number;
}

const SMALLEST = 64;

/**
 * Places by id, in the order in which they were added, which is that of their
 * offsets. Ids are kept as hashes of 64 bits: an id that is added to a million others
 * is taken for one of them once in 10^13 times.
 *
 * A slot is a place, in order; one of length 0 is free, and goes with the next
 * growth. The table finds slots by hash: open addressing, at most half full. The
 * other half of the hash is beside the slot, so that few other ids are looked at:
 * each would be a miss of the processor's cache.
 */
export class Places {
  #offsets = new Float64Array(SMALLEST);
  #lengths = new Uint32Array(SMALLEST);
  #high = new Uint32Array(SMALLEST);
  #low = new Uint32Array(SMALLEST);
  /** Pairs: a slot plus one, or 0 where there is none; and the high half of its hash. */
  #table = new Uint32Array(4 * SMALLEST);
  /** How many slots were given out. */
  #slots = 0;
  #size = 0;
  /** After the slot that was found last: a walk goes on there. */
  #hint = 1;
  /** All slots before are free. */
  #head = 0;

  /** How many there are. */
  get size(): number {
    return this.#size;
  }

  /** The first offset; `Infinity` if there is none. */
  get first(): number {
    while (this.#head < this.#slots && this.#lengths[this.#head] === 0) {
      this.#head++;
    }
    return this.#head < this.#slots ? this.#offsets[this.#head]! : Infinity;
  }

  has(id: string): boolean {
    return this.#find(id) >= 0;
  }

  get(id: string): Place | undefined {
    const slot = this.#find(id);
    return slot < 0 ? undefined : this.#place(slot);
  }

  /** Whether an id has this place. */
  isAt(id: string, offset: number, length: number): boolean {
    const slot = this.#find(id);
    return slot >= 0 && this.#offsets[slot] === offset &&
      this.#lengths[slot] === length;
  }

  /**
   * Puts an id at a place.
   *
   * @param offset Greater than all before.
   * @returns The length at its old place; 0 if there was none.
   */
  put(id: string, offset: number, length: number): number {
    if (this.#slots === this.#lengths.length) this.#grow();
    const before = this.remove(id);
    const slot = this.#slots++;
    this.#offsets[slot] = offset;
    this.#lengths[slot] = length;
    this.#high[slot] = high;
    this.#low[slot] = low;
    this.#enter(slot);
    this.#size++;
    return before;
  }

  /** @returns The length of what was there; 0 if nothing was. */
  remove(id: string): number {
    const slot = this.#find(id);
    if (slot < 0) return 0;
    const length = this.#lengths[slot]!;
    this.#lengths[slot] = 0;
    this.#size--;
    return length;
  }

  /** Whether the place that {@linkcode Places.nextFrom} has found last is that of an id. */
  isLastFound(id: string): boolean {
    hash(id);
    const slot = this.#hint - 1;
    return this.#low[slot] === low && this.#high[slot] === high;
  }

  /** The first place at an offset or after it. */
  nextFrom(offset: number): Place | undefined {
    let slot = this.#slotFrom(offset);
    while (slot < this.#slots && this.#lengths[slot] === 0) slot++;
    this.#hint = slot + 1;
    return slot < this.#slots ? this.#place(slot) : undefined;
  }

  /** How many places are before an offset. */
  rankOf(offset: number): number {
    let rank = 0;
    for (let slot = this.#slotFrom(offset) - 1; slot >= 0; slot--) {
      if (this.#lengths[slot] !== 0) rank++;
    }
    return rank;
  }

  /** The offset that has so many places before it; `undefined` if there are no more. */
  offsetAt(rank: number): number | undefined {
    for (let slot = this.#head; slot < this.#slots; slot++) {
      if (this.#lengths[slot] !== 0 && rank-- === 0) return this.#offsets[slot];
    }
    return undefined;
  }

  #place(slot: number): Place {
    return { offset: this.#offsets[slot]!, length: this.#lengths[slot]! };
  }

  #find(id: string): number {
    hash(id);
    const table = this.#table;
    const mask = table.length - 1;
    for (let at = 2 * low & mask; table[at] !== 0; at = (at + 2) & mask) {
      if (table[at + 1] !== high) continue;
      const slot = table[at]! - 1;
      if (this.#low[slot] === low && this.#lengths[slot] !== 0) return slot;
    }
    return -1;
  }

  /** Enters the slot of an id that no other slot has. */
  #enter(slot: number): void {
    const table = this.#table;
    const mask = table.length - 1;
    let at = 2 * this.#low[slot]! & mask;
    while (table[at] !== 0) at = (at + 2) & mask;
    table[at] = slot + 1;
    table[at + 1] = this.#high[slot]!;
  }

  /** The first slot at an offset or after it. */
  #slotFrom(offset: number): number {
    let from = 0;
    let to = this.#slots;
    const hint = this.#hint;
    if (hint < to && this.#offsets[hint]! >= offset) {
      if (this.#offsets[hint - 1]! < offset) return hint;
    }
    while (from < to) {
      const middle = (from + to) >>> 1;
      if (this.#offsets[middle]! < offset) from = middle + 1;
      else to = middle;
    }
    return from;
  }

  /** Drops the free slots, and doubles the room if they are less than half. */
  #grow(): void {
    const [offsets, lengths, highs, lows] = [
      this.#offsets,
      this.#lengths,
      this.#high,
      this.#low,
    ];
    let room = lengths.length;
    if (this.#size * 2 > room) room *= 2;
    this.#offsets = new Float64Array(room);
    this.#lengths = new Uint32Array(room);
    this.#high = new Uint32Array(room);
    this.#low = new Uint32Array(room);
    this.#table = new Uint32Array(4 * room);
    const before = this.#slots;
    this.#slots = 0;
    this.#head = 0;
    this.#hint = 1;
    for (let slot = 0; slot < before; slot++) {
      if (lengths[slot] === 0) continue;
      const next = this.#slots++;
      this.#offsets[next] = offsets[slot]!;
      this.#lengths[next] = lengths[slot]!;
      this.#high[next] = highs[slot]!;
      this.#low[next] = lows[slot]!;
      this.#enter(next);
    }
  }
}

/** What {@linkcode hash} has found: an array would be garbage for each look-up. */
let high = 0;
let low = 0;

/** Two hashes of 32 bits, by multiplication with different factors. */
function hash(id: string): void {
  let a = 0x2f0b4c47 ^ id.length;
  let b = 0x6a09e667;
  for (let n = 0; n < id.length; n++) {
    const code = id.charCodeAt(n);
    a = Math.imul(a ^ code, 0x01000193);
    b = Math.imul(b ^ code, 0x2c1b3c6d);
    b ^= b >>> 15;
  }
  high = mixed(a);
  low = mixed(b);
}

/** Spreads the bits: the low ones of a product depend on low ones alone. */
function mixed(hash: number): number {
  let h = hash ^ (hash >>> 16);
  h = Math.imul(h, 0x7feb352d);
  h ^= h >>> 15;
  h = Math.imul(h, 0x846ca68b);
  return (h ^ (h >>> 16)) >>> 0;
}
