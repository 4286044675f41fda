// What the records of the log come to.
import { type Claim, holderAfter } from "./claims.ts";
import { type IdBytes, textOf } from "./ids.ts";
import { Index } from "./index.ts";
import type { Place } from "./places.ts";
import { endOfWord, FRAME, latin1Of } from "./record.ts";
import type { Flaw, Visitor } from "./scan.ts";

interface Piece extends Place {
  readonly flaw: Flaw;
}

/** Follows the records from the beginning of the log. */
export class Replay implements Visitor {
  readonly index: Index;
  /** Bytes that are no record, and are kept. */
  readonly damaged: Place[] = [];
  holder: Claim | undefined;
  /** That of a record, as long as this is followed. */
  readonly #id: IdBytes = { bytes: new Uint8Array(0), from: 0, to: 0 };
  /** What came after the last record. */
  #tail: Piece[] = [];

  constructor(holder: Claim | undefined, index: Index = new Index()) {
    this.holder = holder;
    this.index = index;
  }

  /** Where a crash has cut the log short; `undefined` if it has not. */
  get tornAt(): number | undefined {
    return this.#tail.find(({ flaw }) => flaw !== "damaged")?.offset;
  }

  /** Whether the last line has no end. */
  get isOpenEnded(): boolean {
    return this.#tail.at(-1)?.flaw === "torn";
  }

  record(bytes: Uint8Array, from: number, to: number, offset: number): void {
    if (this.#tail.length > 0) this.#keepTail(offset);
    const length = to - from + FRAME;
    const id = this.#id;
    id.bytes = bytes;
    id.from = from + 2;
    switch (String.fromCharCode(bytes[from]!)) {
      case "+":
        id.to = endOfWord(bytes, id.from, to);
        return this.index.add(id, offset, length);
      case "-":
        for (; id.from < to; id.from = id.to + 1) {
          id.to = endOfWord(bytes, id.from, to);
          this.index.remove(id);
        }
        return;
      case "!":
        id.to = endOfWord(bytes, id.from, to);
        return this.index.setAside(textOf(id), offset, length);
      case "?":
        return this.index.keep(offset, length);
      case "@":
        return this.#claim(JSON.parse(latin1Of(bytes.subarray(from + 2, to))));
    }
  }

  flaw(flaw: Flaw, offset: number, length: number): void {
    this.#tail.push({ flaw, offset, length });
  }

  /** Keeps what is damaged at the end. To be called when the log was taken. */
  end(to: number): void {
    this.#keepTail(this.tornAt ?? to);
  }

  #keepTail(to: number): void {
    for (const piece of this.#tail) {
      if (piece.flaw === "stale" || piece.length === 0) continue;
      if (piece.offset >= to) continue;
      this.index.keep(piece.offset, piece.length);
      this.damaged.push(piece);
    }
    this.#tail = [];
  }

  #claim(record: Parameters<typeof holderAfter>[1]): void {
    this.holder = holderAfter(this.holder, record);
    if (!("torn" in record) || record.torn === undefined) return;
    const [from, to] = record.torn;
    this.index.forget(from, to);
    const kept = this.damaged.filter(({ offset }) =>
      offset < from || offset >= to
    );
    this.damaged.splice(0, Infinity, ...kept);
  }
}
