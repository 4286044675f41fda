// That the pool never has too many connections, never the wrong one, and none that is dead.

import "../support/strict.ts";
import {
  assertEquals,
  assertGreater,
  assertGreaterOrEqual,
  assertInstanceOf,
  assertLess,
  assertLessOrEqual,
  assertMatch,
  assertRejects,
  assertStringIncludes,
} from "@std/assert";
import { delay } from "@std/async/delay";
import {
  CheckoutTimeoutError,
  type CloseReport,
  describeClose,
  DialError,
  fateOf,
  Redis,
  Retry,
} from "../../mod.ts";
import { dial } from "../../pool/socket/dial.ts";
import type { Dial } from "../../pool/socket/socket.ts";
import { testWithFixture as test } from "../support/fixture.ts";
import { assertAtRest, warm } from "../support/pool_state.ts";
import { later, SOON_MS, until } from "../support/wait.ts";

test("A storm of leases never has more than maxConnections", async (fixture) => {
  const redis = fixture.client({ maxConnections: 4 });
  let held = 0;
  let mostHeld = 0;
  let mostOpen = 0;
  const watch = () => {
    mostHeld = Math.max(mostHeld, held);
    mostOpen = Math.max(mostOpen, redis.stats().open);
  };
  const use = async (i: number) => {
    const lease = await redis.lease();
    held++;
    watch();
    assertEquals(await lease.send(["ECHO", `${i}`]), `${i}`);
    // Some are not clean and must be closed before their place is free.
    if (i % 7 === 0) await lease.send(["SELECT", 3]);
    await delay(i % 3);
    watch();
    held--;
    lease.release();
  };
  const sends = async () => {
    for (let i = 0; i < 50; i++) {
      assertEquals(await redis.send(["ECHO", `s${i}`]), `s${i}`);
      watch();
    }
  };
  await Promise.all([
    ...Array.from({ length: 120 }, (_, i) => use(i)),
    sends(),
    sends(),
  ]);
  assertEquals(mostHeld, 4);
  assertEquals(mostOpen, 4);
  assertAtRest(redis);
  assertEquals(redis.stats().evicted["unclean-lease"], 18);
  await until(
    () => fixture.proxy.open === redis.stats().open,
    "open here and there",
  );
});

test("Never more than maxConnections while connections die and dials fail", async (fixture) => {
  let sockets = 0;
  let most = 0;
  const counted: Dial = async (endpoint, options) => {
    most = Math.max(most, ++sockets);
    try {
      const socket = await dial(endpoint, options);
      return {
        read: (buffer) => socket.read(buffer),
        write: (bytes) => socket.write(bytes),
        unref: () => socket.unref?.(),
        close: () => {
          sockets--;
          socket.close();
        },
      };
    } catch (error) {
      sockets--;
      throw error;
    }
  };
  const redis = fixture.client({ maxConnections: 3, dial: counted });
  let isOver = false;
  const attack = async () => {
    for (let i = 0; !isOver; i++) {
      await fixture.proxy.killAll(i % 2 ? "rst" : "fin");
      if (i % 3 === 0) {
        await fixture.proxy.refuse();
        await delay(5);
        await fixture.proxy.accept();
      }
      await delay(7);
    }
  };
  const attacked = attack();
  const work = async () => {
    for (let i = 0; i < 8; i++) {
      await redis.send(["GET", "key"]).catch(() => {});
      const lease = await redis.lease().catch(() => undefined);
      await lease?.send(["GET", "key"]).catch(() => {});
      lease?.release();
    }
  };
  await Promise.all([work(), work(), work(), work(), work(), work()]);
  isOver = true;
  await attacked;
  assertLessOrEqual(most, 3);
  assertEquals(await redis.send(["PING"]), "PONG");
  assertEquals(sockets, redis.stats().open);
});

