// That the README's table of what happens when a connection dies is true, cell by cell.
import "./support/strict.ts";
import { assertEquals, assertGreater, assertLess } from "@std/assert";
import { delay } from "@std/async/delay";
import { fateOf, Redis, WebhookRecorder } from "../mod.ts";
import { type FaultProxy, startProxy } from "./support/fault_proxy.ts";
import { type RedisServer, startRedis } from "./support/redis_server.ts";

/** The columns of the table, each by one call. */
const CALLS = {
  /** A command that is harmless twice. */
  SET: async (redis: Redis) => `${await redis.send(["SET", "key", "value"])}`,
  /** One that is not. */
  INCR: async (redis: Redis) => `${await redis.send(["INCR", "counter"])}`,
  "record()": async (redis: Redis) => {
    await using recorder = new WebhookRecorder(redis, { onError: () => {} });
    const event = { mallId: "readme", shopNo: 1, eventType: "orders" };
    const { status } = await recorder.record(event);
    await recorder.close({ drainMs: 0 });
    return status;
  },
} satisfies Record<string, (redis: Redis) => Promise<string>>;

/** The waits that the table names, in milliseconds. */
const REPLY_TIMEOUT_MS = 400;
const WAITS = {
  // Less than any other; what is beyond these limits is for busy machines.
  none: { least: 0, most: 340 },
  replyTimeout: { least: REPLY_TIMEOUT_MS, most: REPLY_TIMEOUT_MS + 1000 },
  // At most 100, 200 and 400 ms, and with jitter at least the half of each.
  retries: { least: 350, most: 2000 },
};

interface Situation {
  readonly name: string;
  /** Breaks the open connection of a client. */
  readonly breakIt: (proxy: FaultProxy, server: RedisServer) => Promise<void>;
  readonly wait: keyof typeof WAITS;
  readonly outcomes: Readonly<Record<keyof typeof CALLS, string>>;
}

const SITUATIONS: readonly Situation[] = [
  {
    name: "closed while idle",
    breakIt: async (proxy) => {
      await proxy.killAll("fin");
      await delay(30); // the client reads the close
    },
    wait: "none",
    outcomes: { SET: "OK", INCR: "1", "record()": "recorded" },
  },
  {
    name: "closed while the reply is awaited",
    breakIt: (proxy) =>
      Promise.resolve(proxy.cut(0, { by: "fin", scope: "open" })),
    wait: "none",
    outcomes: { SET: "OK", INCR: "unknown", "record()": "recorded" },
  },
  {
    name: "silent, no close seen",
    breakIt: (proxy) => Promise.resolve(proxy.silence({ scope: "open" })),
    wait: "replyTimeout",
    outcomes: { SET: "OK", INCR: "unknown", "record()": "recorded" },
  },
  {
    name: "server away",
    breakIt: async (proxy) => {
      await proxy.refuse();
      await proxy.killAll("fin");
      await delay(30);
    },
    wait: "retries",
    outcomes: { SET: "unsent", INCR: "unsent", "record()": "queued" },
  },
  {
    name: "server refuses for now",
    breakIt: async (_, server) => {
      await server.cli("CONFIG", "SET", "busy-reply-threshold", 10);
      server.cli("EVAL", "while true do end", 0).catch(() => {});
      await delay(100);
    },
    wait: "retries",
    outcomes: { SET: "unsent", INCR: "unsent", "record()": "queued" },
  },
];

for (const { name, breakIt, wait, outcomes } of SITUATIONS) {
  for (const [call, expected] of Object.entries(outcomes)) {
    Deno.test(`README, ${name}: ${call} comes to ${expected}, with the wait that it says`, async () => {
      await using server = await startRedis();
      await using proxy = await startProxy({ target: server });
      const redis = new Redis(proxy.url, { replyTimeoutMs: REPLY_TIMEOUT_MS });
      await redis.send(["PING"]);
      await breakIt(proxy, server);
      const startedAt = performance.now();
      const outcome = await CALLS[call as keyof typeof CALLS](redis)
        .catch(fateOf);
      const tookMs = performance.now() - startedAt;
      await redis.close({ drainMs: 0 });
      assertEquals(outcome, expected);
      assertGreater(tookMs, WAITS[wait].least);
      assertLess(tookMs, WAITS[wait].most);
    });
  }
}
