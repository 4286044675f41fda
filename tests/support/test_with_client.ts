// A test of a client whose server can be reached through a proxy.
import "./strict.ts";
import { Redis, type RedisOptions } from "../../mod.ts";
import { type FaultProxy, startProxy } from "./fault_proxy.ts";
import { type RedisServer, startRedis } from "./redis_server.ts";

/** Runs `fn` with a client of its own; whatever `fn` leaves open is closed afterwards. */
export function testWithClient(
  name: string,
  options: RedisOptions,
  fn: (redis: Redis, proxy: FaultProxy, server: RedisServer) => Promise<void>,
): void {
  Deno.test(name, async () => {
    await using server = await startRedis();
    await using proxy = await startProxy({ target: server });
    const redis = new Redis(proxy.url, options);
    try {
      await fn(redis, proxy, server);
    } finally {
      await redis.close({ drainMs: 0 });
    }
  });
}
