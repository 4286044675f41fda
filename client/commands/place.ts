// Which server of a cluster runs a command: that of its first key, any of them, or each for itself.
import type { Command, CommandArgument } from "../../resp/types.ts";
import { COMMON } from "./routing.ts";
import { NO_ROW, rowOf, rowOfName } from "./table.ts";
import {
  all,
  allButFirst,
  allButLast,
  anyServer,
  around,
  everyOther,
  first,
  firstAndCounted,
  firstTwo,
  type Keys,
  none,
  second,
  sorted,
  upper,
} from "./words.ts";

/**
 * Where a command goes in a cluster: to the server that holds `key`, to `"any"`
 * server, or nowhere, for the reason `why`.
 */
export type Place =
  | "any"
  | { readonly key: CommandArgument }
  | { readonly why: string };

/** Which argument is the first key, where that does not depend on the others. */
const FIRST_KEY: ReadonlyMap<Keys, number> = new Map([
  [first, 1],
  [firstTwo, 1],
  [all, 1],
  [allButLast, 1],
  [everyOther, 1],
  [firstAndCounted, 1],
  [sorted, 1],
  [around, 1],
  [second, 2],
  [allButFirst, 2],
]);

/**
 * The same by the names of commands that were seen, as they were spelled. Every
 * command of a cluster is looked up here, which takes 15 ns.
 */
const firstKeys = new Map<string, number>(COMMON.map((name) => [name, 1]));
/** Names may be made up without end: the memory for them is bounded. */
const MAX_NAMES = 1000;

/**
 * Where a command goes in a cluster. One key is enough: that the others have the
 * same hash slot is checked by the server. Of a command that the table does not
 * have, the first argument is taken for a key; where it is none, a redirect says so.
 *
 * @param command The command.
 */
export function placeOf(command: Command): Place {
  const at = firstKeys.get(command[0]) ?? firstKeyOf(command[0]);
  const key = at === undefined ? undefined : command[at];
  return key === undefined ? placeByRow(command) : { key };
}

/** Which argument is the first key of commands of a name; `undefined` if that depends on the command. */
function firstKeyOf(name: string): number | undefined {
  const row = rowOfName(name);
  const at = row === NO_ROW
    ? 1
    : row.subcommands === undefined
    ? FIRST_KEY.get(row.keys)
    : undefined;
  if (at !== undefined && firstKeys.size < MAX_NAMES) firstKeys.set(name, at);
  return at;
}

function placeByRow(command: Command): Place {
  const { keys } = rowOf(command);
  if (keys === none && rowOf(command) !== NO_ROW) {
    return {
      why: `Cannot send ${nameOf(command)} to a cluster: ` +
        "each server answers for itself; use redis.nodes()",
    };
  }
  // Without the key that it needs, a command is refused by any server.
  const [key] = keys === anyServer ? [] : keys<CommandArgument>(command);
  return key === undefined ? "any" : { key };
}

/** The name of a command, with its subcommand. */
function nameOf([name, subcommand]: Command): string {
  const { subcommands } = rowOfName(name);
  const word = upper(subcommand);
  return subcommands?.[word] === undefined
    ? upper(name)
    : `${upper(name)} ${word}`;
}
