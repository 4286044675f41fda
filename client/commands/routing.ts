// How a command has to be sent.
import { checkCommand } from "../../resp/command.ts";
import type { Command } from "../../resp/mod.ts";
import { USE_A_LEASE } from "./routes.ts";
import type { Route } from "./row.ts";
import { rowOf } from "./row_of.ts";

/**
 * How a command has to be sent. Unknown commands are shared.
 *
 * @param command The command.
 * @throws {TypeError} If it is no array.
 */
export function routeOf(command: Command): Route {
  if (!Array.isArray(command)) checkCommand(command);
  const { route } = rowOf(command);
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
