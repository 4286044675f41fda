// Commands to bytes.
import {
  checkArray,
  checkTotal,
  goneBytes,
  isBytes,
  lengthOf,
  textOf,
  type Word,
  wordsOf,
} from "./command.ts";
import type { Command, CommandArgument } from "./types.ts";

const utf8 = new TextEncoder();
const NOTHING = new Uint8Array(0);
const ZERO = 48;

// Headers up to these sizes are made once: joining ready pieces is what makes
// a ZADD cost 140 ns to encode instead of 240.
const ARRAY_HEADERS: (string | undefined)[] = new Array(64).fill(undefined);
const BULK_HEADERS: (string | undefined)[] = new Array(1024).fill(undefined);

/** Text longer than this is encoded by itself; two texts that fit into a string each need not fit into one together. */
const LONGEST_TEXT = 1024 * 1024;
/** So long where not all is ASCII: what is not costs its own stretch of text alone. */
const CAREFUL_TEXT = 1024;
/** So many writes of ASCII end the care. */
const CAREFUL_WRITES = 64;
/** Longer arguments are encoded when they are added, and so are commands of more of them. */
const LONG_TEXT = 64 * 1024;
const MANY_ARGUMENTS = 1024;
/**
 * Text is written with so many bytes to spare, and was ASCII if it took as many
 * bytes as it has units: what is cut off for want of room, at a character of at
 * most four bytes, has taken more by then. How much of it was read does not
 * tell: up to version 2.7 Deno says all, even where it cut some off.
 */
const SPARE = 4;
/** What is no longer than this can be written into the same bytes again and again. */
const KEPT = 64 * 1024;
/** What is encoded and this large is written by itself, without being copied once more. */
const LARGE = 256 * 1024;
/** What is gathered goes out in writes of this size, or a little less. */
const MOST_AT_ONCE = 16 * 1024 * 1024;

const arrayHeader = (count: number): string =>
  ARRAY_HEADERS[count] ?? remember(ARRAY_HEADERS, count, `*${count}`);

const bulkHeader = (length: number): string =>
  BULK_HEADERS[length] ??
    remember(BULK_HEADERS, length, `\r\n$${length}\r\n`);

function remember(
  headers: (string | undefined)[],
  size: number,
  header: string,
): string {
  if (size < headers.length) headers[size] = header;
  return header;
}

/** Whole commands: as text, whose lengths are in UTF-16 units, or encoded. */
interface Part {
  readonly content: string | Uint8Array<ArrayBuffer>;
  /** How many of the commands the server answers. */
  readonly owed: number;
}

/** Whether a command has a name and not too many arguments. */
const isShort = (command: Command): boolean =>
  Array.isArray(command) && command.length <= MANY_ARGUMENTS &&
  typeof command[0] === "string" && (command[0] as string) !== "";

/**
 * Gathers commands and turns them into bytes all at once.
 *
 * Text is joined first and encoded in one go, with each length taken in
 * UTF-16 units. That is the length in bytes only for ASCII; whether it was
 * shows when the encoder wrote as many bytes as it read units. Where it did
 * not, the text is walked by its own headers and the wrong lengths are mended.
 *
 * What is gathered is a copy: whatever becomes of an argument afterwards, the
 * commands are written as they were added.
 */
export class CommandBuffer {
  #parts: Part[] = [];
  #partsSize = 0;
  #partsOwed = 0;
  #text = "";
  #textOwed = 0;
  #careful = 0; // how many writes more
  #mostText = LONGEST_TEXT;
  readonly #kept: Uint8Array<ArrayBuffer>;

  /**
   * @param reuses Whether {@linkcode CommandBuffer.take} may write into the
   * same bytes again: only where nothing keeps them. New ones for each command
   * would take a quarter of its time.
   */
  constructor(reuses = false) {
    this.#kept = reuses ? new Uint8Array(KEPT) : NOTHING;
  }

  /** About how many bytes are gathered: exact for ASCII and bytes. */
  get size(): number {
    return this.#partsSize + this.#text.length;
  }

  /** How many replies the server will owe for what is gathered. */
  get owed(): number {
    return this.#partsOwed + this.#textOwed;
  }

