// That a deadline bounds a call as a whole, and says what became of the command.

import "../support/strict.ts";
import {
  assertEquals,
  assertGreaterOrEqual,
  assertInstanceOf,
  assertLess,
  assertMatch,
  assertRejects,
} from "@std/assert";
import { delay } from "@std/async/delay";
import {
  DeadlineError,
  DialError,
  ExponentialBackoff,
  fateOf,
  Redis,
  Retry,
  RetryError,
} from "../../mod.ts";
import { Deadlines } from "../../client/deadlines.ts";
import { importFlags } from "../support/imports.ts";
import { startRedis } from "../support/redis_server.ts";
import { testWithClient as test } from "../support/test_with_client.ts";
import { until } from "../support/wait.ts";

const FOREVER = new Retry({
  retries: Infinity,
  backoff: new ExponentialBackoff({ baseMs: 20, capMs: 20 }),
});

/** The error of a call that must be over after about `ms`. */
async function overAfter(
  ms: number,
  call: () => Promise<unknown>,
): Promise<DeadlineError> {
  const startedAt = performance.now();
  const error = await assertRejects(call, DeadlineError);
  const tookMs = performance.now() - startedAt;
  assertGreaterOrEqual(tookMs, ms - 1);
  assertLess(tookMs, ms + 400);
  assertEquals(error.deadlineMs, ms);
  assertEquals(fateOf(error), error.fate);
  return error;
}

test(
  "A command that is not answered by its deadline may have run",
  {},
  async (redis, proxy) => {
    await redis.send(["PING"]);
    proxy.silence();
    const error = await overAfter(
      150,
      () => redis.send(["INCR", "count"], { deadlineMs: 150 }),
    );
    assertEquals(error.fate, "unknown");
    assertMatch(
      error.message,
      /^INCR was not done within 150 ms \(deadlineMs\): /,
    );
  },
);

test("A pipeline has a deadline", {}, async (redis, proxy) => {
  await redis.send(["PING"]);
  proxy.silence();
  const error = await overAfter(
    150,
    () => redis.pipeline([["INCR", "a"], ["INCR", "b"]], { deadlineMs: 150 }),
  );
  assertEquals(error.fate, "unknown");
});

test("A command that found no connection by its deadline was not sent", {
  maxConnections: 1,
}, async (redis) => {
  await using _ = await redis.lease();
  const error = await overAfter(
    150,
    () => redis.send(["INCR", "count"], { deadlineMs: 150 }),
  );
  assertEquals(error.fate, "unsent");
  assertMatch(
    error.message,
    /no connection was free; the command did not run$/,
  );
  assertEquals(redis.stats().waiting, 0);
});

test("A dial counts", {}, async (redis, proxy) => {
  proxy.silence();
  const error = await overAfter(
    150,
    () => redis.send(["INCR", "count"], { deadlineMs: 150 }),
  );
  assertEquals(error.fate, "unsent");
});

test("Attempts and the waits between them count", {
  retry: FOREVER,
}, async (redis, proxy) => {
  await proxy.refuse();
  const startedAt = performance.now();
  const error = await assertRejects(
    () => redis.send(["INCR", "count"], { deadlineMs: 300 }),
  );
  assertLess(performance.now() - startedAt, 700);
  assertEquals(fateOf(error), "unsent");
});

test("No wait begins that would overrun the deadline", {
  retry: new Retry({ backoff: new ExponentialBackoff({ baseMs: 600 }) }),
}, async (redis, proxy) => {
  await proxy.refuse();
  const startedAt = performance.now();
  const error = await assertRejects(
    () => redis.send(["INCR", "count"], { deadlineMs: 500 }),
    RetryError,
  );
  assertLess(performance.now() - startedAt, 400);
  assertEquals(error.attempts, 1);
});

test(
  "An attempt that may have run counts for the fate, though the call waits for the next one",
  {
    replyTimeoutMs: 80,
    retry: new Retry({
      retries: 9,
      backoff: new ExponentialBackoff({ baseMs: 10 }),
      sleep: (_, signal) =>
        // takes longer than it says
        new Promise((_, reject) =>
          signal!.addEventListener("abort", () => reject(signal!.reason))
        ),
    }),
  },
  async (redis, proxy) => {
    await redis.send(["PING"]);
    proxy.silence();
    const error = await overAfter(
      250,
      () =>
        redis.send(["INCR", "count"], { deadlineMs: 250, replay: "always" }),
    );
    assertEquals(error.fate, "unknown");
    assertMatch(error.message, /it waited for its next attempt/);
    assertInstanceOf(error.cause, DialError); // of the last attempt
  },
);

