// The service, whatever it runs on: a client, a recorder, a blacklist, and what answers requests by them.
import {
  Blacklist,
  ExponentialBackoff,
  Redis,
  type RedisOptions,
  Retry,
  WebhookRecorder,
} from "@unzombie/redis";
import { Watch } from "./health.ts";
import { textOf } from "./log.ts";
import { handler } from "./routes.ts";
import { RETENTION_SECONDS, type Settings } from "./settings.ts";
import { Deaths } from "./status_page/deaths.ts";
import type { Store } from "./store.ts";

/** How long the end may take after the last request, in milliseconds. */
const CLOSE_MS = { outbox: 2500, client: 500 };
/** How many events may be queued, in memory alone and with a store: some 8 and 80 MB. */
const CAPACITY = { memory: 10_000, store: 100_000 };

/** A service. */
export interface Service {
  readonly recorder: WebhookRecorder;
  /** Answers a request. */
  fetch(request: Request): Promise<Response>;
  /**
   * Sends what is queued, and closes everything.
   *
   * @returns How many events are lost by that, and how many are left in the store.
   */
  close(): Promise<{ lost: number; left: number }>;
}

/**
 * Makes a service, which dials with its first event.
 *
 * @param store Where queued events are kept. It is closed with the service.
 * @param options What the host of the service has to say on its connections.
 * @throws {TypeError} If the URL is wrong.
 */
export function openService(
  { redisUrl, limits, adminToken }: Settings,
  { outbox, place, size, close }: Store,
  options: RedisOptions = {},
): Service {
  const deaths = new Deaths();
  const redis = connect(redisUrl, {
    ...(adminToken !== undefined && { postMortem: true, ...deaths.options }),
    ...options,
  });
  const recorder = new WebhookRecorder(redis, {
    retentionSeconds: RETENTION_SECONDS,
    deadlineMs: 1000,
    outboxCapacity: outbox === undefined ? CAPACITY.memory : CAPACITY.store,
    ...(outbox && { outbox }),
    onError: (error, info) => watch.report(error, info),
    onOutboxError: (error) => watch.seldom(`The outbox, ${place}`, error),
  });
  const watch = new Watch(redis, recorder);
  const blacklist = limits && new Blacklist(recorder, limits);
  return {
    recorder,
    fetch: handler({
      redis,
      recorder,
      blacklist,
      adminToken,
      deaths,
      watch,
    }),
    async close() {
      const before = recorder.stats().dropped;
      await recorder.close({ drainMs: CLOSE_MS.outbox });
      watch.stop();
      await redis.close({ drainMs: CLOSE_MS.client });
      await close();
      const { dropped, left } = recorder.stats();
      // The recorder counts those alone that it has read.
      return { lost: dropped - before, left: size?.() ?? left };
    },
  };
}

/** @throws {TypeError} If the URL is wrong. */
function connect(url: string | undefined, options: RedisOptions): Redis {
  try {
    return new Redis(url, {
      // The sender waits for the answer. Better 202 soon than 200 late.
      connectTimeoutMs: 1000,
      replyTimeoutMs: 1000,
      checkoutTimeoutMs: 1000,
      retry: new Retry({
        backoff: new ExponentialBackoff({ jitter: 0.5 }),
        deadlineMs: 1000,
      }),
      ...options,
    });
  } catch (error) {
    const message = textOf(error).replace(
      /^Cannot use url/,
      "Cannot use REDIS_URL",
    );
    throw new TypeError(message, { cause: error });
  }
}
