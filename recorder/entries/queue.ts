// Entries in order, taken in chunks that fit into one flush.
import type { Entry } from "./entry.ts";

/**
 * A chunk has at most this many events and about this many bytes, or a single
 * entry: 1000 members in one ZADD block the server for a millisecond.
 */
export const CHUNK = { events: 1000, bytes: 256 * 1024 };
/** Bytes that a member takes on the wire besides its text: the score, and the headers of both. */
const OVERHEAD = 40;

/** A first-in, first-out queue. Its size is counted in events: an entry with a count of 3 is three. */
export class EntryQueue {
  #entries: Entry[] = [];
  #head = 0;
  #events = 0;
  readonly #bytesOf: (entry: Entry) => number;

  /** @param bytesOf How much of a chunk an entry takes. */
  constructor(bytesOf: (entry: Entry) => number = writtenBytesOf) {
    this.#bytesOf = bytesOf;
  }

  /** How many events are in it. */
  get events(): number {
    return this.#events;
  }

  /** The entry that has waited longest. */
  get first(): Entry | undefined {
    return this.#entries[this.#head];
  }

  push(entry: Entry): void {
    this.#entries.push(entry);
    this.#events += entry.count;
  }

  /** Removes the entry that has waited longest. */
  shift(): Entry | undefined {
    return this.#remove(Math.min(1, this.#entries.length - this.#head))[0];
  }

  /** Removes the first entries, one chunk of them. */
  take(): Entry[] {
    let end = this.#head;
    let events = 0;
    let bytes = 0;
    for (; end < this.#entries.length; end++) {
      const entry = this.#entries[end]!;
      events += entry.count;
      bytes += this.#bytesOf(entry);
      const isFull = events > CHUNK.events || bytes > CHUNK.bytes;
      if (isFull && end > this.#head) break;
    }
    return this.#remove(end - this.#head);
  }

  /** Puts entries that were taken back in front of the others. */
  putBack(entries: readonly Entry[]): void {
    this.#entries = [...entries, ...this.#entries.slice(this.#head)];
    this.#head = 0;
    this.#events += countOf(entries);
  }

  /** Removes all entries and returns them. */
  clear(): Entry[] {
    const all = this.#entries.slice(this.#head);
    this.#entries = [];
    this.#head = 0;
    this.#events = 0;
    return all;
  }

  #remove(count: number): Entry[] {
    const from = this.#head;
    this.#head += count;
    const removed = this.#entries.slice(from, this.#head);
    this.#events -= countOf(removed);
    // Otherwise a queue that is never empty would keep all that were ever in it.
    if (this.#head * 2 > this.#entries.length) {
      this.#entries = this.#entries.slice(this.#head);
      this.#head = 0;
    }
    return removed;
  }
}

/** How many events entries are. */
export function countOf(entries: readonly Pick<Entry, "count">[]): number {
  let count = 0;
  for (const entry of entries) count += entry.count;
  return count;
}

/** About how many bytes the ZADD of an entry takes. */
export function writtenBytesOf({ key, members }: Entry): number {
  if (members.length === 1) return key.length + members[0]!.length + OVERHEAD;
  return members.reduce(
    (sum, member) => sum + member.length + OVERHEAD,
    key.length,
  );
}
