// How the attempts of a call follow its retry policy.

import "../support/strict.ts";
import {
  assert,
  assertEquals,
  assertInstanceOf,
  assertLess,
  assertLessOrEqual,
  assertMatch,
  assertNotEquals,
  assertRejects,
  assertStrictEquals,
} from "@std/assert";
import { delay } from "@std/async/delay";
import {
  ConnectionClosedError,
  DialError,
  ExponentialBackoff,
  fateOf,
  Redis,
  Retry,
  RetryError,
} from "../../mod.ts";
import { testWithFixture as test } from "../support/fixture.ts";
import { later, pastDialPause, SOON_MS, until } from "../support/wait.ts";
import { LateSockets } from "../../cli/proof/late_socket.ts";
import { NotedWaits } from "../support/policies.ts";
import { lossOf } from "../support/loss.ts";

test("retry: false makes exactly one attempt", async (fixture) => {
  for (
    const [options, sendOptions] of [
      [{ retry: false }, {}],
      [{}, { retry: false }],
    ] as const
  ) {
    const redis = fixture.client({ dial: new LateSockets().dial, ...options });
    const kill = async () => {
      await redis.send(["PING"], { retry: new Retry() });
      await fixture.kill();
    };
    await redis.send(["PING"]);
    await fixture.kill();
    await lossOf(redis.send(["GET", "key"], sendOptions));
    await kill();
    await lossOf(redis.pipeline([["GET", "key"]], sendOptions));
    await fixture.proxy.refuse();
    await pastDialPause();
    const dials = redis.stats().dialFailures;
    await assertRejects(
      () => redis.send(["GET", "key"], sendOptions),
      DialError,
    );
    assertEquals(redis.stats().dialFailures, dials + 1);
    assertEquals(redis.stats().retries, 0);
    await fixture.proxy.accept();
    await redis.close();
  }
  assertEquals(fixture.retried.filter(({ command }) => command !== "PING"), []);
});

test("A policy of one call overrides that of the client", async (fixture) => {
  await fixture.proxy.refuse();
  const noted = new NotedWaits();
  const redis = fixture.client({ retry: false });
  const error = await assertRejects(
    () => redis.send(["GET", "key"], { retry: noted.policy(5) }),
    RetryError,
  );
  assertEquals(error.attempts, 6);
  assertEquals(noted.waits, [100, 200, 400, 800, 1000]);
  assertEquals(redis.stats().retries, 5);
});

test("When the attempts run out the error holds all of them", async (fixture) => {
  const noted = new NotedWaits();
  const redis = fixture.client({ retry: noted.policy(2) });
  await redis.send(["PING"]);
  fixture.server.freeze(); // no reply can come before the kill
  const failing = later(redis.send(["GET", "key"]));
  await delay(0);
  await fixture.proxy.slam("fin");
  await fixture.proxy.killAll("fin");
  const error = await assertRejects(() => failing, RetryError);
  fixture.server.thaw();
  assertEquals(error.attempts, 4);
  const [lost, ...dials] = error.errors;
  assertInstanceOf(lost, ConnectionClosedError);
  assertEquals(lost.fate, "unknown");
  assertEquals(dials.length, 3);
  for (const dial of dials) assertInstanceOf(dial, DialError);
  assertStrictEquals(error.cause, error.errors[3]);
  assertMatch(
    error.message,
    /^Gave up after 4 attempts \(2 retries, 1 replay\): Cannot connect to /,
  );
  assertEquals(fateOf(error), "unknown");
  assertEquals(
    fixture.retried.map((info) => [info.attempt, info.delayMs, info.isReplay]),
    [[1, 0, true], [2, 100, false], [3, 200, false]],
  );
  assertEquals(redis.stats().waiting, 0);
});

test("A deadline ends the attempts before a wait would overrun it", async (fixture) => {
  await fixture.proxy.refuse();
  const redis = fixture.client({
    retry: new Retry({
      retries: 50,
      deadlineMs: 300,
      backoff: new ExponentialBackoff({ baseMs: 100, capMs: 100 }),
    }),
  });
  const startedAt = performance.now();
  const error = await assertRejects(
    () => redis.send(["GET", "key"]),
    RetryError,
  );
  assertLess(performance.now() - startedAt, SOON_MS);
  assertLessOrEqual(error.attempts, 3);
});

