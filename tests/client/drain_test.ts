// What close() waits for, and for how long.

import "../support/strict.ts";
import {
  assert,
  assertEquals,
  assertGreaterOrEqual,
  assertLess,
  assertMatch,
  assertRejects,
  assertStrictEquals,
} from "@std/assert";
import {
  ConnectionClosedError,
  ExponentialBackoff,
  fateOf,
  type Redis,
  Retry,
} from "../../mod.ts";
import { testWithFixture as test } from "../support/fixture.ts";
import { until } from "../support/wait.ts";

test("close() waits for what is under way, and refuses what comes", async (fixture) => {
  const redis = fixture.client();
  await redis.send(["PING"]);
  fixture.proxy.delay(120);
  const replies = Promise.all([
    redis.send(["INCR", "n"]),
    redis.pipeline([["INCR", "n"], ["INCR", "n"]]),
    redis.send(["BLPOP", "list", 0.05]),
  ]);
  const closed = redis.close();
  assert(redis.isClosed);
  for (
    const refused of [
      () => redis.send(["INCR", "n"]),
      () => redis.pipeline([["INCR", "n"]]),
      () => redis.send(["BLPOP", "list", 1]),
      () => redis.lease(),
    ]
  ) {
    const error = await assertRejects(refused, Error);
    assertMatch(error.message, /^Cannot .*: this client of .* is closed$/);
  }
  assertEquals(await replies, [1, [2, 3], null]);
  await closed;
  assertEquals(redis.stats().open, 0);
  await until(() => fixture.proxy.open === 0, "every socket is closed");
  assertEquals(await fixture.server.cli("GET", "n"), "3");
});

test("close() rejects after drainMs what is not done by then", async (fixture) => {
  const redis = fixture.client({ maxConnections: 1 });
  await redis.send(["PING"]);
  fixture.proxy.silence({ scope: "open" });
  const startedAt = performance.now();
  const lost = Promise.all([
    assertRejects(() => redis.send(["INCR", "n"]), Error),
    assertRejects(() => redis.send(["GET", "n"]), Error),
    assertRejects(() => redis.pipeline([["GET", "n"], ["INCR", "n"]]), Error),
    assertRejects(() => redis.lease(), Error),
  ]);
  await redis.close({ drainMs: 100 });
  const elapsed = performance.now() - startedAt;
  assertGreaterOrEqual(elapsed, 95);
  assertLess(elapsed, 4000);
  for (const error of (await lost).slice(0, 3)) {
    assertEquals(fateOf(error), "unknown");
    assertMatch(error.message, /closed/);
  }
  assertEquals(redis.stats().open, 0);
  assertEquals(redis.stats().waiting, 0);
});

test("close() waits for a lease to be released, up to drainMs", async (fixture) => {
  const redis = fixture.client();
  const lease = await redis.lease();
  const closed = redis.close();
  assertEquals(await lease.send(["PING"]), "PONG");
  lease.release();
  await closed;
  assertEquals(redis.stats().open, 0);

  const other = fixture.client();
  const kept = await other.lease();
  await other.close({ drainMs: 30 });
  await assertRejects(() => kept.send(["PING"]), ConnectionClosedError);
  kept.release();
});

test("close() during a dial ends the dial and rejects the calls that wait", async (fixture) => {
  const redis = fixture.client({
    dial: (_, { signal }) =>
      new Promise((_resolve, reject) =>
        signal.addEventListener("abort", () => reject(signal.reason))
      ),
  });
  const left = Promise.all([
    assertRejects(() => redis.send(["GET", "n"]), Error, "closed"),
    assertRejects(() => redis.lease(), Error, "closed"),
  ]);
  const startedAt = performance.now();
  await redis.close({ drainMs: 20 });
  await left;
  assertLess(performance.now() - startedAt, 4000);
  assertEquals(fixture.proxy.connections, 0);
});

test("close() during the wait between two attempts rejects at once after drainMs", async (fixture) => {
  await fixture.proxy.refuse();
  const redis = fixture.client({
    retry: new Retry({
      backoff: new ExponentialBackoff({ baseMs: 60_000, capMs: 60_000 }),
    }),
  });
  const left = assertRejects(() => redis.send(["GET", "n"]), Error, "closed");
  await until(() => fixture.retried.length === 1, "it sleeps");
  await redis.close({ drainMs: 20 });
  await left;
});

test("close() twice is close() once, and an unused client closes at once", async (fixture) => {
  const redis = fixture.client();
  await redis.send(["PING"]);
  assertStrictEquals(redis.close(), redis.close());
  await redis.close();
  await redis[Symbol.asyncDispose]();
  assertEquals(fixture.reports.length, 1);
  assertEquals(
    [fixture.reports[0]?.by, fixture.reports[0]?.how],
    ["client", "requested"],
  );
  await fixture.client().close();

  let held: Redis;
  {
    await using used = fixture.client();
    await used.send(["PING"]);
    held = used;
  }
  assert(held.isClosed);
  assertEquals(held.stats().open, 0);
});
