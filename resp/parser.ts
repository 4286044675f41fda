// Bytes to replies: fed, resumable at any byte, bounded.
import { type LargeBulk, LargeBytes, LargeText } from "./large_bulk.ts";
import { ProtocolError, ReplyError } from "./errors.ts";
import type { Reply } from "./types.ts";
import { decodeText, ReceiveBuffer } from "./receive_buffer.ts";

/** Limits on one reply. Over them the parser throws a {@linkcode ProtocolError}. */
export interface ParserLimits {
  /** Bytes of one bulk string. @default {536870912} the server's own `proto-max-bulk-len` */
  maxBulkLength?: number;
  /** Bytes of a simple string or an error. @default {65536} */
  maxLineLength?: number;
  /** Elements of one reply, those of nested arrays included; an error in an array counts as 100. @default {16777216} */
  maxElements?: number;
  /** Arrays inside arrays. @default {128} */
  maxDepth?: number;
  /** Bytes of one reply in all. @default {1073741824} */
  maxReplyLength?: number;
  /**
   * Bytes that one reply may take on the heap, by an estimate: each element
   * 16, each string 32 and its own, twice its own where it is not ASCII, each
   * array 64, each `Uint8Array` 200, but not its bytes, which lie elsewhere.
   * @default {671088640} what a heap of 1 GB survives
   */
  maxMemory?: number;
}

/** The limits where nothing else is said. */
export const LIMITS: Readonly<Required<ParserLimits>> = {
  maxBulkLength: 512 * 1024 * 1024,
  maxLineLength: 64 * 1024,
  maxElements: 16 * 1024 * 1024,
  maxDepth: 128,
  maxReplyLength: 1024 * 1024 * 1024,
  maxMemory: 640 * 1024 * 1024,
};

/** An array whose elements are still arriving. */
interface Frame {
  readonly items: Reply[];
  readonly length: number;
  filled: number;
}

const CR = 13;
const LF = 10;
const MINUS = 45;
const PLUS = 43;
const DOLLAR = 36;
const COLON = 58;
const STAR = 42;
const ZERO = 48;

/** Up to here a bulk string waits in the receive buffer; a larger one gets an array of its own. */
const LARGE_BULK = 16 * 1024;
/** The rest of a large one that comes by way of the receive buffer, to spare its CRLF a read of its own. */
const REST = 48 * 1024;
/** The line end behind a body. */
const CRLF_LENGTH = 2;
/** The last large value of bytes is kept until the next one, if it is no larger. */
const KEPT_BULK = 4 * 1024 * 1024;
/** An error in an array counts as so many elements: it takes as much memory. */
const ERROR_ELEMENTS = 100;
/**
 * What the parts of a reply take on V8's heap, in bytes, the characters of a
 * text aside: an element its place in an array, which may have grown by half.
 */
const WEIGHT = {
  element: 16,
  text: 32,
  bytes: 200,
  array: 64,
  /** Of more than 31 bits. */
  integer: 16,
  bigint: 40,
};
/** What a text of so many bytes takes: V8 has a byte a unit for ASCII, and may have two for all else. */
const weightOf = (text: string, length: number): number =>
  WEIGHT.text + (text.length === length ? length : 2 * length);
/** The largest integer that a place in an array holds by itself. */
const SMALL_INTEGER = 2 ** 31 - 1;
/** An array gets so many places before its elements have come; what is only announced costs nothing. */
const FIRST_PLACES = 1024;
/** Digits that a double holds exactly, whatever they are. */
const SAFE_DIGITS = 15;
const MAX_DIGITS = 19;
/** The longest string of V8. */
const MAX_TEXT = 2 ** 29 - 24;
const INT64_MAX = 2n ** 63n - 1n;

/** What a type byte of the newer protocol begins: https://redis.io/docs/latest/develop/reference/protocol-spec/ */
const RESP3_TYPES: Readonly<Record<string, string>> = {
  "_": "a null",
  "#": "a boolean",
  ",": "a double",
  "(": "a big number",
  "!": "a bulk error",
  "=": "a verbatim string",
  "%": "a map",
  "|": "an attribute",
  "~": "a set",
  ">": "a push",
};

/** Not a reply: more bytes are needed. */
const MORE = Symbol("more");

