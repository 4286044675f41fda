// How messages of subscribed channels begin, as bytes: recognised without a string.
import { encodeCommand } from "../resp/encode.ts";
import type { HeadReader } from "../resp/parser.ts";
import type { Channel } from "./channel.ts";

const CR = 13;
const LF = 10;
const ZERO = 48;
const TWO = 50;
/** The longest name that is recognised has this many digits in its length. */
const MAX_DIGITS = 3;

/** The beginning of each message of a channel: two of three elements. */
interface Head {
  readonly channel: Channel;
  readonly bytes: Uint8Array;
  /** Another one whose name has the same hash. */
  readonly next: Head | undefined;
}

/** What comes before the length of the name, by the kind of the channel. */
const BEGINNINGS = {
  channel: new TextEncoder().encode("*3\r\n$7\r\nmessage\r\n$"),
  shard: new TextEncoder().encode("*3\r\n$8\r\nsmessage\r\n$"),
} as const;

/** Where in a beginning the two kinds differ first. */
const TELLING = 5;
const SEVEN = 55;

/**
 * The heads of the channels that are subscribed on one connection.
 *
 * - The one that was recognised last is tried first, then the name is looked up by a hash of its bytes.
 */
export class Heads implements HeadReader {
  readonly #byHash = {
    channel: new Map<number, Head>(),
    shard: new Map<number, Head>(),
  };
  #last: Head | undefined;

  /** The channel that was recognised last. */
  get recognised(): Channel {
    return this.#last!.channel;
  }

  /** Adds a channel; patterns are not recognised. */
  add(channel: Channel): void {
    const { kind } = channel;
    if (kind === "pattern") return;
    const bytes = headOf(channel, kind);
    const map = this.#byHash[kind];
    const hash = hashOf(channel, bytes);
    map.set(hash, { channel, bytes, next: map.get(hash) });
  }

  /** Removes a channel. */
  remove(channel: Channel): void {
    const { kind } = channel;
    if (kind === "pattern") return;
    const map = this.#byHash[kind];
    const hash = hashOf(channel, headOf(channel, kind));
    let kept: Head | undefined;
    for (let head = map.get(hash); head !== undefined; head = head.next) {
      if (head.channel !== channel) kept = { ...head, next: kept };
    }
    if (kept === undefined) map.delete(hash);
    else map.set(hash, kept);
    if (this.#last?.channel === channel) this.#last = undefined;
  }

  endOf(bytes: Uint8Array, from: number, end: number): number {
    const last = this.#last;
    if (last !== undefined && isAt(last.bytes, bytes, from, end)) {
      return from + last.bytes.length;
    }
    // Whatever it is, all of it is compared in the end.
    const kind = bytes[from + TELLING] === SEVEN ? "channel" : "shard";
    let at = from + BEGINNINGS[kind].length;
    let length = 0;
    const lastDigit = at + MAX_DIGITS;
    for (; at < lastDigit && at < end; at++) {
      const digit = bytes[at]! - ZERO;
      if (!(digit >= 0 && digit <= 9)) break;
      length = length * 10 + digit;
    }
    const name = at + 2;
    if (name + length + 2 > end) return 0;
    let head = this.#byHash[kind].get(hash(bytes, name, name + length));
    while (head !== undefined && !isAt(head.bytes, bytes, from, end)) {
      head = head.next;
    }
    if (head === undefined) return 0;
    this.#last = head;
    return from + head.bytes.length;
  }
}

/** The bytes before the payload: those of an array of two, with a three in its header. */
function headOf({ name }: Channel, kind: "channel" | "shard"): Uint8Array {
  const head = encodeCommand([
    kind === "channel" ? "message" : "smessage",
    name,
  ]);
  if (head[1] !== TWO) throw new TypeError("Cannot happen: an array of two");
  head[1] = TWO + 1;
  return head;
}

/** The hash of the name at the end of a head. */
function hashOf({ kind }: Channel, head: Uint8Array): number {
  let at = BEGINNINGS[kind as keyof typeof BEGINNINGS].length;
  while (head[at] !== CR || head[at + 1] !== LF) at++;
  return hash(head, at + 2, head.length - 2);
}

/** FNV-1a: http://www.isthe.com/chongo/tech/comp/fnv/ */
function hash(bytes: Uint8Array, from: number, to: number): number {
  let value = 0x811c9dc5;
  for (let i = from; i < to; i++) {
    value = Math.imul(value ^ bytes[i]!, 0x01000193);
  }
  return value;
}

/** Whether bytes stand at a place. */
function isAt(
  some: Uint8Array,
  bytes: Uint8Array,
  from: number,
  end: number,
): boolean {
  const { length } = some;
  if (from + length > end) return false;
  // The end differs most often.
  for (let i = length - 1; i >= 0; i--) {
    if (bytes[from + i] !== some[i]) return false;
  }
  return true;
}
