// How a command has to be sent.
import { checkCommand } from "../../resp/command.ts";
import type { Command } from "../../resp/types.ts";
import { SHARED, USE_A_LEASE } from "./routes.ts";
import type { Route } from "./row.ts";
import { rowOf, rowOfName } from "./table.ts";

/** A process that sends no other command before one fails never makes the table. */
export const COMMON: readonly string[] = [
  "DEL",
  "GET",
  "SET",
  "ZADD",
  "ZCOUNT",
];

/**
 * Names that were seen, as they were spelled, of commands that are always
 * shared. To look into this set takes 10 ns, to look up the row and its route
 * 13 ns; this is done for every command that is sent.
 */
const alwaysShared = new Set<string>(COMMON);
/** Names may be made up without end: the memory for them is bounded. */
const MAX_NAMES = 1000;

/**
 * How a command has to be sent. Unknown commands are shared.
 *
 * @param command The command.
 * @throws {TypeError} If it is no array.
 */
export function routeOf(command: Command): Route {
  if (!Array.isArray(command)) checkCommand(command);
  const name = command[0];
  if (alwaysShared.has(name)) return SHARED;
  const { route } = rowOf(command);
  if (route === SHARED && rowOfName(name).subcommands === undefined) {
    if (alwaysShared.size < MAX_NAMES) alwaysShared.add(name);
  }
  return typeof route === "function" ? route(command) : route;
}

/** Why a command that cannot be shared does not fit into a pipeline, and what to do. */
export function reasonAgainstPipeline(
  route: Exclude<Route, { kind: "shared" }>,
): string {
  switch (route.kind) {
    case "blocking":
      return "it would block every caller that shares the connection" +
        USE_A_LEASE;
    case "urgent":
      return "it would wait behind the commands that it is meant to end; use redis.send()";
    default:
      return route.why;
  }
}
