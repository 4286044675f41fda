// A: a client for each request. The simplest Worker that records webhooks in Redis.
//
//   200  Redis has acknowledged the event
//   503  it has not: the sender is to deliver it again, with the same id
//
// A request does not live long after its answer, so nothing is queued in it: what
// would be lost with the request is the sender's to send again. Each request dials,
// which takes two round trips to Redis, with TLS three or four.
import { Redis, WebhookRecorder } from "@unzombie/redis";
import { eventIn } from "./event.ts";
import type { ExecutionContext } from "./platform.ts";

interface Env {
  /** `npx wrangler secret put REDIS_URL -c per_request.jsonc` */
  readonly REDIS_URL: string;
}

export default {
  async fetch(
    request: Request,
    env: Env,
    ctx: ExecutionContext,
  ): Promise<Response> {
    const event = eventIn(request);
    if (event instanceof Response) return event;
    const redis = new Redis(env.REDIS_URL, {
      maxConnections: 1,
      connectTimeoutMs: 2000,
      replyTimeoutMs: 2000,
    });
    const recorder = new WebhookRecorder(redis, {
      outboxCapacity: 0, // recorded or not, never "queued"
      deadlineMs: 5000,
      retentionSeconds: 7 * 24 * 3600,
      onError: (error) => console.error(`${error}`),
    });
    const { status } = await recorder.record(event);
    // Trims the set and closes the connection, while the answer is on its way.
    ctx.waitUntil(recorder.close().then(() => redis.close()));
    return status === "recorded"
      ? new Response("recorded\n")
      : new Response("not recorded, deliver it again\n", {
        status: 503,
        headers: { "retry-after": "10" },
      });
  },
};
