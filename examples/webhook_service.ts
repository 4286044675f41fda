// A webhook service: counts what it receives in Redis, and answers at once, whether Redis can be reached or not.
//
//   POST /webhooks/:mallId/:shopNo/:eventType                    200 recorded, 202 queued, 503 dropped
//   GET  /frequency/:mallId/:shopNo/:eventType?windowSeconds=60  how many lately
//   GET  /healthz                                                200, or 503 while the server of its own key does not answer
//
// REDIS_URL says where Redis is, PORT where to listen (8000): one server, a cluster
// (rediss://…?cluster=true) or what Sentinels name (redis://…?sentinel=name).
// With --allow-net=… every node must be in the list. This file is a
// whole entry point, on Deno Deploy, too. Copy it with the folder of its name
// beside it, and add the module:
//
//   deno add jsr:@unzombie/redis
//   REDIS_URL=rediss://… deno run --allow-net --allow-env=REDIS_URL,PORT webhook_service.ts
//
// The log has a line of JSON when Redis goes away and one when it is back, none
// for each event. SIGTERM and SIGINT end the service within 5 seconds. The exit
// code is 1 if that loses events, and 2 if the service cannot start.
import {
  ExponentialBackoff,
  Redis,
  Retry,
  WebhookRecorder,
} from "@unzombie/redis";
import { Watch } from "./webhook_service/health.ts";
import { log, textOf } from "./webhook_service/log.ts";
import { handler } from "./webhook_service/routes.ts";
import { type Settings, settingsOf } from "./webhook_service/settings.ts";

/** How long the end may take, in milliseconds: Deno Deploy kills after 5 seconds. */
const STOP_MS = { requests: 1000, outbox: 3000, client: 500 };

/** A running service. */
export interface Service {
  readonly port: number;
  /**
   * Takes no more requests, finishes those under way, sends what is queued, and closes.
   *
   * @returns How many events are lost by that.
   */
  stop(): Promise<number>;
}

/** Starts the service. */
export function startService(settings: Settings): Service {
  const redis = new Redis(settings.redisUrl, {
    // The sender waits for the answer. Better 202 soon than 200 late.
    connectTimeoutMs: 1000,
    replyTimeoutMs: 1000,
    checkoutTimeoutMs: 1000,
    retry: new Retry({
      backoff: new ExponentialBackoff({ jitter: 0.5 }),
      deadlineMs: 1000,
    }),
  });
  const recorder = new WebhookRecorder(redis, {
    retentionSeconds: 7 * 24 * 3600,
    deadlineMs: 1000,
    onError: (error, info) => watch.report(error, info),
  });
  const watch = new Watch(redis, recorder);
  const server = Deno.serve(
    {
      port: settings.port,
      onListen: ({ port }) => log("info", `Listening on port ${port}`),
    },
    handler({ redis, recorder, watch }),
  );
  return {
    port: server.addr.port,
    async stop() {
      // A request whose body never ends must not hold up the end.
      await within(STOP_MS.requests, server.shutdown());
      const before = recorder.stats().dropped;
      await recorder.close({ drainMs: STOP_MS.outbox });
      watch.stop();
      await redis.close({ drainMs: STOP_MS.client });
      return recorder.stats().dropped - before;
    },
  };
}

async function within(ms: number, work: Promise<void>): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, ms);
  await Promise.race([work, promise]);
  clearTimeout(timer);
}

/** Starts the service as the environment says, or ends the process. */
function start(): Service {
  try {
    return startService(settingsOf(Deno.env));
  } catch (error) {
    log("error", `Cannot start: ${textOf(error)}`);
    Deno.exit(2);
  }
}

if (import.meta.main) {
  const service = start();
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    // Once: a second signal ends the process at once.
    const stop = async () => {
      Deno.removeSignalListener(signal, stop);
      const lost = await service.stop();
      if (lost > 0) {
        const events = lost === 1 ? "1 event is" : `${lost} events are`;
        log("error", `Stopped: ${events} lost`, { lost });
      }
      Deno.exit(lost > 0 ? 1 : 0);
    };
    Deno.addSignalListener(signal, stop);
  }
}
