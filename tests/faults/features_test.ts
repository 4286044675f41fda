// That transactions, watches, scripts and functions run once or say so, whatever breaks while they are under way.

import "../support/strict.ts";
import { assertEquals, assertGreater } from "@std/assert";
import { delay } from "@std/async/delay";
import {
  type Command,
  type Fate,
  fateOf,
  FunctionLibrary,
  Redis,
  type RedisOptions,
  Script,
} from "../../mod.ts";
import { type FaultProxy, startProxy } from "../support/fault_proxy.ts";
import { assertAtRest } from "../support/pool_state.ts";
import { startCluster } from "../support/redis_cluster.ts";
import { type RedisServer, startRedis } from "../support/redis_server.ts";

/** Calls that each add 1 to the counter of their key. */
const KINDS: Readonly<
  Record<string, (redis: Redis, key: string) => Promise<unknown>>
> = {
  transaction: (redis, key) =>
    redis.transaction([["INCR", key], ["SET", `${key}:seen`, 1]]),
  watch: (redis, key) =>
    redis.watch([key], async (lease) => {
      const count = Number(await lease.send(["GET", key]));
      return [["SET", key, count + 1]];
    }),
  script: (redis, key) => SCRIPT.run(redis, [key]),
  function: (redis, key) => LIBRARY.call(redis, "fault_count", [key]),
};
const SCRIPT = new Script(`return redis.call("INCR", KEYS[1])`);
const LIBRARY = new FunctionLibrary(`#!lua name=fault
  redis.register_function("fault_count", function(keys)
    return redis.call("INCR", keys[1])
  end)`);

const CALLERS = 8;

/** Makes calls of all kinds until the fault is over, then a few more, and holds each to its counter. */
async function assertTrue(
  redis: Redis,
  fault: () => Promise<void>,
): Promise<void> {
  const claims = new Map<string, "success" | Fate>();
  let isOver = false;
  const callers = Object.entries(KINDS).flatMap(([kind, call]) =>
    Array.from({ length: CALLERS }, async (_, caller) => {
      for (let n = 0, left = 10; left > 0; n++) {
        if (isOver) left--;
        const key = `{${kind}:${caller}:${n}}`;
        try {
          await call(redis, key);
          claims.set(key, "success");
        } catch (error) {
          claims.set(key, fateOf(error));
        }
        await delay(1);
      }
    })
  );
  await delay(100);
  await fault();
  isOver = true;
  await Promise.all(callers); // a call that hangs is ended by the limit of the test
  const keys = [...claims.keys()];
  const counts = await redis.pipeline(
    keys.map((key): Command => ["GET", key]),
  );
  const wrong = keys.flatMap((key, i) => {
    const claim = claims.get(key)!;
    const runs = Number(counts[i]);
    const isRight = claim === "success"
      ? runs === 1
      : claim === "unknown"
      ? runs <= 1
      : claim === "unsent" && runs === 0; // none of them fails by itself
    return isRight ? [] : [`${key} ran ${runs} times, said ${claim}`];
  });
  assertEquals(wrong, []);
  for (const kind of Object.keys(KINDS)) {
    const ran = keys.filter((key) =>
      key.startsWith(`{${kind}:`) && claims.get(key) === "success"
    );
    assertGreater(ran.length, CALLERS * 9, kind);
  }
  assertAtRest(redis);
}

interface Site {
  readonly server: RedisServer;
  readonly proxy: FaultProxy;
}

/** Each ends with everything as it was. */
const FAULTS: Readonly<Record<string, (site: Site) => Promise<void>>> = {
  "all connections are killed each 30 ms": async ({ server }) => {
    for (let i = 0; i < 30; i++) {
      await server.cli("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes");
      await delay(30);
    }
  },
  "replies are cut after some bytes, and what was loaded is flushed": async (
    { server, proxy },
  ) => {
    for (let i = 0; i < 30; i++) {
      proxy.cut(1 + i * 7, { scope: "open" });
      await server.cli("SCRIPT", "FLUSH");
      await server.cli("FUNCTION", "FLUSH");
      await delay(30);
    }
  },
  "the server is frozen for longer than a reply may take": async (
    { server },
  ) => {
    for (let i = 0; i < 2; i++) {
      server.freeze();
      await delay(600);
      server.thaw();
      await delay(100);
    }
  },
  "the server is restarted": async ({ server }) => {
    await server.restart({ downMs: 200 });
  },
};

const OPTIONS: RedisOptions = { replyTimeoutMs: 300, connectTimeoutMs: 500 };

for (const [fault, run] of Object.entries(FAULTS)) {
  Deno.test(`Each kind of call runs once, or says what became of it: ${fault}`, async () => {
    await using server = await startRedis({ durable: true });
    const { hostname, port } = server;
    await using proxy = await startProxy({ target: { hostname, port } });
    await using redis = new Redis(proxy.url, OPTIONS);
    await assertTrue(redis, () => run({ server, proxy }));
  });
}

Deno.test("Each kind of call runs once, or says what became of it: a planned failover of each primary of a cluster", async () => {
  await using cluster = await startCluster({ nodeTimeoutMs: 1000 });
  await using redis = new Redis(cluster.url, OPTIONS);
  await assertTrue(redis, async () => {
    for (const primary of await cluster.primaries()) {
      await cluster.failover(await cluster.replicaOf(primary));
    }
    await cluster.settled();
  });
});
