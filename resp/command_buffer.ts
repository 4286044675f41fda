// Many commands to bytes, all at once.
import { argumentText } from "./command.ts";
import {
  arrayHeader,
  bulkHeader,
  encodeCommand,
  ENCODED,
  LONG_TEXT,
  SPARE,
} from "./encode.ts";
import type { Command } from "./types.ts";

const utf8 = new TextEncoder();
const NOTHING = new Uint8Array(0);

/** Text longer than this is encoded by itself; two texts that fit into a string each need not fit into one together. */
const MAX_JOINED_TEXT = 1024 * 1024;
/** The same limit after text that was not all ASCII: then only the stretches that are not must be corrected. */
const SHORT_TEXT = 1024;
/** After this many writes that were all ASCII texts may be long again. */
const SHORT_TEXT_WRITES = 64;
/** Commands of more arguments are encoded when they are added. */
const MANY_ARGUMENTS = 1024;
/** What is no longer than this can be written into the same bytes again and again. */
const KEPT = 64 * 1024;
/** What is encoded and this large is written by itself, without being copied once more. */
const LARGE = 256 * 1024;
/** What is gathered goes out in writes of this size, or a little less. */
const MAX_WRITE = 16 * 1024 * 1024;

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
 * UTF-16 units. That is the length in bytes only for ASCII. If the encoder
 * writes more bytes than the text has units, the lengths are corrected by
 * following the text's own headers.
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
  #shortTextWrites = 0; // for this many more writes texts are short
  #mostText = MAX_JOINED_TEXT;
  readonly #kept: Uint8Array<ArrayBuffer>;

  /**
   * @param reuses Whether {@linkcode CommandBuffer.take} may write into the
   * same bytes again: only where nothing keeps them. A write of one command
   * takes 0.4 µs with them and 2.0 with new ones, one of 64 commands a seventh
   * less.
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
    if (!isShort(command)) return this.#appendEncoded(command, isAnswered);
    const count = command.length;
    let text = arrayHeader(count);
    for (let i = 0; i < count; i++) {
      const argument = command[i]!;
      if (typeof argument === "string" && argument.length <= LONG_TEXT) {
        text += bulkHeader(argument.length);
        text += argument;
      } else if (typeof argument === "number" || typeof argument === "bigint") {
        const digits = argumentText(argument, command, i);
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
    if (this.#parts.length === 0 && this.#shortTextWrites === 0) {
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
    const writer = new CommandWriter(
      size + SPARE <= kept.length ? kept : new Uint8Array(size + SPARE),
      size,
    );
    for (const { content } of parts) writer.write(content);
    this.#limitText(writer.isAscii);
    return writer.written();
  }

  /** The common case: a short text, all of it ASCII. In any other case nothing is taken. */
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

  /** After text that was not ASCII more of it is likely: texts are kept short for a while. */
  #limitText(isAscii: boolean): void {
    if (isAscii && this.#shortTextWrites === 0) return;
    this.#shortTextWrites = isAscii
      ? this.#shortTextWrites - 1
      : SHORT_TEXT_WRITES;
    this.#mostText = this.#shortTextWrites > 0 ? SHORT_TEXT : MAX_JOINED_TEXT;
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
      if (count > 0 && (length >= LARGE || size + length > MAX_WRITE)) break;
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

const ZERO = 48;

/** Writes commands one after another: into the bytes given, or into larger ones if the text is not all ASCII. */
class CommandWriter {
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
