// The checksums of many parts of one text, each without reading it again.
import { crc32 } from "node:zlib";

/** The polynomial of the CRC-32: the highest bit is the factor of x to the power of 0. */
const POLYNOMIAL = 0xedb88320;

/** The product of two polynomials over GF(2), modulo that of the CRC-32. */
function product(a: number, b: number): number {
  let sum = 0;
  for (let bit = 31; bit >= 0; bit--) {
    if (a >>> bit & 1) sum ^= b;
    b = b & 1 ? b >>> 1 ^ POLYNOMIAL : b >>> 1;
  }
  return sum;
}

/** What a byte more multiplies a checksum by, two bytes, four, and so on. */
const POWERS: number[] = [1 << 23];
for (let n = 1; n < 32; n++) {
  POWERS.push(product(POWERS[n - 1]!, POWERS[n - 1]!));
}

/** What becomes of a checksum by so many bytes that are zero, but for what these add themselves. */
function shifted(checksum: number, bytes: number): number {
  for (let n = 0; bytes > 0; n++, bytes >>>= 1) {
    if (bytes & 1) checksum = product(POWERS[n]!, checksum);
  }
  return checksum;
}

/**
 * The checksums of a text's parts. To read each part for its own would take the square of
 * the time that it takes to read the text.
 *
 * @see {@link https://github.com/madler/zlib/blob/v1.3.1/crc32.c} `crc32_combine`
 */
export class Checksums {
  readonly #bytes: Uint8Array;
  /** Of what comes before a place. */
  readonly #before = new Map([[0, 0]]);
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  /** Notes a place where parts begin or end, behind those that were noted before. */
  note(at: number): void {
    const checksum = this.#before.get(this.#at)!;
    this.#before.set(at, crc32(this.#bytes.subarray(this.#at, at), checksum));
    this.#at = at;
  }

  /** The CRC-32 of the bytes from one noted place to another, begun with a value. */
  between(from: number, to: number, initial: number): number {
    const first = this.#before.get(from)! ^ initial;
    return (this.#before.get(to)! ^ shifted(first, to - from)) >>> 0;
  }
}
