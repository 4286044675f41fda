// One record of the log: a line of text with a checksum.
import { crc32 } from "node:zlib";

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
/** An event has at most this many characters of id. */
export const MAX_ID = 40;
const ID = /^[0-9a-z-]{1,40}$/;
/** Where another record may begin, if the end of a line was damaged. */
const START = /[0-9a-f]{8} [-+!@?] /g;

/** Whether it can be the id of an event. */
export const isId = (id: unknown): id is string =>
  typeof id === "string" && ID.test(id);

/**
 * The body of a record, if it is one of this generation.
 *
 * @param line Without the line break.
 */
export function bodyOf(line: string, generation: number): string | undefined {
  if (line.charCodeAt(BODY - 1) !== 32) return undefined;
  const body = line.slice(BODY);
  const isRecord = crc32(body, generation) ===
    parseInt(line.slice(0, BODY - 1), 16);
  return isRecord ? body : undefined;
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

/** A text of its own: a slice of a block keeps the whole block in memory. */
export const detached = (text: string): string => JSON.parse(`"${text}"`);

/** A part of a line that is no record, or a record. */
export interface Part {
  /** Where it begins in the line. */
  readonly from: number;
  /** Its bytes. */
  readonly length: number;
  readonly body?: string;
}

/**
 * What a line that is no record consists of. Where the line break between two
 * records was damaged, both are in it whole.
 *
 * @param line Without the line break.
 */
export function salvage(line: string, generation: number): Part[] {
  const starts = [...line.matchAll(START)].map(({ index }) => index)
    .filter((index) => index > 0);
  let end = line.length;
  const parts: Part[] = [];
  for (const start of starts.reverse()) {
    const body = bodyOf(line.slice(start, end), generation);
    if (body === undefined) continue;
    parts.unshift({ from: start, length: end + 1 - start, body });
    end = start - 1;
  }
  const body = bodyOf(line.slice(0, end), generation);
  const first = { from: 0, length: end + 1 };
  parts.unshift(body === undefined ? first : { ...first, body });
  return parts;
}
