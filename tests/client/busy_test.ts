// A process that is busy nearly all the time is answered, and finds out what is dead.

import "../support/strict.ts";
import { assert, assertEquals, assertMatch } from "@std/assert";
import { startProxy } from "../support/fault_proxy.ts";
import { startRedis } from "../support/redis_server.ts";
import { runProcess } from "./process_of_client.ts";

/** A program in which nothing runs for all but 5 ms of each slice. */
const slices = (sliceMs: number) => `
  const state = { isOver: false };
  (async () => {
    while (!state.isOver) {
      const until = performance.now() + ${sliceMs};
      while (performance.now() < until);
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  })();
`;

Deno.test("A process that works in slices notices a silent connection", async () => {
  await using server = await startRedis();
  await using proxy = await startProxy({ target: server });
  const { error, tookMs } = await runProcess(
    `
    const redis = new Redis("${proxy.url}", { replyTimeoutMs: 400, retry: false });
    await redis.send(["PING"]);
    console.log("ready");
    await new Promise((resolve) => setTimeout(resolve, 1000));
    ${slices(1200)}
    const startedAt = performance.now();
    const error = await redis.send(["GET", "key"]).catch(String);
    state.isOver = true;
    console.log(JSON.stringify({ error, tookMs: performance.now() - startedAt }));
    await redis.close({ drainMs: 0 });
    `,
    { forMs: 1, between: () => proxy.silence() },
  );
  assertMatch(`${error}`, /replyTimeoutMs is 400/);
  assert(Number(tookMs) < 6000, `it took ${tookMs} ms`);
});

Deno.test("A process that works in slices dials, shakes hands and is answered", async () => {
  await using server = await startRedis();
  const outcome = await runProcess(`
    ${slices(400)}
    const redis = new Redis("${server.url}", {
      connectTimeoutMs: 100, replyTimeoutMs: 100, retry: false,
    });
    const replies = [];
    for (let i = 0; i < 5; i++) replies.push(await redis.send(["INCR", "count"]).catch(String));
    state.isOver = true;
    console.log(JSON.stringify({ replies, evicted: redis.stats().evicted }));
    await redis.close();
  `);
  assertEquals(outcome, { replies: [1, 2, 3, 4, 5], evicted: {} });
});

Deno.test("A process that works in slices does not wait for a dial for ever", async () => {
  const deaf = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { error, tookMs } = await runProcess(`
    ${slices(600)}
    const redis = new Redis("redis://127.0.0.1:${deaf.addr.port}", {
      connectTimeoutMs: 200, retry: false,
    });
    const startedAt = performance.now();
    const error = await redis.send(["PING"]).catch(String);
    state.isOver = true;
    console.log(JSON.stringify({ error, tookMs: performance.now() - startedAt }));
    await redis.close();
  `);
  deaf.close();
  assertMatch(`${error}`, /within 200 ms/);
  assert(Number(tookMs) < 3500, `it took ${tookMs} ms`);
});

Deno.test("A process that is busy for a while closes no healthy connection", async () => {
  await using server = await startRedis();
  const outcome = await runProcess(`
    const redis = new Redis("${server.url}", {
      validateAfterIdleMs: 10, maxConnections: 2, retry: false,
    });
    const leases = await Promise.all([redis.lease(), redis.lease()]);
    for (const lease of leases) lease.release();
    for (let i = 0; i < 4; i++) {
      await new Promise((resolve) => setTimeout(resolve, 30));
      const sent = redis.send(["INCR", "count"]); // behind a PING, due in 100 ms
      await new Promise((resolve) => setTimeout(resolve, 0));
      const until = performance.now() + 300;
      while (performance.now() < until);
      await sent;
    }
    console.log(JSON.stringify({
      evicted: redis.stats().evicted, count: await redis.send(["GET", "count"]),
    }));
    await redis.close();
  `);
  assertEquals(outcome, { evicted: {}, count: "4" });
});

Deno.test("A suspect that does not answer is found out in a busy process, too", async () => {
  await using server = await startRedis();
  await using proxy = await startProxy({ target: server });
  const { evicted, tookMs } = await runProcess(
    `
    const redis = new Redis("${proxy.url}", { validateAfterIdleMs: 10 });
    await redis.send(["PING"]);
    console.log("ready");
    await new Promise((resolve) => setTimeout(resolve, 400));
    ${slices(200)}
    const startedAt = performance.now();
    await redis.send(["INCR", "count"]);
    state.isOver = true;
    console.log(JSON.stringify({
      evicted: redis.stats().evicted, tookMs: performance.now() - startedAt,
    }));
    await redis.close();
    `,
    { forMs: 1, between: () => proxy.silence({ scope: "open" }) },
  );
  assertEquals(evicted, { silence: 1 });
  assert(Number(tookMs) < 4000, `it took ${tookMs} ms`);
});

Deno.test("A process that works in slices does not wait for a connection for ever", async () => {
  await using server = await startRedis();
  const { error, tookMs } = await runProcess(`
    const redis = new Redis("${server.url}", {
      maxConnections: 1, checkoutTimeoutMs: 300, retry: false,
    });
    const lease = await redis.lease();
    ${slices(700)}
    const startedAt = performance.now();
    const error = await redis.send(["PING"]).catch(String);
    state.isOver = true;
    console.log(JSON.stringify({ error, tookMs: performance.now() - startedAt }));
    lease.release();
    await redis.close();
  `);
  assertMatch(`${error}`, /checkoutTimeoutMs/);
  assert(Number(tookMs) < 4500, `it took ${tookMs} ms`);
});
