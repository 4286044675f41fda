// Run, ask whether to run again, wait, run again.
import { ExponentialBackoff, inRange } from "./backoff.ts";
import { count, describeFailures, messageOf } from "./failures.ts";

/** Options of a {@linkcode Retry}. */
export interface RetryOptions {
  /** The waits. @default {new ExponentialBackoff()} */
  backoff?: Pick<ExponentialBackoff, "delayMs"> | undefined;
  /** How often to try again after the first attempt. @default {3} */
  retries?: number | undefined;
  /** Whether a failure is worth another attempt. Aborts never are. @default {() => true} */
  isRetriable?: ((error: unknown) => boolean) | undefined;
  /**
   * No wait begins that would end later than this after the start, in
   * milliseconds. A `Redis` also ends its calls at that time.
   * @default {Infinity}
   */
  deadlineMs?: number | undefined;
  /** Waits, and rejects when the signal aborts. @default {`delay` of `@std/async`} */
  sleep?: ((ms: number, signal?: AbortSignal) => Promise<void>) | undefined;
}

/** A failed attempt that will be followed by another. */
export interface RetryAttempt {
  /** Which attempt failed: 0 for the first. */
  attempt: number;
  /** The wait before the next one, in milliseconds. */
  delayMs: number;
  /** What it failed with. */
  error: unknown;
}

/** Options of {@linkcode Retry.run}. */
export interface RunOptions {
  /** Ends the waiting; the reason is thrown. */
  signal?: AbortSignal | undefined;
  /** Asked before the policy's own `isRetriable`. */
  isRetriable?: ((error: unknown) => boolean) | undefined;
  /** Called before each wait. */
  onRetry?: ((attempt: RetryAttempt) => void) | undefined;
}

/** Options of a {@linkcode RetryError}. */
export interface RetryErrorOptions {
  /** How many attempts were made. @default {as many as there are errors} */
  attempts?: number;
  /** How many of these were made at once, without a wait; the others after the first are retries. @default {0} */
  replays?: number;
  /** When to come back, in milliseconds, if the attempts were not used up. */
  retryAfterMs?: number | undefined;
}

/**
 * Every attempt has failed. `cause` is the last failure.
 *
 * @example What it says
 * ```ts
 * import { RetryError } from "@unzombie/redis";
 * import { assertEquals } from "@std/assert";
 *
 * const error = new RetryError([new Error("first"), new Error("second")]);
 * assertEquals(
 *   error.message,
 *   "Gave up after 2 attempts (1 retry, 0 replays): second",
 * );
 * assertEquals(error.attempts, 2);
 * ```
 */
export class RetryError extends Error {
  /** Always `"RetryError"`. */
  override readonly name = "RetryError";
  /** How many attempts were made: the first, the retries after a wait, and the replays without one. */
  readonly attempts: number;
  /** How many of the attempts were made at once, without a wait. */
  readonly replays: number;
  /** What each attempt failed with, in order; then, where it was no attempt, what ended them. */
  readonly errors: readonly unknown[];
  /**
   * Where it gave up only because too many others are being retried: when to
   * come back, in milliseconds.
   */
  readonly retryAfterMs: number | undefined;

  /**
   * Makes the error.
   *
   * @param errors What each attempt failed with, in order.
   * @param options See {@linkcode RetryErrorOptions}.
   */
  constructor(errors: readonly unknown[], options: RetryErrorOptions = {}) {
    const { attempts = errors.length, replays = 0, retryAfterMs } = options;
    const last = errors[errors.length - 1];
    const text = messageOf(last);
    const made = [
      count(attempts - 1 - replays, "retry", "retries"),
      count(replays, "replay", "replays"),
    ].join(", ");
    const why = retryAfterMs === undefined
      ? ""
      : `; the retry budget is spent, come back in ${
        Math.ceil(retryAfterMs)
      } ms`;
    super(
      `Gave up after ${
        count(attempts, "attempt", "attempts")
      } (${made}${why}): ${text}`,
      { cause: last },
    );
    this.retryAfterMs = retryAfterMs;
    this.attempts = attempts;
    this.replays = replays;
    this.errors = [...errors];
  }

  /** The error with what its attempts failed with: what is alike once, with a count. */
  [Symbol.for("nodejs.util.inspect.custom")](
    _depth: number,
    options: unknown,
    inspect: (value: unknown, options?: unknown) => string,
  ): string {
    return describeFailures(
      this,
      this.errors,
      (value) => inspect(value, options),
    );
  }
}