test("Waiters are served in order", async (fixture) => {
  const redis = fixture.client({ maxConnections: 1 });
  const first = await redis.lease();
  const order: number[] = [];
  const waiting = Array.from({ length: 20 }, async (_, i) => {
    if (i % 4 === 3) {
      await redis.send(["PING"]);
      order.push(i);
      return;
    }
    const lease = await redis.lease();
    order.push(i);
    await lease.send(["PING"]);
    lease.release();
  });
  await delay(20);
  assertEquals(redis.stats().waiting, 20);
  assertEquals(order, []);
  first.release();
  await Promise.all(waiting);
  const leases = order.filter((i) => i % 4 !== 3);
  assertEquals(leases, leases.toSorted((a, b) => a - b));
  const sends = order.filter((i) => i % 4 === 3);
  assertEquals(sends, sends.toSorted((a, b) => a - b));
  assertEquals(redis.stats().dialed, 1);
});

test("A lease is not starved by sends, nor sends by leases", async (fixture) => {
  const redis = fixture.client({ maxConnections: 1 });
  let isOver = false;
  let sent = 0;
  const load = Array.from({ length: 8 }, async () => {
    while (!isOver) {
      await redis.send(["PING"]);
      sent++;
    }
  });
  await until(() => sent > 100, "load");
  for (let i = 0; i < 20; i++) {
    const before = sent;
    const lease = await redis.lease();
    assertEquals(await lease.send(["ECHO", `${i}`]), `${i}`);
    lease.release();
    await until(() => sent > before, "sends between leases");
  }
  isOver = true;
  await Promise.all(load);
  assertEquals(redis.stats().dialed, 1);
});

test("A lease gets its turn on a connection that is never idle", async (fixture) => {
  const redis = fixture.client({ maxConnections: 1 });
  await redis.send(["PING"]);
  fixture.proxy.delay(30);
  let isOver = false;
  const load = (async () => {
    const replies: Promise<unknown>[] = [];
    while (!isOver) {
      replies.push(later(redis.send(["PING"])));
      await delay(3);
    }
    await Promise.all(replies);
  })();
  await delay(50);
  const startedAt = performance.now();
  const lease = await redis.lease().finally(() => isOver = true);
  assertLess(performance.now() - startedAt, 3000);
  assertEquals(await lease.send(["ECHO", "mine"]), "mine");
  lease.release();
  await load;
  assertEquals(redis.stats().dialed, 1);
});

test("A caller that waits longer than checkoutTimeoutMs gets an error that says what the pool is busy with", async (fixture) => {
  const redis = fixture.client({
    maxConnections: 1,
    checkoutTimeoutMs: 120,
    retry: false,
  });
  const held = await redis.lease();
  const startedAt = performance.now();
  const errors = await Promise.all([
    assertRejects(() => redis.send(["PING"]), CheckoutTimeoutError),
    assertRejects(() => redis.pipeline([["PING"]]), CheckoutTimeoutError),
    assertRejects(() => redis.lease(), CheckoutTimeoutError),
    assertRejects(() => redis.send(["BLPOP", "x", 1]), CheckoutTimeoutError),
  ]);
  const elapsed = performance.now() - startedAt;
  assertGreaterOrEqual(elapsed, 115);
  assertLess(elapsed, SOON_MS);
  for (const error of errors) {
    assertEquals(error.fate, "unsent");
    assertEquals(fateOf(error), "unsent");
    assertStringIncludes(error.message, "120 ms (checkoutTimeoutMs)");
    assertStringIncludes(error.message, "1 of 1 open, 1 leased");
  }
  assertEquals(redis.stats().waiting, 0);
  held.release();
  assertEquals(await redis.send(["PING"]), "PONG");
  assertEquals(redis.stats().dialed, 1);
});