  /**
   * Adds a command, whole or not at all.
   *
   * @param command The command.
   * @param isAnswered Whether the server will answer it.
   * @throws {TypeError} If the command has no name, or an argument cannot be sent.
   * @throws {RangeError} If the command is too large.
   */
  append(command: Command, isAnswered = true): void {
    // What is more than a few short texts and numbers is looked at closely there.
    if (!isShort(command)) return this.#appendEncoded(command, isAnswered);
    const count = command.length;
    let text = arrayHeader(count);
    for (let i = 0; i < count; i++) {
      const argument = command[i]!;
      if (typeof argument === "string" && argument.length <= LONG_TEXT) {
        text += bulkHeader(argument.length);
        text += argument;
      } else if (typeof argument === "number" || typeof argument === "bigint") {
        const digits = textOf(argument, command, i);
        text += bulkHeader(digits.length);
        text += digits;
      } else {
        return this.#appendEncoded(command, isAnswered);
      }
    }
    if (this.#text.length > this.#mostText) this.#endText();
    this.#text += text;
    this.#text += "\r\n";
    if (isAnswered) this.#textOwed++;
  }

  /**
   * Takes what the next write should carry, encoded: all that is gathered,
   * unless that is much. Bytes that it reuses are good until the next call.
   */
  take(): Uint8Array<ArrayBuffer> {
    if (this.#parts.length === 0 && this.#careful === 0) {
      const bytes = this.#takeAscii();
      if (bytes !== undefined) return bytes;
    }
    this.#endText();
    const parts = this.#takeParts();
    const first = parts[0];
    if (first === undefined) return NOTHING;
    if (parts.length === 1 && typeof first.content !== "string") {
      return first.content;
    }
    const size = parts.length === 1 ? first.content.length : sizeOf(parts);
    const kept = this.#kept;
    const writer = new Writer(
      size + SPARE <= kept.length ? kept : new Uint8Array(size + SPARE),
      size,
    );
    for (const { content } of parts) writer.write(content);
    this.#takeCare(writer.isAscii);
    return writer.written();
  }

  /** The common case: ASCII alone, and little of it. `undefined`, and nothing taken, where it is another. */
  #takeAscii(): Uint8Array<ArrayBuffer> | undefined {
    const text = this.#text;
    const { length } = text;
    const kept = this.#kept;
    if (length + SPARE > kept.length) return undefined;
    if (utf8.encodeInto(text, kept).written !== length) return undefined;
    this.#text = "";
    this.#textOwed = 0;
    return kept.subarray(0, length);
  }

  /** Text that is not ASCII is rarely the last of its kind. */
  #takeCare(isAscii: boolean): void {
    if (isAscii && this.#careful === 0) return;
    this.#careful = isAscii ? this.#careful - 1 : CAREFUL_WRITES;
    this.#mostText = this.#careful > 0 ? CAREFUL_TEXT : LONGEST_TEXT;
  }

  /** Takes the first parts: all of them, or one that is large, or those that are not. */
  #takeParts(): Part[] {
    let parts = this.#parts;
    if (this.#partsSize < LARGE) {
      this.#parts = [];
      this.#partsSize = this.#partsOwed = 0;
      return parts;
    }
    let size = 0;
    let count = 0;
    for (const { content: { length } } of parts) {
      if (count > 0 && (length >= LARGE || size + length > MOST_AT_ONCE)) break;
      size += length;
      count++;
      if (length >= LARGE) break;
    }
    parts = parts.splice(0, count);
    this.#partsSize -= size;
    for (const { owed } of parts) this.#partsOwed -= owed;
    return parts;
  }

  #appendEncoded(command: Command, isAnswered: boolean): void {
    const content = ENCODED.get(command) ?? encodeCommand(command);
    this.#endText();
    this.#push({ content, owed: isAnswered ? 1 : 0 });
  }

  #endText(): void {
    if (this.#text === "") return;
    this.#push({ content: this.#text, owed: this.#textOwed });
    this.#text = "";
    this.#textOwed = 0;
  }

  #push(part: Part): void {
    this.#parts.push(part);
    this.#partsSize += part.content.length;
    this.#partsOwed += part.owed;
  }
}

const sizeOf = (parts: readonly Part[]): number =>
  parts.reduce((sum, { content }) => sum + content.length, 0);

/** Writes commands one behind the other into bytes that hold them if all are ASCII, else into others. */
class Writer {
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

