// What a recorder needs of a client.
import type { Command } from "../resp/types.ts";
import type { SendOptions } from "../client/send_options.ts";
import type { Failover } from "../client/failover.ts";
import type { Origin } from "../client/telemetry.ts";

/**
 * What a recorder needs of a client: a `Redis` is one, and so is anything else
 * that has the first four members, such as a double in a test. The other two are for
 * a client of several servers, and are used together.
 */
export interface Sender {
  /** Sends one command; an error reply rejects with a `ReplyError`. */
  send(command: Command, options?: SendOptions): Promise<unknown>;
  /**
   * Sends several commands in one flush; error replies are values, each a
   * `ReplyError`. A `PipelineError` says what became of each of them, if some
   * were answered and some not.
   */
  pipeline(
    commands: readonly Command[],
    options?: SendOptions,
  ): Promise<readonly unknown[]>;
  /** Where it connects to. */
  readonly origin: Origin;
  /** Whether it was closed: then nothing can be sent any more. */
  readonly isClosed: boolean;
  /**
   * The server that a key goes to now. Two servers differ in `hostname` or `port`,
   * and one server has the same of both each time.
   */
  originOf?(key: string): Origin;
  /**
   * Calls a listener for each failover, after {@linkcode Sender.originOf} has changed.
   * A client whose servers never replace each other returns a function that does nothing.
   *
   * @param listener Called synchronously; it does not throw.
   * @returns What ends the subscription; `undefined` where no failover can be
   * noticed, since there is one server and no Sentinel.
   */
  onFailover?(
    listener: (failover: Failover) => void,
  ): (() => void) | undefined;
}
