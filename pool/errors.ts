// Errors of a checkout that ended without a connection.
import { DialError } from "./socket/dial_error.ts";

/**
 * No connection could be had in time. No command was sent: its fate is `"unsent"`.
 *
 * @example When everything is leased
 * ```ts
 * import { CheckoutTimeoutError } from "@unzombie/redis";
 * import { assertEquals } from "@std/assert";
 *
 * const error = new CheckoutTimeoutError("no connection for 5000 ms");
 * assertEquals(error.fate, "unsent");
 * ```
 */
export class CheckoutTimeoutError extends Error {
  /** Always `"CheckoutTimeoutError"`. */
  override readonly name = "CheckoutTimeoutError";
  /** Always `"unsent"`. */
  readonly fate = "unsent";
  /** Whether to try again by itself: not where too many wait already. */
  readonly isRetriable: boolean;

  /**
   * Makes the error.
   *
   * @param message What was waited for.
   * @param options `isRetriable`: see there (default true). `cause`: what kept
   * the pool from opening a connection, if anything did.
   */
  constructor(
    message: string,
    options: { isRetriable?: boolean; cause?: unknown } = {},
  ) {
    super(
      message,
      options.cause === undefined ? undefined : { cause: options.cause },
    );
    this.isRetriable = options.isRetriable ?? true;
  }
}

/**
 * The client was closed before the command was sent: its fate is `"unsent"`.
 *
 * @example After close
 * ```ts
 * import { ClosedError, Redis } from "@unzombie/redis";
 * import { assertRejects } from "@std/assert";
 *
 * const redis = new Redis();
 * await redis.close();
 * await assertRejects(() => redis.send(["PING"]), ClosedError);
 * ```
 */
export class ClosedError extends Error {
  /** Always `"ClosedError"`. */
  override readonly name = "ClosedError";
  /** Always `"unsent"`. */
  readonly fate = "unsent";
}

/** Whether a failure to get a connection may pass by itself. */
export const mayPass = (error: unknown): boolean =>
  (error instanceof CheckoutTimeoutError || error instanceof DialError) &&
  error.isRetriable;
