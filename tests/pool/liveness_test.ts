// That no command is risked on a connection that may be dead.

import "../support/strict.ts";
import {
  assertEquals,
  assertLess,
  assertMatch,
  assertRejects,
} from "@std/assert";
import { delay } from "@std/async/delay";
import { ConnectionClosedError } from "../../mod.ts";
import { testWithFixture as test } from "../support/fixture.ts";
import { assertAtRest, warm } from "../support/pool_state.ts";
import { SOON_MS, until } from "../support/wait.ts";

test("A connection idle for longer than validateAfterIdleMs must answer a PING first", async (fixture) => {
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

test("A connection that died silently while idle is replaced before a command is sent on it", async (fixture) => {
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

test("With validateAfterIdleMs of 0 each command after a pause has one PING before it", async (fixture) => {
  const redis = fixture.client({
    validateAfterIdleMs: 0,
    maxConnections: 1,
    retry: false,
    checkoutTimeoutMs: 1500,
  });
  await redis.send(["ECHO", "first"]);
  for (let i = 1; i <= 5; i++) {
    await delay(5);
    const pings = await fixture.calls("ping");
    assertEquals(await redis.send(["ECHO", `${i}`]), `${i}`);
    assertEquals(await fixture.calls("ping"), pings + 1);
  }
  assertEquals(redis.stats().dialed, 1);
});

test("Connections that die at random while idle show no idle limit", async (fixture) => {
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

test("After a silent death the other connections must answer a PING first", async (fixture) => {
  const redis = fixture.client({ replyTimeoutMs: 250 });
  await warm(redis, 4);
  fixture.proxy.silence({ scope: "open" });
  const startedAt = performance.now();
  const lost = await assertRejects(
    () => redis.send(["INCR", "lost"], { retry: false }),
    ConnectionClosedError,
  );
  assertEquals(lost.report.how, "silence");
  // The others are as dead, and no command is lost on them.
  const replies = await Promise.all(
    Array.from({ length: 50 }, () => redis.send(["INCR", "counter"])),
  );
  assertEquals(replies, Array.from({ length: 50 }, (_, i) => i + 1));
  assertLess(performance.now() - startedAt, SOON_MS);
  await until(() => redis.stats().evicted.silence === 4, "four deaths");
  assertEquals(redis.stats().retries, 0);
  assertAtRest(redis);
});

test("Connections that answer their PING after a silent death stay open", async (fixture) => {
  const redis = fixture.client({ replyTimeoutMs: 250 });
  await redis.send(["PING"]);
  fixture.proxy.silence({ scope: "open" });
  const lost = assertRejects(() => redis.send(["GET", "x"], { retry: false }));
  const leases = await Promise.all([redis.lease(), redis.lease()]);
  for (const lease of leases) lease.release();
  await lost;
  assertEquals(await redis.send(["PING"]), "PONG");
  await until(() => redis.stats().idle === 2, "both have answered");
  assertEquals(redis.stats().evicted, { silence: 1 });
  assertEquals(redis.stats().dialed, 3);
});

test("After a freeze of the process an idle connection must answer a PING first", async (fixture) => {
  const redis = fixture.client({ maxConnections: 1 });
  await redis.send(["ECHO", "a"]);
  const thawAt = performance.now() + 1700;
  while (performance.now() < thawAt);
  assertEquals(await redis.send(["ECHO", "b"]), "b");
  assertEquals(await fixture.calls("ping"), 1);
  assertEquals(redis.stats().dialed, 1);
});
