// Where events are, by id: typed arrays, since a Map of a million ids takes three times the memory and the time.
import { HASH, hash, type Id } from "./ids.ts";

/** Where a record is. */
export interface Place {
  readonly offset: number;
  readonly length: number;
}

const SMALLEST = 64;
/**
 * As many slots are entered into the table together. All of the places there are read
 * first, in a loop without branches, in which the processor waits for several of them
 * at a time. One by one they take twice as long.
 */
const TOGETHER = 1024;

/**
 * Places by id, in the order in which they were added, which is that of their
 * offsets. Ids are kept as hashes of 64 bits: an id that is added to a million others
 * is taken for one of them once in 10^13 times.
 *
 * A slot is a place, in order; one of length 0 is free, and goes with the next
 * growth. The table finds slots by the low half of the hash: open addressing, at most
 * half full. That half is beside the slot, so that few other ids are looked at:
 * each would be a miss of the processor's cache.
 */
export class Places {
  #offsets = new Float64Array(SMALLEST);
  #lengths = new Uint32Array(SMALLEST);
  #high = new Uint32Array(SMALLEST);
  #low = new Uint32Array(SMALLEST);
  /** Pairs: a slot plus one, or 0 where there is none; and the low half of its hash. */
  #table: Uint32Array = new Uint32Array(4 * SMALLEST);
  /** How many slots were given out. */
  #slots = 0;
  /** How many of these were entered into the table. */
  #entered = 0;
  #size = 0;
  #bytes = 0;
  /** After the slot that was found last: a walk goes on there. */
  #hint = 1;
  /** All slots before are free. */
  #head = 0;
  /** Keeps the compiler from leaving out what reads the table in advance. */
  #read = 0;

  /** How many there are. */
  get size(): number {
    this.#enterAll();
    return this.#size;
  }

  /** The sum of their lengths. */
  get bytes(): number {
    this.#enterAll();
    return this.#bytes;
  }

  /** The first offset; `Infinity` if there is none. */
  get first(): number {
    this.#enterAll();
    while (this.#head < this.#slots && this.#lengths[this.#head] === 0) {
      this.#head++;
    }
    return this.#head < this.#slots ? this.#offsets[this.#head]! : Infinity;
  }

  has(id: Id): boolean {
    return this.#find(id) >= 0;
  }

  get(id: Id): Place | undefined {
    const slot = this.#find(id);
    return slot < 0 ? undefined : this.#place(slot);
  }

  /** Whether an id has this place. */
  isAt(id: Id, offset: number, length: number): boolean {
    const slot = this.#find(id);
    return slot >= 0 && this.#offsets[slot] === offset &&
      this.#lengths[slot] === length;
  }

