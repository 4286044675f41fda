// Bulk strings too large for the receive buffer, received right where they will stay.
import { decodeText } from "./receive_buffer.ts";

/** A bulk string that is being received, and the CRLF behind it. */
export interface LargeBulk {
  /** Bytes that have come. */
  readonly filled: number;
  /** Whether all of them have. */
  readonly isFull: boolean;
  /** Where the next bytes go; not empty unless it is full. */
  room(): Uint8Array;
  /** `count` more bytes stand where {@linkcode LargeBulk.room} pointed. */
  wrote(count: number): void;
  /** The two bytes behind the body. */
  ending(): Uint8Array;
  /** The body, once it is full. */
  take(): Uint8Array | string;
}

/** The line end behind a body. */
const CRLF_LENGTH = 2;
/** What an announced length may reserve before its bytes have come. */
const FIRST_RESERVE = 4 * 1024 * 1024;
/** Pages that nothing was written to cost no memory, bytes that must be moved cost time. */
const GROWTH = 16;
/** Text is decoded by pieces of this size, so that it never stands there twice. */
const WINDOW = 1024 * 1024;

/** Bytes, in an array that goes to the caller. */
export class LargeBytes implements LargeBulk {
  filled = 0;
  readonly #whole: number;
  #bytes: Uint8Array;

  constructor(length: number) {
    this.#whole = length + CRLF_LENGTH;
    this.#bytes = new Uint8Array(reserve(this.#whole, FIRST_RESERVE));
  }

  get isFull(): boolean {
    return this.filled === this.#whole;
  }

  room(): Uint8Array {
    if (this.filled === this.#bytes.length && !this.isFull) {
      const size = reserve(this.#whole, GROWTH * this.#bytes.length);
      const larger = new Uint8Array(size);
      larger.set(this.#bytes);
      this.#bytes = larger;
    }
    return this.#bytes.subarray(this.filled);
  }

  wrote(count: number): void {
    this.filled += count;
  }

  ending(): Uint8Array {
    return this.#bytes.subarray(-CRLF_LENGTH);
  }

  take(): Uint8Array {
    return this.#bytes.subarray(0, -CRLF_LENGTH);
  }
}

/** `size`, or all of the bytes if that is not twice as much: nobody moves 64 MB for the sake of the last two. */
const reserve = (whole: number, size: number): number =>
  whole <= 2 * size ? whole : size;

/** Text, decoded window by window. One window serves one text after the other. */
export class LargeText implements LargeBulk {
  filled = 0;
  #whole = 0;
  #window = new Uint8Array(0);
  #used = 0;
  #size = 0; // how much of the window is to be filled
  #text = "";

  /** Begins a text. */
  open(length: number): this {
    this.filled = this.#used = 0;
    this.#whole = length + CRLF_LENGTH;
    this.#text = "";
    this.#aim();
    return this;
  }

  get isFull(): boolean {
    return this.filled === this.#whole;
  }

  room(): Uint8Array {
    return this.#window.subarray(this.#used, this.#size);
  }

  wrote(count: number): void {
    this.filled += count;
    this.#used += count;
    if (this.#used < this.#size || this.isFull) return;
    const end = cutBefore(this.#window, this.#used);
    this.#text += decodeText(this.#window.subarray(0, end));
    this.#window.copyWithin(0, end, this.#used);
    this.#used -= end;
    this.#aim();
  }

  ending(): Uint8Array {
    return this.#window.subarray(this.#used - CRLF_LENGTH, this.#used);
  }

  take(): string {
    const body = this.#window.subarray(0, this.#used - CRLF_LENGTH);
    const text = this.#text + decodeText(body);
    this.#text = "";
    return text;
  }

  /** The last window holds the line end whole, the others none of it. */
  #aim(): void {
    const left = this.#used + this.#whole - this.filled;
    this.#size = left <= WINDOW + CRLF_LENGTH ? left : WINDOW;
    if (this.#window.length >= this.#size) return;
    const larger = new Uint8Array(this.#size);
    larger.set(this.#window.subarray(0, this.#used));
    this.#window = larger;
  }
}

/** Where UTF-8 can be cut so that both parts decode as they would together: before its last lead byte. */
function cutBefore(bytes: Uint8Array, end: number): number {
  for (let at = end - 1; at >= Math.max(0, end - 4); at--) {
    if ((bytes[at]! & 0xc0) === 0x80) continue; // within a sequence
    return bytes[at]! < 0x80 ? end : at;
  }
  return end;
}
