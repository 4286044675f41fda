// Finds the row of a command.
import type { Command } from "../../resp/mod.ts";
import type { Row } from "./row.ts";
import { NO_ROW, TABLE } from "./table.ts";
import { upper } from "./words.ts";

/** Rows by the name as it was spelled. */
const spelled = new Map<string, Row>();
/** Names may be made up without end: the memory for them is bounded. */
const MOST_NAMES = 1000;

function find(name: string): Row {
  // No name in upper case is one of Object.prototype's.
  const row = TABLE[upper(name)] ?? NO_ROW;
  if (spelled.size < MOST_NAMES) spelled.set(name, row);
  return row;
}

/** The row of a name, in whatever case it is written; {@linkcode NO_ROW} if the table has none. */
export const rowOfName = (name: string): Row => spelled.get(name) ?? find(name);

/**
 * The row of a command, or that of its subcommand.
 *
 * @param command The command.
 * @returns Its row; {@linkcode NO_ROW} if the table has none.
 */
export function rowOf(command: Command): Row {
  const row = rowOfName(command[0]);
  return row.subcommands === undefined
    ? row
    : row.subcommands[upper(command[1])] ?? row;
}
