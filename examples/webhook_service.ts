// A webhook service: counts what it receives in Redis, and answers at once, whether Redis can be reached or not.
//
//   POST /webhooks/:mallId/:shopNo/:eventType                    200 recorded, 202 queued, 429 blocked, 503 dropped
//   GET  /frequency/:mallId/:shopNo/:eventType?windowSeconds=60  how many lately
//   GET  /healthz                                                200, or 503 while the server of its own key does not answer
//   GET  /blocked                                                the shops that are blocked
//   PUT, DELETE /blocked/:mallId/:shopNo?seconds=600&reason=…    block a shop, let it through
//
// The routes of /blocked exist with LIMIT only, PUT and DELETE with ADMIN_TOKEN as well.
//
// Environment variables, all of them optional:
//
//   REDIS_URL       one server (redis://127.0.0.1:6379), a cluster (rediss://…?cluster=true)
//                   or what Sentinels name (redis://…?sentinel=name)
//   PORT            where to listen (8000)
//   OUTBOX          the file that keeps what is queued beyond the end of the process; or
//                   kv, which is Deno KV, for Deno Deploy. Without it that is lost
//   LIMIT           more events than this of a shop and type in WINDOW_SECONDS (60) block
//                   the shop for BLOCK_SECONDS (600). Without it no shop is blocked
//   ADMIN_TOKEN     if it is set, each request to /blocked must have the header
//                   "Authorization: Bearer <ADMIN_TOKEN>"; if not, the list is open
//
// This file and the folder of its name beside it are a whole service, on Deno
// Deploy, too. Copy them and add the module. The directory of OUTBOX must exist.
// With --allow-net=… every node of a cluster must be in the list:
//
//   deno add jsr:@unzombie/redis
//   OUTBOX=/var/lib/webhooks/queued REDIS_URL=rediss://… deno run --allow-net \
//     --allow-env=REDIS_URL,PORT,OUTBOX,LIMIT,WINDOW_SECONDS,BLOCK_SECONDS,ADMIN_TOKEN \
//     --allow-read=/var/lib/webhooks/queued --allow-write=/var/lib/webhooks/queued webhook_service.ts
//
// The log has a line of JSON when Redis goes away and one when it is back, none
// for each event. SIGTERM and SIGINT end the service within 5 seconds. The exit
// code is 1 if that loses events, which only happens without OUTBOX, and 2 if the
// service cannot start, such as with a file that another process has open.
import {
  Blacklist,
  ExponentialBackoff,
  type RecorderStats,
  Redis,
  Retry,
  WebhookRecorder,
} from "@unzombie/redis";
import { Watch } from "./webhook_service/health.ts";
import { log, textOf } from "./webhook_service/log.ts";
import { handler } from "./webhook_service/routes.ts";
import {
  idleIn,
  RETENTION_SECONDS,
  type Settings,
  settingsOf,
} from "./webhook_service/settings.ts";
import { openStore } from "./webhook_service/store.ts";

/** How long the end may take, in milliseconds: Deno Deploy kills after 5 seconds. */
const STOP_MS = { requests: 1000, outbox: 2500, client: 500 };
/** After this time a line says what an earlier process has left and is not sent yet, in milliseconds. */
const SOON_MS = 1000;
/** How many events may be queued, in memory alone and with a store: some 5 and 50 MB. */
const CAPACITY = { memory: 10_000, store: 100_000 };

/** A running service. */
export interface Service {
  readonly port: number;
  /**
   * Takes no more requests, finishes those under way, sends what is queued, and closes.
   *
   * @returns How many events are lost by that, and how many are left in the store.
   */
  stop(): Promise<{ lost: number; left: number }>;
}

/** @throws {TypeError} If the URL is wrong. */
function connect(url: string | undefined): Redis {
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
    });
  } catch (error) {
    const message = textOf(error).replace(
      /^Cannot use url/,
      "Cannot use REDIS_URL",
    );
    throw new TypeError(message, { cause: error });
  }
}

