// Errors of a checkout that ended without a connection: in time, for ever, or at this server.
import type { PoolStats } from "./pool_stats.ts";

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
  /** Whether another attempt may succeed: not while too many callers wait already. */
  readonly isRetriable: boolean;

  /**
   * Makes the error.
   *
   * @param message Why there was no connection.
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

/**
 * A server has left its cluster, or is not the primary any more. Nothing was sent: the
 * fate is `"unsent"`. A client sends the call to the server in its place; a call on a
 * `RedisNode` rejects with this error.
 *
 * @example A node that has left
 * ```ts
 * import { DepartedError } from "@unzombie/redis";
 * import { assertEquals } from "@std/assert";
 *
 * const error = new DepartedError("h:7000 has left the cluster of h:7001");
 * assertEquals(error.fate, "unsent");
 * ```
 */
export class DepartedError extends Error {
  /** Always `"DepartedError"`. */
  override readonly name = "DepartedError";
  /** Always `"unsent"`. */
  readonly fate = "unsent";
}

/**
 * The error of a checkout that ended without a connection, with the state of the pool.
 *
 * @param endpoint `host:port`.
 * @param reason Why it ended.
 * @param stats The pool at that moment.
 * @param obstacle What keeps the pool from opening a connection, if anything does.
 * @param isRetriable See {@linkcode CheckoutTimeoutError.isRetriable}.
 */
export function checkoutError(
  endpoint: string,
  reason: string,
  stats: PoolStats,
  obstacle: { readonly text: string; readonly error: unknown } | undefined,
  isRetriable: boolean,
): CheckoutTimeoutError {
  const { maxConnections, open, leased, dialing, inFlight, waiting } = stats;
  return new CheckoutTimeoutError(
    `Cannot check out a connection to ${endpoint}: ${reason}, ` +
      `${open} of ${maxConnections} open, ${leased} leased, ` +
      `${dialing} being dialed, ${inFlight} in flight, ${waiting} waiting` +
      (obstacle === undefined ? "" : `; ${obstacle.text}`),
    { isRetriable, cause: obstacle?.error },
  );
}
