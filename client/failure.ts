// What a failed attempt means: whether another one may follow, what that would cost, and the error if none does.
import type { Command, Reply } from "../resp/types.ts";
import {
  ConnectionClosedError,
  isOverLimit,
} from "../pool/connection/close_report.ts";
import type { Loss } from "../pool/connection/in_flight.ts";
import { isPassing } from "../pool/connection/refusal.ts";
import { CheckoutTimeoutError } from "../pool/errors.ts";
import { DialError } from "../pool/socket/dial_error.ts";
import { RetryError } from "../retry/retry.ts";
import { CommandError, isAnswer } from "./command_error.ts";
import { reasonAgainstReplay, type ReplayPolicy } from "./commands/replay.ts";

/** A failed attempt. */
export interface Failure {
  /** What it failed with. */
  readonly error: Error;
  /** Whether another attempt does no harm. */
  readonly mayRunAgain: boolean;
  /** Whether another attempt would send what may have run. */
  readonly isReplay: boolean;
  /** What the next attempt is charged to; `undefined` if this one cost the server nothing. */
  readonly charge: object | undefined;
  /** The connection that proved dead before a byte of the reply came, if that is what happened. */
  readonly zombie: Zombie | undefined;
}

/** A connection that was dead when it was used. */
export interface Zombie {
  /** When it was opened, by `performance.now()`. */
  readonly openedAt: number;
  /** Whether it was in use before, so that this very command cannot have ended it. */
  readonly wasUsed: boolean;
}

/** A command that was lost with its connection. */
export interface LostCommand {
  readonly loss: Loss;
  readonly command: Command;
}

/** A connection older than this, in milliseconds, was not opened for the command that was lost with it. */
const FRESH_MS = 50;

/** No connection could be had. */
export const connectFailure = (reason: unknown): Failure => ({
  error: reason instanceof Error ? reason : new Error(String(reason)),
  mayRunAgain:
    (reason instanceof CheckoutTimeoutError || reason instanceof DialError) &&
    reason.isRetriable,
  isReplay: false,
  charge: undefined,
  zombie: undefined,
});

/** The server answered an error. */
export const replyFailure = (error: CommandError): Failure => ({
  error,
  mayRunAgain: isPassingRefusal(error),
  isReplay: false,
  charge: error,
  zombie: undefined,
});

/** Whether the server did not run the command, for a reason that passes by itself. */
export const isPassingRefusal = (reply: Reply): boolean =>
  reply instanceof CommandError && reply.fate === "unsent" && isPassing(reply);

/**
 * Commands were lost with their connection: the first one's evidence, the
 * worst one's fate.
 *
 * @param lost The commands that were lost, in order; at least one.
 * @param replay Whether what may have run may be sent again.
 */
export function lossFailure(
  lost: readonly LostCommand[],
  replay: ReplayPolicy = "auto",
): Failure {
  const { report, untouched, openedAt } = lost[0]!.loss;
  const unknown = lost.filter(({ loss }) => loss.fate === "unknown");
  let note = reasonAgainstReplay(unknown.map(({ command }) => command), replay);
  // The reply would be as large the next time.
  if (isOverLimit(report)) {
    note ??= "the reply is over one of this client's limits";
  }
  return {
    error: new ConnectionClosedError(
      report,
      unknown.length > 0 ? "unknown" : "unsent",
      note,
    ),
    mayRunAgain: note === undefined,
    isReplay: unknown.length > 0,
    charge: unknown.length > 0 ? report : undefined,
    zombie: untouched && report.how !== "requested"
      ? {
        openedAt,
        wasUsed: report.commandsServed > 0 || report.ageMs > FRESH_MS,
      }
      : undefined,
  };
}

/** A command failed on a connection of its own, with this error. */
export function exclusiveFailure(
  error: unknown,
  command: Command,
  replay: ReplayPolicy | undefined,
): Failure {
  if (error instanceof CommandError) return replyFailure(error);
  if (!(error instanceof ConnectionClosedError)) return connectFailure(error);
  const { report, fate } = error;
  // No zombie: it may have waited for long on a connection that was alive.
  const loss = { report, fate, untouched: false, openedAt: 0 };
  return lossFailure([{ loss, command }], replay);
}

/** The attempts of a call that have failed. */
export class FailedAttempts {
  /** What each failed with, in order. */
  readonly errors: Error[] = [];
  /** How many were followed by a wait. */
  retries = 0;
  /** When the first failed, by `performance.now()`. */
  readonly firstAt: number = performance.now();

  /**
   * What the call rejects with if no other attempt follows: the error itself if
   * it is the only one, or the server's answer after it has run the command;
   * else all that the attempts failed with.
   */
  finalError(error: Error): Error {
    return this.errors.length === 1 || isAnswer(error)
      ? error
      : this.retryError();
  }

  /**
   * All that the attempts failed with.
   *
   * @param options `endedBy`: what ended the call beside them. `retryAfterMs`: when to come back.
   */
  retryError(
    options: { endedBy?: unknown; retryAfterMs?: number } = {},
  ): RetryError {
    const { errors, retries } = this;
    const { endedBy, retryAfterMs } = options;
    const { length: attempts } = errors;
    return new RetryError(
      endedBy === undefined ? errors : [...errors, endedBy],
      { attempts, replays: attempts - 1 - retries, retryAfterMs },
    );
  }
}
