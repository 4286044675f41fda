// A webhook service: counts what it receives in Redis, and answers at once, whether Redis can be reached or not.
//
//   POST /webhooks/:mallId/:shopNo/:eventType                    200 recorded, 202 queued, 503 dropped
//   GET  /frequency/:mallId/:shopNo/:eventType?windowSeconds=60  how many lately
//   GET  /healthz                                                200, or 503 while the server of its own key does not answer
//
// REDIS_URL says where Redis is, PORT where to listen (8000): one server, a cluster
// (rediss://…?cluster=true) or what Sentinels name (redis://…?sentinel=name).
// With --allow-net=… every node must be in the list. This file is a
// whole entry point, on Deno Deploy, too. Copy it and add the module:
//
//   deno add jsr:@unzombie/redis
//   REDIS_URL=rediss://… deno run --allow-net --allow-env=REDIS_URL,PORT webhook_service.ts
//
// The log has a line of JSON when Redis goes away and one when it is back, none
// for each event. SIGTERM and SIGINT end the service within 5 seconds; the exit
// code is 1 if that loses events.
import {
  DialError,
  ExponentialBackoff,
  type RecordErrorInfo,
  type RecorderStats,
  Redis,
  ReplyError,
  Retry,
  type WebhookEvent,
  WebhookRecorder,
} from "@unzombie/redis";
import { SocketError } from "@unzombie/redis/pool";

/** How long the end may take, in milliseconds: Deno Deploy kills after 5 seconds. */
const STOP_MS = { requests: 1000, outbox: 3000, client: 500 };
/** How long an answer about the health of Redis is used, in milliseconds. */
const HEALTH_MS = 1000;
/** Lines of one kind are at least this far apart, in milliseconds. */
const QUIET_MS = 60_000;

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

/**
 * Starts the service.
 *
 * @param options `redisUrl`: see `Redis`. `port`: 0 for a free one.
 */
