// Reads the log block by block, as records and bytes that are none.
import type { Disk } from "./disk.ts";
import { MAGIC } from "./header.ts";
import {
  BODY,
  bodyOf,
  isRecord,
  latin1Of,
  MAX_RECORD,
  salvage,
} from "./record.ts";

/**
 * Why bytes are no record:
 *
 * - `"damaged"`: a whole line that is none.
 * - `"stale"`: a record of the generation before, which a compaction has left behind.
 * - `"torn"`: a line without its end, or with zeros in the place of its bytes, as a
 *   crash leaves them.
 */
export type Flaw = "damaged" | "stale" | "torn";

/** What is done with what is found, in the order of the file. */
export interface Visitor {
  record(body: string, offset: number, length: number): void;
  flaw(flaw: Flaw, offset: number, length: number): void;
}

/** Most blocks are as large. One that holds no whole line is read again with more. */
const BLOCK = 2 ** 18;

/** A walk through the records of one generation. */
export class Scan {
  /** Where the next block begins. */
  offset: number;
  /** Of the records. */
  readonly generation: number;
  readonly #disk: Disk;
  #buffer = new Uint8Array(0);

  constructor(disk: Disk, generation: number, from: number) {
    this.#disk = disk;
    this.generation = generation;
    this.offset = from;
  }

  /**
   * Visits what is in the next block.
   *
   * @param to Where the records end.
   * @returns Whether there was one.
   */
  next(to: number, visitor: Visitor): boolean {
    const start = this.offset;
    if (start >= to) return false;
    const bytes = this.#read(start, to);
    const isLast = start + bytes.length >= to;
    const end = bytes.lastIndexOf(10) + 1;
    const text = latin1Of(
      isLast || end === 0 ? bytes : bytes.subarray(0, end),
    );
    this.offset = text.length === 0 ? to : start + text.length;
    let from = 0;
    while (from < text.length) {
      const lineEnd = text.indexOf("\n", from);
      if (lineEnd < 0) {
        this.#visitOpen(text.slice(from), start + from, visitor);
        break;
      }
      if (isRecord(bytes, from, lineEnd, this.generation)) {
        const body = text.slice(from + BODY, lineEnd);
        visitor.record(body, start + from, lineEnd + 1 - from);
      } else if (lineEnd > from) {
        this.#visitFlawed(text.slice(from, lineEnd), start + from, visitor);
      }
      from = lineEnd + 1;
    }
    return true;
  }

  /** The last line has no end. It may be a record all the same: then nothing is torn but its end. */
  #visitOpen(line: string, offset: number, visitor: Visitor): void {
    const body = bodyOf(line, this.generation);
    if (body === undefined) return visitor.flaw("torn", offset, line.length);
    visitor.record(body, offset, line.length + 1);
    visitor.flaw("torn", offset + line.length, 0);
  }

  #visitFlawed(line: string, offset: number, visitor: Visitor): void {
    for (const part of salvage(line, this.generation)) {
      if (part.body !== undefined) {
        visitor.record(part.body, offset + part.from, part.length);
        continue;
      }
      const text = line.slice(part.from, part.from + part.length - 1);
      const isStale = bodyOf(text, this.generation - 1) !== undefined ||
        text.startsWith(MAGIC); // two processes have made the file at the same time
      const flaw = isStale ? "stale" : text.includes("\0") ? "torn" : "damaged";
      visitor.flaw(flaw, offset + part.from, part.length);
    }
  }

  /** A block that holds a whole line, if there is one of a length that a record can have. */
  #read(start: number, to: number): Uint8Array {
    const wanted = Math.min(BLOCK, to - start);
    if (this.#buffer.length < wanted) this.#buffer = new Uint8Array(wanted);
    const read = (): Uint8Array => {
      const room = this.#buffer.subarray(
        0,
        Math.min(this.#buffer.length, to - start),
      );
      return room.subarray(0, this.#disk.read(room, start));
    };
    const bytes = read();
    if (bytes.length < this.#buffer.length || bytes.includes(10)) return bytes;
    this.#buffer = new Uint8Array(MAX_RECORD + 1);
    return read();
  }
}
