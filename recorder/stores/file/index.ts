// Where the records are that the log must keep.
import { type Id, textOf } from "./ids.ts";
import { type Place, Places } from "./places.ts";

/**
 * The records of the log that are in force: events, what sets events aside, and
 * bytes that are no record and are kept. All else is dead. Iteration is in the
 * order of the file, since a record comes in when it is appended.
 */
export class Index {
  readonly #events = new Places();
  readonly #aside = new Map<string, Place>();
  /** Lengths by offset. */
  readonly #kept = new Map<number, number>();
  /** Those of what is not an event. */
  #bytes = 0;

  /** How many events there are that are not set aside. */
  get size(): number {
    return this.#events.size - this.#aside.size;
  }

  /** Whether nothing must be kept. */
  get isEmpty(): boolean {
    return this.#events.size === 0 && this.#kept.size === 0;
  }

  /** At most how many bytes the records take. */
  get bytes(): number {
    return this.#events.bytes + this.#bytes;
  }

  /** How many events there are, with those that are set aside. */
  get events(): number {
    return this.#events.size;
  }

  has(id: string): boolean {
    return this.#events.has(id);
  }

  /** Whether an event is there and not set aside. */
  isQueued(id: string): boolean {
    return this.#events.has(id) && !this.isAside(id);
  }

  isAside(id: Id): boolean {
    return this.#aside.size > 0 && this.#aside.has(textOf(id));
  }

  add(id: Id, offset: number, length: number): void {
    this.#events.put(id, offset, length);
  }

  remove(id: Id): void {
    this.#events.remove(id);
    if (this.#aside.size > 0) this.#takeAside(textOf(id));
  }

  /** Sets an event aside, by a record that is here. */
  setAside(id: string, offset: number, length: number): void {
    if (!this.#events.has(id)) return;
    this.#takeAside(id);
    this.#aside.set(id, { offset, length });
    this.#bytes += length;
  }

  /** Keeps bytes that are no record. */
  keep(offset: number, length: number): void {
    this.#kept.set(offset, length);
    this.#bytes += carriedLength(length);
  }

  /** Keeps nothing any more that begins in a part of the log. */
  forget(from: number, to: number): void {
    for (const [offset, length] of this.#kept) {
      if (offset < from || offset >= to) continue;
      this.#kept.delete(offset);
      this.#bytes -= carriedLength(length);
    }
  }

  /** Whether the record of an event at a place is in force. */
  isEventAt(id: Id, offset: number, length: number): boolean {
    return this.#events.isAt(id, offset, length);
  }

  /** Whether the record that sets an event aside is in force at a place. */
  isAsideAt(id: Id, offset: number): boolean {
    return this.#aside.size > 0 &&
      this.#aside.get(textOf(id))?.offset === offset;
  }

  isKeptAt(offset: number): boolean {
    return this.#kept.has(offset);
  }

  /** Where the first of the records is; `Infinity` if there is none. */
  get first(): number {
    const [aside] = this.#aside.values();
    const [kept = Infinity] = this.#kept.keys();
    return Math.min(this.#events.first, aside?.offset ?? Infinity, kept);
  }

  /** Where the first event is at an offset or after it. */
  nextFrom(offset: number): Place | undefined {
    return this.#events.nextFrom(offset);
  }

  /** Whether the event that {@linkcode Index.nextFrom} has found last has an id. */
  isLastFound(id: Id): boolean {
    return this.#events.isLastFound(id);
  }

  /** How many events are before an offset. */
  rankOf(offset: number): number {
    return this.#events.rankOf(offset);
  }

  /** The offset that has so many events before it; `undefined` if there are no more. */
  offsetAt(rank: number): number | undefined {
    return this.#events.offsetAt(rank);
  }

  /** Where the record is that sets an event aside. */
  asideOf(id: string): Place | undefined {
    return this.#aside.get(id);
  }

  #takeAside(id: string): void {
    this.#bytes -= this.#aside.get(id)?.length ?? 0;
    this.#aside.delete(id);
  }
}

/** At most how long the record is that carries bytes over: they are written in base64. */
const carriedLength = (length: number): number =>
  Math.ceil(length * 4 / 3) + 64;
