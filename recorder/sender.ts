// What a recorder needs of a client.
import type { Command, Reply } from "../resp/mod.ts";
import type { Origin, SendOptions } from "../client/mod.ts";

/** What a recorder needs of a client: a `Redis` is one. */
export interface Sender {
  /** Sends one command; an error reply rejects. */
  send(command: Command, options?: SendOptions): Promise<Reply>;
  /** Sends several commands in one flush; error replies are values. */
  pipeline(
    commands: readonly Command[],
    options?: SendOptions,
  ): Promise<Reply[]>;
  /** Where it connects to. */
  readonly origin: Origin;
  /** Whether it was closed: then nothing can be sent any more. */
  readonly isClosed: boolean;
}