  write(content: Part["content"]): void {
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

/** Whether text was written as ASCII; if not, what stands there means nothing. */
const isWritten = (text: string, bytes: Uint8Array, at: number): boolean =>
  utf8.encodeInto(text, bytes.subarray(at)).written === text.length;

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

/**
 * Encodes one command as RESP: an array of bulk strings, lengths in bytes.
 *
 * @example Lengths are bytes, not characters
 * ```ts
 * import { encodeCommand } from "@unzombie/redis/resp";
 * import { assertEquals } from "@std/assert";
 *
 * const bytes = encodeCommand(["SET", "k", "é"]);
 * assertEquals(
 *   new TextDecoder().decode(bytes),
 *   "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$2\r\né\r\n",
 * );
 * ```
 *
 * @param command The command to encode.
 * @returns Its bytes.
 * @throws {TypeError} If the command has no name, or an argument is not a
 * string, a number other than NaN, a bigint or a `Uint8Array` whose buffer is
 * still there.
 * @throws {RangeError} If an argument has more than 512 MiB, the server's own
 * limit, or all of them more than 2 GiB.
 */
export function encodeCommand(command: Command): Uint8Array<ArrayBuffer> {
  const copy = copyCommand(command);
  return ENCODED.get(copy) ?? encodeWords(copy, wordsOf(copy)).bytes;
}

/** Commands that {@linkcode copyCommand} has encoded, because they hold bytes. */
const ENCODED = new WeakMap<Command, Uint8Array<ArrayBuffer>>();

/**
 * A copy of a command that nothing outside can change: what is sent, and may
 * be sent again, is what the command was at this moment. Elements of a Proxy,
 * a subclass or a getter are read once. Bytes are encoded, with their command,
 * right away, so that a large value is copied once.
 *
 * Text and numbers are left to {@linkcode checkCommand}, or to the encoder.
 *
 * @throws {TypeError} If the command is no array, or an argument is an object that cannot be sent.
 * @throws {RangeError} If it holds bytes and is too large.
 */
export function copyCommand(command: Command): Command {
  checkArray(command);
  const { length } = command;
  const arguments_: CommandArgument[] = new Array(length);
  let hasObjects = false;
  for (let i = 0; i < length; i++) {
    const argument = arguments_[i] = command[i]!;
    if (typeof argument === "object") hasObjects = true;
  }
  const copy = arguments_ as unknown as Command;
  return hasObjects ? withOwnBytes(copy) : copy;
}

function withOwnBytes(command: Command): Command {
  const { bytes, starts } = encodeWords(command, wordsOf(command));
  const own = command.map((argument, i) =>
    isBytes(argument)
      ? bytes.subarray(starts[i], starts[i]! + lengthOf(argument))
      : argument
  ) as unknown as Command;
  ENCODED.set(own, bytes);
  return own;
}

/** The bytes of a command, and where in them each argument starts that is bytes. */
interface Encoded {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly starts: readonly number[];
}

/** Encodes a command whose text is taken for ASCII; if it is not, once more with all text as bytes. */
function encodeWords(command: Command, words: readonly Word[]): Encoded {
  const pieces = piecesOf(words);
  const size = pieces.reduce((sum, { length }) => sum + length, 0);
  checkTotal(command, size);
  const bytes = new Uint8Array(size + SPARE);
  const starts: number[] = [];
  let end = 0;
  for (const { content, length, index } of pieces) {
    if (typeof content !== "string") {
      starts[index] = end;
      if (!isCopied(content, bytes, end)) throw goneBytes(command, index);
    } else if (!isWritten(content, bytes, end)) {
      return encodeWords(command, words.map(toBytes));
    }
    end += length;
  }
  return { bytes: bytes.subarray(0, size), starts };
}

const toBytes = (word: Word): Uint8Array =>
  typeof word === "string" ? utf8.encode(word) : word;

/** Copies bytes. False if their buffer is gone. */
function isCopied(from: Uint8Array, to: Uint8Array, at: number): boolean {
  try {
    to.set(from, at);
    return true;
  } catch {
    return false;
  }
}

/** A stretch of an encoded command. */
interface Piece {
  readonly content: Word;
  /** In units or bytes. */
  readonly length: number;
  /** Which argument it ends with. */
  readonly index: number;
}

/** Headers and short texts joined; bytes and long texts by themselves. */
function piecesOf(words: readonly Word[]): Piece[] {
  const pieces: Piece[] = [];
  let text = arrayHeader(words.length);
  const endText = (index: number): void => {
    if (text !== "") pieces.push({ content: text, length: text.length, index });
    text = "";
  };
  for (const [index, content] of words.entries()) {
    const length = typeof content === "string"
      ? content.length
      : lengthOf(content);
    text += bulkHeader(length);
    if (typeof content === "string" && length <= LONG_TEXT) {
      text += content;
      if (text.length > LONG_TEXT) endText(index);
    } else {
      endText(index);
      pieces.push({ content, length, index });
    }
  }
  text += "\r\n";
  endText(words.length - 1);
  return pieces;
}
