// That the pool never has too many connections, never the wrong one, and none that is dead.

import "../support/strict.ts";
import {
  assertEquals,
  assertFalse,
  assertGreater,
  assertGreaterOrEqual,
  assertInstanceOf,
  assertLess,
  assertLessOrEqual,
  assertMatch,
  assertNotEquals,
  assertRejects,
  assertStringIncludes,
} from "@std/assert";
import { delay } from "@std/async/delay";
import {
  CheckoutTimeoutError,
  type CloseReport,
  type Command,
  ConnectionClosedError,
  describeClose,
  DialError,
  fateOf,
  type Lease,
  Redis,
  Retry,
} from "../../mod.ts";
import { dial } from "../../pool/socket/dial.ts";
import type { Reply } from "../../resp/mod.ts";
import type { Dial } from "../../pool/socket/socket.ts";
import { testWithFixture as test } from "../support/fixture.ts";
import { later, SOON_MS, until } from "../support/wait.ts";

/** Opens that many connections, idle afterwards. */
async function warm(redis: Redis, connections: number): Promise<void> {
  const leases = await Promise.all(
    Array.from({ length: connections }, () => redis.lease()),
  );
  for (const lease of leases) lease.release();
  assertEquals(redis.stats().idle, connections);
}

/** The numbers of `stats()` that must agree whenever nothing is going on. */
function assertAtRest(redis: Redis): void {
  const stats = redis.stats();
  const gone = Object.values(stats.evicted).reduce((sum, n) => sum + n, 0);
  assertEquals(stats.inFlight, 0);
  assertEquals(stats.waiting, 0);
  assertEquals(stats.idle, stats.open);
  assertEquals(stats.dialed - gone, stats.open);
}

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

