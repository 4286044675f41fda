// What can be wrong with a reply: the server reports an error, or the bytes are not RESP2.
import { decodeText } from "./receive_buffer.ts";

/**
 * The server's answer to a command was an error, such as
 * `WRONGTYPE Operation against a key holding the wrong kind of value`.
 *
 * @example Telling one error from another
 * ```ts
 * import { ReplyError } from "@unzombie/redis";
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(new ReplyError("WRONGTYPE Operation against a key").code, "WRONGTYPE");
 * ```
 */
export class ReplyError extends Error {
  /** Always `"ReplyError"`. */
  override readonly name: string = "ReplyError";

  /** The first word of the message, such as `"WRONGTYPE"`, or `"ERR"` where there is none. */
  readonly code: string;

  /**
   * Makes the error.
   *
   * @param message The server's text, without the leading `-`.
   */
  constructor(message: string) {
    super(message);
    this.code = /^[A-Z][A-Z0-9_]*(?= |$)/.exec(message)?.[0] ?? "ERR";
  }
}

/**
 * The bytes received are not RESP2, or go over a limit. Nothing after them
 * can be trusted, so the connection they came on is destroyed.
 *
 * @example Bytes that are no reply
 * ```ts
 * import { ReplyParser } from "@unzombie/redis/resp";
 * import { ProtocolError } from "@unzombie/redis";
 * import { assertThrows } from "@std/assert";
 *
 * const parser = new ReplyParser();
 * parser.feed(new TextEncoder().encode("HTTP/1.1 400 Bad Request\r\n"));
 * assertThrows(() => parser.next(), ProtocolError);
 * ```
 */
export class ProtocolError extends Error {
  /** Always `"ProtocolError"`. */
  override readonly name = "ProtocolError";
}

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

/** How many bytes an error shows of what begins like no reply. */
const SHOWN = 40;

/** A byte is not the one that the grammar asks for. */
export const unexpectedByte = (expected: string, got: number): ProtocolError =>
  malformed(`expected ${expected}, got ${quote(got)}`);

/** Bytes that begin like no reply. */
export function unknownType(bytes: Uint8Array): ProtocolError {
  const type = bytes[0]!;
  const character = String.fromCharCode(type);
  const start = decodeText(bytes.subarray(0, SHOWN));
  const resp3 = RESP3_TYPES[character];
  const hint = resp3 !== undefined
    ? `; this looks like RESP3, ${resp3} (${character}): this client speaks RESP2`
    : start.startsWith("HTTP/")
    ? "; this looks like an HTTP server"
    : type === 0x15 || type === 0x16
    ? "; this looks like TLS: use rediss://"
    : "";
  return malformed(
    `expected one of + - : $ *, got ${quote(type)} in ${
      JSON.stringify(start)
    }${hint}`,
  );
}

/** A value is out of its range. */
export const malformed = (what: string): ProtocolError =>
  new ProtocolError(`Malformed reply: ${what}`);

/** A byte as a character in quotes, or by its number. */
export const quote = (byte: number): string =>
  byte > 32 && byte < 127
    ? JSON.stringify(String.fromCharCode(byte))
    : `byte 0x${byte.toString(16).padStart(2, "0")}`;
