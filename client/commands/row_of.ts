// Finds the row of a command.
import type { Command } from "../../resp/mod.ts";
import type { Row } from "./row.ts";
import { NO_ROW, TABLE } from "./table.ts";
import { upper } from "./words.ts";

/** Rows by the name as it was spelled. */
const spelled = new Map<string, Row>();
/** Names may be made up without end: the memory for them is bounded. */
const MOST_SPELLED = 1000;

function find(name: string): Row {
  // No name in upper case is one of Object.prototype's.
  const row = TABLE[upper(name)] ?? NO_ROW;
  if (spelled.size < MOST_SPELLED) spelled.set(name, row);
  return row;
}

/**
 * The row of a command, or of its subcommand, in whatever case they are written.
 *
 * @param command The command.
 * @returns Its row; one that promises nothing if the table has none.
 */
export function rowOf(command: Command): Row {
  const [name] = command;
  const row = spelled.get(name) ?? find(name);
  return row.subcommands?.[upper(command[1])] ?? row;
}
