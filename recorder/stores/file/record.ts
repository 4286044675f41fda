// One record of the log: a line of text with a checksum.
import { Buffer } from "node:buffer";
import { crc32 } from "node:zlib";
import { EVENT_ID } from "../../outbox/outbox_store.ts";
import { Checksums } from "./checksums.ts";

/**
 * The record of a body in a generation: `<checksum> <kind> <content>\n`, all of it ASCII.
 * Kind and content are the body:
 *
 * - `+ id …` an event that was appended
 * - `- id id …` events that were removed
 * - `! id "reason"` an event that was set aside
 * - `@ {…}` which process holds the file
 * - `? base64` bytes that were no record, kept by a compaction
 *
 * The checksum is the CRC-32 of kind and content, begun with the generation of
 * the log, in eight hexadecimal digits: so a record that an earlier generation
 * left is none of this one.
 */
export function recordOf(body: string, generation: number): string {
  const checksum = crc32(body, generation).toString(16).padStart(8, "0");
  return `${checksum} ${body}\n`;
}

/** No record is longer, in bytes. */
export const MAX_RECORD: number = 2 ** 21 - 1;
/** The bytes of a record beside kind and content. */
export const FRAME = 10;
/** Where kind and content begin, behind the checksum and a space. */
export const BODY = 9;
/** Where another record may begin, if the end of a line was damaged. */
const START = /[0-9a-f]{8} [-+!@?] /g;

/** Whether it can be the id of an event. */
export const isId = (id: unknown): id is string =>
  typeof id === "string" && EVENT_ID.test(id);

/** Whether bytes from a place to another, without the line break, are a record of this generation. */
export const isRecord = (
  bytes: Uint8Array,
  from: number,
  to: number,
  generation: number,
): boolean =>
  bytes[from + BODY - 1] === 32 &&
  crc32(bytes.subarray(from + BODY, to), generation) ===
    checksumAt(bytes, from);

/** The checksum that a record begins with; some other number where there are no hexadecimal digits. */
function checksumAt(bytes: Uint8Array, from: number): number {
  let checksum = 0;
  for (let n = from; n < from + BODY - 1; n++) {
    const digit = bytes[n]!;
    checksum = checksum << 4 | (digit & 15) + 9 * (digit >> 6);
  }
  return checksum >>> 0;
}

/** Where the first word ends that begins at a place. */
export function endOfWord(bytes: Uint8Array, from: number, to: number): number {
  let end = from;
  while (end < to && bytes[end] !== 32) end++;
  return end;
}

/** The id in a body of one event: of kind `+` or `!`. */
export const idOf = (body: string): string =>
  body.slice(2, body.indexOf(" ", 2));

/** JSON in which all that is not ASCII is escaped: then bytes and characters are as many. */
export const ascii = (json: string): string =>
  // deno-lint-ignore no-control-regex
  /[^\x00-\x7e]/.test(json)
    ? json.replace(
      /[\x7f-\uffff]/g,
      (one) => `\\u${one.charCodeAt(0).toString(16).padStart(4, "0")}`,
    )
    : json;

const utf8 = new TextEncoder();

/** Bytes of ASCII text. Deno's `Buffer.from` takes them one by one. */
export const bytesOf = (text: string): Uint8Array => utf8.encode(text);

/** The text of bytes, a character for each. */
export const latin1Of = (bytes: Uint8Array): string =>
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    .toString("latin1");

/** A part of a line that is no record, or a record. */
export interface Part {
  /** Where it begins in the line. */
  readonly from: number;
  /** Where it ends, without the line break. */
  readonly to: number;
  readonly isRecord: boolean;
}

/**
 * What a line that is no record consists of. Where the line break between two
 * records was damaged, both are in it whole.
 *
 * @param line Without the line break.
 */
export function salvage(line: Uint8Array, generation: number): Part[] {
  const starts = Array.from(
    latin1Of(line).matchAll(START),
    ({ index }) => index,
  );
  const checksums = new Checksums(line);
  for (const start of starts) {
    if (start > 0) checksums.note(start - 1);
    checksums.note(start + BODY);
  }
  checksums.note(line.length);
  const parts: Part[] = [];
  let to = line.length;
  for (const from of starts.reverse()) {
    const checksum = checksums.between(from + BODY, to, generation);
    if (checksum !== checksumAt(line, from)) continue;
    parts.push({ from, to, isRecord: true });
    to = from - 1;
  }
  if (to >= 0) parts.push({ from: 0, to, isRecord: false });
  return parts.reverse();
}
