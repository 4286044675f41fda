// The header of the log: two slots that are written in turn.
import { Buffer } from "node:buffer";
import { crc32 } from "node:zlib";
import type { Claim } from "./claims.ts";
import type { Disk } from "./disk.ts";
import { OutboxFileError } from "./errors.ts";
import { bytesOf } from "./record.ts";

/** What a slot says. */
export interface Header {
  /** Of the two slots, the one with the higher number holds. */
  readonly sequence: number;
  /** What the checksums of the records begin with. */
  readonly generation: number;
  /** Where the records begin. */
  readonly start: number;
  /** Which process held the file when the slot was written. */
  readonly holder?: Claim;
}

/** How each slot begins. */
export const MAGIC = "unzombie-outbox ";
const VERSION = 1;
/** A slot has a block of the disk for itself: a write that is cut short damages one of the two. */
const SLOT = 4096;
/** The bytes of the header: the first record begins here. */
export const HEADER: number = 2 * SLOT;
/** The header of a new file. Always the same, so that two processes may write it at the same time. */
export const NEW: Header = { sequence: 1, generation: 1, start: HEADER };

/** A slot: text, filled up with spaces. */
function slotOf(header: Header): string {
  const json = JSON.stringify(header);
  const checksum = crc32(json, VERSION).toString(16).padStart(8, "0");
  return `${MAGIC}${VERSION} ${checksum} ${json}`.padEnd(SLOT - 1) + "\n";
}

/** The bytes of a header whose slots are the same. */
export const newHeader = (): Uint8Array => bytesOf(slotOf(NEW).repeat(2));

/** Where a slot is, and its bytes. */
export function placed(
  header: Header,
  slot: number,
): { offset: number; bytes: Uint8Array } {
  return { offset: slot * SLOT, bytes: bytesOf(slotOf(header)) };
}

/** What {@linkcode readHeader} has found. */
export interface Found {
  readonly header: Header;
  /** Which slot it is in: 0 or 1. */
  readonly slot: number;
  /** Whether both slots can be read. */
  readonly isWhole: boolean;
}

/** Reads the header of a file. @returns `undefined` if there is none yet. */
export function readFound(disk: Disk, size: number): Found | undefined {
  const bytes = new Uint8Array(Math.min(size, HEADER));
  return readHeader(
    disk.path,
    bytes.subarray(0, disk.read(bytes, 0)),
    size,
  );
}

/**
 * Reads a header.
 *
 * @param bytes The beginning of the file, at most {@linkcode HEADER} bytes.
 * @param size The size of the file.
 * @returns `undefined` if the file is new: empty, or cut short within the header,
 * where no record can be.
 * @throws {OutboxFileError} If the file is something else.
 */
export function readHeader(
  path: string,
  bytes: Uint8Array,
  size: number,
): Found | undefined {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    .toString("latin1");
  const slots = [text.slice(0, SLOT), text.slice(SLOT, HEADER)];
  const read = slots.map(readSlot);
  const newer = read.find((one) => typeof one === "number");
  if (newer !== undefined) {
    throw new OutboxFileError(
      "newer",
      path,
      `Cannot open outbox ${path}: it has version ${newer} of the format; expected version ${VERSION}, or a newer version of this module`,
    );
  }
  const headers = read.map((one) => typeof one === "object" ? one : undefined);
  const [first, second] = headers;
  const slot = (first?.sequence ?? 0) >= (second?.sequence ?? 0) ? 0 : 1;
  const header = headers[slot];
  if (header !== undefined && size >= HEADER) {
    return { header, slot, isWhole: headers.every((one) => one !== undefined) };
  }
  // Nothing is appended before the header is durable: here are no records.
  const isShort = size < HEADER && text !== "" &&
    (text.startsWith(MAGIC) || MAGIC.startsWith(text));
  if (isShort || (size <= HEADER && isUnfinished(bytes))) return undefined;
  if (slots.some((slot) => slot.startsWith(MAGIC))) {
    throw new OutboxFileError(
      "damaged",
      path,
      `Cannot open outbox ${path}: its header is damaged in both places; it was not touched: expected a whole header, or another file`,
    );
  }
  throw new OutboxFileError(
    "foreign",
    path,
    `Cannot open outbox ${path}: it is something else, and was not touched; expected an outbox, or no file`,
  );
}

/** Whether bytes are a new header of which a loss of power has left some, and zeros in the place of the others. */
function isUnfinished(bytes: Uint8Array): boolean {
  const expected = newHeader();
  return bytes.every((byte, n) => byte === 0 || byte === expected[n]);
}

/**
 * A header, or the number of a newer version. Each version keeps to the first
 * three words: magic, version, and the checksum of the rest begun with the version.
 */
function readSlot(slot: string): Header | number | undefined {
  const found = /^unzombie-outbox (\d{1,9}) ([0-9a-f]{8}) (.*)$/
    .exec(slot.trimEnd());
  if (found === null) return undefined;
  const [, version, checksum, json] = found;
  if (crc32(json!, Number(version)) !== parseInt(checksum!, 16)) {
    return undefined;
  }
  if (Number(version) !== VERSION) return Number(version);
  return JSON.parse(json!) as Header;
}