test("More than maxWaiting callers are refused at once", async (fixture) => {
  const redis = fixture.client({
    maxConnections: 1,
    maxWaiting: 2,
    retry: false,
  });
  const held = await redis.lease();
  const waiting = ["1", "2"].map((i) => later(redis.send(["ECHO", i])));
  const startedAt = performance.now();
  await assertRejects(
    () => redis.send(["ECHO", "3"]),
    CheckoutTimeoutError,
    "2 callers wait already (maxWaiting)",
  );
  await assertRejects(() => redis.lease(), CheckoutTimeoutError, "maxWaiting");
  assertLess(performance.now() - startedAt, 2000);
  held.release();
  assertEquals(await Promise.all(waiting), ["1", "2"]);
});

test("A caller that leaves the queue makes room and is not served", async (fixture) => {
  const redis = fixture.client({ maxConnections: 1, maxWaiting: 2 });
  const held = await redis.lease();
  const leaver = new AbortController();
  const left = assertRejects(
    () => redis.lease({ signal: leaver.signal }),
    Error,
    "I leave",
  );
  const second = redis.lease();
  leaver.abort(new Error("I leave"));
  await left;
  assertEquals(redis.stats().waiting, 1);
  const third = redis.send(["PING"]);
  held.release();
  (await second).release();
  assertEquals(await third, "PONG");
});

test("One dial serves all callers that wait for a shared connection", async (fixture) => {
  const redis = fixture.client({
    dial: async (endpoint, options) => {
      await delay(60);
      return dial(endpoint, options);
    },
  });
  const replies: Promise<unknown>[] = [];
  for (let turn = 0; turn < 5; turn++) {
    for (let i = 0; i < 200; i++) replies.push(redis.send(["PING"]));
    await delay(5);
  }
  assertEquals(new Set(await Promise.all(replies)), new Set(["PONG"]));
  assertEquals(fixture.proxy.connections, 1);
  assertEquals(redis.stats().dialed, 1);
});

test("One failed dial fails all callers that wait for it", async (fixture) => {
  let dials = 0;
  const redis = fixture.client({
    retry: false,
    dial: async () => {
      dials++;
      await delay(20);
      throw new Error("no way");
    },
  });
  await Promise.all(
    Array.from(
      { length: 300 },
      () => assertRejects(() => redis.send(["PING"]), DialError, "no way"),
    ),
  );
  assertEquals(dials, 1);
  assertEquals(redis.stats().dialFailures, 1);
});

test("A failed dial fails callers of every kind at once, and is not repeated in a loop", async (fixture) => {
  await fixture.proxy.refuse();
  const redis = fixture.client({ retry: false, checkoutTimeoutMs: 3000 });
  const startedAt = performance.now();
  const errors = await Promise.all([
    assertRejects(() => redis.send(["PING"])),
    assertRejects(() => redis.pipeline([["PING"]])),
    assertRejects(() => redis.lease()),
    assertRejects(() => redis.lease()),
    assertRejects(() => redis.lease()),
    assertRejects(() => redis.send(["BLPOP", "list", 1])),
  ]);
  assertLess(performance.now() - startedAt, 2000);
  for (const error of errors) assertInstanceOf(error, DialError);
  assertLessOrEqual(redis.stats().dialFailures, 6);
});

test("Leases fail on a server that closes each connection at once, and dials are not repeated in a loop", async (fixture) => {
  await fixture.proxy.slam("fin");
  const redis = fixture.client({ retry: false, checkoutTimeoutMs: 3000 });
  const errors = await Promise.all(
    Array.from({ length: 4 }, () => assertRejects(() => redis.lease())),
  );
  for (const error of errors) assertInstanceOf(error, DialError);
  assertLessOrEqual(fixture.proxy.connections, 8);
});

