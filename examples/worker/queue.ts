// B: a queue in front of Redis. A webhook is answered once the queue has it, and a consumer records it.
//
//   202  the queue has the event, and delivers it until it is recorded
//   500  it has not: the sender is to deliver it again
//
// The queue delivers at least once, and an event counts once: its members are made of
// the id that its sender repeats or, without one, of that of its message. It keeps the
// time at which it came, however late it is recorded.
import { Redis, type WebhookEvent, WebhookRecorder } from "@unzombie/redis";
import { eventIn } from "./event.ts";
import type { MessageBatch, Queue } from "./platform.ts";

interface Env {
  /** `npx wrangler secret put REDIS_URL -c queue.jsonc` */
  readonly REDIS_URL: string;
  readonly EVENTS: Queue<WebhookEvent>;
}

export default {
  async fetch(request: Request, env: Env): Promise<Response> {
    const event = eventIn(request);
    if (event instanceof Response) return event;
    await env.EVENTS.send(event);
    return new Response("accepted\n", { status: 202 });
  },

  async queue(batch: MessageBatch<WebhookEvent>, env: Env): Promise<void> {
    // One client for the batch: a batch is one request.
    const redis = new Redis(env.REDIS_URL, { maxConnections: 1 });
    const recorder = new WebhookRecorder(redis, {
      outboxCapacity: 0, // what is not recorded stays in the queue
      deadlineMs: 10_000,
      retentionSeconds: 7 * 24 * 3600,
      onError: (error) => console.error(`${error}`),
    });
    await Promise.all(batch.messages.map(async (message) => {
      const { body, id, timestamp } = message;
      try {
        const { status } = await recorder.record({
          deliveryId: id,
          ...body,
          receivedAt: timestamp.getTime(),
        });
        if (status === "recorded") return message.ack();
      } catch (error) { // no event: after its retries it goes to the dead letters
        console.error(`${error}`);
      }
      message.retry({ delaySeconds: 10 });
    }));
    await recorder.close();
    await redis.close();
  },
};
