/**
 * RESP2, the Redis protocol, as bytes only: no socket, no await.
 *
 * @example There and back
 * ```ts
 * import { encodeCommand, ReplyParser } from "@unzombie/redis/resp";
 * import { assertEquals } from "@std/assert";
 *
 * const parser = new ReplyParser();
 * parser.feed(encodeCommand(["GET", "key"])); // a command is an array, too
 * assertEquals(parser.next(), ["GET", "key"]);
 * ```
 *
 * @module
 */
export { encodeCommand } from "./encode.ts";
export type { ParserLimits } from "./limits.ts";
export { type HeadReader, ReplyParser } from "./parser.ts";
export { ProtocolError, ReplyError } from "./errors.ts";
export type { Command, CommandArgument, Reply } from "./types.ts";