test("The deadline of the policy bounds the reply, too", {
  retry: new Retry({ deadlineMs: 150 }),
}, async (redis, proxy) => {
  await redis.send(["PING"]);
  proxy.silence();
  await overAfter(150, () => redis.send(["INCR", "count"]));
  // The earlier one counts.
  await overAfter(50, () => redis.send(["INCR", "count"], { deadlineMs: 50 }));
  await overAfter(150, () => redis.send(["INCR", "c"], { deadlineMs: 5000 }));
});

test("After a deadline the slot swallows its reply, and others keep theirs", {
  maxConnections: 1,
}, async (redis, proxy) => {
  await redis.send(["PING"]);
  proxy.delay(200);
  const late = redis.send(["ECHO", "late"], { deadlineMs: 100 });
  const other = redis.send(["ECHO", "other"]);
  const third = redis.pipeline([["ECHO", "third"]], { deadlineMs: 4000 });
  await assertRejects(() => late, DeadlineError);
  assertEquals(await other, "other");
  assertEquals(await third, ["third"]);
  assertEquals(redis.stats().dialed, 1);
});

test("A lease has a deadline", { maxConnections: 1 }, async (redis) => {
  await using _ = await redis.lease();
  const error = await overAfter(150, () => redis.lease({ deadlineMs: 150 }));
  assertEquals(error.fate, "unsent");
  assertEquals(redis.stats().waiting, 0);
});

test("A lease has the deadline of the policy", {
  maxConnections: 1,
  retry: new Retry({ deadlineMs: 150 }),
}, async (redis) => {
  await using _ = await redis.lease();
  await overAfter(150, () => redis.lease());
});

test(
  "The deadline of a blocking command ends its wait, and its connection",
  {},
  async (redis) => {
    await redis.send(["PING"]);
    const error = await overAfter(
      200,
      () => redis.send(["BLPOP", "list", 0], { deadlineMs: 200 }),
    );
    assertEquals(error.fate, "unknown");
    await redis.send(["RPUSH", "list", "a"]);
    assertEquals(await redis.send(["LRANGE", "list", 0, -1]), ["a"]);
  },
);

test(
  "A blocking command that found no connection by its deadline was not sent",
  {
    maxConnections: 1,
  },
  async (redis) => {
    await using _ = await redis.lease();
    const error = await overAfter(
      150,
      () => redis.send(["BLPOP", "list", 0], { deadlineMs: 150 }),
    );
    assertEquals(error.fate, "unsent");
  },
);

Deno.test("A blocking command that was refused, and waits for its next attempt, was not sent", async () => {
  await using server = await startRedis();
  await using replica = await startRedis({
    config: { replicaof: `127.0.0.1 ${server.port}` },
  });
  const backoff = new ExponentialBackoff({ baseMs: 100 });
  await using sleepy = new Redis(replica.url, {
    retry: new Retry({
      backoff,
      sleep: (_, signal) => delay(60_000, { signal: signal! }),
    }),
  });
  const blocked = () => sleepy.send(["BLPOP", "list", 0], { deadlineMs: 200 });
  const late = await overAfter(200, blocked);
  assertEquals(late.fate, "unsent");
  assertMatch(late.message, /it waited for its next attempt/);
  await using slow = new Redis(replica.url, {
    retry: new Retry({ backoff: new ExponentialBackoff({ baseMs: 900 }) }),
  });
  const startedAt = performance.now();
  const error = await assertRejects(
    () => slow.send(["BLPOP", "list", 0], { deadlineMs: 500 }),
    RetryError,
  );
  assertLess(performance.now() - startedAt, 400); // no wait begins that would overrun it
  assertEquals([error.attempts, fateOf(error)], [1, "unsent"]);
});

test("The policy's deadline leaves a blocking command its own timeout", {
  retry: new Retry({ deadlineMs: 400 }),
}, async (redis, proxy) => {
  assertEquals(await redis.send(["BLPOP", "list", 0.5]), null);
  proxy.silence();
  const startedAt = performance.now();
  await assertRejects(() => redis.send(["BLPOP", "list", 0.5]), DeadlineError);
  const tookMs = performance.now() - startedAt;
  assertGreaterOrEqual(tookMs, 899);
  assertLess(tookMs, 1500);
});

