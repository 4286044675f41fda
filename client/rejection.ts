// How a call is rejected, so that its error leads to the line that awaits it.
import type { Reply } from "../resp/types.ts";
import { ConnectionClosedError } from "../pool/connection/close_report.ts";
import type { Fate } from "../pool/connection/fate.ts";
import { RetryError } from "../retry/retry.ts";
import { CommandError } from "./command_error.ts";
import { DeadlineError } from "./deadlines.ts";
import { fateOf, noteAbort, withFate } from "./fate.ts";
import { PipelineError } from "./pipeline_error.ts";

/**
 * Waits until the call's promise, which was resolved with that of the function
 * that calls this one, waits for it. From then on a stack that is captured
 * holds the lines of the async functions that await the call. A call without
 * an error pays nothing for that.
 *
 * @see {@link https://v8.dev/docs/stack-trace-api#async-stack-traces}
 */
async function untilAwaited(): Promise<void> {
  await undefined;
  await undefined;
}

/** Lets the stack of an error begin with the lines that await `within`, where the error is of this call alone. */
function leadToCaller(
  error: unknown,
  within: (...args: never) => unknown,
): void {
  if (
    error instanceof CommandError || error instanceof ConnectionClosedError ||
    error instanceof RetryError || error instanceof DeadlineError ||
    error instanceof PipelineError
  ) Error.captureStackTrace?.(error, within);
}

/** What to resolve a call's promise with, to reject it with an error of this client. */
export async function rejection(error: Error, fate: Fate): Promise<never> {
  await untilAwaited();
  leadToCaller(error, rejection);
  if (error instanceof PipelineError) {
    for (const outcome of new Set([...error.outcomes, error.cause])) {
      if (!(outcome instanceof Error)) continue;
      leadToCaller(outcome, rejection);
      withFate(outcome, fateOf(outcome));
    }
  }
  throw withFate(error, fate);
}

/** What to resolve a pipeline's promise with, if there are errors among its replies. */
export async function withErrors(replies: Reply[]): Promise<Reply[]> {
  await untilAwaited();
  for (const reply of replies) {
    if (!(reply instanceof CommandError)) continue;
    leadToCaller(reply, withErrors);
    withFate(reply, reply.fate);
  }
  return replies;
}

/**
 * A promise of which `start` gets the two ends. What `start` throws, it throws
 * before anything is sent.
 */
export function promiseOf<T>(
  start: (
    resolve: (outcome: T | Promise<T>) => void,
    reject: (reason: unknown) => void,
  ) => void,
): Promise<T> {
  return new Promise((resolve, reject) => {
    try {
      start(resolve, reject);
    } catch (error) {
      reject(withFate(error, "unsent"));
    }
  });
}

/** @throws The signal's reason, if it was aborted before anything was sent. */
export function refuseIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted) noteAbort(signal.reason, "unsent");
  signal?.throwIfAborted();
}
