// Bun's native client, on Bun itself.

import { work } from "../worker.ts";

/** The part of Bun's client that the rows use, so that checking needs no Bun. */
interface BunRedis {
  connect(): Promise<unknown>;
  zadd(key: string, score: string, member: string): Promise<unknown>;
  get(key: string): Promise<string>;
  getBuffer(key: string): Promise<Uint8Array>;
  lrange(key: string, start: number, stop: number): Promise<unknown>;
  close(): void;
}

const library = "bun";
const { RedisClient } = await import(library) as {
  RedisClient: new (url: string, options?: unknown) => BunRedis;
};

await work(async (url, ca) => {
  const redis = new RedisClient(url, ca === undefined ? {} : { tls: { ca } });
  await redis.connect();
  return {
    zadd: (key, score, member) => redis.zadd(key, score, member),
    getBytes: (key) => redis.getBuffer(key),
    getText: (key) => redis.get(key),
    lrange: (key) => redis.lrange(key, 0, -1),
    close: () => redis.close(),
  };
});
