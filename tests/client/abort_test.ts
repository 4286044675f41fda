// How a signal ends a call, in whichever state that is.

import "../support/strict.ts";
import { assertEquals, assertLess, assertRejects } from "@std/assert";
import { delay } from "@std/async/delay";
import { ExponentialBackoff, fateOf, type Reply, Retry } from "../../mod.ts";
import { dial } from "../../pool/socket/dial.ts";
import { testWithFixture as test } from "../support/fixture.ts";
import { later, until } from "../support/wait.ts";

test("A signal that was aborted before sends nothing", async (fixture) => {
  const redis = fixture.client();
  const signal = AbortSignal.abort(new Error("too late"));
  await assertRejects(
    () => redis.send(["INCR", "n"], { signal }),
    Error,
    "too late",
  );
  await assertRejects(
    () => redis.pipeline([["INCR", "n"]], { signal }),
    Error,
    "too late",
  );
  await assertRejects(
    () => redis.send(["BLPOP", "l", 0], { signal }),
    Error,
    "too late",
  );
  await assertRejects(() => redis.lease({ signal }), Error, "too late");
  assertEquals(await redis.send(["EXISTS", "n"]), 0);
});

test("An abort while waiting for a connection sends nothing", async (fixture) => {
  const redis = fixture.client({
    dial: async (endpoint, options) => {
      await delay(100);
      return dial(endpoint, options);
    },
  });
  const leaver = new AbortController();
  const { signal } = leaver;
  const left = Promise.all([
    assertRejects(() => redis.send(["INCR", "n"], { signal }), Error, "enough"),
    assertRejects(
      () => redis.pipeline([["INCR", "n"]], { signal }),
      Error,
      "enough",
    ),
    assertRejects(() => redis.lease({ signal }), Error, "enough"),
  ]);
  const stays = later(redis.send(["EXISTS", "n"]));
  await delay(10);
  const startedAt = performance.now();
  leaver.abort(new Error("enough"));
  await left;
  assertLess(performance.now() - startedAt, 2000);
  assertEquals(await stays, 0);
  assertEquals(await redis.send(["EXISTS", "n"]), 0);
  assertEquals(redis.stats().waiting, 0);
});

test("After an abort in flight the slot swallows its reply, and later replies stay right", async (fixture) => {
  const redis = fixture.client({ maxConnections: 1 });
  await redis.send(["PING"]);
  fixture.proxy.delay(150);
  const leaver = new AbortController();
  const { signal } = leaver;
  const replies: Promise<Reply>[] = [];
  const left: Promise<Error>[] = [];
  for (let i = 0; i < 50; i++) {
    if (i % 3 === 0) {
      left.push(
        assertRejects(
          () => redis.send(["ECHO", `left${i}`], { signal }),
          Error,
        ),
      );
    } else if (i % 3 === 1) {
      left.push(assertRejects(
        () => redis.pipeline([["ECHO", `l${i}`], ["INCR", "n"]], { signal }),
        Error,
      ));
    } else replies.push(redis.send(["ECHO", `${i}`]));
  }
  await delay(20);
  const startedAt = performance.now();
  leaver.abort(new Error("enough"));
  for (const error of await Promise.all(left)) {
    assertEquals(error.message, "enough");
    assertEquals(fateOf(error), "unknown");
  }
  assertLess(performance.now() - startedAt, 2000);
  for (let i = 100; i < 120; i++) replies.push(redis.send(["ECHO", `${i}`]));
  assertEquals(await Promise.all(replies), [
    ...Array.from({ length: 16 }, (_, i) => `${3 * i + 2}`),
    ...Array.from({ length: 20 }, (_, i) => `${i + 100}`),
  ]);
  assertEquals(redis.stats().dialed, 1);
  assertEquals(redis.stats().inFlight, 0);
  // What was written runs all the same.
  assertEquals(await redis.send(["GET", "n"]), "17");
});

