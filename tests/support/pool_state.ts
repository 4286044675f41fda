// The connections of a client at rest: how to get some, and what must be true of them.

import { assertEquals } from "@std/assert";
import type { Redis } from "../../mod.ts";

/** Opens that many connections, idle afterwards. */
export async function warm(redis: Redis, connections: number): Promise<void> {
  const leases = await Promise.all(
    Array.from({ length: connections }, () => redis.lease()),
  );
  for (const lease of leases) lease.release();
  assertEquals(redis.stats().idle, connections);
}

/** The numbers of `stats()` that must agree whenever nothing is going on. */
export function assertAtRest(redis: Redis): void {
  const stats = redis.stats();
  const gone = Object.values(stats.evicted).reduce((sum, n) => sum + n, 0);
  assertEquals(stats.inFlight, 0);
  assertEquals(stats.waiting, 0);
  assertEquals(stats.idle, stats.open);
  assertEquals(stats.dialed - gone, stats.open);
}
