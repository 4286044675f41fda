// The error that a caller gets when a call is not tried again.
import { RetryError } from "../retry/retry.ts";
import type { Call } from "./call.ts";
import { isAnswer } from "./command_error.ts";

/**
 * The error itself if it is the only one, or the server's answer after it has
 * run the command; else all that the attempts failed with.
 */
export const finalError = (call: Call, error: Error): Error =>
  call.failures!.errors.length === 1 || isAnswer(error) ? error : gaveUp(call);

/**
 * All that the attempts of a call failed with.
 *
 * @param options `and`: what ended it that was no attempt. `retryAfterMs`: when to come back.
 */
export function gaveUp(
  { failures }: Call,
  options: { and?: unknown; retryAfterMs?: number } = {},
): RetryError {
  const { errors, retries } = failures!;
  const { and, retryAfterMs } = options;
  const { length: attempts } = errors;
  return new RetryError(
    and === undefined ? errors : [...errors, and],
    { attempts, replays: attempts - 1 - retries, retryAfterMs },
  );
}
