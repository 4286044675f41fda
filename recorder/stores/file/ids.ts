// The ids of events, as text or where they are in a block of the file, and their hashes.
import { latin1Of } from "./record.ts";

/** An id within a block. Reading a million of them makes no strings: one such object serves for all. */
export interface IdBytes {
  bytes: Uint8Array;
  from: number;
  to: number;
}

/** An id: nothing keeps it but as text. */
export type Id = string | Readonly<IdBytes>;

/** An id as text. */
export const textOf = (id: Id): string =>
  typeof id === "string" ? id : latin1Of(id.bytes.subarray(id.from, id.to));

/** What {@linkcode hash} has found, in two halves: an object would be garbage for each id. */
export const HASH: Uint32Array = new Uint32Array(2);

/** The characters of an id that is text. */
let characters = new Uint8Array(64);

/** Puts the hash of an id into {@linkcode HASH}: 64 bits, the same for text and bytes. */
export function hash(id: Id): void {
  if (typeof id !== "string") return hashBytes(id.bytes, id.from, id.to);
  if (id.length > characters.length) characters = new Uint8Array(id.length);
  for (let n = 0; n < id.length; n++) characters[n] = id.charCodeAt(n);
  hashBytes(characters, 0, id.length);
}

/** Two hashes of 32 bits, by multiplication with different factors, of four bytes at a time. */
function hashBytes(bytes: Uint8Array, from: number, to: number): void {
  let a = 0x2f0b4c47 ^ (to - from);
  let b = 0x6a09e667;
  let at = from;
  for (; at + 4 <= to; at += 4) {
    const word = bytes[at]! | bytes[at + 1]! << 8 | bytes[at + 2]! << 16 |
      bytes[at + 3]! << 24;
    a = Math.imul(a ^ word, 0x01000193);
    a ^= a >>> 17;
    b = Math.imul(b ^ word, 0x2c1b3c6d);
    b ^= b >>> 15;
  }
  for (; at < to; at++) {
    a = Math.imul(a ^ bytes[at]!, 0x01000193);
    b = Math.imul(b ^ bytes[at]!, 0x2c1b3c6d);
    b ^= b >>> 15;
  }
  HASH[0] = mixed(a);
  HASH[1] = mixed(b);
}

/** Spreads the bits: the low ones of a product depend on low ones alone. */
function mixed(hash: number): number {
  let h = hash ^ (hash >>> 16);
  h = Math.imul(h, 0x7feb352d);
  h ^= h >>> 15;
  h = Math.imul(h, 0x846ca68b);
  return (h ^ (h >>> 16)) >>> 0;
}
