// What it takes to start a call of several commands whose code is loaded when it is first needed.
import type { Command, Reply } from "../resp/types.ts";
import type { Attempts } from "./attempts.ts";
import { withFate } from "./fate.ts";
import type { SendOptions } from "./send_options.ts";
import type { Router } from "./servers/directory.ts";

/** Several commands to be sent, and the two ends of their promise. */
export interface CallStart {
  /** The attempts of the client. */
  readonly attempts: Attempts;
  /** Which server is in charge. */
  readonly router: Router;
  /** At least one command; nothing outside can change them. */
  readonly commands: readonly Command[];
  readonly options: SendOptions;
  /** Gets the replies in the order of the commands. Error replies are values. */
  readonly resolve: (replies: Reply[] | Promise<Reply[]>) => void;
  readonly reject: (reason: unknown) => void;
}

/**
 * A start whose code is loaded once. From then on it starts within the turn. A
 * call that waits for the code is under way: close() waits for it.
 *
 * @param purpose What the calls do, to follow "Cannot" in an error.
 * @param load Loads the code.
 * @returns Starts a call. What is thrown before anything is sent rejects it, or is thrown.
 */
export function late(
  purpose: string,
  load: () => Promise<(call: CallStart) => void>,
): (call: CallStart) => void {
  let loaded: ((call: CallStart) => void) | undefined;
  const first = async (
    call: CallStart,
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
    void first(call, call.attempts.admit(purpose, call.router));
  };
}
