// That dials are few, paced after a failure, and end with the pool.
import "../support/strict.ts";
import {
  assert,
  assertEquals,
  assertGreaterOrEqual,
  assertInstanceOf,
  assertLess,
  assertLessOrEqual,
  assertRejects,
  assertStringIncludes,
} from "@std/assert";
import { delay } from "@std/async/delay";
import {
  CheckoutTimeoutError,
  type CloseReport,
  DialError,
  ExponentialBackoff,
  type Lease,
  Redis,
  ReplyError,
  Retry,
  RetryError,
} from "../../mod.ts";
import { open } from "../../pool/connection/open.ts";
import { Pool } from "../../pool/pool.ts";
import { dial } from "../../pool/socket/dial.ts";
import { Endpoint } from "../../pool/socket/endpoint.ts";
import { startRedis } from "../support/redis_server.ts";
import { startProxy } from "../support/fault_proxy.ts";

/** A server that answers each handshake with an error after a while, and then closes. */
function refuse(text: string, delayMs: (connection: number) => number) {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const acceptedAt: number[] = [];
  const serve = async (conn: Deno.Conn) => {
    const number = acceptedAt.push(performance.now());
    try {
      await conn.read(new Uint8Array(999));
      await delay(delayMs(number));
      await conn.write(new TextEncoder().encode(`-${text}\r\n`));
      await conn.read(new Uint8Array(999));
    } catch {
      // The client has closed it.
    } finally {
      conn.close();
    }
  };
  const all = (async () => {
    const served: Promise<void>[] = [];
    for await (const conn of listener) served.push(serve(conn));
    await Promise.all(served);
  })();
  return {
    url: `redis://127.0.0.1:${(listener.addr as Deno.NetAddr).port}`,
    acceptedAt,
    async [Symbol.asyncDispose]() {
      listener.close();
      await all;
    },
  };
}

Deno.test("At most three dials are under way", async () => {
  await using server = await startRedis();
  let now = 0, most = 0;
  await using redis = new Redis(server.url, {
    dial: async (endpoint, options) => {
      most = Math.max(most, ++now);
      await delay(30);
      now--;
      return await dial(endpoint, options);
    },
  });
  const leases = await Promise.all(
    Array.from({ length: 10 }, () => redis.lease()),
  );
  assertEquals(redis.stats().dialed, 10);
  for (const lease of leases) lease.release();
  assertEquals(most, 3);
});

Deno.test("Refused handshakes are paced while several callers wait", async () => {
  await using server = refuse(
    "ERR max number of clients reached",
    (i) => 2 + 4 * (i % 5),
  );
  await using redis = new Redis(server.url);
  const callers = [1, 2, 3].map(() => redis.lease());
  const outcomes = await Promise.allSettled([
    ...callers,
    redis.send(["GET", "a"]),
  ]);
  for (const { status } of outcomes) assertEquals(status, "rejected");
  // Three at first, then one for each further attempt of a caller, at most.
  const { dialFailures } = redis.stats();
  assertGreaterOrEqual(dialFailures, 4);
  assertLessOrEqual(dialFailures, 16);
  const pauses = server.acceptedAt.slice(3).map((at, i) =>
    at - server.acceptedAt[i + 2]!
  );
  for (const pause of pauses) assertGreaterOrEqual(pause, 45);
});

Deno.test("Dials while leases are out are ever further apart, and fail no caller that a lease may serve", async () => {
  await using server = await startRedis({ config: { maxclients: "3" } });
  await using redis = new Redis(server.url);
  const leases = [await redis.lease(), await redis.lease()];
  const third = await redis.lease().catch(() => undefined);
  const before = redis.stats().dialFailures;
  const startedAt = performance.now();
  const waiting = redis.send(["ECHO", "served"]);
  setTimeout(() => leases[0]!.release(), 1500);
  assertEquals(await waiting, "served");
  assertGreaterOrEqual(performance.now() - startedAt, 1450);
  // 50, 100, 200, 400, 800 ms
  assertLessOrEqual(redis.stats().dialFailures - before, 7);
  assertGreaterOrEqual(redis.stats().dialFailures - before, 3);
  leases[1]!.release();
  third?.release();
});

