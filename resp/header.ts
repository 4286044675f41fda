// The number behind a type byte: an integer, or the length of a bulk string or an array.
import { malformed, quote, unexpectedByte } from "./errors.ts";
import { decodeText } from "./receive_buffer.ts";

const CR = 13;
const LF = 10;
const MINUS = 45;
const PLUS = 43;
const COLON = 58;
const ZERO = 48;

/** Digits that a double holds exactly, whatever they are. */
const SAFE_DIGITS = 15;
const MAX_DIGITS = 19;
const INT64_MAX = 2n ** 63n - 1n;

/**
 * Reads one header at a time. One that is cut is read from its start again: it
 * has 23 bytes at most.
 */
export class Header {
  #isNegative = false;
  #number = 0;
  #digits = "0"; // if there are more than SAFE_DIGITS, for which #number is too coarse

  /**
   * Reads the bytes after a type byte.
   *
   * @param type The type byte.
   * @param bytes Where they stand.
   * @param from Where they begin.
   * @param end Where the bytes received end.
   * @returns Where the header ends, CRLF included; 0 while it is not complete.
   * @throws {ProtocolError} At the first byte that does not belong there.
   */
  read(type: number, bytes: Uint8Array, from: number, end: number): number {
    let at = from;
    let isNegative = false;
    if (at < end) {
      isNegative = bytes[at] === MINUS;
      if (isNegative || (bytes[at] === PLUS && type === COLON)) at++;
    }
    const start = at;
    let number = 0;
    for (; at < end; at++) {
      const digit = bytes[at]! - ZERO;
      if (!(digit >= 0 && digit <= 9)) break;
      number = number * 10 + digit;
    }
    const digits = at - start;
    if (digits > MAX_DIGITS) {
      throw malformed(`a number of more than ${MAX_DIGITS} digits`);
    }
    if (at === end) return 0;
    if (bytes[at] !== CR || digits === 0) {
      throw unexpectedByte(`a digit or CRLF after ${quote(type)}`, bytes[at]!);
    }
    if (++at === end) return 0;
    if (bytes[at] !== LF) throw unexpectedByte("LF", bytes[at]!);
    this.#isNegative = isNegative;
    this.#number = number;
    if (digits > SAFE_DIGITS) {
      this.#number = Infinity;
      this.#digits = decodeText(bytes.subarray(start, start + digits));
    }
    return at + 1;
  }

  /** The integer that was read: exact, so a bigint beyond 2^53 - 1. */
  get integer(): number | bigint {
    const number = this.#number;
    if (number === Infinity) return this.#largeInteger();
    return this.#isNegative && number !== 0 ? -number : number;
  }

  /**
   * The length that was read.
   *
   * @param what What has this length, for the error.
   * @returns The length, `Infinity` for more digits than any has; -1 for null.
   */
  lengthOf(what: string): number {
    const length = this.#number;
    if (!this.#isNegative) return length;
    if (length === 1) return -1;
    throw malformed(`${what} length -${length}, expected -1 (null) or more`);
  }

  #largeInteger(): number | bigint {
    const size = BigInt(this.#digits);
    const value = this.#isNegative ? -size : size;
    if (value > INT64_MAX || value < -INT64_MAX - 1n) {
      throw malformed(`the integer ${value} does not fit in 64 bits`);
    }
    const number = Number(value);
    return Number.isSafeInteger(number) ? number : value;
  }
}