/**
 * An incremental RESP2 parser. It is fed bytes as they come and asked for
 * replies; it never waits and knows no socket.
 *
 * - Bytes may be cut anywhere; none is looked at twice.
 * - The grammar is strict: each CRLF, length and digit is checked.
 * - Arrays nest on a stack of its own, so hostile depth ends in an error.
 * - Memory follows the bytes that came, not the lengths they announce.
 * - After a {@linkcode ProtocolError} every call throws the same error again.
 *
 * @example A reply that arrives in two pieces
 * ```ts
 * import { ReplyParser } from "@unzombie/redis/resp";
 * import { assertEquals } from "@std/assert";
 *
 * const parser = new ReplyParser();
 * const bytes = (text: string) => new TextEncoder().encode(text);
 * parser.feed(bytes("*2\r\n:12\r\n$5\r\nhe"));
 * assertEquals(parser.next(), undefined);
 * parser.feed(bytes("llo\r\n"));
 * assertEquals(parser.next(), [12, "hello"]);
 * ```
 *
 * @see {@link https://redis.io/docs/latest/develop/reference/protocol-spec/}
 */
export class ReplyParser {
  readonly #limits: Required<ParserLimits> = { ...LIMITS };
  readonly #buffer = new ReceiveBuffer();
  readonly #stack: Frame[] = [];
  #failure: ProtocolError | undefined;
  #binary = false;

  // The reply being parsed: its elements and bytes so far.
  #elements = 0;
  #length = 0;
  #weight = 0; // what it takes on the heap

  // The header or line being parsed: its type byte, or 0 between two.
  #type = 0;
  #negative = false;
  #digits = -1; // -1: a sign may still come
  #number = 0;
  #big = 0n;
  #sawCr = false;
  #scanned = 0; // bytes of a line already searched for CR

  // The bulk string being received: its length, or -1.
  #bulkLength = -1;
  #large: LargeBulk | undefined; // where it is received, if it is large
  readonly #text = new LargeText();
  /**
   * The last large value of bytes. Held here, it stays behind when the garbage
   * collector frees its forerunners, and malloc does not find the end of its
   * heap free and give it all back to the system: values of 1 MB come twice as
   * fast, and where a fresh page is dear six times.
   */
  #last: Uint8Array | undefined;

  /**
   * Makes a parser.
   *
   * @param limits The largest reply to accept.
   */
  constructor(limits: ParserLimits = {}) {
    for (const name of Object.keys(LIMITS) as (keyof ParserLimits)[]) {
      this.#limits[name] = limits[name] ?? LIMITS[name];
    }
  }

