// What can be wrong with a reply: the server reports an error, or the bytes are not RESP2.

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
