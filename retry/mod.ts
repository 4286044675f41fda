/**
 * Trying again with exponential backoff: time only, it knows nothing of Redis.
 *
 * @example Any promise
 * ```ts
 * import { ExponentialBackoff, Retry } from "@unzombie/redis/retry";
 * import { assertEquals } from "@std/assert";
 *
 * const retry = new Retry({ retries: 2, backoff: new ExponentialBackoff({ baseMs: 1 }) });
 * let calls = 0;
 * assertEquals(await retry.run(() => ++calls < 3 ? Promise.reject("no") : "yes"), "yes");
 * assertEquals(calls, 3);
 * ```
 *
 * @module
 */
export { type BackoffOptions, ExponentialBackoff } from "./backoff.ts";
export {
  Retry,
  type RetryAttempt,
  RetryError,
  type RetryErrorOptions,
  type RetryOptions,
  type RunOptions,
} from "./retry.ts";
