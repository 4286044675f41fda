// How large a reply may be.
import { ProtocolError } from "./errors.ts";

/** Limits on one reply. Over them the parser throws a {@linkcode ProtocolError}. */
export interface ParserLimits {
  /** Bytes of one bulk string. @default {536870912} the server's own `proto-max-bulk-len` */
  maxBulkLength?: number | undefined;
  /** Bytes of a simple string or an error. @default {65536} */
  maxLineLength?: number | undefined;
  /** Elements of one reply, those of nested arrays included; an error in an array counts as 100. @default {16777216} */
  maxElements?: number | undefined;
  /** Arrays inside arrays. @default {128} */
  maxDepth?: number | undefined;
  /** Bytes of one reply in all. @default {1073741824} */
  maxReplyLength?: number | undefined;
  /**
   * Bytes that one reply may take on the heap, by an estimate: each element
   * 16, each string 32 and its own, twice its own where it is not ASCII, each
   * array 64, each `Uint8Array` 200, but not its bytes, which lie elsewhere.
   * @default {671088640} what a heap of 1 GB survives
   */
  maxMemory?: number | undefined;
}

/** The default limits. */
export const LIMITS: Readonly<Record<keyof ParserLimits, number>> = {
  maxBulkLength: 512 * 1024 * 1024,
  maxLineLength: 64 * 1024,
  maxElements: 16 * 1024 * 1024,
  maxDepth: 128,
  maxReplyLength: 1024 * 1024 * 1024,
  maxMemory: 640 * 1024 * 1024,
};

/** The longest string of V8. */
const MAX_TEXT = 2 ** 29 - 24;

/**
 * What the parts of a reply take on V8's heap, in bytes, the characters of a
 * text aside: an element its place in an array, which may have grown by half.
 */
export const WEIGHT = {
  element: 16,
  text: 32,
  bytes: 200,
  array: 64,
  /** Of more than 31 bits. */
  integer: 16,
  bigint: 40,
};

/** What a text of `length` bytes takes: V8 has one byte for each unit of ASCII, and may have two for any other. */
export const weightOf = (text: string, length: number): number =>
  WEIGHT.text + (text.length === length ? length : 2 * length);

/** Counts what has come of one reply against its limits. Each method throws a {@linkcode ProtocolError} over one of them. */
export class ReplyBudget {
  readonly #limits: Record<keyof ParserLimits, number> = { ...LIMITS };
  // Of #limits, those that are compared with for every element.
  readonly #maxReplyLength: number;
  readonly #maxMemory: number;
  #elements = 0;
  #length = 0;
  #weight = 0;

  /** @param limits Those that differ from {@linkcode LIMITS}. */
  constructor(limits: ParserLimits) {
    for (const name of Object.keys(LIMITS) as (keyof ParserLimits)[]) {
      this.#limits[name] = limits[name] ?? LIMITS[name];
    }
    this.#maxReplyLength = this.#limits.maxReplyLength;
    this.#maxMemory = this.#limits.maxMemory;
  }

  /** Bytes of the reply so far. */
  get length(): number {
    return this.#length;
  }

  /** The next reply begins. */
  reset(): void {
    this.#elements = 0;
    this.#length = 0;
    this.#weight = 0;
  }

  /** `count` more bytes were parsed. */
  addBytes(count: number): void {
    this.#length += count;
    if (this.#length > this.#maxReplyLength) this.#tooLong(this.#length);
  }

  /** A part of `count` bytes was parsed, which takes `weight` bytes on the heap. */
  add(count: number, weight: number): void {
    const length = this.#length += count;
    const total = this.#weight += weight;
    if (length > this.#maxReplyLength) this.#tooLong(length);
    if (total > this.#maxMemory) this.#tooHeavy(total);
  }

  /** An array of `count` elements was announced, or something that counts as that many. */
  addElements(count: number): void {
    this.#elements += count;
    if (this.#elements > this.#limits.maxElements) {
      throw this.#overLimit(
        "maxElements",
        "reply of",
        this.#elements,
        "elements",
      );
    }
    this.addWeight(WEIGHT.element * count);
  }

  /** A part of the reply takes `bytes` more on the heap. */
  addWeight(bytes: number): void {
    this.#weight += bytes;
    if (this.#weight > this.#maxMemory) this.#tooHeavy(this.#weight);
  }

  /** A part that is still being received takes `bytes` on the heap so far. */
  checkWeight(bytes: number): void {
    const weight = this.#weight + bytes;
    if (weight > this.#maxMemory) this.#tooHeavy(weight);
  }

  /** A bulk string of `length` bytes was announced. */
  checkBulk(length: number, binary: boolean): void {
    if (length > this.#limits.maxBulkLength) {
      throw this.#overLimit("maxBulkLength", "bulk string of", length, "bytes");
    }
    if (length > MAX_TEXT && !binary) {
      throw new ProtocolError(
        `Reply too large: bulk string of ${length} bytes, a string holds ${MAX_TEXT}; ask for bytes with binary: true`,
      );
    }
    const whole = this.#length + length;
    if (whole > this.#maxReplyLength) this.#tooLong(whole);
    if (!binary) this.checkWeight(length);
  }

  /** A line has `length` bytes so far. */
  checkLine(length: number): void {
    if (length > this.#limits.maxLineLength) {
      throw this.#overLimit("maxLineLength", "line of", length, "bytes");
    }
  }

  /** `depth` arrays are open, one inside the other. */
  checkDepth(depth: number): void {
    if (depth > this.#limits.maxDepth) {
      throw this.#overLimit("maxDepth", "arrays nested", depth, "deep");
    }
  }

  /** Whether every bulk string of up to `length` bytes is within the limits. */
  allowsBulk(length: number): boolean {
    return length <= this.#limits.maxBulkLength;
  }

  #tooLong(length: number): never {
    throw this.#overLimit("maxReplyLength", "reply of", length, "bytes");
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
}