  /**
   * Adds bytes. They are copied.
   *
   * @param bytes What was received next.
   * @throws {ProtocolError} If an earlier call has.
   */
  feed(bytes: Uint8Array): void {
    if (this.#failure !== undefined) throw this.#failure;
    for (let fed = 0; fed < bytes.length;) {
      const left = bytes.length - fed;
      const room = this.#filling?.room() ?? this.#buffer.room(left);
      const count = Math.min(room.length, left);
      room.set(bytes.subarray(fed, fed + count));
      this.commit(count);
      fed += count;
    }
  }

  /**
   * Takes the next reply.
   *
   * @param binary Whether bulk strings of this reply become `Uint8Array`
   * instead of strings. Read when the reply's first byte is.
   * @returns The reply, or `undefined` while it is not complete.
   * @throws {ProtocolError} If the bytes are not RESP2 or go over a limit.
   */
  next(binary = false): Reply | undefined {
    if (this.#failure !== undefined) throw this.#failure;
    try {
      return this.#next(binary);
    } catch (error) {
      if (error instanceof ProtocolError) this.#failure = error;
      throw error;
    }
  }

  /**
   * Where a reader may put the next bytes, to spare a copy: into the receive buffer,
   * or, within a large bulk string, right where they belong. Never empty.
   * Follow it with {@linkcode ReplyParser.commit}.
   */
  reserve(): Uint8Array {
    if (this.#failure !== undefined) throw this.#failure;
    return this.#filling?.room() ?? this.#buffer.room();
  }

  /**
   * Tells that bytes were put where {@linkcode ReplyParser.reserve} said.
   *
   * @param count How many.
   */
  commit(count: number): void {
    if (this.#failure !== undefined) throw this.#failure;
    (this.#filling ?? this.#buffer).wrote(count);
  }

  /** The large bulk string that bytes go into directly: until its rest and the CRLF behind it can come together. */
  get #filling(): LargeBulk | undefined {
    const large = this.#large;
    return large !== undefined && large.left > REST ? large : undefined;
  }

  /** Bytes received of the reply that is not complete. */
  get partialLength(): number {
    return this.#length + (this.#large?.filled ?? 0) + this.#buffer.end -
      this.#buffer.position;
  }

  #next(binary: boolean): Reply | undefined {
    if (this.#length === 0 && this.#type === 0) this.#binary = binary;
    while (true) {
      let value = this.#value();
      if (value === MORE) return undefined;
      // A value ends its array, and that array may end the one around it.
      while (this.#stack.length > 0) {
        const frame = this.#stack[this.#stack.length - 1]!;
        frame.items[frame.filled++] = value as Reply;
        if (frame.filled < frame.length) break;
        value = frame.items;
        this.#stack.pop();
      }
      if (this.#stack.length === 0) {
        this.#elements = 0;
        this.#length = 0;
        this.#weight = 0;
        return value as Reply;
      }
    }
  }

  /** One value that is not a filled array, or MORE. Opens arrays as it meets them. */
  #value(): Reply | typeof MORE {
    const buffer = this.#buffer;
    while (true) {
      if (this.#bulkLength >= 0) return this.#bulk();
      if (this.#type === 0) {
        if (buffer.position === buffer.end) return MORE;
        const type = buffer.bytes[buffer.position]!;
        if (type === DOLLAR) {
          const text = this.#shortBulk();
          if (text !== undefined) return text;
        }
        this.#begin(type);
      }
      if (this.#type === PLUS || this.#type === MINUS) return this.#line();
      if (!this.#header()) return MORE;

      const type = this.#type;
      this.#type = 0;
      if (type === COLON) return this.#integer();
      const length = this.#announced(type);
      if (length === -1) return null;
      if (type === DOLLAR) {
        this.#bulkLength = length;
      } else {
        if (length === 0) return [];
        this.#open(length);
      }
    }
  }

  /**
   * A bulk string of up to three digits that has come whole, as elements of
   * lists mostly have: without the steps that resume and complain, which
   * spares a third of an element's time. `undefined`: take those steps.
   */
  #shortBulk(): string | Uint8Array | undefined {
    const buffer = this.#buffer;
    const { bytes, position, end } = buffer;
    let at = position + 1;
    let length = 0;
    for (const last = at + 3; at < last; at++) {
      const digit = bytes[at]! - ZERO;
      if (!(digit >= 0 && digit <= 9)) break;
      length = length * 10 + digit;
    }
    const from = at + 2;
    const to = from + length;
    if (
      at === position + 1 || to + 2 > end ||
      bytes[at] !== CR || bytes[at + 1] !== LF ||
      bytes[to] !== CR || bytes[to + 1] !== LF ||
      length > this.#limits.maxBulkLength
    ) return undefined;
    this.#consume(to + 2 - position);
    return this.#shortValue(from, to);
  }

  #begin(type: number): void {
    if (
      type !== DOLLAR && type !== COLON && type !== STAR && type !== PLUS &&
      type !== MINUS
    ) throw this.#unknownType(type);
    this.#type = type;
    this.#negative = false;
    this.#digits = -1;
    this.#number = 0;
    this.#sawCr = false;
    this.#scanned = 0;
    this.#consume(1);
  }

  /** Reads the digits of `:`, `$` and `*` up to and with CRLF. False: more bytes are needed. */
  #header(): boolean {
    const { bytes, end } = this.#buffer;
    const from = this.#buffer.position;
    let at = from;
    while (at < end) {
      const byte = bytes[at]!;
      const digit = byte - ZERO;
      if (this.#sawCr) {
        if (byte !== LF) throw this.#unexpected(byte);
        this.#consume(at + 1 - from);
        return true;
      }
      if (digit >= 0 && digit <= 9) {
        if (this.#digits < 0) this.#digits = 0;
        if (++this.#digits <= SAFE_DIGITS) {
          this.#number = this.#number * 10 + digit;
        } else {
          this.#manyDigits(digit);
        }
      } else if (byte === CR && this.#digits > 0) {
        this.#sawCr = true;
      } else if (this.#digits === -1 && (byte === MINUS || byte === PLUS)) {
        if (byte === PLUS && this.#type !== COLON) throw this.#unexpected(byte);
        this.#negative = byte === MINUS;
        this.#digits = 0;
      } else {
        throw this.#unexpected(byte);
      }
      at++;
    }
    this.#consume(at - from);
    return false;
  }

  #manyDigits(digit: number): void {
    if (this.#digits > MAX_DIGITS) {
      throw new ProtocolError(
        `Malformed reply: a number of more than ${MAX_DIGITS} digits`,
      );
    }
    if (this.#digits === SAFE_DIGITS + 1) this.#big = BigInt(this.#number);
    this.#big = this.#big * 10n + BigInt(digit);
  }

  #integer(): number | bigint {
    if (this.#digits <= SAFE_DIGITS) {
      if (this.#number > SMALL_INTEGER) this.#weigh(WEIGHT.integer);
      return this.#negative && this.#number !== 0
        ? -this.#number
        : this.#number;
    }
    const value = this.#negative ? -this.#big : this.#big;
    if (value > INT64_MAX || value < -INT64_MAX - 1n) {
      throw new ProtocolError(
        `Malformed reply: the integer ${value} does not fit in 64 bits`,
      );
    }
    const number = Number(value);
    this.#weigh(WEIGHT.bigint);
    return Number.isSafeInteger(number) ? number : value;
  }

  /** The length in a `$` or `*` header, checked; -1 for null. */
  #announced(type: number): number {
    const what = type === DOLLAR ? "bulk string" : "array";
    const length = this.#digits <= SAFE_DIGITS ? this.#number : Infinity;
    if (this.#negative) {
      if (length === 1) return -1;
      throw new ProtocolError(
        `Malformed reply: ${what} length -${length}, expected -1 (null) or more`,
      );
    }
    if (type === DOLLAR) {
      if (length > this.#limits.maxBulkLength) {
        throw this.#overLimit(
          "maxBulkLength",
          "bulk string of",
          length,
          "bytes",
        );
      }
      if (length > MAX_TEXT && !this.#binary) {
        throw new ProtocolError(
          `Reply too large: bulk string of ${length} bytes, a string holds ${MAX_TEXT}; ask for bytes with binary: true`,
        );
      }
      const whole = this.#length + length;
      if (whole > this.#limits.maxReplyLength) this.#tooLong(whole);
      const weight = this.#weight + length;
      if (!this.#binary && weight > this.#limits.maxMemory) {
        this.#tooHeavy(weight);
      }
    } else {
      this.#addElements(length);
      this.#weigh(WEIGHT.array);
    }
    return length;
  }

  #addElements(count: number): void {
    this.#elements += count;
    if (this.#elements > this.#limits.maxElements) {
      throw this.#overLimit(
        "maxElements",
        "reply of",
        this.#elements,
        "elements",
      );
    }
    this.#weigh(WEIGHT.element * count);
  }

  #open(length: number): void {
    const depth = this.#stack.length + 1;
    if (depth > this.#limits.maxDepth) {
      throw this.#overLimit("maxDepth", "arrays nested", depth, "deep");
    }
    const items = new Array<Reply>(Math.min(length, FIRST_PLACES));
    this.#stack.push({ items, length, filled: 0 });
  }

  #line(): string | ReplyError | typeof MORE {
    const buffer = this.#buffer;
    const { bytes, position: from, end } = buffer;
    let at = from + this.#scanned;
    while (at < end && bytes[at] !== CR && bytes[at] !== LF) at++;
    this.#scanned = at - from;
    if (this.#scanned > this.#limits.maxLineLength) {
      throw this.#overLimit("maxLineLength", "line of", this.#scanned, "bytes");
    }
    if (at < end && bytes[at] === LF) throw this.#unexpected(LF);
    if (at + 1 >= end) return MORE;
    if (bytes[at + 1] !== LF) throw this.#unexpected(bytes[at + 1]!);

    const text = at - from === 2 && bytes[from] === 79 && bytes[from + 1] === 75
      ? "OK"
      : buffer.text(from, at);
    if (text !== "OK") this.#weigh(weightOf(text, at - from));
    const isError = this.#type === MINUS;
    if (isError && this.#stack.length > 0) this.#addElements(ERROR_ELEMENTS);
    this.#type = 0;
    this.#consume(at + 2 - from);
    return isError ? new ReplyError(text) : text;
  }

  #bulk(): string | Uint8Array | typeof MORE {
    const buffer = this.#buffer;
    const length = this.#bulkLength;
    if (this.#large !== undefined) return this.#largeBulk(this.#large);
    const from = buffer.position;
    const to = from + length;
    if (to + 2 > buffer.end) {
      if (length > LARGE_BULK) this.#openLarge(length);
      return MORE;
    }
    const { bytes } = buffer;
    if (bytes[to] !== CR) throw this.#unexpected(bytes[to]!);
    if (bytes[to + 1] !== LF) throw this.#unexpected(bytes[to + 1]!);
    this.#bulkLength = -1;
    this.#consume(length + 2);
    return this.#shortValue(from, to);
  }

  /** A value that lies in the receive buffer. */
  #shortValue(from: number, to: number): string | Uint8Array {
    const buffer = this.#buffer;
    if (this.#binary) {
      this.#weigh(WEIGHT.bytes);
      return buffer.bytes.slice(from, to);
    }
    const text = buffer.text(from, to);
    this.#weigh(weightOf(text, to - from));
    return text;
  }