test("An isRetriable that says no is obeyed", async (fixture) => {
  await fixture.proxy.refuse();
  const redis = fixture.client({
    retry: new Retry({ isRetriable: () => false }),
  });
  await assertRejects(() => redis.send(["GET", "key"]), DialError);
  assertEquals(fixture.retried, []);
});

Deno.test("A policy that throws what has no text rejects its call, too", async () => {
  await using redis = new Redis("redis://127.0.0.1:1", {
    retry: new Retry({
      backoff: {
        delayMs: () => {
          throw Object.create(null);
        },
      },
    }),
  });
  for (const call of [() => redis.send(["PING"]), () => redis.lease()]) {
    const error = await assertRejects(call, RetryError);
    assertEquals(fateOf(error), "unsent");
    assertMatch(error.message, /an error that has no text$/);
  }
});

test("A policy that throws costs its own caller the call, and no other", async (fixture) => {
  const redis = fixture.client({ maxConnections: 1 });
  await redis.send(["SET", "key", "0123456789"]);
  fixture.proxy.cut(5, { scope: "open" });
  const retry = new Retry({
    isRetriable: () => {
      throw new TypeError("a mistake");
    },
  });
  const [own, stranger, single] = await Promise.allSettled([
    redis.send(["GET", "key"], { retry }),
    redis.send(["GET", "key"]),
    redis.send(["GET", "key"], { retry: false }),
  ]);
  assert(own.status === "rejected" && single.status === "rejected");
  assertMatch(own.reason.message, /a mistake/);
  assertEquals(fateOf(own.reason), "unknown");
  assertInstanceOf(single.reason, ConnectionClosedError);
  assertEquals(stranger, { status: "fulfilled", value: "0123456789" });
});

test("onRetry tells of each attempt that another follows, onClose of each connection once", async (fixture) => {
  const noted = new NotedWaits();
  const redis = fixture.client({ retry: noted.policy() });
  await redis.send(["PING"]);
  await fixture.proxy.refuse();
  await fixture.proxy.killAll("fin");
  await until(() => redis.stats().open === 0, "the end");
  await assertRejects(() => redis.send(["GET", "key"]), RetryError);
  assertEquals(
    fixture.retried.map(({ command, attempt, delayMs, isReplay }) => ({
      command,
      attempt,
      delayMs,
      isReplay,
    })),
    [100, 200, 400].map((delayMs, i) => ({
      command: "GET",
      attempt: i + 1,
      delayMs,
      isReplay: false,
    })),
  );
  assert(fixture.retried.every(({ error }) => error instanceof DialError));
  assertEquals(fixture.reports.length, 1);
  assertEquals(redis.stats().retries, 3);
  assertEquals(redis.stats().replays, 0);
  await fixture.proxy.accept();
  await pastDialPause();
  await redis.send(["PING"]);
  await redis.close();
  assertEquals(fixture.reports.length, 2);
  assertNotEquals(
    fixture.reports[0]?.connection,
    fixture.reports[1]?.connection,
  );
});

Deno.test("Further attempts of a lease and of a blocking command are told and counted", async () => {
  const told: [string, number, boolean][] = [];
  await using redis = new Redis("redis://127.0.0.1:1", {
    retry: new Retry({ retries: 2, sleep: () => Promise.resolve() }),
    onRetry: ({ command, attempt, isReplay }) =>
      told.push([command, attempt, isReplay]),
  });
  await assertRejects(() => redis.lease(), RetryError);
  await assertRejects(() => redis.send(["BLPOP", "key", 1]), RetryError);
  assertEquals(told, [
    ["lease", 1, false],
    ["lease", 2, false],
    ["BLPOP", 1, false],
    ["BLPOP", 2, false],
  ]);
  assertEquals(redis.stats().retries, 4);
});
