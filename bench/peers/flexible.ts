// rate-limiter-flexible on ioredis: a fixed window that begins with a key's first call, and blocks.

import { keyOf } from "../limiters/limiter.ts";
import { variants, work } from "../limiters/worker.ts";

/** The part of the library that is used, so that checking needs no install. */
interface RateLimiterRedis {
  /** Rejects with what is no error where the key has no points left. */
  consume(key: string): Promise<unknown>;
  block(key: string, seconds: number): Promise<unknown>;
}

const libraries = ["ioredis", "rate-limiter-flexible"] as const;
const { Redis } = await import(libraries[0]) as {
  Redis: new (
    url: string,
    options: unknown,
  ) => {
    on(event: "error", listener: () => void): void;
    disconnect(): void;
  };
};
const { RateLimiterRedis } = await import(libraries[1]) as {
  RateLimiterRedis: new (options: unknown) => RateLimiterRedis;
};

// auto: ioredis gathers the commands of a turn. memory: blocked keys are kept in memory, too.
const enableAutoPipelining = variants.includes("auto");

await work((url, { limit, windowSeconds, blockSeconds }) => {
  const storeClient = new Redis(url, { enableAutoPipelining });
  storeClient.on("error", () => {});
  const limiter = new RateLimiterRedis({
    storeClient,
    points: limit,
    duration: windowSeconds,
    blockDuration: blockSeconds,
    ...(variants.includes("memory")
      ? {
        inMemoryBlockOnConsumed: limit + 1,
        inMemoryBlockDuration: blockSeconds,
      }
      : {}),
  });
  return {
    async decide(shop) {
      try {
        await limiter.consume(keyOf(shop));
        return true;
      } catch (refusal) {
        if (refusal instanceof Error) throw refusal;
        return false;
      }
    },
    block: (shop) => limiter.block(keyOf(shop), blockSeconds),
    close: () => storeClient.disconnect(),
  };
});
