// Reads events from where the index says that they are.
import { Buffer } from "node:buffer";
import type { Disk } from "./disk.ts";
import type { Index } from "./index.ts";
import type { Place } from "./places.ts";
import { BODY, endOfWord } from "./record.ts";

/** The strings of an event keep the block in memory that they were read from. */
const BLOCK = 2 ** 15;

/** Where the id of an event begins in its record, behind the kind and a space. */
const CONTENT = BODY + 2;

/** An event that was read. */
export interface ReadEvent {
  readonly offset: number;
  /** What it is, its id first; `undefined` if the disk has something else there by now. */
  readonly text: string | undefined;
}

/** A walk through the events that were in the log at one moment. */
export class Cursor {
  /** Where the log ended then. */
  to: number;
  readonly #disk: Disk;
  readonly #buffer = Buffer.allocUnsafe(BLOCK);
  #index: Index;
  /** Where the next event is, or before it. */
  #from = 0;

  constructor(disk: Disk, index: Index, to: number) {
    this.#disk = disk;
    this.#index = index;
    this.to = to;
  }

  /** Goes on in another index, of the same events at other places. */
  move(index: Index, moved: (offset: number) => number): void {
    this.#from = moved(this.#from);
    this.to = moved(this.to);
    this.#index = index;
  }

  /** The events of the next block; `undefined` at the end. */
  read(): ReadEvent[] | undefined {
    const first = this.#next();
    if (first === undefined) return undefined;
    const start = first.offset;
    const buffer = first.length > BLOCK
      ? Buffer.allocUnsafe(first.length)
      : this.#buffer;
    const text = buffer.toString("latin1", 0, this.#disk.read(buffer, start));
    const id = { bytes: buffer, from: 0, to: 0 };
    const events: ReadEvent[] = [];
    for (let next: Place | undefined = first; next; next = this.#next()) {
      const { offset, length } = next;
      const from = offset - start;
      // The rest of it is in the next block, if it is in the file at all.
      if (from + length > text.length && from > 0) break;
      this.#from = offset + length;
      const to = from + length - 1;
      id.from = from + CONTENT;
      id.to = endOfWord(buffer, id.from, to);
      if (this.#index.isAside(id)) continue;
      const isThere = this.#index.isLastFound(id);
      events.push({
        offset,
        text: isThere ? text.slice(id.from, to) : undefined,
      });
    }
    return events;
  }

  #next(): Place | undefined {
    const next = this.#index.nextFrom(this.#from);
    return next !== undefined && next.offset < this.to ? next : undefined;
  }
}
