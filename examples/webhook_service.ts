// A webhook service: counts deliveries in Redis and answers at once, whether Redis is there or not.
//
//   POST /webhooks/:mallId/:shopNo/:eventType                    200 recorded, 202 queued, 503 not taken
//   GET  /frequency/:mallId/:shopNo/:eventType?windowSeconds=60  how many lately
//   GET  /healthz                                                what the pool does and the outbox holds
//
// REDIS_URL says where Redis is, PORT where to listen (8000). On Deno Deploy
// this file is the entry point as it stands:
//
//   REDIS_URL=rediss://… deno run --allow-net --allow-env=REDIS_URL,PORT webhook_service.ts
import {
  ExponentialBackoff,
  Redis,
  Retry,
  type WebhookEvent,
  WebhookRecorder,
} from "@unzombie/redis";

/** A running service. */
export interface Service {
  readonly port: number;
  /** Takes no more requests, finishes those under way, sends what is queued, and closes. */
  stop(): Promise<void>;
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
    onError: (error, { context, tags }) =>
      console.error(JSON.stringify({ error: `${error}`, ...context, ...tags })),
  });
  const server = Deno.serve(
    {
      port: options.port,
      onListen: ({ port }) => console.log(`Listening on port ${port}`),
    },
    handler(redis, recorder),
  );
  return {
    port: server.addr.port,
    async stop() {
      await server.shutdown();
      await recorder[Symbol.asyncDispose]();
      await redis.close();
    },
  };
}

/** Answers requests. */
export function handler(
  redis: Redis,
  recorder: WebhookRecorder,
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
      GET: ({ path }) => {
        if (path.length > 0) throw new Refusal(404, "no such page");
        const { pending } = recorder;
        return Response.json({ status: "ok", pending, redis: redis.stats() });
      },
    },
  };

  return async (request) => {
    // What counts is that it came: the body, however large, is not read.
    await request.body?.cancel();
    const { pathname, searchParams } = new URL(request.url);
    const [, name = "", ...path] = pathname.split("/");
    try {
      const methods = Object.hasOwn(routes, name) ? routes[name] : undefined;
      if (methods === undefined) throw new Refusal(404, "no such page");
      const route = methods[request.method];
      if (route !== undefined) {
        return await route({ request, path, query: searchParams });
      }
      const allowed = Object.keys(methods).join(", ");
      return Response.json({
        error: `Cannot ${request.method} here: allowed is ${allowed}`,
      }, { status: 405, headers: { allow: allowed } });
    } catch (error) {
      if (error instanceof Refusal) {
        return Response.json({ error: error.message }, {
          status: error.status,
        });
      }
      // Details are for the log, not for strangers.
      console.error(JSON.stringify({ error: `${error}`, path: pathname }));
      return Response.json({ error: "Cannot answer now" }, {
        status: 503,
        headers: { "retry-after": "5" },
      });
    }
  };
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

/** Strangers choose these, and each makes a key: short, plain, and no `_` by which two keys could meet. */
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
    return text; // its % is then refused
  }
}

/** The id that the sender repeats when it delivers again, so that it counts once. */
function deliveryIn(headers: Headers): { deliveryId?: string } {
  for (const name of ["Idempotency-Key", "X-Webhook-Id"]) {
    const id = headers.get(name);
    if (id === null) continue;
    const accepted = "1 to 200 printable ASCII characters";
    return { deliveryId: matching(name, id, /^[!-~]{1,200}$/, accepted) };
  }
  return {};
}

function windowIn(query: URLSearchParams): number {
  const text = query.get("windowSeconds") ?? "60";
  const accepted = "a whole number from 1 to 999999999";
  return Number(matching("windowSeconds", text, /^[1-9]\d{0,8}$/, accepted));
}

function matching(
  name: string,
  text: string,
  pattern: RegExp,
  accepted: string,
): string {
  if (pattern.test(text)) return text;
  const shown = JSON.stringify(text.slice(0, 80));
  throw new Refusal(
    400,
    `Cannot use ${name}: it is ${shown}, accepted is ${accepted}`,
  );
}

function portOf(text: string): number {
  const port = Number(text);
  if (Number.isInteger(port) && port >= 0 && port <= 65_535) return port;
  console.error(
    `Cannot use PORT: it is ${JSON.stringify(text)}, accepted is 0 to 65535`,
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
      await service.stop();
      Deno.exit(0);
    };
    Deno.addSignalListener(signal, stop);
  }
}
