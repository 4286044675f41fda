// Which hash slot a key has: https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/#key-distribution-model
import { isBytes } from "../../resp/command.ts";
import type { CommandArgument } from "../../resp/types.ts";

/** CRC16-XMODEM. */
const POLYNOMIAL = 0x1021;
/** The lowest 14 bits of the sum: 16384 hash slots. */
const LOWEST_BITS = 0x3fff;
const OPENING = 0x7b; // {
const CLOSING = 0x7d; // }
const LAST_ASCII = 0x7f;

/** The sum of each byte with so many zero bytes behind it. */
const sums = (zeros: number): Uint16Array =>
  Uint16Array.from({ length: 256 }, (_, byte) => {
    let sum = byte << 8;
    for (let bit = 0; bit < 8 * (zeros + 1); bit++) {
      sum = (sum << 1) ^ (sum & 0x8000 ? POLYNOMIAL : 0);
    }
    return sum;
  });

// Four bytes at a time, each looked up on its own: a key of 41 characters takes
// 100 ns instead of the 165 ns of a loop in which each byte waits for the one before.
const ALONE = sums(0);
const BEFORE_ONE = sums(1);
const BEFORE_TWO = sums(2);
const BEFORE_THREE = sums(3);

const utf8 = new TextEncoder();

/**
 * The hash slot of a key. Of a key with a hash tag, such as `{shop}:a`, only the
 * tag counts: what is between the first `{` and the next `}`, unless that is nothing.
 *
 * @param key The key: text counts as UTF-8, a number as it is sent.
 * @returns 0 to 16383.
 */
export function hashSlotOf(key: CommandArgument): number {
  if (typeof key === "string") return hashSlotOfText(key);
  if (isBytes(key)) return hashSlotOfBytes(key);
  return hashSlotOfText(
    key === Infinity ? "inf" : key === -Infinity ? "-inf" : String(key),
  );
}

function hashSlotOfText(key: string): number {
  let from = 0;
  let to = key.length;
  const opening = key.indexOf("{");
  if (opening >= 0) {
    const closing = key.indexOf("}", opening + 1);
    if (closing > opening + 1) {
      from = opening + 1;
      to = closing;
    }
  }
  let sum = 0;
  let seen = 0; // all bits of all characters
  let at = from;
  for (; at + 3 < to; at += 4) {
    const a = key.charCodeAt(at);
    const b = key.charCodeAt(at + 1);
    const c = key.charCodeAt(at + 2);
    const d = key.charCodeAt(at + 3);
    seen |= a | b | c | d;
    sum = BEFORE_THREE[((sum >> 8) ^ a) & 0xff]! ^
      BEFORE_TWO[(sum ^ b) & 0xff]! ^ BEFORE_ONE[c & 0xff]! ^ ALONE[d & 0xff]!;
  }
  for (; at < to; at++) {
    const a = key.charCodeAt(at);
    seen |= a;
    sum = ((sum & 0xff) << 8) ^ ALONE[((sum >> 8) ^ a) & 0xff]!;
  }
  return seen > LAST_ASCII
    ? sumOf(utf8.encode(key.slice(from, to))) & LOWEST_BITS
    : sum & LOWEST_BITS;
}

function hashSlotOfBytes(key: Uint8Array): number {
  const opening = key.indexOf(OPENING);
  const closing = opening < 0 ? -1 : key.indexOf(CLOSING, opening + 1);
  const counts = closing > opening + 1
    ? key.subarray(opening + 1, closing)
    : key;
  return sumOf(counts) & LOWEST_BITS;
}

function sumOf(bytes: Uint8Array): number {
  let sum = 0;
  for (let at = 0; at < bytes.length; at++) {
    sum = ((sum & 0xff) << 8) ^ ALONE[(sum >> 8) ^ bytes[at]!]!;
  }
  return sum;
}