Deno.test("A policy with short waits has a dial for each of its attempts", async () => {
  await using server = refuse("ERR max number of clients reached", () => 0);
  await using redis = new Redis(server.url, {
    retry: new Retry({
      backoff: new ExponentialBackoff({ baseMs: 5, capMs: 5 }),
    }),
  });
  const error = await assertRejects(() => redis.send(["PING"]), RetryError);
  assertEquals(error.errors.length, 4);
  assertEquals(redis.stats().dialFailures, 4);
});

Deno.test("A dial that succeeds ends the pacing", async () => {
  await using server = await startRedis();
  await using proxy = await startProxy({ target: server });
  let isRefused = true;
  await using redis = new Redis(proxy.url, {
    retry: false,
    dial: (endpoint, options) =>
      isRefused
        ? Promise.reject(new DialError(endpoint, "connect", "refused"))
        : dial(endpoint, options),
  });
  await assertRejects(() => redis.send(["PING"]), DialError);
  const { awaySince, lastDialError } = redis.stats();
  assertInstanceOf(lastDialError, DialError);
  assertLess(Math.abs(Date.now() - awaySince!), 2000);
  isRefused = false;
  assertEquals(await redis.send(["PING"]), "PONG");
  assertEquals(redis.stats().awaySince, undefined);
  const startedAt = performance.now();
  const leases = await Promise.all([1, 2, 3, 4].map(() => redis.lease()));
  assertLess(performance.now() - startedAt, 1000);
  for (const lease of leases) lease.release();
  assertEquals(redis.stats().dialFailures, 1);
});

for (const scheme of ["redis", "rediss"]) {
  Deno.test(`A ${scheme}:// wait that a hanging dial outlasts says how far the dial has come`, async () => {
    const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const conns: Deno.Conn[] = [];
    const accepting = (async () => {
      for await (const conn of listener) conns.push(conn);
    })();
    const { port } = listener.addr as Deno.NetAddr;
    {
      await using redis = new Redis(`${scheme}://127.0.0.1:${port}`, {
        checkoutTimeoutMs: 200,
        connectTimeoutMs: 1000,
        retry: false,
      });
      const error = await assertRejects(
        () => redis.send(["PING"]),
        CheckoutTimeoutError,
      );
      const missing = scheme === "rediss"
        ? "no TLS handshake yet: is this a plain port"
        : "no answer to the Redis handshake yet: is this a TLS port";
      assertStringIncludes(error.message, missing);
      assertInstanceOf(error.cause, DialError);
      assertStringIncludes(error.cause.message, missing);
      assert(/no connection for 200 ms/.test(error.message), error.message);
    }
    listener.close();
    await accepting;
    for (const conn of conns) conn.close();
  });
}

Deno.test("Blocking commands leave one connection to callers that share", async () => {
  await using server = await startRedis();
  const redis = new Redis(server.url, { maxConnections: 4 });
  const blocked = Array.from(
    { length: 6 },
    (_, i) => redis.send(["BLPOP", `list${i}`, 0]),
  );
  blocked.forEach((call) => call.catch(() => {}));
  for (let i = 0; i < 20; i++) {
    assertEquals(await redis.send(["ECHO", `${i}`]), `${i}`);
  }
  assertEquals(redis.stats().leased, 3);
  assertEquals(redis.stats().waiting, 3);
  // A lease of the caller's own may take the last one.
  const lease = await redis.lease();
  assertEquals(redis.stats().leased, 4);
  lease.release();
  // A blocking command that ends makes room for the next in line.
  await redis.send(["RPUSH", "list0", "a"]);
  assertEquals(await blocked[0], ["list0", "a"]);
  await redis.send(["RPUSH", "list3", "b"]);
  assertEquals(await blocked[3], ["list3", "b"]);
  await redis.close({ drainMs: 0 });
});

Deno.test("A blocking command takes the only connection where there is no other", async () => {
  await using server = await startRedis();
  await using redis = new Redis(server.url, { maxConnections: 1 });
  assertEquals(await redis.send(["BLPOP", "list", 0.05]), null);
});

Deno.test("A connection that is opened while the pool closes is counted as opened and as gone", async () => {
  await using server = await startRedis();
  const reports: unknown[] = [];
  const redis = new Redis(server.url, {
    onClose: (report) => reports.push(report),
  });
  const call = redis.send(["PING"]);
  call.catch(() => {});
  while (redis.stats().open === 0) await delay(0);
  await redis.close({ drainMs: 0 });
  const { dialed, open, evicted } = redis.stats();
  const gone = Object.values(evicted).reduce((sum, n) => sum + n, 0);
  assertEquals([dialed - gone, open], [0, 0]);
  assertEquals(reports.length, dialed);
});

