// The body of a bulk string too large for the receive buffer, received right where it will stay.
import { decodeText } from "./receive_buffer.ts";

/** The body of a bulk string that is being received. */
export interface LargeBulk {
  /** Bytes that have come. */
  readonly filled: number;
  /** Bytes that have not. */
  readonly left: number;
  /** What its content takes on the heap so far, in bytes. */
  readonly weight: number;
  /** Where the next bytes go; no longer than what is left, and empty only if that is nothing. */
  room(): Uint8Array;
  /** `count` more bytes stand where {@linkcode LargeBulk.room} pointed. */
  wrote(count: number): void;
  /** The body, once nothing is left. */
  take(): Uint8Array | string;
}

/** What an announced length may reserve before its bytes have come. */
const FIRST_RESERVE = 4 * 1024 * 1024;
/** An array that is full grows by this factor: pages that nothing is written to cost no memory, bytes that are moved cost time. */
const GROWTH = 16;
/** Text is decoded in pieces of this size, so that it is never held twice. */
const WINDOW = 1024 * 1024;

/** Bytes, in an array that goes to the caller: the value, and not a byte more. */
export class LargeBytes implements LargeBulk {
  filled = 0;
  readonly weight = 0; // it lies outside the heap
  readonly #length: number;
  #bytes: Uint8Array;

  constructor(length: number) {
    this.#length = length;
    this.#bytes = new Uint8Array(reserve(length, FIRST_RESERVE));
  }

  get left(): number {
    return this.#length - this.filled;
  }

  room(): Uint8Array {
    if (this.filled === this.#bytes.length && this.left > 0) {
      const size = reserve(this.#length, GROWTH * this.#bytes.length);
      const larger = new Uint8Array(size);
      larger.set(this.#bytes);
      this.#bytes = larger;
    }
    return this.#bytes.subarray(this.filled);
  }

  wrote(count: number): void {
    this.filled += count;
  }

  take(): Uint8Array {
    return this.#bytes;
  }
}

/** `size`, or the whole length if that is not twice as much: 64 MB are not moved for the sake of the last few bytes. */
const reserve = (length: number, size: number): number =>
  length <= 2 * size ? length : size;

/** Text, decoded window by window. The window is kept for the next text. */
export class LargeText implements LargeBulk {
  filled = 0;
  weight = 0;
  #length = 0;
  #window = new Uint8Array(0);
  #used = 0;
  #size = 0; // how much of the window is to be filled
  #text = "";

  /** Begins a text. */
  open(length: number): this {
    this.filled = this.weight = this.#used = 0;
    this.#length = length;
    this.#text = "";
    this.#fitWindow();
    return this;
  }

  get left(): number {
    return this.#length - this.filled;
  }

  room(): Uint8Array {
    return this.#window.subarray(this.#used, this.#size);
  }

  wrote(count: number): void {
    this.filled += count;
    this.#used += count;
    if (this.#used < this.#size || this.left === 0) return;
    const end = cutBefore(this.#window, this.#used);
    this.#decode(end);
    this.#window.copyWithin(0, end, this.#used);
    this.#used -= end;
    this.#fitWindow();
  }

  take(): string {
    this.#decode(this.#used);
    const text = this.#text;
    this.#text = "";
    return text;
  }

  #decode(end: number): void {
    const text = decodeText(this.#window.subarray(0, end));
    // V8 has one byte a unit for ASCII, and may have two for all else.
    this.weight += text.length === end ? end : 2 * end;
    this.#text += text;
  }

  #fitWindow(): void {
    this.#size = Math.min(this.#used + this.left, WINDOW);
    // Only the first window of a text can be too small, and it is empty then.
    if (this.#window.length < this.#size) {
      this.#window = new Uint8Array(this.#size);
    }
  }
}

/** Where UTF-8 can be cut so that both parts decode as they would together: before a lead byte that is one of the last three. */
function cutBefore(bytes: Uint8Array, end: number): number {
  for (let at = end - 1; at >= end - 3; at--) {
    if ((bytes[at]! & 0xc0) === 0x80) continue; // within a sequence
    return bytes[at]! < 0x80 ? end : at;
  }
  return end;
}
