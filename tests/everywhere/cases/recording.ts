// Events under kills and an outage: each is in its set once, and what was answered is true.
import { assert, assertEquals, assertInstanceOf } from "@std/assert";
import { delay } from "@std/async/delay";
import {
  Blacklist,
  type RecorderOptions,
  type RecordOutcome,
  Redis,
  WebhookRecorder,
} from "../../../mod.ts";
import type { Cases } from "../env.ts";
import { errorOf, until, withClient } from "./helpers.ts";

/** Runs with a recorder that is closed afterwards. */
async function withRecorder(
  url: string,
  options: RecorderOptions,
  run: (recorder: WebhookRecorder, redis: Redis) => Promise<void>,
): Promise<void> {
  await withClient(url, {}, async (redis) => {
    const recorder = new WebhookRecorder(redis, {
      onError: () => {},
      ...options,
    });
    try {
      await run(recorder, redis);
    } finally {
      await recorder.close({ drainMs: 0 });
    }
  });
}

/** Records so many events, each with a delivery of its own, some at a time, for at least so long. */
async function load(
  recorder: WebhookRecorder,
  event: { mallId: string; shopNo: number; eventType: string },
  events: number,
  overMs: number,
): Promise<RecordOutcome[]> {
  const outcomes: RecordOutcome[] = [];
  const atOnce = 10;
  for (let i = 0; i < events; i += atOnce) {
    outcomes.push(
      ...await Promise.all(
        Array.from(
          { length: atOnce },
          (_, n) => recorder.record({ ...event, deliveryId: `${i + n}` }),
        ),
      ),
    );
    await delay(overMs * atOnce / events);
  }
  return outcomes;
}

const countOf = (outcomes: RecordOutcome[], status: string): number =>
  outcomes.filter((outcome) => outcome.status === status).length;