test("Replies that the slots of aborted commands swallow do not count as done: close() waits for the others", async (fixture) => {
  const redis = fixture.client({ maxConnections: 1 });
  await redis.send(["PING"]);
  fixture.proxy.delay(80);
  const leaver = new AbortController();
  const { signal } = leaver;
  const left = Promise.all(Array.from(
    { length: 5 },
    () => assertRejects(() => redis.send(["GET", "key"], { signal })),
  ));
  await delay(30);
  const stays = later(redis.send(["ECHO", "last"]));
  leaver.abort();
  await left;
  await redis.close();
  assertEquals(await stays, "last");
});

test("An aborted command is not replayed when its connection dies", async (fixture) => {
  const redis = fixture.client({ maxConnections: 1 });
  await redis.send(["PING"]);
  fixture.proxy.silence({ scope: "open" });
  const leaver = new AbortController();
  const left = assertRejects(() =>
    redis.send(["SET", "key", "value"], { signal: leaver.signal })
  );
  await delay(10);
  leaver.abort();
  await left;
  await fixture.proxy.killAll("rst");
  await until(() => redis.stats().open === 0, "the end");
  assertEquals(await redis.send(["EXISTS", "key"]), 0);
  assertEquals(fixture.retried, []);
});

test("An abort ends the wait between two attempts", async (fixture) => {
  await fixture.proxy.refuse();
  const redis = fixture.client({
    retry: new Retry({
      backoff: new ExponentialBackoff({ baseMs: 60_000, capMs: 60_000 }),
    }),
  });
  const leaver = new AbortController();
  const { signal } = leaver;
  const left = Promise.all([
    assertRejects(() => redis.send(["GET", "n"], { signal }), Error, "enough"),
    assertRejects(
      () => redis.pipeline([["GET", "n"]], { signal }),
      Error,
      "enough",
    ),
  ]);
  await until(() => fixture.retried.length === 2, "they sleep");
  await delay(20);
  const startedAt = performance.now();
  leaver.abort(new Error("enough"));
  await left;
  assertLess(performance.now() - startedAt, 2000);
  await redis.close(); // at once: nothing is under way
  assertLess(performance.now() - startedAt, 4000);
});

test("An abort ends the wait of a lease and of a blocking command between two attempts", async (fixture) => {
  await fixture.proxy.refuse();
  for (const isLease of [true, false]) {
    const sleeping = Promise.withResolvers<void>();
    const redis = fixture.client({
      retry: new Retry({
        sleep: async (_, signal) => {
          sleeping.resolve();
          await delay(60_000, signal === undefined ? {} : { signal });
        },
      }),
    });
    const leaver = new AbortController();
    const { signal } = leaver;
    const left = assertRejects(
      () =>
        isLease
          ? redis.lease({ signal })
          : redis.send(["BLPOP", "n", 1], { signal }),
      Error,
      "enough",
    );
    await sleeping.promise;
    const startedAt = performance.now();
    leaver.abort(new Error("enough"));
    await left;
    await redis.close();
    assertLess(performance.now() - startedAt, 4000);
  }
});

test("Leases with a signal leave nothing on it, dead ones neither", async (fixture) => {
  const redis = fixture.client();
  const { signal } = new AbortController();
  const listeners = new Set<unknown>();
  const { addEventListener, removeEventListener } = signal;
  signal.addEventListener = (...args: Parameters<typeof addEventListener>) => {
    listeners.add(args[1]);
    addEventListener.apply(signal, args);
  };
  signal.removeEventListener = (
    ...args: Parameters<typeof removeEventListener>
  ) => {
    listeners.delete(args[1]);
    removeEventListener.apply(signal, args);
  };
  const lease = await redis.lease({ signal });
  await lease.send(["PING"], { signal });
  await fixture.server.cli("CLIENT", "KILL", "TYPE", "normal");
  for (let i = 0; i < 3; i++) {
    await assertRejects(() => lease.send(["PING"], { signal }));
  }
  lease.release();
  assertEquals(listeners.size, 0);
});
