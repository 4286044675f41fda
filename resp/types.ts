// Commands and replies, as types.
import type { ReplyError } from "./errors.ts";

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
 * @example A command as bytes
 * ```ts
 * import type { Command } from "@unzombie/redis";
 * import { encodeCommand } from "@unzombie/redis/resp";
 * import { assertEquals } from "@std/assert";
 *
 * const command: Command = ["ECHO", 42];
 * const text = new TextDecoder().decode(encodeCommand(command));
 * assertEquals(text, "*2\r\n$4\r\nECHO\r\n$2\r\n42\r\n");
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
