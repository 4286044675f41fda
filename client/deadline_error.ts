// A call that was not over when its deadline passed.
import type { Fate } from "../pool/connection/fate.ts";

/**
 * The deadline of a call has passed: `deadlineMs` of its options, or of its
 * retry policy. `fate` says what became of the command; `cause` is what its
 * last attempt failed with, if one did.
 *
 * @example A command that was never sent
 * ```ts
 * import { DeadlineError } from "@unzombie/redis";
 * import { assertEquals } from "@std/assert";
 *
 * const error = new DeadlineError("GET", 250, "unsent", "no connection was free");
 * assertEquals(
 *   error.message,
 *   "GET was not done within 250 ms (deadlineMs): no connection was free; the command did not run",
 * );
 * ```
 */
export class DeadlineError extends Error {
  /** Always `"DeadlineError"`. */
  override readonly name = "DeadlineError";
  /** The deadline, in milliseconds after the start of the call. */
  readonly deadlineMs: number;
  /** What became of the command. */
  readonly fate: Fate;

  /**
   * Makes the error.
   *
   * @param command The command's name, or `"lease"`.
   * @param deadlineMs The deadline, in milliseconds after the start of the call.
   * @param fate What became of the command.
   * @param state What was waited for when it passed.
   * @param options `cause`: what the last attempt failed with.
   */
  constructor(
    command: string,
    deadlineMs: number,
    fate: Fate,
    state: string,
    options?: ErrorOptions,
  ) {
    super(
      `${command} was not done within ${deadlineMs} ms (deadlineMs): ${state}; the command ${
        fate === "unsent" ? "did not run" : "may have run"
      }`,
      options,
    );
    this.deadlineMs = deadlineMs;
    this.fate = fate;
  }
}
