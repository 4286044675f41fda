// What a recorder needs of a client.
import type { Command } from "../resp/types.ts";
import type { SendOptions } from "../client/send_options.ts";
import type { Origin } from "../client/telemetry.ts";

/**
 * What a recorder needs of a client: a `Redis` is one, and so is anything else
 * that has these four, such as a double in a test.
 */
export interface Sender {
  /** Sends one command; an error reply rejects with a `ReplyError`. */
  send(command: Command, options?: SendOptions): Promise<unknown>;
  /** Sends several commands in one flush; error replies are values, each a `ReplyError`. */
  pipeline(
    commands: readonly Command[],
    options?: SendOptions,
  ): Promise<readonly unknown[]>;
  /** Where it connects to. */
  readonly origin: Origin;
  /** Whether it was closed: then nothing can be sent any more. */
  readonly isClosed: boolean;
}
