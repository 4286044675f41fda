// Client of ioredis: how ioredis does what the rows ask.

import type { Connect } from "../client.ts";

/** The part of ioredis that the rows use, so that checking needs no install. */
export interface IoRedis {
  zadd(key: string, score: string, member: string): Promise<unknown>;
  get(key: string): Promise<string>;
  getBuffer(key: string): Promise<Uint8Array>;
  lrange(key: string, start: number, stop: number): Promise<unknown>;
  ping(): Promise<unknown>;
  disconnect(): void;
}

const library = "ioredis";
const { Redis } = await import(library) as {
  Redis: new (url: string, options: unknown) => IoRedis;
};

/** Connects, with auto-pipelining on or off. */
export function connect(enableAutoPipelining: boolean): Connect {
  return async (url, ca) => {
    const redis = new Redis(url, {
      enableAutoPipelining,
      ...(ca === undefined ? {} : { tls: { ca } }),
    });
    await redis.ping();
    return {
      zadd: (key, score, member) => redis.zadd(key, score, member),
      getBytes: (key) => redis.getBuffer(key),
      getText: (key) => redis.get(key),
      lrange: (key) => redis.lrange(key, 0, -1),
      close: () => redis.disconnect(),
    };
  };
}
