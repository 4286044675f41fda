// Copies what is in force out of a part of the log.
import { Buffer } from "node:buffer";
import type { Disk } from "./disk.ts";
import { type IdBytes, textOf } from "./ids.ts";
import { Index } from "./index.ts";
import { bytesOf, endOfWord, FRAME, latin1Of, recordOf } from "./record.ts";
import { Scan, type Visitor } from "./scan.ts";

/** A part of the log. */
export interface Section {
  readonly index: Index;
  readonly from: number;
  readonly to: number;
  readonly generation: number;
}

/** A record that is in force. */
export interface Move {
  readonly kind: "+" | "!" | "?";
  /** Its new record. */
  readonly line: string;
  /** Of the event; empty for bytes that are no record. */
  readonly id: string;
}

/** Bytes that are no record are carried over in pieces of this many. */
const PIECE = 2 ** 20;
/** As much is written at a time. */
const CHUNK = 2 ** 20;

/** Collects what is in force, as records of another generation. */
class Collector implements Visitor {
  moves: Move[] = [];
  readonly #disk: Disk;
  readonly #index: Index;
  readonly #next: number;
  readonly #id: IdBytes = { bytes: new Uint8Array(0), from: 0, to: 0 };

  constructor(disk: Disk, index: Index, generation: number) {
    this.#disk = disk;
    this.#index = index;
    this.#next = generation;
  }

  record(bytes: Uint8Array, from: number, to: number, offset: number): void {
    const kind = String.fromCharCode(bytes[from]!);
    if (kind === "?") {
      if (this.#index.isKeptAt(offset)) {
        this.#add("?", "", latin1Of(bytes.subarray(from, to)));
      }
      return;
    }
    if (kind !== "+" && kind !== "!") return;
    const id = this.#id;
    id.bytes = bytes;
    id.from = from + 2;
    id.to = endOfWord(bytes, id.from, to);
    const isInForce = kind === "+"
      ? this.#index.isEventAt(id, offset, to - from + FRAME)
      : this.#index.isAsideAt(id, offset);
    if (isInForce) {
      this.#add(kind, textOf(id), latin1Of(bytes.subarray(from, to)));
    }
  }

  flaw(_flaw: string, offset: number, length: number): void {
    if (!this.#index.isKeptAt(offset)) return;
    for (let from = 0; from < length; from += PIECE) {
      const bytes = Buffer.alloc(Math.min(PIECE, length - from));
      this.#disk.read(bytes, offset + from);
      this.#add("?", "", `? ${bytes.toString("base64")}`);
    }
  }

  #add(kind: Move["kind"], id: string, body: string): void {
    this.moves.push({ kind, id, line: recordOf(body, this.#next) });
  }
}

/**
 * What of a part of the log is in force, block by block, as records to be
 * appended once more. An event that is set aside brings with it the record that says
 * so, which must come after it.
 */
export function* moves(
  disk: Disk,
  { index, from, to, generation }: Section,
): Generator<Move[]> {
  const scan = new Scan(disk, generation, from);
  const collector = new Collector(disk, index, generation);
  while (scan.next(to, collector)) {
    const { moves } = collector;
    collector.moves = [];
    const all = moves.filter(({ kind }) => kind !== "!").flatMap((move) => {
      const aside = move.kind === "+" ? index.asideOf(move.id) : undefined;
      if (aside === undefined) return [move];
      const bytes = Buffer.alloc(aside.length);
      disk.read(bytes, aside.offset);
      const line = bytes.toString("latin1");
      return [move, {
        kind: "!" as const,
        id: move.id,
        line,
      }];
    });
    if (all.length > 0) yield all;
  }
}

/**
 * Writes what is in force once more, as records of the next generation, from
 * the place where the log of a file begins.
 *
 * @param base That place. All that is written has room before `from`.
 * @param check Called before each write: it throws if the file belongs to another process now.
 * @returns Where all is then, and where it ends.
 */
export async function compacted(
  disk: Disk,
  { index, from, to, generation }: Section,
  base: number,
  check: () => Promise<void>,
): Promise<{ readonly index: Index; readonly end: number }> {
  const scan = new Scan(disk, generation, from);
  const collector = new Collector(disk, index, generation + 1);
  const copy = new Index();
  let end = base;
  let isMore = !index.isEmpty;
  while (isMore) {
    let bytes = 0;
    let seen = 0;
    while (isMore && bytes < CHUNK) {
      isMore = scan.next(to, collector);
      for (; seen < collector.moves.length; seen++) {
        bytes += collector.moves[seen]!.line.length;
      }
    }
    if (end + bytes > from) {
      throw new RangeError("what is in force has grown while it was copied");
    }
    const written = bytesOf(collector.moves.map(({ line }) => line).join(""));
    await check();
    await disk.writeAt(written, end);
    for (const { kind, id, line } of collector.moves) {
      if (kind === "+") copy.add(id, end, line.length);
      else if (kind === "!") copy.setAside(id, end, line.length);
      else copy.keep(end, line.length);
      end += line.length;
    }
    collector.moves = [];
  }
  return { index: copy, end };
}
