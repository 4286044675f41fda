// @upstash/ratelimit: its sliding window, with its own client over HTTP or with ioredis in its place.

import { keyOf } from "../limiters/limiter.ts";
import { variants, work } from "../limiters/worker.ts";
import { overTcp } from "./upstash_tcp.ts";

/** The part of the library that is used, so that checking needs no install. */
interface Ratelimit {
  limit(key: string, options?: { rate: number }): Promise<{ success: boolean }>;
}

const libraries = ["@upstash/ratelimit", "@upstash/redis"] as const;
const { Ratelimit } = await import(libraries[0]) as {
  Ratelimit: {
    new (options: unknown): Ratelimit;
    slidingWindow(tokens: number, window: string): unknown;
  };
};
const { Redis } = await import(libraries[1]) as {
  Redis: new (options: { url: string; token: string }) => unknown;
};

await work((url, { limit, windowSeconds }) => {
  const tcp = variants.includes("tcp") ? overTcp(url) : undefined;
  const limiter = new Ratelimit({
    redis: tcp?.client ?? new Redis({ url, token: "none" }),
    limiter: Ratelimit.slidingWindow(limit, `${windowSeconds} s`),
  });
  return {
    decide: async (shop) => (await limiter.limit(keyOf(shop))).success,
    // It has no blocks: the window is filled, and the next call is refused.
    async block(shop) {
      await limiter.limit(keyOf(shop), { rate: limit });
      await limiter.limit(keyOf(shop));
    },
    close: () => tcp?.close(),
  };
});
