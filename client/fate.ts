// Whether the command behind an error may have run.
import {
  CheckoutTimeoutError,
  ClosedError,
  ConnectionClosedError,
  DialError,
  type Fate,
} from "../pool/mod.ts";
import { isNotRun } from "../pool/refusal.ts";
import { RetryError } from "../retry/mod.ts";
import { ReplyError } from "../resp/mod.ts";

/**
 * What became of a command that was rejected with `error`: over all its
 * attempts, if there were several.
 *
 * @example A dial that failed sent nothing
 * ```ts
 * import { DialError, fateOf } from "@unzombie/redis";
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(fateOf(new DialError("redis.example:6379", "connect", "no such host")), "unsent");
 * ```
 *
 * @param error What a call rejected with.
 * @returns `"unsent"` only if it cannot have run; `"executed"` if the server
 * ran it and answered with an error; `"unknown"` for everything else, such as an abort.
 */
export function fateOf(error: unknown): Fate {
  if (error instanceof RetryError) {
    const fates = error.errors.map(fateOf);
    const worst = (["unknown", "executed"] as const)
      .find((fate) => fates.includes(fate));
    return worst ?? "unsent";
  }
  if (
    error instanceof ConnectionClosedError || error instanceof DialError ||
    error instanceof CheckoutTimeoutError || error instanceof ClosedError
  ) return error.fate;
  if (error instanceof TypeError || error instanceof RangeError) {
    return "unsent";
  }
  if (!(error instanceof ReplyError)) return "unknown";
  return isNotRun(error) ? "unsent" : "executed";
}
