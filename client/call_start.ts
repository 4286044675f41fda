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
 * A start whose code is loaded once. From then on it starts within the turn.
 *
 * @param load Loads the code.
 * @returns Starts a call. What is thrown before anything is sent rejects it, or is thrown.
 */
export function late(
  load: () => Promise<(call: CallStart) => void>,
): (call: CallStart) => void {
  let loaded: ((call: CallStart) => void) | undefined;
  const first = async (call: CallStart) => {
    try {
      loaded = await load();
      loaded(call);
    } catch (error) {
      call.reject(withFate(error, "unsent"));
    }
  };
  return (call) => loaded === undefined ? void first(call) : loaded(call);
}