export const recording: Cases = {
  "Events are recorded under kill after kill, each once": async (env) => {
    const server = await env.make("server", { durable: true });
    const proxy = await env.make("proxy", server);
    const event = { mallId: "kills", shopNo: 1, eventType: "orders" };
    await withRecorder(proxy.url, {}, async (recorder) => {
      let isOver = false;
      const killing = (async () => {
        for (let i = 0; !isOver; i++) {
          if (i % 3 === 0) await server.cli("CLIENT", "KILL", "TYPE", "normal");
          else await proxy.killAll(i % 3 === 1 ? "fin" : "rst");
          await delay(40);
        }
      })();
      const outcomes = await load(recorder, event, 200, 600)
        .finally(() => isOver = true);
      await killing;
      await recorder.flush();
      assertEquals(countOf(outcomes, "dropped"), 0);
      const key = "webhook_frequency_kills_1_orders";
      assertEquals(await server.cli("ZCARD", key), "200");
    });
  },

  "Events of an outage are queued, and each is there once afterwards": async (
    env,
  ) => {
    const server = await env.make("server", { durable: true });
    const event = { mallId: "outage", shopNo: 1, eventType: "orders" };
    const options = { deadlineMs: 200 };
    await withRecorder(server.url, options, async (recorder) => {
      const outcomes: RecordOutcome[] = [];
      let isOver = false;
      let deliveries = 0;
      const loadOne = async () => {
        while (!isOver) {
          const deliveryId = `${deliveries++}`;
          outcomes.push(await recorder.record({ ...event, deliveryId }));
          await delay(40);
        }
      };
      const loading = Promise.all(Array.from({ length: 10 }, loadOne));
      const another = async (status: RecordOutcome["status"]) => {
        const before = countOf(outcomes, status);
        await until(() => countOf(outcomes, status) > before);
      };
      try {
        await another("recorded");
        await server.kill();
        await another("queued");
        await server.start();
        await another("recorded");
      } finally {
        isOver = true;
        await loading;
      }
      await recorder.flush();
      assertEquals(recorder.pending, 0);
      assertEquals(countOf(outcomes, "dropped"), 0);
      const key = "webhook_frequency_outage_1_orders";
      assertEquals(await server.cli("ZCARD", key), `${deliveries}`);
    });
  },

  "Silence costs no event, and doubles none": async (env) => {
    const server = await env.make("server", { durable: true });
    const proxy = await env.make("proxy", server);
    const event = { mallId: "silence", shopNo: 1, eventType: "orders" };
    const redis = new Redis(proxy.url, { replyTimeoutMs: 300 });
    const recorder = new WebhookRecorder(redis);
    const silence = (async () => {
      await delay(100);
      await proxy.silence({ scope: "open" });
    })();
    // No deliveries: a second write of an event would be another member.
    const outcomes: RecordOutcome[] = [];
    for (let i = 0; i < 100; i++) {
      outcomes.push(
        ...await Promise.all([
          recorder.record(event),
          recorder.record(event),
        ]),
      );
      await delay(5);
    }
    await silence;
    await recorder.close();
    await redis.close();
    assertEquals(countOf(outcomes, "dropped"), 0);
    const key = "webhook_frequency_silence_1_orders";
    assertEquals(await server.cli("ZCARD", key), "200");
  },

  "Closing sends what is queued": async (env) => {
    const server = await env.make("server", { durable: true });
    const proxy = await env.make("proxy", server);
    const event = { mallId: "close", shopNo: 1, eventType: "orders" };
    const redis = new Redis(proxy.url, { retry: false });
    const recorder = new WebhookRecorder(redis, { onError: () => {} });
    await proxy.refuse();
    const outcomes = await load(recorder, event, 20, 10);
    assertEquals(countOf(outcomes, "queued"), 20);
    await proxy.accept();
    await recorder.close();
    await redis.close();
    const key = "webhook_frequency_close_1_orders";
    assertEquals(await server.cli("ZCARD", key), "20");
  },

  "An event is counted in its window, once for each delivery": async (env) => {
    const { url } = await env.make("sharedServer");
    const event = { mallId: env.prefix, shopNo: 1, eventType: "orders" };
    const options = { windowSeconds: 60, retentionSeconds: 3600 };
    await withRecorder(url, options, async (recorder, redis) => {
      const outcomes = [];
      for (const deliveryId of ["a", "a", "b"]) {
        outcomes.push(await recorder.record({ ...event, deliveryId }));
      }
      assertEquals(
        outcomes.map((o) =>
          o.status === "recorded" ? [o.isNew, o.frequency] : o.status
        ),
        [[true, 1], [false, 1], [true, 2]],
      );
      await recorder.record(
        { ...event, receivedAt: Date.now() - 120_000 },
        3,
      );
      assertEquals(await recorder.frequency(event, { windowSeconds: 60 }), 2);
      const key = `webhook_frequency_${env.prefix}_1_orders`;
      assertEquals(await redis.send(["ZCARD", key]), 5);
      assert(Number(await redis.send(["TTL", key])) > 3000);
    });
  },

  "A shop that sends too much is blocked, and let through by hand": async (
    env,
  ) => {
    const { url } = await env.make("sharedServer");
    await withRecorder(url, {}, async (recorder) => {
      const blacklist = new Blacklist(recorder, {
        limit: 2,
        windowSeconds: 60,
        blockSeconds: 600,
      });
      const shop = { mallId: env.prefix, shopNo: 2 };
      const blocked: boolean[] = [];
      for (let i = 0; i < 4; i++) {
        const { isBlocked } = await blacklist.record({
          ...shop,
          eventType: "orders",
        });
        blocked.push(isBlocked);
      }
      assertEquals(blocked, [false, false, true, true]);
      await blacklist.unblock(shop);
      await until(async () => !await blacklist.isBlocked(shop), "let through");
    });
  },

  "An event that is none is refused at once": async (env) => {
    const { url } = await env.make("sharedServer");
    await withRecorder(url, {}, async (recorder) => {
      const error = await errorOf(
        recorder.record({ mallId: "", shopNo: 1, eventType: "orders" }),
      );
      assertInstanceOf(error, TypeError);
    });
  },
};