test("A lease gets its turn although the connection never rests", async (fixture) => {
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

test("Who waits longer than checkoutTimeoutMs is told what the pool is busy with", async (fixture) => {
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

test("One dial serves all who wait for a shared connection", async (fixture) => {
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

test("One failed dial answers all who wait for it", async (fixture) => {
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

test("Callers of every kind are told of a failed dial at once, and nobody dials in a loop", async (fixture) => {
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

test("Leases that meet a server which slams the door are told, and nobody dials in a loop", async (fixture) => {
  await fixture.proxy.slam("fin");
  const redis = fixture.client({ retry: false, checkoutTimeoutMs: 3000 });
  const errors = await Promise.all(
    Array.from({ length: 4 }, () => assertRejects(() => redis.lease())),
  );
  for (const error of errors) assertInstanceOf(error, DialError);
  assertLessOrEqual(fixture.proxy.connections, 8);
});

Deno.test("A connection that ends right after its handshake is reported, and nobody dials in a loop", async () => {
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

test("A connection is retired at maxAgeMs, and no command notices", async (fixture) => {
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

test("A connection idle for longer than validateAfterIdleMs proves itself by a PING", async (fixture) => {
  const redis = fixture.client({ validateAfterIdleMs: 100, maxConnections: 1 });
  await redis.send(["ECHO", "a"]);
  await redis.send(["ECHO", "b"]);
  assertEquals(await fixture.calls("ping"), 0);
  await delay(150);
  assertEquals(await redis.send(["ECHO", "c"]), "c");
  assertEquals(await fixture.calls("ping"), 1);
  await delay(150);
  const lease = await redis.lease();
  assertEquals(await lease.send(["ECHO", "d"]), "d");
  assertEquals(await fixture.calls("ping"), 2);
  lease.release();
  assertEquals(redis.stats().dialed, 1);
});

test("A connection that died in silence while idle is replaced before a command is risked on it", async (fixture) => {
  const redis = fixture.client({ validateAfterIdleMs: 50, maxConnections: 1 });
  await redis.send(["PING"]);
  fixture.proxy.silence({ scope: "open" });
  await delay(100);
  const startedAt = performance.now();
  assertEquals(await redis.send(["INCR", "counter"]), 1);
  // Long before the reply timeout of 5 s.
  assertLess(performance.now() - startedAt, 2500);
  const { retries, replays, dialed, evicted } = redis.stats();
  assertEquals({ retries, replays, dialed, evicted }, {
    retries: 0,
    replays: 0,
    dialed: 2,
    evicted: { silence: 1 },
  });
  assertMatch(fixture.reports[0]?.cause ?? "", /suspected dead, no PONG/);
});

test("validateAfterIdleMs of 0 sends a PING before every command after a pause, and ends", async (fixture) => {
  const redis = fixture.client({
    validateAfterIdleMs: 0,
    maxConnections: 1,
    retry: false,
    checkoutTimeoutMs: 1500,
  });
  for (let i = 0; i < 5; i++) {
    assertEquals(await redis.send(["ECHO", `${i}`]), `${i}`);
    await delay(5);
  }
  const pings = await fixture.calls("ping");
  assertGreaterOrEqual(pings, 4); // one before each command but the first
  assertLessOrEqual(pings, 10);
});

test("Connections that die at random while idle teach nothing about an idle limit", async (fixture) => {
  const redis = fixture.client({ maxConnections: 1 });
  for (let i = 0; i < 4; i++) {
    await redis.send(["ECHO", "x"]);
    await delay(3 * i);
    await fixture.proxy.killAll("fin");
    await until(() => redis.stats().open === 0, "the eviction");
  }
  const pings = await fixture.calls("ping");
  for (let i = 0; i < 30; i++) {
    assertEquals(await redis.send(["ECHO", `${i}`]), `${i}`);
    await delay(4);
  }
  assertLess(await fixture.calls("ping") - pings, 5);
  await delay(1300);
  assertEquals(redis.stats().evicted["idle-timeout"], undefined);
  assertEquals(redis.stats().open, 1);
});

test("A silent death makes the siblings prove themselves", async (fixture) => {
  const redis = fixture.client({ replyTimeoutMs: 250 });
  await warm(redis, 4);
  fixture.proxy.silence({ scope: "open" });
  const startedAt = performance.now();
  const lost = await assertRejects(
    () => redis.send(["INCR", "lost"], { retry: false }),
    ConnectionClosedError,
  );
  assertEquals(lost.report.how, "silence");
  // The others are as dead. No command finds out the hard way.
  const replies = await Promise.all(
    Array.from({ length: 50 }, () => redis.send(["INCR", "counter"])),
  );
  assertEquals(replies, Array.from({ length: 50 }, (_, i) => i + 1));
  assertLess(performance.now() - startedAt, SOON_MS);
  await until(() => redis.stats().evicted.silence === 4, "four deaths");
  assertEquals(redis.stats().retries, 0);
  assertAtRest(redis);
});

test("Siblings that live go on living after a silent death", async (fixture) => {
  const redis = fixture.client({ replyTimeoutMs: 250 });
  await redis.send(["PING"]);
  fixture.proxy.silence({ scope: "open" });
  const lost = assertRejects(() => redis.send(["GET", "x"], { retry: false }));
  const leases = await Promise.all([redis.lease(), redis.lease()]);
  for (const lease of leases) lease.release();
  await lost;
  assertEquals(await redis.send(["PING"]), "PONG");
  await until(() => redis.stats().idle === 2, "both are proved");
  assertEquals(redis.stats().evicted, { silence: 1 });
  assertEquals(redis.stats().dialed, 3);
});

test("After the process was frozen an idle connection proves itself first", async (fixture) => {
  const redis = fixture.client({ maxConnections: 1 });
  await redis.send(["ECHO", "a"]);
  const thawAt = performance.now() + 1700;
  while (performance.now() < thawAt);
  assertEquals(await redis.send(["ECHO", "b"]), "b");
  assertEquals(await fixture.calls("ping"), 1);
  assertEquals(redis.stats().dialed, 1);
});

test("A transaction on a lease and 1000 sends do not meet", async (fixture) => {
  const redis = fixture.client({ maxConnections: 3 });
  const transactions = async (name: string) => {
    for (let i = 1; i <= 10; i++) {
      await using lease = await redis.lease();
      assertEquals(await lease.send(["MULTI"]), "OK");
      assertEquals<Reply>(await lease.send(["INCR", name]), "QUEUED");
      await delay(1);
      assertEquals(await lease.send(["ECHO", `${name}${i}`]), "QUEUED");
      assertEquals(await lease.send(["EXEC"]), [i, `${name}${i}`]);
    }
  };
  const sends = async () => {
    for (let i = 0; i < 1000; i += 20) {
      const replies = Array.from(
        { length: 20 },
        (_, j) => redis.send(["ECHO", `${i + j}`]),
      );
      assertEquals(
        await Promise.all(replies),
        Array.from({ length: 20 }, (_, j) => `${i + j}`),
      );
      await redis.send(["INCR", "sends"]);
      if (i % 100 === 0) await delay(1);
    }
  };
  await Promise.all([transactions("a"), sends(), transactions("b"), sends()]);
  assertEquals(await redis.send(["MGET", "a", "b", "sends"]), [
    "10",
    "10",
    "100",
  ]);
  assertAtRest(redis);
});

test("An unclean lease is closed, a clean one goes back", async (fixture) => {
  const unclean: Command[][] = [
    [["MULTI"]],
    [["MULTI"], ["SET", "a", 1]],
    [["multi"]],
    [["SELECT", 3]],
    [["WATCH", "key"]],
    [["WATCH", "key"], ["MULTI"], ["UNWATCH"]],
    [["CLIENT", "REPLY", "OFF"]],
    [["CLIENT", "REPLY", "SKIP"]],
    [["client", "reply", "off"], ["SET", "a", 1]],
    [["CLIENT", "REPLY", "SKIP"], ["SET", "a", 1]],
    [["CLIENT", "REPLY", "OFF"], ["SET", "a", 1], ["CLIENT", "REPLY", "ON"]],
    [["CLIENT", "SETNAME", "other"]],
    [["CLIENT", "NO-EVICT", "ON"]],
    [["CLIENT", "TRACKING", "ON"]],
    [["HELLO", "2", "SETNAME", "other"]],
    [["RESET"]],
    [["READONLY"]],
  ];
  const clean: Command[][] = [
    [],
    [["PING"]],
    [["MULTI"], ["SET", "a", 1], ["EXEC"]],
    [["MULTI"], ["SET", "a", 1], ["DISCARD"]],
    [["WATCH", "key"], ["UNWATCH"]],
    [["WATCH", "key"], ["MULTI"], ["EXEC"]],
    [["BLPOP", "list", 0.01]],
    [["NOSUCHCOMMAND"]],
  ];
  const redis = fixture.client({ maxConnections: 1 });
  for (
    const [isClean, sequences] of [[false, unclean], [true, clean]] as const
  ) {
    for (const commands of sequences) {
      const clue = JSON.stringify(commands);
      await redis.send(["PING"]);
      const before = redis.stats();
      const lease = await redis.lease();
      for (const command of commands) {
        await lease.send(command).catch((error: Error) =>
          assertEquals(error.name, "CommandError", clue)
        );
      }
      lease.release();
      const closed = (redis.stats().evicted["unclean-lease"] ?? 0) -
        (before.evicted["unclean-lease"] ?? 0);
      assertEquals(closed, isClean ? 0 : 1, clue);
      assertEquals(await redis.send(["ECHO", "next"]), "next", clue);
      assertMatch(
        String(await redis.send(["CLIENT", "INFO"])),
        // Valkey 9 counts the commands of no transaction as 0.
        / name= .* db=0 .* multi=(?:-1|0) .*\bresp=2\b/,
        clue,
      );
      assertEquals(redis.stats().dialed - before.dialed, closed, clue);
    }
  }
  assertAtRest(redis);
});

test("A lease released with a command in flight is closed", async (fixture) => {
  const redis = fixture.client({ maxConnections: 1 });
  const lease = await redis.lease();
  const lost = assertRejects(
    () => lease.send(["BLPOP", "list", 0]),
    ConnectionClosedError,
  );
  lease.release();
  await lost;
  assertEquals(redis.stats().evicted, { "unclean-lease": 1 });
  assertEquals(await redis.send(["PING"]), "PONG");
});

test("A lease refuses to send after its release, and a second release does nothing", async (fixture) => {
  const redis = fixture.client({ maxConnections: 2 });
  const lease = await redis.lease();
  lease.release();
  lease.release();
  await lease[Symbol.asyncDispose]();
  await assertRejects(() => lease.send(["PING"]), TypeError, "released");
  const others = await Promise.all([redis.lease(), redis.lease()]);
  assertEquals(
    await Promise.all(others.map((other, i) => other.send(["ECHO", `${i}`]))),
    ["0", "1"],
  );
  for (const other of others) other.release();
  assertAtRest(redis);
});

test("A lease whose connection dies says so, and its release does no harm", async (fixture) => {
  const redis = fixture.client({ maxConnections: 1 });
  const lease = await redis.lease();
  await lease.send(["MULTI"]);
  await fixture.proxy.killAll("fin");
  await until(() => redis.stats().open === 0, "the eviction");
  const lost = await assertRejects(
    () => lease.send(["INCR", "counter"]),
    ConnectionClosedError,
  );
  assertEquals(lost.fate, "unsent");
  lease.release();
  assertEquals(redis.stats().evicted, { fin: 1 });
  assertEquals(await redis.send(["PING"]), "PONG");
});

test("CLIENT REPLY keeps replies and commands together", async (fixture) => {
  const redis = fixture.client({ maxConnections: 1, replyTimeoutMs: 1000 });
  const reply = (mode: string): Command => ["CLIENT", "REPLY", mode];
  const echo = (i: number): Command => ["ECHO", `${i}`];
  const sequences: [Command, unknown][][] = [
    [[reply("SKIP"), null], [echo(1), null], [echo(2), "2"]],
    [[reply("SKIP"), null], [reply("SKIP"), null], [echo(1), null], [
      echo(2),
      "2",
    ]],
    [[reply("SKIP"), null], [reply("ON"), "OK"], [echo(1), "1"]],
    [[reply("OFF"), null], [echo(1), null], [echo(2), null], [
      reply("ON"),
      "OK",
    ], [echo(3), "3"]],
    [
      [reply("OFF"), null],
      [reply("SKIP"), null],
      [echo(1), null],
      [echo(2), null],
      [reply("ON"), "OK"],
      [echo(3), "3"],
    ],
    [[echo(0), "0"], [reply("OFF"), null], [["SET", "key", "value"], null], [
      reply("ON"),
      "OK",
    ], [["GET", "key"], "value"]],
  ];
  for (const together of [true, false]) {
    for (const sequence of sequences) {
      const clue = JSON.stringify([together, sequence]);
      await using lease: Lease = await redis.lease();
      const replies: unknown[] = [];
      if (together) {
        replies.push(
          ...await Promise.all(
            sequence.map(([command]) => lease.send(command)),
          ),
        );
      } else {
        for (const [command] of sequence) {
          replies.push(await lease.send(command));
        }
      }
      assertEquals(replies, sequence.map(([, expected]) => expected), clue);
    }
  }
  assertEquals(await redis.send(["ECHO", "after"]), "after");
  await using lease = await redis.lease();
  await assertRejects(() => lease.send(reply("MAYBE")), TypeError, "MAYBE");
});

test("A command that cannot be encoded does not use up a CLIENT REPLY SKIP", async (fixture) => {
  const redis = fixture.client({ replyTimeoutMs: 500 });
  await using lease = await redis.lease();
  await lease.send(["CLIENT", "REPLY", "SKIP"]);
  await assertRejects(() => lease.send(["ECHO", NaN]), TypeError);
  // The server still skips the next one.
  assertEquals(await lease.send(["ECHO", "1"]), null);
  assertEquals(await lease.send(["ECHO", "2"]), "2");
});

test("CLIENT REPLY inside a transaction is refused, and gives no command another one's reply", async (fixture) => {
  const redis = fixture.client({ replyTimeoutMs: 500 });
  for (const [round, mode] of ["SKIP", "OFF"].entries()) {
    await using lease = await redis.lease();
    const commands: Command[] = [
      ["MULTI"],
      ["INCR", "a"],
      ["CLIENT", "REPLY", mode],
      ["INCR", "b"],
      ["EXEC"],
    ];
    const [multi, first, refused, second, exec] = await Promise.all(
      commands.map((command) => lease.send(command).catch((error) => error)),
    );
    assertEquals([multi, first, second], ["OK", "QUEUED", "QUEUED"]);
    assertInstanceOf(refused, TypeError);
    assertStringIncludes(refused.message, "a transaction is open");
    assertEquals(exec, [round + 1, round + 1]);
  }
});

test("SUBSCRIBE, MONITOR and SYNC are refused on a lease", async (fixture) => {
  const redis = fixture.client();
  await using lease = await redis.lease();
  for (const name of ["SUBSCRIBE", "psubscribe", "MONITOR", "SYNC"]) {
    await assertRejects(
      () => lease.send([name, "x"]),
      TypeError,
      "not support",
    );
  }
  assertEquals(await lease.send(["PING"]), "PONG");
});

test("Commands that change a shared connection are refused by send and pipeline", async (fixture) => {
  const redis = fixture.client();
  const refused: Command[] = [
    ["MULTI"],
    ["exec"],
    ["WATCH", "key"],
    ["SELECT", 1],
    ["AUTH", "pw"],
    ["HELLO", 3],
    ["RESET"],
    ["QUIT"],
    ["SUBSCRIBE", "channel"],
    ["MONITOR"],
    ["CLIENT", "REPLY", "OFF"],
    ["CLIENT", "TRACKING", "ON"],
    ["Client", "SetName", "x"],
    ["SCRIPT", "DEBUG", "YES"],
    ["READONLY"],
  ];
  for (const command of refused) {
    for (
      const attempt of [
        () => redis.send(command),
        () => redis.pipeline([["SET", "written", 1], command]),
      ]
    ) {
      const error = await assertRejects(attempt, TypeError);
      assertMatch(error.message, /redis\.lease\(\)|does not support/);
      assertEquals(fateOf(error), "unsent");
    }
  }
  await assertRejects(
    () => redis.pipeline([["BLPOP", "list", 1]]),
    TypeError,
    "block",
  );
  assertEquals(redis.stats().dialed, 0);
  assertEquals(await redis.send(["EXISTS", "written"]), 0);
});

test("Blocking commands by send delay nobody", async (fixture) => {
  const redis = fixture.client({ maxConnections: 4, replyTimeoutMs: 700 });
  const popped = later(Promise.all([
    redis.send(["BLPOP", "list1", 0]),
    redis.send(["BLMPOP", 0, 1, "list2", "LEFT"]),
    redis.send(["XREAD", "BLOCK", 0, "STREAMS", "stream", "$"]),
  ]));
  await until(
    async () =>
      (await fixture.server.cli("INFO", "clients")).includes(
        "blocked_clients:3",
      ),
    "three are blocked",
  );
  const startedAt = performance.now();
  for (let i = 0; i < 100; i++) {
    assertEquals(await redis.send(["ECHO", `${i}`]), `${i}`);
  }
  assertLess(performance.now() - startedAt, 4000);
  // Longer than replyTimeoutMs: nothing is owed yet.
  await delay(900);
  await redis.pipeline([
    ["RPUSH", "list1", "a"],
    ["RPUSH", "list2", "b"],
    ["XADD", "stream", "1-1", "field", "c"],
  ]);
  assertEquals(await popped, [
    ["list1", "a"],
    ["list2", ["b"]],
    [["stream", [["1-1", ["field", "c"]]]]],
  ]);
  assertEquals(redis.stats().evicted, {});
  assertAtRest(redis);
});

test("A blocking command has its own time and the reply timeout", async (fixture) => {
  const redis = fixture.client({ replyTimeoutMs: 200 });
  assertEquals(await redis.send(["BLPOP", "list", 0.6]), null);
  assertEquals(await redis.send(["BLPOP", "list", "0.3"]), null);
  await assertRejects(() => redis.send(["WAIT", 1, 300]), TypeError, "lease");
  await using lease = await redis.lease();
  assertEquals(await lease.send(["WAIT", 1, 300]), 0);
  fixture.proxy.silence({ scope: "open" });
  const startedAt = performance.now();
  const lost = await assertRejects(
    () => lease.send(["BLPOP", "list", 0.3]),
    ConnectionClosedError,
  );
  assertEquals(lost.report.how, "silence");
  const elapsed = performance.now() - startedAt;
  assertGreaterOrEqual(elapsed, 490);
  assertLess(elapsed, SOON_MS);
});

test("An aborted BLPOP closes its connection, and takes no element afterwards", async (fixture) => {
  const redis = fixture.client({ maxConnections: 2 });
  const leaver = new AbortController();
  const left = assertRejects(
    () => redis.send(["BLPOP", "list", 0], { signal: leaver.signal }),
    Error,
    "enough",
  );
  const blocked = async (n: number) =>
    (await fixture.server.cli("INFO", "clients")).includes(
      `blocked_clients:${n}`,
    );
  await until(() => blocked(1), "it blocks");
  leaver.abort(new Error("enough"));
  await left;
  await until(() => blocked(0), "the server noticed");
  assertEquals(await redis.send(["RPUSH", "list", "precious"]), 1);
  assertEquals(await redis.send(["LRANGE", "list", 0, -1]), ["precious"]);
  assertEquals(redis.stats().evicted, { requested: 1 });
  const [report] = fixture.reports;
  assertEquals([report?.by, report?.how], ["client", "requested"]);
  assertAtRest(redis);
});

test("An aborted send on a lease closes the lease's connection", async (fixture) => {
  const redis = fixture.client({ maxConnections: 1 });
  const lease = await redis.lease();
  const leaver = new AbortController();
  const left = assertRejects(() =>
    lease.send(["BLPOP", "list", 0], { signal: leaver.signal })
  );
  await delay(10);
  leaver.abort();
  await left;
  await assertRejects(() => lease.send(["PING"]), ConnectionClosedError);
  lease.release();
  assertEquals(await redis.send(["PING"]), "PONG");
  assertEquals(redis.stats().dialed, 2);
});

test("An aborted wait for a blocking command takes no connection", async (fixture) => {
  const redis = fixture.client({ maxConnections: 1 });
  const held = await redis.lease();
  const leaver = new AbortController();
  const left = assertRejects(() =>
    redis.send(["BLPOP", "list", 0], { signal: leaver.signal })
  );
  await delay(5);
  leaver.abort();
  await left;
  held.release();
  assertEquals(await redis.send(["PING"]), "PONG");
  assertEquals(redis.stats().dialed, 1);
  assertAtRest(redis);
});

test("A connection that is slow to answer gets company", async (fixture) => {
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

test("stats() and Deno.inspect show what is there", async (fixture) => {
  const redis = fixture.client({ password: "s3cret", maxConnections: 3 });
  assertEquals(redis.stats(), {
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
    retries: 0,
    replays: 0,
    retryBudget: 100,
    lastVerdict: undefined,
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

test("A connection that owes 16384 replies is full: callers wait, or are refused at once", async (fixture) => {
  const redis = fixture.client({ maxConnections: 1, maxWaiting: 1000 });
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
  assertLess(performance.now() - startedAt, 3000);
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

test("A connection with 16 MB to write is full: others go elsewhere", async (fixture) => {
  const redis = fixture.client({ maxConnections: 2 });
  const firstId = await redis.send(["CLIENT", "ID"]);
  fixture.server.freeze();
  const large = new Uint8Array(24 * 1024 * 1024);
  const first = redis.send(["SET", "key", large]);
  const second = redis.send(["CLIENT", "ID"]);
  assertEquals(redis.stats().waiting, 1);
  fixture.server.thaw();
  assertEquals(await first, "OK");
  assertNotEquals(await second, firstId);
  assertEquals(redis.stats().dialed, 2);
});

test("Aborting ten times as many waiting calls takes about ten times as long", async (fixture) => {
  const redis = fixture.client({ maxConnections: 1, maxWaiting: Infinity });
  await using _lease = await redis.lease();
  const abort = async (count: number): Promise<number> => {
    const controller = new AbortController();
    const { signal } = controller;
    const calls = Array.from(
      { length: count },
      () => redis.send(["PING"], { signal: AbortSignal.any([signal]) }),
    );
    const outcomes = Promise.allSettled(calls);
    assertEquals(redis.stats().waiting, count);
    const startedAt = performance.now();
    controller.abort();
    await outcomes;
    assertEquals(redis.stats().waiting, 0);
    return performance.now() - startedAt;
  };
  // Where each abort looks through all other calls it is a hundred times as
  // long, in every round. Other work of the machine spoils some.
  let seen = "";
  for (let round = 0; round < 5; round++) {
    const few = Math.min(await abort(1000), await abort(1000));
    const many = await abort(10_000);
    if (many < 40 * few) return;
    seen += `${few.toFixed(1)} ms, then ${many.toFixed(0)}; `;
  }
  throw new Error(seen);
});

test("Who only leases waits no longer than checkoutTimeoutMs, and idle connections go", async (fixture) => {
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

test("A close report says what its pool held", async (fixture) => {
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