Deno.test("A connection that ends right after its handshake is reported, and dials are not repeated in a loop", async () => {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  let accepted = 0;
  const served = (async () => {
    for await (const connection of listener) {
      accepted++;
      await connection.read(new Uint8Array(4096)).catch(() => null);
      const hello = new TextEncoder().encode("*2\r\n$2\r\nid\r\n:7\r\n");
      await connection.write(hello).catch(() => 0);
      connection.close();
    }
  })();
  const reports: CloseReport[] = [];
  const redis = new Redis(`redis://127.0.0.1:${listener.addr.port}`, {
    onClose: (report) => reports.push(report),
    checkoutTimeoutMs: 1000,
    retry: new Retry({ retries: 2, sleep: () => Promise.resolve() }),
  });
  const error = await assertRejects(() => redis.send(["INCR", "counter"]));
  await until(() => redis.stats().open === 0, "the end");
  await redis.close();
  listener.close();
  await served;
  const { dialed } = redis.stats();
  const clue = Deno.inspect({
    accepted,
    dialed,
    reports: reports.length,
    error,
  });
  assertLessOrEqual(accepted, 10, clue);
  assertEquals(reports.length, dialed, clue);
  assertEquals(
    Object.values(redis.stats().evicted).reduce((sum, n) => sum + n, 0),
    dialed,
    clue,
  );
});

test("Dead idle connections leave at once", async (fixture) => {
  const redis = fixture.client();
  await warm(redis, 6);
  await fixture.proxy.killAll("fin");
  await until(() => redis.stats().open === 0, "the eviction");
  assertEquals(redis.stats().evicted, { fin: 6 });
  assertEquals(
    fixture.reports.map(({ during }) => during),
    Array(6).fill("idle"),
  );
  await warm(redis, 2);
  await fixture.server.cli("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes");
  await until(() => redis.stats().open === 0, "the eviction");
  assertEquals(redis.stats().evicted, { fin: 8 });
  assertEquals(await redis.send(["INCR", "counter"]), 1);
  assertEquals(redis.stats().retries, 0);
});

test("An idle connection is closed after idleTimeoutMs, a busy one is not", async (fixture) => {
  const redis = fixture.client({ idleTimeoutMs: 400 });
  await warm(redis, 3);
  const giveUpAt = performance.now() + 1100;
  while (performance.now() < giveUpAt) {
    await redis.send(["PING"]);
    await delay(20);
  }
  await until(() => fixture.proxy.open === 1, "two are closed");
  assertEquals(redis.stats().evicted, { "idle-timeout": 2 });
  assertEquals(fixture.reports.length, 2);
  const [report] = fixture.reports;
  assertEquals(
    [report?.by, report?.how, report?.during, report?.cause],
    ["client", "requested", "idle", "idle-timeout"],
  );
  assertGreaterOrEqual(report!.idleMs, 400);
  assertAtRest(redis);
});

test("A connection is retired at maxAgeMs, at no cost to a command", async (fixture) => {
  const redis = fixture.client({ maxAgeMs: 300, retry: false });
  const giveUpAt = performance.now() + 1400;
  let i = 0;
  while (performance.now() < giveUpAt) {
    const replies = Array.from(
      { length: 20 },
      (_, j) => redis.send(["ECHO", `${i + j}`]),
    );
    assertEquals(
      await Promise.all(replies),
      Array.from({ length: 20 }, (_, j) => `${i + j}`),
    );
    i += 20;
  }
  const { dialed, evicted } = redis.stats();
  assertGreaterOrEqual(dialed, 2);
  assertEquals(evicted, { "max-age": dialed - redis.stats().open });
  assertEquals(fixture.reports[0]?.inFlight, 0);
  assertAtRest(redis);
});

test("Another connection is opened beside one that is slow to answer", async (fixture) => {
  const redis = fixture.client({ maxConnections: 3 });
  await redis.send(["PING"]);
  fixture.proxy.delay(700, { scope: "open" });
  const slow = redis.send(["ECHO", "slow"]);
  const startedAt = performance.now();
  let quick = 0;
  while (performance.now() - startedAt < 500) {
    redis.send(["ECHO", "quick"]).then(() => quick++, () => {});
    await delay(20);
  }
  assertGreater(quick, 0);
  assertEquals(await slow, "slow");
  await until(() => redis.stats().inFlight === 0, "all are answered");
});

