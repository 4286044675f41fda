// What can be sent: which values are arguments of a command, and how large they may be.
import type { Command, CommandArgument } from "./types.ts";

/** What is encoded of an argument. */
export type Content = string | Uint8Array;

/**
 * Bytes of one argument. It is the server's own `proto-max-bulk-len`: over it
 * the server closes the connection, and with it the calls of all other callers.
 */
const MAX_ARGUMENT = 512 * 1024 * 1024;
/** Bytes of one command: what any runtime can allocate in one piece. */
const MAX_COMMAND = 2 ** 31 - 1;
/** No code unit of a string becomes more bytes of UTF-8 than this. */
const MAX_BYTES_PER_UNIT = 3;
/** A command's name is quoted up to this length. */
const QUOTED_NAME = 64;

/** The type of a typed array, whatever its subclass, prototype or a Proxy says; else `undefined`. */
const typeOfArray = Object.getOwnPropertyDescriptor(
  Object.getPrototypeOf(Uint8Array.prototype),
  Symbol.toStringTag,
)!.get as (this: unknown) => string | undefined;

/** The length of a typed array, whatever its subclass says. */
const lengthOfArray = Object.getOwnPropertyDescriptor(
  Object.getPrototypeOf(Uint8Array.prototype),
  "length",
)!.get as (this: unknown) => number;

/** Whether a value is a `Uint8Array` of its own right: no Proxy and no imitation. */
export const isBytes = (value: unknown): value is Uint8Array =>
  typeof value === "object" && typeOfArray.call(value) === "Uint8Array";

/** How long bytes are; 0 where their buffer has been transferred. */
export const lengthOf = (bytes: Uint8Array): number =>
  lengthOfArray.call(bytes);

/** @throws {TypeError} If a command is no array. */
export function checkArray(command: unknown): void {
  if (!Array.isArray(command)) throw badCommand(describe(command));
}

/** @throws {TypeError} If what stands first in a command is no name. */
function checkName(command: readonly unknown[]): void {
  const name = command[0];
  if (typeof name === "string" && name !== "") return;
  throw badCommand(
    command.length === 0
      ? "an empty array"
      : name === ""
      ? "an array that begins with an empty string"
      : `an array that begins with ${describe(name)}`,
  );
}

/**
 * Checks a command that nothing can change any more, such as a copy of it.
 *
 * @throws {TypeError} If it has no name, or an argument cannot be sent.
 * @throws {RangeError} If it is too large.
 */
export function checkCommand(command: Command): void {
  contentsOf(command);
}

/**
 * The arguments of a command as they are encoded.
 *
 * @throws {TypeError} If it has no name, or one of them cannot be sent.
 * @throws {RangeError} If one, or all together, are too large.
 */
export function contentsOf(command: Command): Content[] {
  checkArray(command);
  checkName(command);
  const contents = new Array<Content>(command.length);
  let most = 0; // bytes, at most
  for (let i = 0; i < command.length; i++) { // a hole is undefined, and refused
    const argument = command[i]!;
    if (isBytes(argument)) {
      contents[i] = argument;
      most += lengthOf(argument);
    } else {
      const text = contents[i] = argumentText(argument, command, i);
      most += MAX_BYTES_PER_UNIT * text.length;
    }
  }
  if (most > MAX_ARGUMENT) checkSizes(command, contents);
  return contents;
}

/**
 * The text of an argument that is not bytes.
 *
 * @throws {TypeError} If it cannot be sent.
 */
export function argumentText(
  argument: CommandArgument,
  command: Command,
  index: number,
): string {
  switch (typeof argument) {
    case "string":
      return argument;
    case "bigint":
      return argument.toString();
    case "number":
      // Redis reads doubles with strtod: https://redis.io/docs/latest/commands/zadd/
      if (argument === Infinity) return "inf";
      if (argument === -Infinity) return "-inf";
      if (!Number.isNaN(argument)) return `${argument}`;
  }
  throw badArgument(argument, command, index);
}

/** The error for an argument that cannot be sent: it says what the argument is, never what it holds. */
const badArgument = (
  argument: unknown,
  command: Command,
  index: number,
): TypeError =>
  new TypeError(
    `Cannot send ${nameOf(command)}: argument ${index} is ${
      describe(argument)
    }, expected a string, a number (not NaN), a bigint or a Uint8Array`,
  );

/** The error for bytes that are gone: a detached buffer has none, and a shrunken one not enough. */
export const goneBytes = (command: Command, index: number): TypeError =>
  new TypeError(
    `Cannot send ${
      nameOf(command)
    }: the buffer of argument ${index}, a Uint8Array, ` +
      "has been transferred or has shrunk, expected one that holds its bytes",
  );

/** @throws {RangeError} If a command of that many bytes cannot be sent. */
export function checkTotal(command: Command, bytes: number): void {
  if (bytes <= MAX_COMMAND) return;
  throw new RangeError(
    `Cannot send ${nameOf(command)}: it has ${bytes} bytes, ` +
      `expected at most ${MAX_COMMAND} in all`,
  );
}

function checkSizes(command: Command, contents: readonly Content[]): void {
  let total = 0;
  for (const [i, content] of contents.entries()) {
    const bytes = typeof content === "string"
      ? utf8Length(content)
      : lengthOf(content);
    if (bytes > MAX_ARGUMENT) {
      throw new RangeError(
        `Cannot send ${nameOf(command)}: argument ${i} has ${bytes} bytes, ` +
          `expected at most ${MAX_ARGUMENT}, the server's limit`,
      );
    }
    total += bytes;
  }
  checkTotal(command, total);
}

const utf8 = new TextEncoder();

/** Texts are measured by stretches of this many units. */
const STRETCH = 64 * 1024;

/** How many bytes of UTF-8 a text becomes, lone surrogates as U+FFFD. */
function utf8Length(text: string): number {
  const scratch = new Uint8Array(MAX_BYTES_PER_UNIT * STRETCH);
  let bytes = 0;
  for (let at = 0; at < text.length;) {
    const stretch = text.slice(at, at + STRETCH);
    // Cut in two, a surrogate pair would become twice U+FFFD.
    const isCut = /[\ud800-\udbff]$/.test(stretch) && stretch.length > 1;
    const whole = isCut ? stretch.slice(0, -1) : stretch;
    bytes += utf8.encodeInto(whole, scratch).written;
    at += whole.length;
  }
  return bytes;
}

const badCommand = (got: string): TypeError =>
  new TypeError(
    `Cannot send a command: expected an array that begins with the command's name, got ${got}`,
  );

const nameOf = (command: Command): string => command[0].slice(0, QUOTED_NAME);

/** The kind of a value, never its content: it may be a secret. */
function describe(value: unknown): string {
  if (value === null) return "null";
  if (typeof value === "number" && Number.isNaN(value)) return "NaN";
  if (typeof value !== "object") {
    return value === undefined ? "undefined" : `a ${typeof value}`;
  }
  return `an object (${className(value)})`;
}

/** The name of an object's class, which may be a getter or a Proxy that throws. */
function className(value: object): string {
  try {
    if (value instanceof Uint8Array) return "a Proxy or an imitation";
    const name: unknown = value.constructor?.name ?? "no prototype";
    return typeof name === "string" ? name.slice(0, QUOTED_NAME) : "no name";
  } catch {
    return "no name";
  }
}