Deno.test("close() ends suspects too, and counts what they have in flight", async () => {
  await using server = await startRedis();
  await using proxy = await startProxy({ target: server });
  const redis = new Redis(proxy.url, { validateAfterIdleMs: 1 });
  await redis.send(["PING"]);
  await delay(20);
  proxy.silence();
  const call = redis.send(["GET", "a"]); // the idle connection is a suspect now
  call.catch(() => {});
  const { suspect, inFlight, open } = redis.stats();
  assertEquals({ suspect, inFlight, open }, {
    suspect: 1,
    inFlight: 1,
    open: 1,
  });
  await redis.close({ drainMs: 0 });
  assertEquals(redis.stats().open, 0);
  assertEquals(redis.stats().inFlight, 0);
  await assertRejects(() => call);
});

Deno.test("lastClose is not about what the client closed itself", async () => {
  await using server = await startRedis();
  await using redis = new Redis(server.url, { maxAgeMs: 100 });
  await redis.send(["PING"]);
  while (redis.stats().open > 0) await delay(20);
  assertEquals(redis.stats().evicted["max-age"], 1);
  assertEquals(redis.stats().lastClose, undefined);
});

Deno.test("A replica's old connections all go, a fresh one only after a pause", async () => {
  await using server = await startRedis();
  await server.cli("REPLICAOF", "127.0.0.1", "1");
  await using redis = new Redis(server.url, { maxConnections: 3 });
  const write = async (lease: Lease) => {
    await assertRejects(() => lease.send(["SET", "k", "v"]), ReplyError);
    lease.release();
    return redis.stats().evicted.readonly ?? 0;
  };
  const old = await Promise.all([redis.lease(), redis.lease()]);
  assertEquals(await write(old[0]!), 1);
  assertEquals(await write(old[1]!), 2);
  assertEquals(await write(await redis.lease()), 2); // the next dial may lead here again
  await delay(300);
  assertEquals(await write(await redis.lease()), 3);
});

Deno.test("A full pool keeps at most one connection back for leases", async () => {
  await using server = await startRedis();
  const redis = new Redis(server.url, { maxConnections: 3, retry: false });
  const leases = await Promise.all([1, 2, 3].map(() => redis.lease()));
  for (const lease of leases) lease.release();
  server.freeze();
  const calls: Promise<unknown>[] = [1, 2, 3].map(() => redis.send(["PING"]));
  calls.push(redis.lease(), redis.lease());
  calls.push(...[1, 2, 3, 4].map(() => redis.send(["PING"])));
  const { inFlight, waiting } = redis.stats();
  assertEquals({ inFlight, waiting }, { inFlight: 7, waiting: 2 });
  const ended = Promise.allSettled(calls);
  await redis.close({ drainMs: 0 });
  server.thaw();
  await ended;
});

Deno.test("A connection that a dial opens after the pool was closed is closed and reported", async () => {
  await using server = await startRedis();
  const opened = Promise.withResolvers<void>();
  const reports: CloseReport[] = [];
  const pool = new Pool({
    endpoint: `127.0.0.1:${server.port}`,
    open: async (number, observer) => {
      await opened.promise; // whatever the signal says
      return await open(new Endpoint(server.url), {
        dial,
        connectTimeoutMs: 2000,
        replyTimeoutMs: 2000,
        number,
        observer,
        signal: new AbortController().signal,
      });
    },
    maxConnections: 1,
    checkoutTimeoutMs: 2000,
    maxWaiting: 10,
    idleTimeoutMs: 10_000,
    maxAgeMs: 10_000,
    validateAfterIdleMs: 10_000,
    onClose: (report) => reports.push(report),
  });
  const failed = new Promise((fail) =>
    pool.checkout({ kind: "shared", take: () => {}, fail })
  );
  const reason = new Error("closed");
  const closed = pool.close(reason);
  opened.resolve();
  await closed;
  assertEquals(await failed, reason);
  while (reports.length === 0) await delay(5);
  assertEquals(reports.map(({ how }) => how), ["requested"]);
  const { dialed, open: left } = pool.stats();
  assertEquals([dialed, left], [1, 0]);
});
