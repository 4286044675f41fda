// What goes to Redis and what comes back, as types, and the two ways in which a reply can be bad.

/**
 * One argument of a command. Strings are sent as UTF-8, numbers and bigints in
 * decimal (`Infinity` as `inf`, the way Redis reads it), bytes as they are.
 */
export type CommandArgument = string | number | bigint | Uint8Array;

/**
 * A command: its name, then its arguments, each one bulk string on the wire.
 *
 * It is copied when it is sent, a `Uint8Array` included: whatever becomes of the
 * array or of a buffer afterwards, that is what is written, and written again
 * by a replay. An argument has 512 MiB at most, the server's own limit, and a
 * command 2 GiB.
 *
 * @example A command of the main job
 * ```ts
 * import type { Command } from "@unzombie/redis";
 *
 * const command: Command = ["ZADD", "visits", 1700000000, "member-1"];
 * console.log(command.length);
 * ```
 */
export type Command = readonly [name: string, ...args: CommandArgument[]];

/**
 * A reply: simple and bulk strings are strings (bulk strings are `Uint8Array`
 * with the option `binary`), integers are numbers, or bigints beyond
 * 2^53 - 1, null bulk strings and null arrays are `null`, and an error inside
 * an array stays in its place as a {@linkcode ReplyError}.
 *
 * @see {@link https://redis.io/docs/latest/develop/reference/protocol-spec/}
 */
export type Reply =
  | string
  | number
  | bigint
  | Uint8Array
  | null
  | ReplyError
  | Reply[];

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
