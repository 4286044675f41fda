// The subscriber of ioredis.

import { work } from "../pubsub/worker.ts";

/** The part of ioredis that is used, so that checking needs no install. */
interface IoRedis {
  subscribe(...channels: string[]): Promise<unknown>;
  on(event: "message", listener: () => void): void;
  disconnect(): void;
}

const library = "ioredis";
const { Redis } = await import(library) as {
  Redis: new (url: string) => IoRedis;
};

await work(async ({ url }, channels, onMessage) => {
  const redis = new Redis(url);
  await redis.subscribe(...channels);
  redis.on("message", onMessage);
  return () => redis.disconnect();
});
