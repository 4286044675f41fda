// The words of a command as a server reads them: options, numbers and keys.
import type { Command } from "../../resp/types.ts";

/** A command's name in upper case, and its arguments as text, cut where they are long. */
export type Words = readonly string[];

/** No option, subcommand, number or sensible key is longer. */
const LONGEST = 1024;

/**
 * An argument as text, cut to what options, numbers and keys need: a value of
 * hundreds of megabytes does not fit into a string.
 */
export function textOf(argument: unknown): string {
  if (argument instanceof Uint8Array) {
    return new TextDecoder().decode(argument.subarray(0, LONGEST));
  }
  return `${argument ?? ""}`.slice(0, LONGEST);
}

/** An argument as a number; `NaN` if it is none. */
export function numberOf(argument: unknown): number {
  const text = textOf(argument);
  return text.trim() === "" ? NaN : Number(text);
}

/** An argument in upper case, as a server compares it: letters beyond ASCII have one case. */
export function upper(argument: unknown): string {
  const text = textOf(argument);
  // The replacement takes 100 ns even where it replaces nothing, the test 15 ns.
  return /[a-z]/.test(text)
    ? text.replace(/[a-z]+/g, (letters) => letters.toUpperCase())
    : text;
}

/** An option in upper case. A server reads it up to a NUL. */
export function optionOf(argument: unknown): string {
  const text = upper(argument);
  const end = text.indexOf("\0");
  return end < 0 ? text : text.slice(0, end);
}

/** The words of a command. */
export function wordsOf(command: Command): Words {
  const words: string[] = command.map(textOf);
  words[0] = upper(words[0]);
  return words;
}

/** Whether an option stands at or after `from`. */
export const hasOption = (
  words: Words,
  from: number,
  ...options: string[]
): boolean =>
  words.slice(from).some((word) => options.includes(optionOf(word)));
