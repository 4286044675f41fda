// Which arguments of a command are keys.
import type { Command, CommandArgument } from "../../resp/types.ts";
import { rowOf } from "./table.ts";

/**
 * The keys of a command, as they were given: what its hash slot is made from.
 * Channels of shards and cursors of CLUSTERSCAN count as keys, since they have
 * a hash slot as well.
 *
 * @param command The command.
 * @returns Its keys; none if it has none or if the table does not have it.
 */
export const keysOf = (command: Command): readonly CommandArgument[] =>
  rowOf(command).keys<CommandArgument>(command);
