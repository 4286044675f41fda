// The subscriber of node-redis.

import { work } from "../pubsub/worker.ts";

/** The part of node-redis that is used, so that checking needs no install. */
interface NodeRedis {
  connect(): Promise<unknown>;
  subscribe(channels: string[], listener: () => void): Promise<unknown>;
  destroy(): void;
}

const library = "redis";
const { createClient } = await import(library) as {
  createClient(options: unknown): NodeRedis;
};

await work(async ({ url }, channels, onMessage) => {
  const redis = createClient({ url });
  await redis.connect();
  await redis.subscribe(channels, onMessage);
  return () => redis.destroy();
});