test("A deadline of 0 sends nothing", {}, async (redis) => {
  await redis.send(["PING"]);
  const error = await overAfter(
    0,
    () => redis.send(["INCR", "count"], { deadlineMs: 0 }),
  );
  assertEquals(error.fate, "unsent");
  assertEquals(await redis.send(["GET", "count"]), null);
});

test("A deadline that is no duration is refused", {}, async (redis) => {
  for (const deadlineMs of [-1, NaN, "1" as unknown as number]) {
    await assertRejects(
      () => redis.send(["PING"], { deadlineMs }),
      TypeError,
      "deadlineMs",
    );
    await assertRejects(() => redis.lease({ deadlineMs }), TypeError);
  }
});

test("A reply that drips does not hold a call beyond its deadline", {
  maxConnections: 1,
}, async (redis, proxy) => {
  await redis.send(["SET", "key", "x".repeat(1000)]);
  proxy.split(1, { everyMs: 50 });
  await overAfter(200, () => redis.send(["GET", "key"], { deadlineMs: 200 }));
});

test("A look at what became of a command ends with its deadline", {
  replyTimeoutMs: 100,
}, async (redis, proxy) => {
  await redis.send(["PING"], { resolveFate: true });
  proxy.silence();
  const error = await overAfter(
    300,
    () =>
      redis.send(["SET", "key", "value", "NX"], {
        resolveFate: true,
        replay: "never",
        deadlineMs: 300,
      }),
  );
  assertEquals(error.fate, "unknown");
});

Deno.test("Ten thousand deadlines cost one timer, and none when they are removed", () => {
  const { timeout } = AbortSignal;
  let timers = 0;
  AbortSignal.timeout = (ms) => {
    timers++;
    return timeout.call(AbortSignal, ms);
  };
  try {
    const deadlines = new Deadlines();
    const now = performance.now();
    const remove = Array.from(
      { length: 10_000 },
      (_, i) => deadlines.add({ expire: () => {} }, now + 5000 + i),
    );
    for (const fn of remove) fn();
    assertEquals(timers, 1);
  } finally {
    AbortSignal.timeout = timeout;
  }
});

Deno.test("Deadlines pass in their order, wherever they were added", async () => {
  const deadlines = new Deadlines();
  const passed: number[] = [];
  const now = performance.now();
  const removed = deadlines.add({ expire: () => passed.push(0) }, now + 260);
  for (const ms of [200, 50, 100, 150]) {
    deadlines.add({ expire: () => passed.push(ms) }, now + ms);
  }
  removed();
  await until(() => passed.length >= 4);
  await delay(100);
  assertEquals(passed, [50, 100, 150, 200]);
});

Deno.test("Deadlines that are due at once pass in their order", async () => {
  const deadlines = new Deadlines();
  const passed: number[] = [];
  const now = performance.now();
  for (const ms of [90, 30, 60]) {
    deadlines.add({ expire: () => passed.push(ms) }, now + ms);
  }
  while (performance.now() < now + 150);
  await until(() => passed.length === 3);
  assertEquals(passed, [30, 60, 90]);
});

Deno.test("What came while the process was busy is looked at before a deadline passes", async () => {
  const deadlines = new Deadlines();
  let hasPassed = false;
  const remove = deadlines.add(
    { expire: () => hasPassed = true },
    performance.now() + 50,
  );
  const coming = delay(100).then(remove);
  const busyUntil = performance.now() + 300;
  while (performance.now() < busyUntil);
  await coming;
  await delay(50);
  assertEquals(hasPassed, false);
});

Deno.test("A process whose calls are done exits before their deadlines", async () => {
  await using server = await startRedis();
  const startedAt = performance.now();
  const { success } = await new Deno.Command(Deno.execPath(), {
    args: [
      "eval",
      "--ext=ts",
      ...importFlags,
      `import { Redis } from "${new URL("../../mod.ts", import.meta.url)}";
       const redis = new Redis("${server.url}");
       await redis.send(["PING"], { deadlineMs: 50_000 });
       await redis.pipeline([["PING"]], { deadlineMs: 50_000 });
       await redis.send(["BLPOP", "list", 0.1], { deadlineMs: 50_000 });
       (await redis.lease({ deadlineMs: 50_000 })).release();`,
    ],
  }).output();
  assertEquals(success, true);
  assertLess(performance.now() - startedAt, 20_000);
});
