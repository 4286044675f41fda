// C: a Durable Object for each mall, which has a pool of connections, and an outbox in its storage.
//
//   200  Redis has acknowledged the event
//   202  it is in the object's storage, and is sent when Redis is back
//   503  it is neither: the sender is to deliver it again
//
// All requests of an object use the same connections. An event that Redis does not
// take is durable before its request is answered. An object without requests is
// evicted, and a class has no way to notice its end: the alarm wakes it, and it sends
// what is stored.
import { Redis, WebhookRecorder } from "@unzombie/redis";
import { DurableObjectOutbox } from "@unzombie/redis/outbox/durable-object";
import { eventIn } from "./event.ts";
import type { DurableObjectNamespace, DurableObjectState } from "./platform.ts";

interface Env {
  /** `npx wrangler secret put REDIS_URL -c durable_object.jsonc` */
  readonly REDIS_URL: string;
  readonly WEBHOOKS: DurableObjectNamespace;
}

/** When the alarm looks after what is queued, in milliseconds. */
const ALARM_MS = 5000;

const ANSWERS = {
  recorded: { status: 200, text: "recorded\n" },
  queued: { status: 202, text: "queued\n" },
  dropped: { status: 503, text: "not recorded, deliver it again\n" },
};

export class Webhooks {
  readonly #storage: DurableObjectState["storage"];
  readonly #recorder: WebhookRecorder;

  constructor({ storage }: DurableObjectState, env: Env) {
    this.#storage = storage;
    const redis = new Redis(env.REDIS_URL, {
      maxConnections: 4, // of the six that may be dialed at once
      connectTimeoutMs: 2000,
      replyTimeoutMs: 2000,
      idleTimeoutMs: 10_000, // an open connection keeps the object in memory, which is billed
    });
    this.#recorder = new WebhookRecorder(redis, {
      outbox: new DurableObjectOutbox(storage), // begins to send what is stored
      deadlineMs: 2000,
      retentionSeconds: 7 * 24 * 3600,
      onError: (error) => console.error(`${error}`),
    });
  }

  async fetch(request: Request): Promise<Response> {
    const event = eventIn(request);
    if (event instanceof Response) return event;
    const outcome = await this.#recorder.record(event);
    if (outcome.status === "queued") await this.#wakeLater();
    const { status, text } = ANSWERS[outcome.status];
    return new Response(text, { status });
  }

  async alarm(): Promise<void> {
    try {
      await this.#recorder.flush({ signal: AbortSignal.timeout(ALARM_MS) });
    } catch { // the time is up, and Redis still away
      await this.#wakeLater();
    }
  }

  /** Once, not again with each event: the alarm would never be due. */
  async #wakeLater(): Promise<void> {
    if (await this.#storage.getAlarm() !== null) return;
    await this.#storage.setAlarm(Date.now() + ALARM_MS);
  }
}

export default {
  async fetch(request: Request, env: Env): Promise<Response> {
    const event = eventIn(request);
    if (event instanceof Response) return event;
    // An object is one thread in one place, so each mall has its own.
    const id = env.WEBHOOKS.idFromName(event.mallId);
    return await env.WEBHOOKS.get(id).fetch(request);
  },
};
