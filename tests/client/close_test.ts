// That nothing of a client is left once close() has resolved.

import "../support/strict.ts";
import {
  assertEquals,
  assertGreaterOrEqual,
  assertInstanceOf,
  assertLess,
  assertRejects,
  assertStrictEquals,
} from "@std/assert";
import { delay } from "@std/async/delay";
import {
  ClosedError,
  ConnectionClosedError,
  ExponentialBackoff,
  fateOf,
  type Redis,
  Retry,
} from "../../mod.ts";
import { testWithClient as test } from "../support/test_with_client.ts";

/** A wait of a minute. */
const LONG = new ExponentialBackoff({ baseMs: 60_000, capMs: 60_000 });

/** Notes whether a call is over, and with what. */
function watch(call: Promise<unknown>): { outcome?: unknown } {
  const noted: { outcome?: unknown } = {};
  call.then((reply) => noted.outcome = reply, (error) => noted.outcome = error);
  return noted;
}

/** Closes the client, and returns what the calls have come to by then. */
async function closed(
  redis: Redis,
  drainMs: number,
  calls: { outcome?: unknown }[],
): Promise<unknown[]> {
  const startedAt = performance.now();
  await redis.close({ drainMs });
  const tookMs = performance.now() - startedAt;
  assertLess(tookMs, drainMs + 300);
  const { open, dialing, waiting, inFlight, leased } = redis.stats();
  assertEquals({ open, dialing, waiting, inFlight, leased }, {
    open: 0,
    dialing: 0,
    waiting: 0,
    inFlight: 0,
    leased: 0,
  });
  return calls.map(({ outcome }) => outcome);
}

test("Calls in flight are over when close() is, and none is tried again", {
  retry: new Retry({ backoff: LONG }),
}, async (redis, proxy) => {
  await redis.send(["PING"]);
  proxy.silence();
  const calls = [
    watch(redis.send(["GET", "key"])),
    watch(redis.pipeline([["GET", "key"]])),
    watch(redis.send(["INCR", "key"])),
  ];
  await delay(10);
  for (const outcome of await closed(redis, 20, calls)) {
    assertInstanceOf(outcome, ConnectionClosedError);
    assertEquals(fateOf(outcome), "unknown");
  }
  assertEquals(redis.stats().retries, 0);
});

test("Calls between two attempts are over when close() is", {
  retry: new Retry({ backoff: LONG }),
}, async (redis, proxy) => {
  await proxy.refuse();
  const calls = [
    watch(redis.send(["GET", "key"])),
    watch(redis.lease()),
    watch(redis.send(["BLPOP", "list", 0])),
  ];
  await delay(100);
  assertEquals(calls.map(({ outcome }) => outcome), Array(3).fill(undefined));
  for (const outcome of await closed(redis, 20, calls)) {
    assertInstanceOf(outcome, Error);
    assertEquals(fateOf(outcome), "unsent");
  }
});

test("Calls whose policy sleeps on are over when close() is", {
  retry: new Retry({ sleep: () => new Promise<void>(() => {}) }),
}, async (redis, proxy) => {
  await proxy.refuse();
  const calls = [
    watch(redis.send(["GET", "key"])),
    watch(redis.lease()),
    watch(redis.send(["BLPOP", "list", 0])),
  ];
  await delay(100);
  for (const outcome of await closed(redis, 20, calls)) {
    assertInstanceOf(outcome, Error);
    assertEquals(fateOf(outcome), "unsent");
  }
});

test(
  "A dial under way is over when close() is, and its socket closed",
  {},
  async (redis, proxy) => {
    proxy.silence();
    const call = watch(redis.send(["GET", "key"]));
    await delay(50);
    assertEquals(redis.stats().dialing, 1);
    const [outcome] = await closed(redis, 20, [call]);
    assertInstanceOf(outcome, ClosedError);
    const { connections } = proxy;
    await delay(200);
    assertEquals(proxy.connections, connections);
    assertEquals(redis.stats().dialFailures, 1);
  },
);

test(
  "A lease that is still held is closed after the drain",
  {},
  async (redis) => {
    const lease = await redis.lease();
    const call = watch(lease.send(["BLPOP", "list", 0]));
    await delay(20);
    const [outcome] = await closed(redis, 50, [call]);
    assertInstanceOf(outcome, ConnectionClosedError);
    assertEquals(fateOf(outcome), "unknown");
    const late = await assertRejects(() => lease.send(["PING"]));
    assertEquals(fateOf(late), "unsent");
    lease.release();
  },
);

test("A blocking command that close() ends may have run", {}, async (redis) => {
  const call = watch(redis.send(["BLPOP", "list", 0]));
  await delay(50);
  const [outcome] = await closed(redis, 50, [call]);
  assertInstanceOf(outcome, ConnectionClosedError);
  assertEquals(fateOf(outcome), "unknown");
});

test("A look at what became of a command is over when close() is", {
  replyTimeoutMs: 100,
}, async (redis, proxy) => {
  await redis.send(["PING"], { resolveFate: true });
  proxy.silence();
  const call = watch(
    redis.send(["SET", "key", "value"], {
      resolveFate: true,
      replay: "never",
    }),
  );
  await delay(200);
  assertEquals(call.outcome, undefined);
  const [outcome] = await closed(redis, 20, [call]);
  assertInstanceOf(outcome, ConnectionClosedError);
  assertEquals(fateOf(outcome), "unknown");
});

test("A suspect that must answer a PING is closed, too", {
  validateAfterIdleMs: 10,
}, async (redis, proxy) => {
  await redis.send(["PING"]);
  await delay(50);
  proxy.silence();
  const call = watch(redis.send(["GET", "key"]));
  await delay(10);
  assertEquals(redis.stats().suspect, 1);
  const [outcome] = await closed(redis, 20, [call]);
  assertInstanceOf(outcome, ClosedError);
});

test(
  "An option that cannot be used leaves the client open",
  {},
  async (redis) => {
    for (
      const options of [
        { drainMs: -1 },
        { drainMs: NaN },
        { drainMs: "10" as unknown as number },
        { drain: 10 } as { drainMs?: number },
        null as unknown as { drainMs?: number },
      ]
    ) await assertRejects(() => redis.close(options), TypeError);
    assertEquals(redis.isClosed, false);
    assertEquals(await redis.send(["PING"]), "PONG");
  },
);

test("A second close() can shorten the drain, and not lengthen it", {
  replyTimeoutMs: 30_000,
}, async (redis, proxy) => {
  await redis.send(["PING"]);
  proxy.silence();
  const call = watch(redis.send(["GET", "key"]));
  const startedAt = performance.now();
  const first = redis.close({ drainMs: Infinity });
  assertStrictEquals(redis.close({ drainMs: 20_000 }), first);
  await delay(50);
  assertEquals(call.outcome, undefined);
  redis.close({ drainMs: 100 });
  redis.close({ drainMs: 10_000 });
  redis.close();
  await first;
  const tookMs = performance.now() - startedAt;
  assertGreaterOrEqual(tookMs, 149);
  assertLess(tookMs, 1000);
  assertInstanceOf(call.outcome, ConnectionClosedError);
});

test(
  "close() waits no longer than for the last call",
  {},
  async (redis, proxy) => {
    await redis.send(["PING"]);
    proxy.delay(150);
    const call = watch(redis.send(["ECHO", "last"]));
    const startedAt = performance.now();
    await redis.close();
    assertLess(performance.now() - startedAt, 1500);
    assertEquals(call.outcome, "last");
  },
);
