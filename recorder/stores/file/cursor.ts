// Reads events from where the index says that they are.
import { Buffer } from "node:buffer";
import type { Disk } from "./disk.ts";
import type { Index, Place } from "./index.ts";

const BLOCK = 2 ** 18;
/** The checksum, two spaces and the kind, before the JSON. */
const BEFORE_JSON = 11;

/** An event that was read. */
export interface ReadEvent {
  readonly id: string;
  readonly json: string;
}

/** A walk through the events that were in the log at one moment. */
export class Cursor {
  /** Where the log ended then. */
  to: number;
  readonly #disk: Disk;
  readonly #buffer = Buffer.allocUnsafe(BLOCK);
  #index: Index;
  #events: Iterator<[id: string, Place]>;
  #next: IteratorResult<[id: string, Place]> | undefined;

  constructor(disk: Disk, index: Index, to: number) {
    this.#disk = disk;
    this.#index = index;
    this.to = to;
    this.#events = index.eventsFrom(0);
  }

  /** Goes on in another index, of the same events at other places. */
  move(index: Index, moved: (offset: number) => number): void {
    const next = this.#following();
    this.to = moved(this.to);
    this.#index = index;
    this.#events = index.eventsFrom(
      next === undefined ? Infinity : moved(next[1].offset),
    );
    this.#next = undefined;
  }

  /** The events of the next block; `undefined` at the end. */
  read(): ReadEvent[] | undefined {
    const first = this.#following();
    if (first === undefined) return undefined;
    const { offset: start, length } = first[1];
    const buffer = length > BLOCK ? Buffer.allocUnsafe(length) : this.#buffer;
    const read = this.#disk.read(buffer, start);
    const text = buffer.toString("latin1", 0, read);
    const events: ReadEvent[] = [];
    for (;;) {
      const next = this.#following();
      if (next === undefined) break;
      const [id, { offset, length }] = next;
      const end = offset + length - start;
      if (end > read) {
        // The file ends before the record: what is missing is left out.
        if (offset === start) this.#next = undefined;
        break;
      }
      this.#next = undefined;
      if (this.#index.isAside(id)) continue;
      events.push({
        id,
        json: text.slice(offset - start + BEFORE_JSON, end - 1),
      });
    }
    return events;
  }

  #following(): [id: string, Place] | undefined {
    this.#next ??= this.#events.next();
    if (this.#next.done || this.#next.value[1].offset >= this.to) {
      return undefined;
    }
    return this.#next.value;
  }
}