/**
 * A retry policy: how often, after which failures, with which waits.
 *
 * - It holds no state between runs, so one policy can serve many callers.
 * - No wait begins that would overrun the deadline.
 * - A failure that is not retriable is thrown as it is; only when the
 *   attempts run out is it a {@linkcode RetryError}.
 *
 * @example Three failures cost three waits
 * ```ts
 * import { Retry } from "@unzombie/redis";
 * import { assertEquals } from "@std/assert";
 *
 * const waits: number[] = [];
 * const sleep = (ms: number) => Promise.resolve(void waits.push(ms));
 * const retry = new Retry({ retries: 3, sleep });
 *
 * const answer = await retry.run((attempt) => {
 *   if (attempt < 3) throw new Error("not yet");
 *   return "done";
 * });
 * assertEquals(answer, "done");
 * assertEquals(waits, [100, 200, 400]);
 * ```
 */
export class Retry {
  /** How often it tries again after the first attempt. */
  readonly retries: number;
  /** The deadline in milliseconds, `Infinity` for none. */
  readonly deadlineMs: number;
  readonly #backoff: Pick<ExponentialBackoff, "delayMs">;
  readonly #isRetriable: (error: unknown) => boolean;
  readonly #sleep: (ms: number, signal?: AbortSignal) => Promise<void>;

  /**
   * Makes a policy.
   *
   * @param options See {@linkcode RetryOptions}.
   * @throws {RangeError} If a number is out of its range.
   */
  constructor(options: RetryOptions = {}) {
    this.retries = inRange("retries", options.retries ?? 3, 0, Infinity);
    this.deadlineMs = inRange(
      "deadlineMs",
      options.deadlineMs ?? Infinity,
      0,
      Infinity,
    );
    this.#backoff = options.backoff ?? new ExponentialBackoff();
    this.#isRetriable = options.isRetriable ?? (() => true);
    this.#sleep = options.sleep === undefined
      ? sleep
      : abortable(options.sleep);
  }

  /**
   * What follows a failure: the wait before the next attempt in milliseconds,
   * or why there is none.
   *
   * @param attempt Which attempt failed: 0 for the first.
   * @param error What it failed with.
   * @param elapsedMs Since the work began, in milliseconds.
   * @returns The wait, `"final"` if the failure is not retriable, or
   * `"exhausted"` if the attempts or the time are used up.
   */
  next(
    attempt: number,
    error: unknown,
    elapsedMs: number,
  ): number | "final" | "exhausted" {
    if (isAbort(error) || !this.#isRetriable(error)) return "final";
    const delayMs = this.#backoff.delayMs(attempt);
    return attempt >= this.retries || elapsedMs + delayMs > this.deadlineMs
      ? "exhausted"
      : delayMs;
  }

  /**
   * Waits, by the policy's own `sleep`.
   *
   * @param ms How long, in milliseconds.
   * @param signal Ends the wait; its reason is thrown.
   */
  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return this.#sleep(ms, signal);
  }

  /**
   * Runs `fn` until it succeeds or the policy gives up.
   *
   * @param fn The work. Its argument is the number of the attempt, 0 for the first.
   * @param options See {@linkcode RunOptions}.
   * @returns What `fn` returned.
   * @throws {RetryError} If the last attempt allowed failed.
   * @throws What `fn` threw, if that is not retriable, or the signal's reason.
   */
  async run<T>(
    fn: (attempt: number) => T | Promise<T>,
    options: RunOptions = {},
  ): Promise<T> {
    const { signal, isRetriable = () => true, onRetry } = options;
    const startedAt = performance.now();
    const errors: unknown[] = [];
    for (let attempt = 0;; attempt++) {
      signal?.throwIfAborted();
      try {
        return await fn(attempt);
      } catch (error) {
        signal?.throwIfAborted();
        errors.push(error);
        if (!isRetriable(error)) throw error;
        const next = this.next(attempt, error, performance.now() - startedAt);
        if (next === "final") throw error;
        if (next === "exhausted") throw new RetryError(errors);
        onRetry?.({ attempt, delayMs: next, error });
        await this.sleep(next, signal);
      }
    }
  }
}

const isAbort = (error: unknown): boolean =>
  error instanceof DOMException && error.name === "AbortError";

/** The module is loaded by the first wait: without one it would take 2 % of a cold start. */
async function sleep(ms: number, signal?: AbortSignal): Promise<void> {
  const { delay } = await import("@std/async/delay");
  await delay(ms, signal === undefined ? {} : { signal });
}

/** A sleep of the user's own that ends with the signal, even if it does not look at it. */
const abortable =
  (sleep: NonNullable<RetryOptions["sleep"]>) =>
  (ms: number, signal?: AbortSignal): Promise<void> =>
    new Promise((resolve, reject) => {
      if (signal?.aborted) throw signal.reason;
      const onAbort = () => reject(signal?.reason);
      signal?.addEventListener("abort", onAbort);
      const slept = async () => await sleep(ms, signal);
      slept().then(resolve, reject).finally(() =>
        signal?.removeEventListener("abort", onAbort)
      );
    });