test("A connection that owes 16384 replies is full: callers wait, or are refused at once", async (fixture) => {
  const redis = fixture.client({
    maxConnections: 1,
    maxWaiting: 1000,
    checkoutTimeoutMs: 60_000,
  });
  await redis.send(["PING"]);
  fixture.server.freeze();
  const startedAt = performance.now();
  const outcomes = Array.from(
    { length: 30_000 },
    (_, i) => redis.send(["ECHO", i]).catch((error: unknown) => error),
  );
  const { inFlight, waiting } = redis.stats();
  assertEquals([inFlight, waiting], [16_384, 1000]);
  const refused = await outcomes.at(-1);
  assertLess(performance.now() - startedAt, SOON_MS); // not after a timeout
  assertInstanceOf(refused, CheckoutTimeoutError);
  assertMatch(refused.message, /1000 callers wait already \(maxWaiting\)/);
  assertEquals(refused.fate, "unsent");
  fixture.server.thaw();
  const replies = await Promise.all(outcomes);
  for (let i = 0; i < 17_384; i++) assertEquals(replies[i], `${i}`);
  for (const reply of replies.slice(17_384)) {
    assertInstanceOf(reply, CheckoutTimeoutError);
  }
  assertAtRest(redis);
});

test("A connection with 16 MB to write is full: other commands get another connection", async (fixture) => {
  const writable = Promise.withResolvers<void>();
  let dials = 0;
  /** The first socket writes nothing large before `writable`. */
  const slowFirst: Dial = async (endpoint, options) => {
    const socket = await dial(endpoint, options);
    if (++dials > 1) return socket;
    return {
      read: (buffer) => socket.read(buffer),
      write: async (bytes) => {
        if (bytes.length > 1024) await writable.promise;
        return await socket.write(bytes);
      },
      close: () => socket.close(),
      unref: () => socket.unref?.(),
    };
  };
  const redis = fixture.client({ maxConnections: 2, dial: slowFirst });
  await redis.send(["PING"]);
  const large = new Uint8Array(24 * 1024 * 1024);
  const first = later(redis.send(["SET", "key", large]));
  const second = redis.send(["ECHO", "x"]);
  assertEquals(redis.stats().waiting, 1);
  assertEquals(await second, "x");
  // It went elsewhere: the large one is still being written.
  assertEquals([redis.stats().dialed, redis.stats().inFlight], [2, 1]);
  writable.resolve();
  assertEquals(await first, "OK");
});

test("Where all is leased a lease waits no longer than checkoutTimeoutMs, and idle connections are closed", async (fixture) => {
  const redis = fixture.client({
    maxConnections: 1,
    checkoutTimeoutMs: 300,
    idleTimeoutMs: 1000,
    retry: false,
  });
  const lease = await redis.lease();
  await delay(2200); // longer than a freeze would look
  const startedAt = performance.now();
  await assertRejects(() => redis.lease(), CheckoutTimeoutError);
  assertLess(performance.now() - startedAt, 800);
  lease.release();
  await until(() => redis.stats().open === 0, "the idle one is closed");
  assertEquals(redis.stats().evicted, { "idle-timeout": 1 });
});

test("A close report says what the pool held", async (fixture) => {
  const redis = fixture.client({ maxConnections: 2 });
  await using _lease = await redis.lease();
  await redis.send(["PING"]);
  await fixture.proxy.killAll("fin");
  await until(() => fixture.reports.length === 2, "both are closed");
  const [first] = fixture.reports;
  assertEquals(first!.pool, { open: 2, leased: 1, dialing: 0, waiting: 0 });
  assertMatch(describeClose(first!), /pool: 2 open, 1 leased, 0 waiting/);
});

test("A link slower than a tick of the pool serves its first command", async (fixture) => {
  const redis = fixture.client({ retry: false, replyTimeoutMs: 8000 });
  fixture.proxy.delay(1600);
  assertEquals(await redis.send(["PING"]), "PONG");
  assertEquals(redis.stats().dialed, 1);
});
