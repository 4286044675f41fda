// A test of a client whose server can be reached through a proxy.
import type { Redis, RedisOptions } from "../../mod.ts";
import type { FaultProxy } from "./fault_proxy.ts";
import { testWithFixture } from "./fixture.ts";
import type { RedisServer } from "./redis_server.ts";

/** Runs `fn` with a client of its own; whatever `fn` leaves open is closed afterwards. */
export function testWithClient(
  name: string,
  options: RedisOptions,
  fn: (redis: Redis, proxy: FaultProxy, server: RedisServer) => Promise<void>,
): void {
  testWithFixture(
    name,
    (fixture) => fn(fixture.client(options), fixture.proxy, fixture.server),
  );
}
