// Several commands as their caller gave them: copied, and refused where they cannot be sent together.
import { copyCommand } from "../resp/encode.ts";
import type { Command } from "../resp/types.ts";
import { reasonAgainstPipeline, routeOf } from "./commands/routing.ts";

/**
 * A copy of the commands of a pipeline.
 *
 * @throws {TypeError} If one of them is none, or cannot be sent on a shared connection.
 */
export function pipelineOf(given: readonly Command[]): Command[] {
  const commands = copyOf(given, "a pipeline");
  for (const command of commands) {
    const route = routeOf(command);
    if (route.kind === "shared") continue;
    throw new TypeError(
      `Cannot send ${command[0]} in a pipeline: ${
        reasonAgainstPipeline(route)
      }`,
    );
  }
  return commands;
}

/**
 * A copy of the commands of a transaction. One that blocks elsewhere does not
 * block in it: https://redis.io/docs/latest/develop/using-commands/transactions/
 *
 * @throws {TypeError} If one of them is none, or has no place between MULTI and EXEC.
 */
export function transactionOf(given: readonly Command[]): Command[] {
  const commands = copyOf(given, "a transaction");
  for (const command of commands) {
    const route = routeOf(command);
    if (route.kind === "shared" || route.kind === "blocking") continue;
    throw new TypeError(
      `Cannot send ${command[0]} in a transaction: ${
        reasonAgainstPipeline(route)
      }`,
    );
  }
  return commands;
}

/** @throws {TypeError} If it is no array of commands. */
function copyOf(given: readonly Command[], what: string): Command[] {
  if (!Array.isArray(given)) {
    throw new TypeError(
      `Cannot send ${what}: expected an array of commands, got ${
        given === null ? "null" : typeof given
      }`,
    );
  }
  return Array.from(given, copyCommand);
}
