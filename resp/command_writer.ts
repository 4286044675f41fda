// Commands whose lengths were taken in UTF-16 units, written with their lengths in bytes.
import { SPARE } from "./encode.ts";

const utf8 = new TextEncoder();
const ZERO = 48;

/** Writes commands one behind the other into bytes that hold them if all are ASCII, else into others. */
export class CommandWriter {
  isAscii = true;
  #bytes: Uint8Array<ArrayBuffer>;
  #end = 0;
  #left: number;

  /**
   * @param bytes Room for all, and {@linkcode SPARE}.
   * @param size The length of all that will be written, in units and bytes.
   */
  constructor(bytes: Uint8Array<ArrayBuffer>, size: number) {
    this.#bytes = bytes;
    this.#left = size;
  }

  write(content: string | Uint8Array): void {
    const { length } = content;
    this.#left -= length;
    if (typeof content !== "string") {
      this.#bytes.set(content, this.#end);
      this.#end += length;
      return;
    }
    const room = this.#bytes.subarray(this.#end);
    const { written } = utf8.encodeInto(content, room);
    if (written === length) {
      this.#end += length;
    } else {
      const isWhole = written + SPARE <= room.length;
      this.#writeExactly(
        isWhole ? room.slice(0, written) : utf8.encode(content),
      );
    }
  }

  /** Writes encoded commands whose lengths are still in units. */
  #writeExactly(encoded: Uint8Array): void {
    this.isAscii = false;
    // A length in bytes has one digit more at most, and there are at least four bytes for each.
    const needed = this.#end + Math.ceil(1.25 * encoded.length) + this.#left +
      SPARE;
    if (needed > this.#bytes.length) {
      const larger = new Uint8Array(Math.max(needed, 1.5 * this.#bytes.length));
      larger.set(this.#bytes.subarray(0, this.#end));
      this.#bytes = larger;
    }
    this.#end = writeWithLengthsInBytes(encoded, this.#bytes, this.#end);
  }

  written(): Uint8Array<ArrayBuffer> {
    return this.#bytes.subarray(0, this.#end);
  }
}

/** How many bytes a character has that begins with this one. */
const widthOf = (byte: number): number =>
  byte < 0x80 ? 1 : byte < 0xe0 ? 2 : byte < 0xf0 ? 3 : 4;

/** Writes encoded commands whose lengths are in units with lengths in bytes; returns where they end. */
function writeWithLengthsInBytes(
  source: Uint8Array,
  target: Uint8Array,
  end: number,
): number {
  let copied = 0;
  let at = 0;
  const copyTo = (to: number): void => {
    target.set(source.subarray(copied, to), end);
    end += to - copied;
    copied = to;
  };
  const number = (): number => {
    let value = 0;
    for (; at < source.length; at++) {
      const digit = source[at]! - ZERO;
      if (!(digit >= 0 && digit <= 9)) break;
      value = 10 * value + digit;
    }
    return value;
  };
  while (at < source.length) {
    at++; // "*"
    for (let words = number(); words > 0; words--) {
      at += 3; // CRLF and "$"
      const header = at;
      const units = number();
      const digits = at;
      at += 2; // CRLF
      const body = at;
      for (let left = units; left > 0;) {
        const width = widthOf(source[at]!);
        left -= width === 4 ? 2 : 1; // a surrogate pair
        at += width;
      }
      if (at - body === units) continue;
      copyTo(header);
      end += utf8.encodeInto(`${at - body}`, target.subarray(end)).written;
      copied = digits;
    }
    at += 2; // CRLF
  }
  copyTo(source.length);
  return end;
}
