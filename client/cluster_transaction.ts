// Where a transaction goes in a cluster: to the server that holds the one hash slot of its keys.
import type { Command } from "../resp/types.ts";
import type { CallStart } from "./call_start.ts";
import { NO_ROW, rowOf } from "./commands/table.ts";
import { ANY_SERVER, hashSlotOfCommand, routingTo } from "./servers/routing.ts";
import { TransactionCall } from "./transaction.ts";

/**
 * Starts a transaction in a cluster.
 *
 * @throws {TypeError} If a command cannot be sent to a cluster, or the keys have several hash slots.
 * @throws What the start of a call throws; nothing has been sent then.
 */
export function startClusterTransaction(start: CallStart): void {
  const { attempts, router, commands, options, resolve, reject } = start;
  const call = new TransactionCall(
    attempts,
    commands,
    options,
    resolve,
    reject,
  );
  call.routing = routingTo(hashSlotOfAll(commands));
  attempts.start(call, router);
}

/** The hash slot of the keys of all commands. */
function hashSlotOfAll(commands: readonly Command[]): number {
  let found: { readonly hashSlot: number; readonly name: string } | undefined;
  let guess = ANY_SERVER;
  for (const command of commands) {
    const hashSlot = hashSlotOfCommand(command);
    if (hashSlot === ANY_SERVER) continue;
    if (rowOf(command) === NO_ROW) { // its first argument may be no key
      if (guess === ANY_SERVER) guess = hashSlot;
      continue;
    }
    const [name] = command;
    if (found !== undefined && hashSlot !== found.hashSlot) {
      throw new TypeError(
        `Cannot send a transaction to a cluster: the keys of ${found.name} and ${name} have different hash slots; give them the same {tag}`,
      );
    }
    found = { hashSlot, name };
  }
  return found?.hashSlot ?? guess;
}