export function startService(
  options: { redisUrl?: string | undefined; port: number },
): Service {
  const redis = new Redis(options.redisUrl, {
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
      port: options.port,
      onListen: ({ port }) => log("info", `Listening on port ${port}`),
    },
    handler(redis, recorder, watch),
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

/** Whether events can be recorded, and what the log says of it. */
export class Watch {
  readonly #redis: Redis;
  readonly #recorder: WebhookRecorder;
  readonly #quietUntil = new Map<string, number>();
  #health: { isGood: Promise<boolean>; askedAt: number } | undefined;
  #outage: { since: number; before: RecorderStats } | undefined;
  #timer: ReturnType<typeof setInterval> | undefined;

  constructor(redis: Redis, recorder: WebhookRecorder) {
    this.#redis = redis;
    this.#recorder = recorder;
  }

  /** Reports an event that is not recorded at once, or a set that cannot be trimmed. */
  report(error: unknown, { status, context }: RecordErrorInfo): void {
    const stats = this.#recorder.stats();
    if (status === "recorded") {
      return this.seldom("Cannot trim a set", error);
    }
    if (stats.reason === undefined && this.#outage === undefined) {
      return this.seldom("An event is lost", error); // this one alone
    }
    stats[status] -= context.count; // as it was before
    this.#begin(stats.reason ?? textOf(error), stats);
  }

  /** Logs what may happen many times: once a minute for each kind. */
  seldom(what: string, error: unknown): void {
    const now = performance.now();
    if (now < (this.#quietUntil.get(what) ?? 0)) return;
    this.#quietUntil.set(what, now + QUIET_MS);
    log("error", `${what}: ${textOf(error)}`);
  }

  /** Whether an event could be recorded now. */
  canRecord(): Promise<boolean> {
    const now = performance.now();
    if (this.#health === undefined || now - this.#health.askedAt > HEALTH_MS) {
      this.#health = { isGood: this.#ask(), askedAt: now };
    }
    return this.#health.isGood;
  }

  /** Logs nothing any more. */
  stop(): void {
    clearInterval(this.#timer);
  }

  /** Writes as an event would be written, but with XX, which adds no member. */
  async #ask(): Promise<boolean> {
    const key = "webhook_frequency_healthz_0_none";
    try {
      await this.#redis.send(["ZADD", key, "XX", 0, "none"], {
        retry: false,
        deadlineMs: 1000,
      });
      return true;
    } catch (error) {
      const stats = this.#recorder.stats();
      this.#begin(
        stats.reason ?? `Redis cannot be used: ${textOf(error)}`,
        stats,
      );
      return false;
    }
  }

  #begin(reason: string, before: RecorderStats): void {
    if (this.#outage !== undefined) return;
    this.#outage = { since: Date.now(), before };
    log("error", reason);
    this.#timer = setInterval(() => this.#checkForEnd(), HEALTH_MS / 2);
  }

  async #checkForEnd(): Promise<void> {
    if (this.#recorder.pending > 0 || !await this.canRecord()) return;
    if (this.#outage === undefined) return; // by an earlier check
    const { since, before } = this.#outage;
    const { queued, sent, dropped } = this.#recorder.stats();
    this.#outage = undefined;
    clearInterval(this.#timer);
    const seconds = ((Date.now() - since) / 1000).toFixed(1);
    log("info", `Redis is back after ${seconds} s`, {
      queued: queued - before.queued,
      sent: sent - before.sent,
      lost: dropped - before.dropped,
    });
  }
}

function log(
  level: "info" | "error",
  message: string,
  more: Record<string, unknown> = {},
): void {
  const time = new Date().toISOString();
  const line = JSON.stringify({ time, level, message, ...more });
  if (level === "error") console.error(line);
  else console.log(line);
}

const textOf = (error: unknown): string =>
  error instanceof Error ? error.message : String(error);

/** Answers requests. */
export function handler(
  redis: Redis,
  recorder: WebhookRecorder,
  watch: Watch = new Watch(redis, recorder),
): (request: Request) => Promise<Response> {
  const routes: Record<string, Partial<Record<string, Route>>> = {
    webhooks: {
      POST: async ({ request, path }) => {
        const event = { ...eventIn(path), ...deliveryIn(request.headers) };
        const { status, count } = await recorder.record(event);
        return Response.json({ status, count }, {
          status: STATUS[status],
          headers: status === "dropped" ? { "retry-after": "5" } : {},
        });
      },
    },
    frequency: {
      GET: async ({ path, query }) => {
        const event = eventIn(path);
        const windowSeconds = windowIn(query);
        const options = { windowSeconds };
        const frequency = await recorder.frequency(event, options);
        return Response.json({ ...event, windowSeconds, frequency });
      },
    },
    healthz: {
      GET: async ({ path }) => {
        if (path.length > 0) throw new Refusal(404, "no such page");
        const isGood = await watch.canRecord();
        const body = healthOf(redis, recorder, isGood);
        return Response.json(body, { status: isGood ? 200 : 503 });
      },
    },
  };

  return async (request) => {
    // Only the request itself counts: its body, however large or slow, is not read.
    request.body?.cancel().catch(() => {});
    try {
      const { pathname, searchParams } = urlOf(request);
      const [, name = "", ...path] = pathname.split("/");
      const methods = Object.hasOwn(routes, name) ? routes[name] : undefined;
      if (methods === undefined) throw new Refusal(404, "no such page");
      const route = Object.hasOwn(methods, request.method)
        ? methods[request.method]
        : undefined;
      if (route !== undefined) {
        return await route({ request, path, query: searchParams });
      }
      const allowed = Object.keys(methods).join(", ");
      return Response.json({
        error: `Cannot ${request.method} here: expected ${allowed}`,
      }, { status: 405, headers: { allow: allowed } });
    } catch (error) {
      if (error instanceof Refusal) {
        return Response.json({ error: error.message }, {
          status: error.status,
        });
      }
      // Details go to the log, not to the sender.
      watch.seldom("Cannot answer a request", error);
      return Response.json({ error: "Cannot answer now" }, {
        status: 503,
        headers: { "retry-after": "5" },
      });
    }
  };
}

/** What anybody may see: numbers and kinds of errors, no addresses. */
function healthOf(redis: Redis, recorder: WebhookRecorder, isGood: boolean) {
  const { lastDialError, awaySince, ...stats } = redis.stats();
  const { pending, capacity, recorded, queued, sent, dropped, ...state } =
    recorder.stats();
  const since = state.awaySince ?? awaySince;
  return {
    status: isGood ? "ok" : "unavailable",
    awaySince: since === undefined ? null : new Date(since).toISOString(),
    lastDialError: kindOf(lastDialError) ?? null,
    pending,
    capacity,
    recorded,
    queued,
    sent,
    lost: dropped,
    redis: Object.fromEntries(
      Object.entries(stats).filter(([, value]) => typeof value === "number"),
    ),
  };
}

/** The kind of an error. Its text is left out: it holds the address of Redis. */
function kindOf(error: unknown): string | undefined {
  if (!(error instanceof Error)) return undefined;
  const { cause } = error;
  const kind = cause instanceof ReplyError
    ? cause.code
    : cause instanceof SocketError
    ? cause.how
    : cause instanceof Error
    ? cause.name
    : error.name;
  return error instanceof DialError ? `${error.phase}: ${kind}` : kind;
}

/** Characters that end the host of a URL: a Host header with one of them would change the path. */
const NO_HOST = /[/?#@\\]/;

function urlOf(request: Request): URL {
  try {
    if (NO_HOST.test(request.headers.get("host") ?? "")) throw new TypeError();
    return new URL(request.url);
  } catch {
    throw new Refusal(400, "the Host header or the path makes no URL");
  }
}

type Route = (
  asked: { request: Request; path: string[]; query: URLSearchParams },
) => Response | Promise<Response>;

const STATUS = { recorded: 200, queued: 202, dropped: 503 } as const;

class Refusal extends Error {
  constructor(readonly status: 400 | 404, message: string) {
    super(message);
  }
}

/** The sender chooses these, and they become a key: short and plain, and no `_`, by which two keys could be the same. */
function eventIn(path: readonly string[]): WebhookEvent {
  if (path.length !== 3) {
    throw new Refusal(404, "no such page, expected /mallId/shopNo/eventType");
  }
  const [mallId, shopNo, eventType] = path.map(decoded) as Triple;
  return {
    mallId: matching(
      "mallId",
      mallId,
      /^[A-Za-z0-9.-]{1,64}$/,
      "1 to 64 of A-Z a-z 0-9 . -",
    ),
    shopNo: Number(
      matching("shopNo", shopNo, /^\d{1,9}$/, "a whole number of 0 or more"),
    ),
    eventType: matching(
      "eventType",
      eventType,
      /^[\w./:-]{1,64}$/,
      "1 to 64 of A-Z a-z 0-9 _ . / : -",
    ),
  };
}

type Triple = [mallId: string, shopNo: string, eventType: string];

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text; // with its %, which is refused
  }
}

/** The id that the sender repeats when it delivers again, so that it counts once. */
function deliveryIn(headers: Headers): { deliveryId?: string } {
  for (const name of ["Idempotency-Key", "X-Webhook-Id"]) {
    const id = headers.get(name);
    if (id === null) continue;
    const expected = "1 to 200 printable ASCII characters";
    return { deliveryId: matching(name, id, /^[!-~]{1,200}$/, expected) };
  }
  return {};
}

function windowIn(query: URLSearchParams): number {
  const text = query.get("windowSeconds") ?? "60";
  const expected = "a whole number from 1 to 999999999";
  return Number(matching("windowSeconds", text, /^[1-9]\d{0,8}$/, expected));
}

function matching(
  name: string,
  text: string,
  pattern: RegExp,
  expected: string,
): string {
  if (pattern.test(text)) return text;
  const shown = JSON.stringify(text.slice(0, 80));
  throw new Refusal(
    400,
    `Cannot use ${name}: it is ${shown}, expected ${expected}`,
  );
}

function portOf(text: string): number {
  const port = Number(text);
  if (Number.isInteger(port) && port >= 0 && port <= 65_535) return port;
  console.error(
    `Cannot use PORT: it is ${JSON.stringify(text)}, expected 0 to 65535`,
  );
  Deno.exit(2);
}

function start(): Service {
  try {
    return startService({
      redisUrl: Deno.env.get("REDIS_URL"),
      port: portOf(Deno.env.get("PORT") || "8000"),
    });
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    console.error(`Cannot start with this REDIS_URL: ${error.message}`);
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
