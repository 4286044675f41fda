// The start of a call: its commands as they were given, copied and checked, and code that is loaded when it is first needed.
import { copyCommand } from "../resp/encode.ts";
import type { Command, Reply } from "../resp/types.ts";
import type { Call, CallEngine } from "./call.ts";
import { reasonAgainstPipeline, routeOf } from "./commands/routing.ts";
import { withFate } from "./fate.ts";
import type { SendOptions } from "./send_options.ts";
import type { Router } from "./servers/directory.ts";

/** The attempts of a client, as far as the start of a call needs them. */
export interface Starter extends CallEngine {
  /** @throws What makes the start of a call impossible. */
  start(call: Call, router: Router): void;
  /**
   * Admits a call that begins later: what this returns must be called once, with what starts it.
   *
   * @throws {ClosedError} If the client is closed.
   */
  admit(purpose: string, router: Router): (begin: () => void) => void;
}

/** What is asked for, and the two ends of its promise. */
export interface Start<Outcome> {
  /** The attempts of the client. */
  readonly attempts: Starter;
  /** Which server is in charge. */
  readonly router: Router;
  readonly resolve: (outcome: Outcome | Promise<Outcome>) => void;
  readonly reject: (reason: unknown) => void;
}

/** Several commands to be sent: their replies come in their order, and error replies are values. */
export interface CallStart extends Start<Reply[]> {
  /** At least one command; nothing outside can change them. */
  readonly commands: readonly Command[];
  readonly options: SendOptions;
}

/**
 * A start whose code is loaded once. From then on it starts within the turn. A
 * call that waits for the code is under way: close() waits for it.
 *
 * @param purposeOf What a call does, to follow "Cannot" in an error.
 * @param load Loads the code.
 * @returns Starts a call. What is thrown before anything is sent rejects it, or is thrown.
 */
export function late<
  Call extends Pick<Start<unknown>, "attempts" | "router" | "reject">,
>(
  purposeOf: (call: Call) => string,
  load: () => Promise<(call: Call) => void>,
): (call: Call) => void {
  let loaded: ((call: Call) => void) | undefined;
  const first = async (
    call: Call,
    admitted: (begin: () => void) => void,
  ) => {
    let failure: { readonly reason: unknown } | undefined;
    try {
      loaded = await load();
    } catch (reason) {
      failure = { reason };
    }
    admitted(() => {
      try {
        if (failure !== undefined) throw failure.reason;
        loaded!(call);
      } catch (error) {
        call.reject(withFate(error, "unsent"));
      }
    });
  };
  return (call) => {
    if (loaded !== undefined) return loaded(call);
    void first(call, call.attempts.admit(purposeOf(call), call.router));
  };
}

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
  // Array.from takes five times as long: 1.5 microseconds for five commands.
  const copies: Command[] = [];
  for (let i = 0; i < given.length; i++) copies.push(copyCommand(given[i]!));
  return copies;
}
