// The clients that are compared, each with its default options, behind one interface.
import { createRequire } from "node:module";
import { Redis, WebhookRecorder } from "../../mod.ts";

/** What the load asks of a client. */
export interface LoadClient {
  /** Adds one event to a sorted set. Resolves if the client takes the event over, rejects if it gives it up. */
  record(key: string, score: number, member: string): Promise<unknown>;
  /** INCR key. */
  increment(key: string): Promise<unknown>;
  /** Waits for what the client has taken over and not sent yet. */
  flush(): Promise<void>;
  /** Closes its connections. */
  close(): unknown;
}

const ours = (url: string): LoadClient => {
  const redis = new Redis(url);
  let next: { key: string; score: number; member: string };
  const recorder = new WebhookRecorder(redis, {
    keyOf: () => next.key,
    now: () => next.score * 1000,
    newMember: () => next.member,
    onError: () => {},
  });
  const EVENT = { mallId: "peers", shopNo: 1, eventType: "orders" };
  return {
    async record(key, score, member) {
      next = { key, score, member };
      const { status, error } = await recorder.record(EVENT);
      if (status === "dropped") throw error;
    },
    increment: (key) => redis.send(["INCR", key]),
    flush: () => recorder.flush(),
    close: async () => {
      await recorder.close({ drainMs: 0 });
      await redis.close({ drainMs: 0 });
    },
  };
};

/** The peers are installed beside the programs of the benchmark. */
const require = createRequire(
  new URL("../../bench/peers/package.json", import.meta.url),
);

interface IoRedis {
  zadd(key: string, score: number, member: string): Promise<unknown>;
  incr(key: string): Promise<unknown>;
  on(event: "error", listener: () => void): void;
  disconnect(): void;
}

const ioredis = (url: string): LoadClient => {
  const { Redis } = require("ioredis") as {
    Redis: new (url: string) => IoRedis;
  };
  const redis = new Redis(url);
  redis.on("error", () => {});
  return {
    record: (key, score, member) => redis.zadd(key, score, member),
    increment: (key) => redis.incr(key),
    flush: () => Promise.resolve(),
    close: () => redis.disconnect(),
  };
};

interface NodeRedis {
  connect(): Promise<unknown>;
  sendCommand(command: string[]): Promise<unknown>;
  on(event: "error", listener: () => void): void;
  destroy(): void;
}

const nodeRedis = async (url: string): Promise<LoadClient> => {
  const { createClient } = require("redis") as {
    createClient(options: { url: string }): NodeRedis;
  };
  const redis = createClient({ url });
  redis.on("error", () => {});
  await redis.connect();
  return {
    record: (key, score, member) =>
      redis.sendCommand(["ZADD", key, `${score}`, member]),
    increment: (key) => redis.sendCommand(["INCR", key]),
    flush: () => Promise.resolve(),
    close: () => redis.destroy(),
  };
};

/** Every client by its name in the table. */
export const CLIENTS: Readonly<
  Record<string, (url: string) => LoadClient | Promise<LoadClient>>
> = { ours, ioredis, "node-redis": nodeRedis };
