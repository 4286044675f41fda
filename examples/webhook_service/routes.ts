// The routes of the service, and what each answers.
import type { Redis, WebhookRecorder } from "@unzombie/redis";
import { healthOf, Watch } from "./health.ts";
import { deliveryIn, eventIn, Refusal, urlOf, windowIn } from "./requests.ts";

/** What answers are made of. */
export interface Parts {
  readonly redis: Redis;
  readonly recorder: WebhookRecorder;
  readonly watch?: Watch;
}

/** Answers requests. */
export function handler(
  { redis, recorder, watch = new Watch(redis, recorder) }: Parts,
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

type Route = (
  asked: { request: Request; path: string[]; query: URLSearchParams },
) => Response | Promise<Response>;

const STATUS = { recorded: 200, queued: 202, dropped: 503 } as const;
