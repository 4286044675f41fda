// What several sets of cases need. It runs on every runtime.
import { assert, assertLess } from "@std/assert";
import { delay } from "@std/async/delay";
import {
  type CloseReport,
  DialError,
  Redis,
  type RedisOptions,
} from "../../../mod.ts";

/** Waits until a condition is met, for at most ten seconds. */
export async function until(
  condition: () => boolean | Promise<boolean>,
  what = String(condition),
): Promise<void> {
  const giveUpAt = performance.now() + 10_000;
  while (!await condition()) {
    assertLess(performance.now(), giveUpAt, `never: ${what}`);
    await delay(5);
  }
}

/** Runs with a client that is closed afterwards. Node 22 does not know `await using`. */
export async function withClient<T>(
  url: string,
  options: RedisOptions,
  run: (redis: Redis, reports: CloseReport[]) => Promise<T>,
): Promise<T> {
  const reports: CloseReport[] = [];
  const redis = new Redis(url, {
    onClose: (report) => {
      if (report.how !== "requested") reports.push(report);
    },
    ...options,
  });
  try {
    return await run(redis, reports);
  } finally {
    await redis.close({ drainMs: 0 });
  }
}

/** The error with which a promise is rejected. */
export async function errorOf(promise: Promise<unknown>): Promise<Error> {
  try {
    await promise;
  } catch (error) {
    return error as Error;
  }
  throw new Error("expected a rejection");
}

/** The error of a dial that is made once. */
export async function refusal(
  url: string,
  options: RedisOptions = {},
): Promise<DialError> {
  const error = await withClient(
    url,
    { retry: false, ...options },
    (redis) => errorOf(redis.send(["PING"])),
  );
  assert(error instanceof DialError, `${error}`);
  return error;
}
