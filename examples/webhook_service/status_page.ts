/**
 * A page that shows how a client and a recorder stand: servers, connections, the
 * outbox, the rate of events, and why connections have ended. It refreshes itself.
 *
 * `/healthz` of the example service is for machines; this is for a person at 3 am.
 * The page has addresses and texts of errors (never a password): show it to those
 * alone who run the service.
 *
 * ```ts ignore
 * const deaths = new Deaths();
 * const redis = new Redis(url, { postMortem: true, ...deaths.options });
 * const recorder = new WebhookRecorder(redis);
 * const page = statusPage(redis, recorder, { deaths });
 * Deno.serve({ hostname: "127.0.0.1", port: 8001 }, () => page());
 * ```
 *
 * @module
 */
import type { Redis, WebhookRecorder } from "@unzombie/redis";
import type { Deaths } from "./status_page/deaths.ts";
import { render } from "./status_page/render.ts";
import { Rates } from "./status_page/rates.ts";

export { Deaths } from "./status_page/deaths.ts";

/** Options of {@linkcode statusPage}. */
export interface StatusPageOptions {
  /** Connections that have ended. Without it there is the last one alone. */
  readonly deaths?: Deaths;
  /** How often the page refreshes itself, in seconds. @default {5} */
  readonly refreshSeconds?: number;
}

/**
 * Makes the page of a client and its recorder.
 *
 * @param redis The client.
 * @param recorder The recorder.
 * @param options See {@linkcode StatusPageOptions}.
 * @returns Answers with the page as it is now.
 */
export function statusPage(
  redis: Redis,
  recorder: WebhookRecorder,
  { deaths, refreshSeconds = 5 }: StatusPageOptions = {},
): () => Response {
  const rates = new Rates();
  return () => {
    const now = Date.now();
    const [client, events] = [redis.stats(), recorder.stats()];
    const { hostname, port } = redis.origin;
    const page = render({
      now,
      refreshSeconds,
      endpoint: port === 0 ? "a Unix socket" : `${hostname}:${port}`,
      client,
      events,
      perMinute: rates.perMinute(events, now),
      deaths: deaths?.last ?? (client.lastClose === undefined ? [] : [{
        report: client.lastClose,
        verdict: client.lastVerdict?.report === client.lastClose
          ? client.lastVerdict
          : undefined,
      }]),
    });
    return new Response(page, {
      headers: {
        "content-type": "text/html; charset=utf-8",
        "cache-control": "no-store",
        "content-security-policy":
          "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'; img-src data:",
      },
    });
  };
}