  /** From now on bytes go where they will stay. All that is in the buffer belongs there. */
  #openLarge(length: number): void {
    this.#weigh(this.#binary ? WEIGHT.bytes : WEIGHT.text);
    const large = this.#binary
      ? new LargeBytes(length)
      : this.#text.open(length);
    this.#drainInto(large);
    this.#large = large;
  }

  #drainInto(large: LargeBulk): void {
    const buffer = this.#buffer;
    while (buffer.position < buffer.end && large.left > 0) {
      const room = large.room();
      const from = buffer.position;
      const count = Math.min(room.length, buffer.end - from);
      room.set(buffer.bytes.subarray(from, from + count));
      large.wrote(count);
      buffer.position += count;
    }
  }

  #largeBulk(large: LargeBulk): string | Uint8Array | typeof MORE {
    this.#drainInto(large);
    const weight = this.#weight + large.weight;
    if (weight > this.#limits.maxMemory) this.#tooHeavy(weight);
    const { bytes, position, end } = this.#buffer;
    if (large.left > 0 || position + CRLF_LENGTH > end) return MORE;
    if (bytes[position] !== CR) throw this.#unexpected(bytes[position]!);
    if (bytes[position + 1] !== LF) {
      throw this.#unexpected(bytes[position + 1]!);
    }
    const value = large.take();
    this.#weigh(large.weight);
    this.#count(large.filled);
    this.#consume(CRLF_LENGTH);
    this.#bulkLength = -1;
    this.#large = undefined;
    this.#last = typeof value !== "string" && value.length <= KEPT_BULK
      ? value
      : undefined;
    return value;
  }

  /** Moves past bytes of the receive buffer that have been parsed. */
  #consume(count: number): void {
    this.#buffer.position += count;
    this.#count(count);
  }

  #count(count: number): void {
    this.#length += count;
    if (this.#length > this.#limits.maxReplyLength) this.#tooLong(this.#length);
  }

  #tooLong(length: number): never {
    throw this.#overLimit("maxReplyLength", "reply of", length, "bytes");
  }

  /** Adds what a part of the reply takes on the heap. */
  #weigh(bytes: number): void {
    this.#weight += bytes;
    if (this.#weight > this.#limits.maxMemory) this.#tooHeavy(this.#weight);
  }

  #tooHeavy(bytes: number): never {
    throw this.#overLimit(
      "maxMemory",
      "reply that takes about",
      bytes,
      "bytes of memory",
    );
  }

  #overLimit(
    limit: keyof ParserLimits,
    what: string,
    got: number,
    unit: string,
  ): ProtocolError {
    return new ProtocolError(
      `Reply too large: ${what} ${got} ${unit}, ${limit} is ${
        this.#limits[limit]
      }`,
    );
  }

  #unexpected(byte: number): ProtocolError {
    const place = this.#bulkLength >= 0
      ? "the CRLF after a bulk string"
      : this.#type === PLUS || this.#type === MINUS
      ? "the CRLF after a line"
      : this.#sawCr
      ? "LF"
      : `a digit or CRLF after ${quote(this.#type)}`;
    return new ProtocolError(
      `Malformed reply: expected ${place}, got ${quote(byte)}`,
    );
  }

  #unknownType(type: number): ProtocolError {
    const { bytes, position, end } = this.#buffer;
    const start = decodeText(
      bytes.subarray(position, Math.min(end, position + 40)),
    );
    const resp3 = RESP3_TYPES[String.fromCharCode(type)];
    const hint = resp3 !== undefined
      ? `; this looks like RESP3, ${resp3} (${
        String.fromCharCode(type)
      }): this client speaks RESP2`
      : start.startsWith("HTTP/")
      ? "; this looks like an HTTP server"
      : type === 0x15 || type === 0x16
      ? "; this looks like TLS: use rediss://"
      : "";
    return new ProtocolError(
      `Malformed reply: expected one of + - : $ *, got ${quote(type)} in ${
        JSON.stringify(start)
      }${hint}`,
    );
  }
}

const quote = (byte: number): string =>
  byte > 32 && byte < 127
    ? JSON.stringify(String.fromCharCode(byte))
    : `byte 0x${byte.toString(16).padStart(2, "0")}`;
