// Reads the log block by block, as records and bytes that are none.
import type { Disk } from "./disk.ts";
import { MAGIC } from "./header.ts";
import {
  BODY,
  bytesOf,
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
  /**
   * A record is found.
   *
   * @param bytes Those of a block, until the call returns.
   * @param from Where the body of the record begins in it.
   * @param to Where the body ends.
   * @param offset Where the record begins in the file.
   */
  record(bytes: Uint8Array, from: number, to: number, offset: number): void;
  flaw(flaw: Flaw, offset: number, length: number): void;
}

/** What a header begins with. */
const FIRST = bytesOf(MAGIC);
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
    const lines = bytes.lastIndexOf(10) + 1;
    const end = isLast || lines === 0 ? bytes.length : lines;
    this.offset = end === 0 ? to : start + end;
    // A string is searched faster than bytes.
    const text = latin1Of(bytes);
    let from = 0;
    while (from < end) {
      const lineEnd = text.indexOf("\n", from);
      if (lineEnd < 0) {
        this.#visitOpen(bytes, from, end, start, visitor);
        break;
      }
      if (isRecord(bytes, from, lineEnd, this.generation)) {
        visitor.record(bytes, from + BODY, lineEnd, start + from);
      } else if (lineEnd > from) {
        this.#visitFlawed(bytes, from, lineEnd, start, visitor);
      }
      from = lineEnd + 1;
    }
    return true;
  }

  /** The last line has no end. It may be a record all the same: then nothing is torn but its end. */
  #visitOpen(
    bytes: Uint8Array,
    from: number,
    to: number,
    start: number,
    visitor: Visitor,
  ): void {
    if (!isRecord(bytes, from, to, this.generation)) {
      return visitor.flaw("torn", start + from, to - from);
    }
    visitor.record(bytes, from + BODY, to, start + from);
    visitor.flaw("torn", start + to, 0);
  }

  #visitFlawed(
    bytes: Uint8Array,
    from: number,
    to: number,
    start: number,
    visitor: Visitor,
  ): void {
    const line = bytes.subarray(from, to);
    for (const part of salvage(line, this.generation)) {
      const offset = start + from + part.from;
      if (part.isRecord) {
        visitor.record(line, part.from + BODY, part.to, offset);
      } else {
        const flaw = this.#flawOf(line.subarray(part.from, part.to));
        visitor.flaw(flaw, offset, part.to + 1 - part.from);
      }
    }
  }

  #flawOf(line: Uint8Array): Flaw {
    const isStale = isRecord(line, 0, line.length, this.generation - 1) ||
      FIRST.every((byte, n) => line[n] === byte); // two processes have made the file at the same time
    return isStale ? "stale" : line.includes(0) ? "torn" : "damaged";
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
