// Where the records are that the log must keep.
import { MAX_RECORD } from "./record.ts";

/** Where a record is. */
export interface Place {
  readonly offset: number;
  readonly length: number;
}

/** A place as one number: an object would take five times the memory. */
const UNIT = MAX_RECORD + 1;
const pack = (offset: number, length: number): number => offset * UNIT + length;
const offsetOf = (place: number): number => Math.floor(place / UNIT);
const lengthOf = (place: number): number => place % UNIT;

/**
 * The records of the log that are in force: events, what sets events aside, and
 * bytes that are no record and are kept. All else is dead. Iteration is in the
 * order of the file, since a record comes in when it is appended.
 */
export class Index {
  readonly #events = new Map<string, number>();
  readonly #aside = new Map<string, number>();
  /** Lengths by offset. */
  readonly #kept = new Map<number, number>();
  #bytes = 0;
  /** Of the ids so far: a greater one is new. Ids sort by time, so that most are. */
  #greatest = "";

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
    return this.#bytes;
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

  isAside(id: string): boolean {
    return this.#aside.size > 0 && this.#aside.has(id);
  }

  add(id: string, offset: number, length: number): void {
    if (id > this.#greatest) this.#greatest = id; // saves a look-up in a large map
    else this.#take(this.#events, id);
    this.#events.set(id, pack(offset, length));
    this.#bytes += length;
  }

  remove(id: string): void {
    this.#take(this.#events, id);
    this.#take(this.#aside, id);
  }

  /** Sets an event aside, by a record that is here. */
  setAside(id: string, offset: number, length: number): void {
    if (!this.#events.has(id)) return;
    this.#take(this.#aside, id);
    this.#aside.set(id, pack(offset, length));
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

  /** What is kept and is no record. */
  kept(): Place[] {
    return Array.from(this.#kept, ([offset, length]) => ({ offset, length }));
  }

  /** Whether the record of an event at a place is in force. */
  isEventAt(id: string, offset: number, length: number): boolean {
    return this.#events.get(id) === pack(offset, length);
  }

  /** Whether the record that sets an event aside is in force at a place. */
  isAsideAt(id: string, offset: number, length: number): boolean {
    return this.#aside.get(id) === pack(offset, length);
  }

  isKeptAt(offset: number): boolean {
    return this.#kept.has(offset);
  }

  /** Where the first of the records is; `Infinity` if there is none. */
  get first(): number {
    const [event = Infinity] = this.#events.values();
    const [aside = Infinity] = this.#aside.values();
    const [kept = Infinity] = this.#kept.keys();
    return Math.min(offsetOf(event), offsetOf(aside), kept);
  }

  /** Where the events are, in the order of the file, from an offset on. May be read while the index changes. */
  *eventsFrom(from: number): Generator<[id: string, Place]> {
    for (const [id, place] of this.#events) {
      const offset = offsetOf(place);
      if (offset < from) continue;
      yield [id, { offset, length: lengthOf(place) }];
    }
  }

  /** Where the record is that sets an event aside. */
  asideOf(id: string): Place | undefined {
    const place = this.#aside.get(id);
    return place === undefined
      ? undefined
      : { offset: offsetOf(place), length: lengthOf(place) };
  }

  /** Where an event is. */
  offsetOf(id: string): number | undefined {
    const place = this.#events.get(id);
    return place === undefined ? undefined : offsetOf(place);
  }

  #take(map: Map<string, number>, id: string): void {
    const place = map.get(id);
    if (place === undefined) return;
    map.delete(id);
    this.#bytes -= lengthOf(place);
  }
}

/** At most how long the record is that carries bytes over: they are written in base64. */
export const carriedLength = (length: number): number =>
  Math.ceil(length * 4 / 3) + 64;