/** Starts the service. */
export async function startService(settings: Settings): Promise<Service> {
  const redis = connect(settings.redisUrl);
  const { outbox, place, close: closeStore } = await openStore(settings.outbox);
  const recorder = new WebhookRecorder(redis, {
    retentionSeconds: RETENTION_SECONDS,
    deadlineMs: 1000,
    outboxCapacity: outbox === undefined ? CAPACITY.memory : CAPACITY.store,
    ...(outbox && { outbox }),
    onError: (error, info) => watch.report(error, info),
    onOutboxError: (error) => watch.seldom(`The outbox, ${place}`, error),
  });
  const watch = new Watch(redis, recorder);
  const blacklist = settings.limits &&
    new Blacklist(recorder, settings.limits);
  const { adminToken } = settings;
  const close = async () => {
    await recorder.close({ drainMs: STOP_MS.outbox });
    watch.stop();
    await redis.close({ drainMs: STOP_MS.client });
    await closeStore();
  };
  try {
    const server = Deno.serve(
      {
        port: settings.port,
        onListen: ({ port }) =>
          log(
            "info",
            `Listening on port ${port}, queued events are in ${place}`,
          ),
      },
      handler({ redis, recorder, blacklist, adminToken, watch }),
    );
    if (outbox !== undefined) logRestored(recorder);
    return {
      port: server.addr.port,
      async stop() {
        // A request whose body never ends must not hold up the end.
        await within(STOP_MS.requests, server.shutdown());
        const before = recorder.stats().dropped;
        await close();
        const { dropped, left } = recorder.stats();
        return { lost: dropped - before, left };
      },
    };
  } catch (error) {
    await close(); // the port is taken, or must not be listened on
    throw new Error(
      `Cannot listen on PORT ${settings.port}: ${textOf(error)}`,
      { cause: error },
    );
  }
}

/** Logs that what earlier processes have left is sent, once it is, and before if it takes long. */
async function logRestored(recorder: WebhookRecorder): Promise<void> {
  const sent = recorder.flush();
  await within(SOON_MS, sent);
  logUnsent(recorder.stats());
  await sent;
  const { restored, left } = recorder.stats();
  if (restored === 0 || left > 0) return;
  log("info", "What an earlier process has left is sent", { restored });
}

function logUnsent({ restored, pending, reason }: RecorderStats): void {
  if (restored === 0 || pending === 0) return;
  const what = "What an earlier process has left is being sent";
  const more = { restored, pending };
  if (reason === undefined) log("info", what, more);
  else log("error", `${what}: ${reason}`, more);
}

async function within(ms: number, work: Promise<void>): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, ms);
  await Promise.race([work, promise]);
  clearTimeout(timer);
}

/** Starts the service as the environment says, or ends the process. */
async function start(): Promise<Service> {
  try {
    const service = await startService(settingsOf(Deno.env));
    const idle = idleIn(Deno.env);
    if (idle.length > 0) {
      log(
        "info",
        `No shop is blocked without LIMIT: ${idle.join(", ")} ${
          idle.length === 1 ? "has" : "have"
        } no effect`,
      );
    }
    return service;
  } catch (error) {
    log("error", `Cannot start: ${textOf(error)}`);
    Deno.exit(2);
  }
}

/** Ends the service and the process. */
async function end(service: Service): Promise<never> {
  const { lost, left } = await service.stop();
  const events = (n: number) => n === 1 ? "1 event is" : `${n} events are`;
  if (left > 0) {
    log("info", `Stopped: ${events(left)} left in OUTBOX`, { left });
  }
  if (lost > 0) log("error", `Stopped: ${events(lost)} lost`, { lost });
  Deno.exit(lost > 0 ? 1 : 0);
}

if (import.meta.main) {
  const service = await start();
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    // Once: a second signal ends the process at once.
    const stop = () => {
      Deno.removeSignalListener(signal, stop);
      end(service);
    };
    Deno.addSignalListener(signal, stop);
  }
}
