// Which read shows whether a lost command has run.
import type { Command, Reply } from "../../resp/types.ts";
import { rowOf } from "./table.ts";
import { upper } from "./words.ts";

/** A read, and what it answers as long as a command has not run. */
export interface Probe {
  readonly read: Command;
  readonly absent: Reply;
}

/**
 * The read that shows whether a command has run.
 *
 * @param command The command.
 * @returns `undefined` if no read can show it.
 */
export function probeOf(command: Command): Probe | undefined {
  const rule = rowOf(command).probe;
  if (rule === undefined) return undefined;
  const { read, takes, absent, words, option } = rule;
  const hasOption = option !== undefined && command.length === words + 1 &&
    upper(command[words]) === option;
  if (command.length !== words && !hasOption) return undefined;
  return { read: [read, ...takes.map((at) => command[at]!)], absent };
}
