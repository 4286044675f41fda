// A process that was frozen serves its first command without an error and without waiting for a timeout.

import "../support/strict.ts";
import { assert, assertEquals } from "@std/assert";
import { startProxy } from "../support/fault_proxy.ts";
import { startRedis } from "../support/redis_server.ts";
import { runProcess } from "./process_of_client.ts";

/** Freezes an idle client with `between` going on, and returns what its next command meets. */
const freeze = (
  url: string,
  forMs: number,
  between: () => void,
): Promise<Record<string, unknown>> =>
  runProcess(
    `
    const redis = new Redis(${JSON.stringify(url)});
    await Promise.all([redis.send(["PING"]), redis.send(["PING"])]);
    console.log("ready");
    let before = performance.now();
    while (performance.now() - before < 1000) {
      before = performance.now();
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    const startedAt = performance.now();
    const reply = await redis.send(["INCR", "woken"]).catch(String);
    const tookMs = performance.now() - startedAt;
    console.log(JSON.stringify({ reply, tookMs, evicted: redis.stats().evicted }));
    await redis.close();
    `,
    { forMs, between },
  );

Deno.test("A frozen client wakes up to connections that the server has closed", async () => {
  await using server = await startRedis({ config: { timeout: 1 } });
  const woken = await freeze(server.url, 3500, () => {});
  assertEquals(woken.reply, 1);
  assert(Number(woken.tookMs) < 1000, `it took ${woken.tookMs} ms`);
});

Deno.test("A frozen client wakes up to connections that have gone silent", async () => {
  await using server = await startRedis();
  await using proxy = await startProxy({ target: server });
  const woken = await freeze(
    proxy.url,
    3000,
    () => proxy.silence({ scope: "open" }),
  );
  assertEquals(woken.reply, 1);
  assert(Number(woken.tookMs) < 2000, `it took ${woken.tookMs} ms`);
});

Deno.test("Frozen time is not charged to a reply that came meanwhile", async () => {
  await using server = await startRedis();
  const woken = await runProcess(
    `
    const redis = new Redis("${server.url}", { replyTimeoutMs: 800, retry: false });
    await redis.send(["CLIENT", "PAUSE", 600]);
    const replies = Promise.all([
      redis.send(["ECHO", "late"]),
      redis.send(["INCR", "count"]),
    ]);
    console.log("ready");
    console.log(JSON.stringify({ replies: await replies.catch(String), evicted: redis.stats().evicted }));
    await redis.close();
    `,
    { forMs: 2500 },
  );
  assertEquals(woken, { replies: ["late", 1], evicted: {} });
});

Deno.test("Frozen time is not charged to calls that wait for a connection", async () => {
  await using server = await startRedis();
  const outcome = await runProcess(
    `
    const redis = new Redis("${server.url}", {
      maxConnections: 1, checkoutTimeoutMs: 1500, retry: false,
    });
    const lease = await redis.lease();
    const waiting = redis.send(["PING"]).catch(String);
    console.log("ready");
    // Free again 400 ms after the freeze began, as far as this process ran.
    let rest = 600;
    while (rest > 0) {
      await new Promise((resolve) => setTimeout(resolve, 50));
      rest -= 50;
    }
    lease.release();
    console.log(JSON.stringify({ reply: await waiting }));
    await redis.close();
    `,
    { forMs: 2500 },
  );
  assertEquals(outcome, { reply: "PONG" });
});

Deno.test("A machine that was suspended wakes up to suspects, and no clock that is set back does harm", async () => {
  await using server = await startRedis();
  await using proxy = await startProxy({ target: server });
  const outcome = await runProcess(
    `
    const { now } = Date;
    const redis = new Redis("${proxy.url}", { retry: false });
    await redis.send(["PING"]);
    Date.now = () => now() - 3_600_000; // set back
    const back = await redis.send(["PING"]);
    await new Promise((resolve) => setTimeout(resolve, 1500));
    const { dialed, suspect } = redis.stats();
    console.log("ready");
    await new Promise((resolve) => setTimeout(resolve, 400));
    Date.now = now; // an hour later, while performance.now() stood still
    const startedAt = performance.now();
    const reply = await redis.send(["PING"]).catch(String);
    const isSoon = performance.now() - startedAt < 2000;
    console.log(JSON.stringify({ back, dialed, suspect, reply, isSoon, evicted: redis.stats().evicted }));
    await redis.close();
    `,
    { forMs: 1, between: () => proxy.silence({ scope: "open" }) },
  );
  assertEquals(outcome, {
    back: "PONG",
    dialed: 1,
    suspect: 0,
    reply: "PONG",
    isSoon: true,
    evicted: { silence: 1 },
  });
});

Deno.test("A frozen client that wakes up finds out what is dead without being asked for it", async () => {
  await using server = await startRedis();
  await using proxy = await startProxy({ target: server });
  const { evicted } = await runProcess(
    `
    const redis = new Redis("${proxy.url}");
    await redis.send(["PING"]);
    console.log("ready");
    const startedAt = performance.now();
    while (performance.now() - startedAt < 5000) {
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    console.log(JSON.stringify({ evicted: redis.stats().evicted }));
    await redis.close();
    `,
    { forMs: 2500, between: () => proxy.silence({ scope: "open" }) },
  );
  assertEquals(evicted, { silence: 1 });
});
