// That the statistics of a client show what there is, and no password.

import "../support/strict.ts";
import {
  assertEquals,
  assertFalse,
  assertInstanceOf,
  assertMatch,
  assertStringIncludes,
} from "@std/assert";
import { Redis } from "../../mod.ts";
import { testWithFixture as test } from "../support/fixture.ts";
import { assertAtRest } from "../support/pool_state.ts";

test("stats() and Deno.inspect show what is there", async (fixture) => {
  const redis = fixture.client({ password: "s3cret", maxConnections: 3 });
  const ofServer = {
    maxConnections: 3,
    open: 0,
    idle: 0,
    inFlight: 0,
    waiting: 0,
    dialed: 0,
    leased: 0,
    suspect: 0,
    dialing: 0,
    lastClose: undefined,
    lastDialError: undefined,
    awaySince: undefined,
    dialFailures: 0,
    evicted: {},
  };
  assertEquals(redis.stats(), {
    ...ofServer,
    retries: 0,
    replays: 0,
    retryBudget: 100,
    lastVerdict: undefined,
    servers: {
      [`127.0.0.1:${fixture.proxy.port}`]: { ...ofServer, hashSlots: 16384 },
    },
    redirects: { moved: 0, ask: 0 },
    topology: undefined,
  });
  const leases = await Promise.all([
    redis.lease(),
    redis.lease(),
    redis.lease(),
  ]);
  const waiting = redis.send(["PING"]);
  const { open, idle, waiting: waiters, dialed } = redis.stats();
  assertEquals({ open, idle, waiters, dialed }, {
    open: 3,
    idle: 0,
    waiters: 1,
    dialed: 3,
  });
  for (const lease of leases) lease.release();
  await waiting;
  assertAtRest(redis);
  const text = Deno.inspect({ deep: { redis, leases } }, {
    depth: 20,
    showHidden: true,
  });
  assertStringIncludes(text, `127.0.0.1:${fixture.proxy.port}`);
  assertMatch(text, /connections +3 of 3 open: 3 idle\n/);
  assertFalse(text.includes("s3cret"));
  assertInstanceOf(redis, Redis);
});
