// The routes of the service, and what each answers.
import type {
  Blacklist,
  RecordOutcome,
  Redis,
  WebhookRecorder,
} from "@unzombie/redis";
import { blockedRoutes } from "./blocked.ts";
import { healthOf, Watch } from "./health.ts";
import { statusPage } from "./status_page.ts";
import type { Deaths } from "./status_page/deaths.ts";
import { checkToken } from "./token.ts";
import { deliveryIn, eventIn, Refusal, secondsIn, urlOf } from "./requests.ts";

/** What answers are made of. */
export interface Parts {
  readonly redis: Redis;
  readonly recorder: WebhookRecorder;
  /** Without it no shop is ever blocked. */
  readonly blacklist?: Blacklist | undefined;
  /** See `blockedRoutes`. Without it there is no status page. */
  readonly adminToken?: string | undefined;
  /** For the status page. */
  readonly deaths?: Deaths;
  readonly watch?: Watch;
}

/** Routes, by the first word of the path and by method. */
export type Routes = Record<string, Record<string, Route>>;

type Route = (
  asked: { request: Request; path: string[]; query: URLSearchParams },
) => Response | Promise<Response>;

/** Answers requests. */
export function handler(
  {
    redis,
    recorder,
    blacklist,
    adminToken,
    deaths,
    watch = new Watch(redis, recorder),
  }: Parts,
): (request: Request) => Promise<Response> {
  const routes: Routes = {
    webhooks: {
      POST: async ({ request, path }) => {
        const event = { ...eventIn(path), ...deliveryIn(request.headers) };
        return answerTo(
          blacklist === undefined
            ? { outcome: await recorder.record(event) }
            : await blacklist.record(event),
        );
      },
    },
    frequency: {
      GET: async ({ path, query }) => {
        const event = eventIn(path);
        const { windowSeconds = 60 } = secondsIn(query, "windowSeconds");
        const frequency = await recorder.frequency(event, { windowSeconds });
        return Response.json({ ...event, windowSeconds, frequency });
      },
    },
    ...(blacklist && {
      blocked: blockedRoutes(
        blacklist,
        adminToken,
        (error) =>
          watch.seldom("The list of blocked shops is cut short", error),
      ),
    }),
    ...(adminToken !== undefined && {
      status: statusRoute(
        statusPage(redis, recorder, deaths && { deaths }),
        adminToken,
      ),
    }),
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
          headers: error.scheme === undefined
            ? {}
            : { "www-authenticate": `${error.scheme} realm="webhooks"` },
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

/** The status page, for those who have the token: in a browser it is the password, with any name. */
const statusRoute = (
  page: () => Response,
  token: string,
): Record<string, Route> => ({
  GET: async ({ request, path }) => {
    if (path.length > 0) throw new Refusal(404, "no such page");
    await checkToken(request, token, ["Basic", "Bearer"]);
    return page();
  },
});

/** What became of an event. */
interface Decision {
  readonly outcome?: RecordOutcome;
  readonly isBlocked?: boolean;
  readonly retryAfterSeconds?: number;
}

const STATUS = { recorded: 200, queued: 202, dropped: 503 } as const;

function answerTo(
  { outcome, isBlocked, retryAfterSeconds }: Decision,
): Response {
  // The error has the address of Redis: it is in the log.
  const { error: _, ...known } = { error: undefined, ...outcome };
  const body = { status: "blocked", ...known, isBlocked };
  if (outcome === undefined || isBlocked) {
    return Response.json(body, {
      status: 429,
      headers: { "retry-after": `${retryAfterSeconds ?? 1}` },
    });
  }
  return Response.json(body, {
    status: STATUS[outcome.status],
    headers: outcome.status === "dropped" ? { "retry-after": "5" } : {},
  });
}