  /**
   * Puts an id at a place, and nowhere else.
   *
   * @param offset Greater than all before.
   */
  put(id: Id, offset: number, length: number): void {
    if (this.#slots === this.#lengths.length) this.#grow();
    hash(id);
    const slot = this.#slots++;
    this.#offsets[slot] = offset;
    this.#lengths[slot] = length;
    this.#high[slot] = HASH[0]!;
    this.#low[slot] = HASH[1]!;
    this.#size++;
    this.#bytes += length;
    if (this.#slots - this.#entered === TOGETHER) this.#enterAll();
  }

  remove(id: Id): void {
    this.#free(this.#find(id));
  }

  /** Whether the place that {@linkcode Places.nextFrom} has found last is that of an id. */
  isLastFound(id: Id): boolean {
    hash(id);
    const slot = this.#hint - 1;
    return this.#low[slot] === HASH[1] && this.#high[slot] === HASH[0];
  }

  /** The first place at an offset or after it. */
  nextFrom(offset: number): Place | undefined {
    this.#enterAll();
    let slot = this.#slotFrom(offset);
    while (slot < this.#slots && this.#lengths[slot] === 0) slot++;
    this.#hint = slot + 1;
    return slot < this.#slots ? this.#place(slot) : undefined;
  }

  /** How many places are before an offset. */
  rankOf(offset: number): number {
    this.#enterAll();
    let rank = 0;
    for (let slot = this.#slotFrom(offset) - 1; slot >= 0; slot--) {
      if (this.#lengths[slot] !== 0) rank++;
    }
    return rank;
  }

  /** The offset that has so many places before it; `undefined` if there are no more. */
  offsetAt(rank: number): number | undefined {
    this.#enterAll();
    for (let slot = this.#head; slot < this.#slots; slot++) {
      if (this.#lengths[slot] !== 0 && rank-- === 0) return this.#offsets[slot];
    }
    return undefined;
  }

  #place(slot: number): Place {
    return { offset: this.#offsets[slot]!, length: this.#lengths[slot]! };
  }

  /** The slot of an id, or -1. */
  #find(id: Id): number {
    this.#enterAll();
    hash(id);
    const at = this.#entryOf(HASH[0]!, HASH[1]!);
    const slot = this.#table[at]! - 1;
    return slot >= 0 && this.#lengths[slot] !== 0 ? slot : -1;
  }

  /** Where the table has a hash, though its slot be free, or has room for it. */
  #entryOf(high: number, low: number): number {
    const table = this.#table;
    const mask = table.length - 1;
    let at = 2 * low & mask;
    for (; table[at] !== 0; at = (at + 2) & mask) {
      if (table[at + 1] === low && this.#high[table[at]! - 1] === high) break;
    }
    return at;
  }

  #free(slot: number): void {
    if (slot < 0 || this.#lengths[slot] === 0) return;
    this.#size--;
    this.#bytes -= this.#lengths[slot]!;
    this.#lengths[slot] = 0;
  }

  /** Enters the last slots into the table. Where an id was there already, its place before is free. */
  #enterAll(): void {
    if (this.#entered === this.#slots) return;
    const table = this.#table;
    const mask = table.length - 1;
    let read = 0;
    for (let slot = this.#entered; slot < this.#slots; slot++) {
      read |= table[2 * this.#low[slot]! & mask]!;
    }
    this.#read = read;
    for (; this.#entered < this.#slots; this.#entered++) {
      const slot = this.#entered;
      const low = this.#low[slot]!;
      const at = this.#entryOf(this.#high[slot]!, low);
      this.#free(table[at]! - 1);
      table[at] = slot + 1;
      table[at + 1] = low;
    }
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
    this.#enterAll();
    const room = this.#lengths.length * (this.#size * 2 > this.#slots ? 2 : 1);
    const moved = this.#dropFree();
    const [offsets, lengths, high, low, table] = [
      this.#offsets,
      this.#lengths,
      this.#high,
      this.#low,
      this.#table,
    ];
    this.#offsets = new Float64Array(room);
    this.#offsets.set(offsets);
    this.#lengths = new Uint32Array(room);
    this.#lengths.set(lengths);
    this.#high = new Uint32Array(room);
    this.#high.set(high);
    this.#low = new Uint32Array(room);
    this.#low.set(low);
    this.#table = entered(table, moved, 4 * room);
  }

  /** Drops the free slots. @returns Where each slot is now, plus one, or 0; `undefined` if there were none. */
  #dropFree(): Uint32Array | undefined {
    if (this.#size === this.#slots) return undefined;
    const moved = new Uint32Array(this.#slots);
    let next = 0;
    for (let slot = 0; slot < this.#slots; slot++) {
      if (this.#lengths[slot] === 0) continue;
      this.#offsets[next] = this.#offsets[slot]!;
      this.#lengths[next] = this.#lengths[slot]!;
      this.#high[next] = this.#high[slot]!;
      this.#low[next] = this.#low[slot]!;
      moved[slot] = ++next;
    }
    this.#slots = next;
    this.#entered = next;
    this.#head = 0;
    this.#hint = 1;
    return moved;
  }
}

/**
 * A table of another length with the entries of one. They are read in the order of the
 * table: then they are written in order, too.
 *
 * @param moved Where each slot is now, plus one, or 0; none if it is where it was.
 */
function entered(
  before: Uint32Array,
  moved: Uint32Array | undefined,
  length: number,
): Uint32Array {
  const table = new Uint32Array(length);
  const mask = length - 1;
  for (let from = 0; from < before.length; from += 2) {
    const slot = before[from]!;
    if (slot === 0) continue;
    const now = moved === undefined ? slot : moved[slot - 1]!;
    if (now === 0) continue;
    const low = before[from + 1]!;
    let at = 2 * low & mask;
    while (table[at] !== 0) at = (at + 2) & mask;
    table[at] = now;
    table[at + 1] = low;
  }
  return table;
}
