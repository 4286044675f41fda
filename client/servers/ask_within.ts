// A question of the client's own to a server, which must be answered in time.
import type { Command, Reply } from "../../resp/types.ts";
import { ask } from "../../pool/connection/in_flight.ts";
import { FairTimeout } from "../../pool/socket/fair_timeout.ts";
import { whenAborted } from "../../pool/when_aborted.ts";
import type { Server } from "./server.ts";

/** A server has not answered a question of the client's own in time. */
export class AskTimeoutError extends Error {
  override readonly name = "AskTimeoutError";
}

/**
 * Asks a server for what no call of the user's is about, such as CLUSTER SLOTS: on
 * an open connection if there is one, else on a new one of its pool.
 *
 * @param server The server.
 * @param command The command.
 * @param options `deadlineMs`: how long it may take, in milliseconds. `signal` ends it.
 * @returns The reply; an error reply is a value. A reply that comes too late is dropped.
 * @throws {AskTimeoutError} If there is no reply in time.
 * @throws {ConnectionClosedError} If the connection ends first.
 * @throws {DialError} If none can be opened.
 * @throws The reason of the signal, or that for which the server has left.
 */
export function askWithin(
  server: Pick<Server, "connect" | "endpoint">,
  command: Command,
  { deadlineMs, signal }: {
    readonly deadlineMs: number;
    readonly signal?: AbortSignal | undefined;
  },
): Promise<Reply> {
  if (signal?.aborted) return Promise.reject(signal.reason);
  const { promise, resolve, reject } = Promise.withResolvers<Reply>();
  let isOver = false;
  const end = (settle: () => void): void => {
    isOver = true;
    timeout.stop();
    detachSignal?.();
    settle();
  };
  const giveUp = (reason: unknown): void => {
    end(() => reject(reason));
    endWait?.(reason);
  };
  const timeout = new FairTimeout(() => deadlineMs, () =>
    giveUp(
      new AskTimeoutError(
        `${server.endpoint} has not answered ${
          command.slice(0, 2).join(" ")
        } within ${deadlineMs} ms`,
      ),
    ));
  const detachSignal = signal &&
    whenAborted(signal, () => giveUp(signal.reason));
  timeout.start();
  const endWait = server.connect("shared", {
    // Its slot stays in flight after the end, so that a late reply has its place.
    take: (right) =>
      void ask(right, command).then(
        (reply) => end(() => resolve(reply)),
        (error) => end(() => reject(error)),
      ),
    fail: (reason) => {
      if (!isOver) end(() => reject(reason));
    },
  });
  return promise;
}
