// A process that was frozen serves its first command without an error and without waiting for a timeout.

import "../support/strict.ts";
import { assert, assertEquals, assertMatch } from "@std/assert";
import { delay } from "@std/async/delay";
import { startProxy } from "../support/fault_proxy.ts";
import { importFlags } from "../support/imports.ts";
import { startRedis } from "../support/redis_server.ts";

/** Runs `program`, which is given as the body of a module, and does `between` while it is stopped, once it has printed "ready". */
async function run(
  program: string,
  stop?: { forMs: number; between?: () => void },
): Promise<Record<string, unknown>> {
  const child = new Deno.Command(Deno.execPath(), {
    args: [
      "eval",
      "--ext=ts",
      ...importFlags,
      `import { Redis } from "${new URL("../../mod.ts", import.meta.url)}";
       ${program}`,
    ],
    stdout: "piped",
  }).spawn();
  const lines = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  if (stop !== undefined) {
    while (!text.includes("ready\n")) text += (await lines.read()).value ?? "";
    await delay(200); // it is in its loop now
    Deno.kill(child.pid, "SIGSTOP");
    stop.between?.();
    await delay(stop.forMs);
    Deno.kill(child.pid, "SIGCONT");
  }
  for (let part = await lines.read(); !part.done; part = await lines.read()) {
    text += part.value;
  }
  await child.status;
  return JSON.parse(text.slice(text.indexOf("{")));
}

/** Freezes an idle client with `between` going on, and returns what its next command meets. */
const freeze = (
  url: string,
  forMs: number,
  between: () => void,
): Promise<Record<string, unknown>> =>
  run(
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
  const woken = await run(
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
  const { error, tookMs } = await run(
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
  const outcome = await run(`
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
  const { error, tookMs } = await run(`
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
  const outcome = await run(`
    const redis = new Redis("${server.url}", {
      validateAfterIdleMs: 10, maxConnections: 2, retry: false,
    });
    const leases = await Promise.all([redis.lease(), redis.lease()]);
    for (const lease of leases) lease.release();
    for (let i = 0; i < 10; i++) {
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
  assertEquals(outcome, { evicted: {}, count: "10" });
});

Deno.test("A suspect that does not answer is found out in a busy process, too", async () => {
  await using server = await startRedis();
  await using proxy = await startProxy({ target: server });
  const { evicted, tookMs } = await run(
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

Deno.test("Frozen time is not charged to calls that wait for a connection", async () => {
  await using server = await startRedis();
  const outcome = await run(
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

Deno.test("A process that works in slices does not wait for a connection for ever", async () => {
  await using server = await startRedis();
  const { error, tookMs } = await run(`
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

Deno.test("A machine that was suspended wakes up to suspects, and no clock that is set back does harm", async () => {
  await using server = await startRedis();
  await using proxy = await startProxy({ target: server });
  const outcome = await run(
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
  const { evicted } = await run(
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
