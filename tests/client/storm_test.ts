// Thousands of callers, a dead server: bounded dials, bounded retries, and every caller is served in the end.

import "../support/strict.ts";
import {
  assert,
  assertEquals,
  assertInstanceOf,
  assertLess,
} from "@std/assert";
import { delay } from "@std/async/delay";
import { ExponentialBackoff, Redis, Retry, RetryError } from "../../mod.ts";
import { startProxy } from "../support/fault_proxy.ts";
import { startRedis } from "../support/redis_server.ts";
import { until } from "../support/wait.ts";

Deno.test(
  "Ten thousand callers meet a dead server, and all are served when it is back",
  { timeout: 240_000 },
  async () => {
    await using server = await startRedis();
    await using redis = new Redis(server.url, {
      retry: new Retry({
        retries: 6,
        backoff: new ExponentialBackoff({ jitter: 0.5 }),
      }),
    });
    await redis.send(["PING"]);
    await server.stop();
    const calls = Array.from(
      { length: 10_000 },
      () => redis.send(["INCR", "count"]),
    );
    await delay(300);
    await server.start();
    await Promise.all(calls);
    assertEquals(await redis.send(["GET", "count"]), "10000");
    const { dialFailures, dialed, waiting } = redis.stats();
    assert(dialFailures <= 40, `${dialFailures} dials failed`);
    assert(dialed <= 10, `${dialed} connections were opened`);
    assertEquals(waiting, 0);
  },
);

Deno.test("No dial begins after close()", async () => {
  await using server = await startRedis();
  await using proxy = await startProxy({ target: server });
  const redis = new Redis(proxy.url);
  await redis.send(["PING"]);
  await server.stop();
  await proxy.killAll("fin");
  const calls = Promise.allSettled(
    Array.from({ length: 100 }, () => redis.send(["GET", "key"])),
  );
  const dials = () => {
    const { dialed, dialFailures, dialing } = redis.stats();
    return dialed + dialFailures + dialing;
  };
  await redis.close({ drainMs: 50 });
  const before = dials();
  const outcomes = await calls;
  assert(outcomes.every(({ status }) => status === "rejected"));
  await delay(150); // the proxy takes what was dialed before
  const { connections } = proxy;
  await delay(150);
  assertEquals([dials(), proxy.connections], [before, connections]);
  await until(() => proxy.open === 0, "the proxy has no link");
});

Deno.test("A server that keeps refusing is not flooded, and errors say when to come back", async () => {
  await using server = await startRedis();
  await using replica = await startRedis({
    config: { replicaof: `127.0.0.1 ${server.port}` },
  });
  await using redis = new Redis(replica.url);
  const outcomes = await Promise.allSettled(
    Array.from({ length: 1000 }, (_, i) => redis.send(["SET", `key${i}`, i])),
  );
  const errors = outcomes.map((o) => o.status === "rejected" ? o.reason : 0);
  const spent = errors.filter((e) => e.retryAfterMs !== undefined);
  assertInstanceOf(spent[0], RetryError);
  assert(redis.stats().retries <= 100, `${redis.stats().retries} retries`);
});

Deno.test("The pool retires idle connections before the age at which they keep dying", async () => {
  await using server = await startRedis({ config: { timeout: 2 } });
  await using redis = new Redis(server.url);
  while ((redis.stats().evicted.fin ?? 0) < 3) {
    await redis.send(["PING"]);
    await delay(100);
    while (redis.stats().open > 0) await delay(50);
  }
  await redis.send(["PING"]);
  await delay(100);
  while (redis.stats().open > 0) await delay(20);
  assertEquals(redis.stats().evicted["idle-timeout"], 1);
});

Deno.test("The pool dials no more once connections outlive the age at which they were killed", async () => {
  await using server = await startRedis();
  await using redis = new Redis(server.url, { maxConnections: 1 });
  {
    await using killer = new Redis(server.url);
    // The pool learns from three ages that are alike: not where this machine
    // has been too busy to kill a connection in time.
    let inTime = 0;
    for (let i = 0; inTime < 3; i++) {
      assertLess(i, 20, "no connection is killed in time");
      await redis.send(["PING"]);
      const idleSince = performance.now();
      await delay(1150);
      await killer.send(["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]);
      while (redis.stats().open > 0) await delay(5);
      inTime = performance.now() - idleSince < 1400 ? inTime + 1 : 0;
    }
  }
  const giveUpAt = performance.now() + 20_000;
  const evicted = () => redis.stats().evicted["idle-timeout"] ?? 0;
  let dialed = 0;
  for (let outlived = false; !outlived;) {
    assertLess(performance.now(), giveUpAt, `never, ${evicted()} evicted`);
    await redis.send(["PING"]);
    outlived = redis.stats().dialed === dialed;
    ({ dialed } = redis.stats());
    await delay(1500);
  }
  assert(evicted() >= 1, "it never learned");
  for (let i = 0; i < 2; i++) {
    await redis.send(["PING"]);
    await delay(1500);
  }
  assertEquals(redis.stats().dialed, dialed);
  // Nor does a PING go before each command any more. One goes where this
  // process has stood still for a while, as it does on a busy machine.
  let stats = "";
  for (let i = 0; i < 5; i++) {
    await redis.send(["CONFIG", "RESETSTAT"]);
    await delay(1500);
    stats = `${await redis.send(["INFO", "commandstats"])}`;
    if (!stats.includes("cmdstat_ping")) return;
  }
  throw new Error(`a PING before each command: ${stats}`);
});
