// What becomes of a call between its attempts: waits, deadlines, aborts, replicas, budgets.

import "../support/strict.ts";
import {
  assert,
  assertEquals,
  assertGreaterOrEqual,
  assertInstanceOf,
  assertLess,
  assertLessOrEqual,
  assertMatch,
  assertRejects,
} from "@std/assert";
import { delay } from "@std/async/delay";
import {
  type Command,
  DeadlineError,
  type Dial,
  DialError,
  fateOf,
  Redis,
  ReplyError,
  Retry,
  RetryError,
  type RetryInfo,
} from "../../mod.ts";
import { startProxy } from "../support/fault_proxy.ts";
import { startRedis } from "../support/redis_server.ts";

/** Answers a command: bytes, nothing yet (`""`), or the end (`null`). */
type Answer = (command: string[], connection: number) => string | null;

/** Peers written by hand, for what no server can be made to say. */
function peers(answer: Answer): { dial: Dial; log: string[] } {
  const log: string[] = [];
  let connections = 0;
  const dial: Dial = () => {
    const number = ++connections;
    let waiting = Promise.withResolvers<void>();
    let output = "";
    let isOver = false;
    return Promise.resolve({
      async read(buffer: Uint8Array): Promise<number | null> {
        while (output === "") {
          if (isOver) return null;
          await waiting.promise;
          waiting = Promise.withResolvers<void>();
        }
        const text = output;
        output = "";
        return new TextEncoder().encodeInto(text, buffer).written;
      },
      write(bytes: Uint8Array): Promise<number> {
        const text = new TextDecoder().decode(bytes);
        for (const part of text.split(/^\*\d+\r\n/m).slice(1)) {
          const command = part.split("\r\n").filter((_, i) => i % 2 === 1);
          log.push(command.join(" "));
          const reply = command[0] === "HELLO"
            ? "*0\r\n"
            : answer(command, number);
          if (reply === null) isOver = true;
          else if (!isOver) output += reply;
        }
        waiting.resolve();
        return Promise.resolve(bytes.length);
      },
      close: () => {
        isOver = true;
        waiting.resolve();
      },
    });
  };
  return { dial, log };
}

/** A policy that does not wait, and notes the signals of its waits. */
function noting(retries = 3): { retry: Retry; signals: AbortSignal[] } {
  const signals: AbortSignal[] = [];
  const retry = new Retry({
    retries,
    sleep: (_, signal) => {
      signals.push(signal!);
      return Promise.resolve();
    },
  });
  return { retry, signals };
}

/** Counts the listeners on a signal. */
function counted(signal: AbortSignal): { count: number; added: number } {
  const seen = { count: 0, added: 0 };
  const { addEventListener, removeEventListener } = signal;
  signal.addEventListener = (...args: Parameters<typeof addEventListener>) => {
    seen.count++;
    seen.added++;
    addEventListener.apply(signal, args);
  };
  signal.removeEventListener = (
    ...args: Parameters<typeof removeEventListener>
  ) => {
    seen.count--;
    removeEventListener.apply(signal, args);
  };
  return seen;
}

const READONLY = "-READONLY You can't write against a read only replica.\r\n";

Deno.test("An abort ends the wait between two attempts, with its reason", async () => {
  const asleep = Promise.withResolvers<AbortSignal>();
  const retry = new Retry({
    sleep: (_, signal) =>
      new Promise((_, reject) => {
        signal!.addEventListener("abort", () => reject(signal!.reason));
        asleep.resolve(signal!);
      }),
  });
  await using redis = new Redis("redis://127.0.0.1:1", { retry });
  const leaver = new AbortController();
  const { signal } = leaver;
  const left = assertRejects(() => redis.send(["GET", "k"], { signal }), Error);
  const nap = await asleep.promise;
  assert(!nap.aborted);
  const reason = new Error("enough");
  leaver.abort(reason);
  assertEquals(nap.reason, reason);
  assertEquals(await left, reason);
});

Deno.test("close() ends the waits that last, and not those that are over", async () => {
  const over = noting(1);
  const redis = new Redis("redis://127.0.0.1:1", { retry: over.retry });
  await assertRejects(() => redis.send(["GET", "k"]), RetryError);
  await assertRejects(() => redis.lease(), RetryError);
  const asleep = Promise.withResolvers<AbortSignal>();
  const lasting = new Retry({
    sleep: (ms, signal) => {
      asleep.resolve(signal!);
      return delay(60_000 + ms, { signal: signal! });
    },
  });
  const left = assertRejects(
    () => redis.send(["GET", "k"], { retry: lasting }),
    RetryError,
    "closed",
  );
  const lasts = await asleep.promise;
  await redis.close({ drainMs: 0 });
  const error = await left;
  assert(lasts.aborted);
  assertEquals(over.signals.map(({ aborted }) => aborted), [false, false]);
  assertEquals(
    [error.attempts, error.errors.length, fateOf(error)],
    [1, 2, "unsent"],
  );
  assertMatch(
    error.message,
    /^Gave up after 1 attempt \(0 retries, 0 replays\)/,
  );
});

Deno.test("A signal has one listener for all calls, and none when they are over", async () => {
  await using server = await startRedis();
  await using redis = new Redis(server.url, { maxConnections: 1 });
  const { signal } = new AbortController();
  const seen = counted(signal);
  const calls = () => [
    redis.send(["PING"], { signal }),
    redis.pipeline([["PING"], ["PING"]], { signal }),
    redis.send(["BLPOP", "none", 0.01], { signal }),
    redis.send(["GET"], { signal }).catch(() => {}),
  ];
  await Promise.all(calls()); // some of them wait for the first connection
  assertEquals(seen, { count: 0, added: 1 });
  await Promise.all(calls());
  assertEquals(seen, { count: 0, added: 2 });
  await assertRejects(() => redis.send(["GET", null as never], { signal }));
  assertEquals(seen.count, 0);
  const lease = await redis.lease({ signal });
  await Promise.all([
    lease.send(["PING"], { signal }),
    lease.send(["PING"], { signal }),
  ]);
  lease.release();
  assertEquals(seen.count, 0);
});

Deno.test("One signal ends thousands of calls, in time that grows with their number", async () => {
  await using server = await startRedis();
  await using redis = new Redis(server.url);
  await redis.send(["PING"]);
  server.freeze();
  /** How long it takes to end so many calls, in milliseconds: the best of three. */
  const endingMs = async (count: number): Promise<number> => {
    let bestMs = Infinity;
    for (let i = 0; i < 3; i++) {
      const leaver = new AbortController();
      const { signal } = leaver;
      const calls = Promise.allSettled(
        Array.from({ length: count }, () => redis.send(["PING"], { signal })),
      );
      await delay(0);
      const reason = new Error("enough");
      const startedAt = performance.now();
      leaver.abort(reason);
      bestMs = Math.min(bestMs, performance.now() - startedAt);
      for (const outcome of await calls) {
        assert(outcome.status === "rejected" && outcome.reason === reason);
      }
    }
    return bestMs;
  };
  // It takes some 80 ms; with a listener for each call it took several seconds.
  assertLess(await endingMs(16_000), 1000);
  server.thaw();
});

Deno.test("The deadline of a policy counts from the start of the call", async () => {
  const { dial, log } = peers(([name]) => name === "PING" ? "+PONG\r\n" : "");
  const retry = new Retry({
    deadlineMs: 150,
    sleep: () => Promise.resolve(),
    backoff: { delayMs: () => 0 },
  });
  await using redis = new Redis("redis://nowhere", {
    dial,
    retry,
    replyTimeoutMs: 400,
  });
  await redis.send(["PING"]);
  const startedAt = performance.now();
  const error = await assertRejects(
    () => redis.send(["GET", "k"]),
    DeadlineError,
  );
  assertLess(performance.now() - startedAt, 350);
  assertEquals(fateOf(error), "unknown");
  assertEquals(log.filter((line) => line === "GET k").length, 1);
});

Deno.test("A connection that was opened after the first failure is no zombie: a server that closes on every GET is given up", async () => {
  const { dial, log } = peers(([name]) => name === "GET" ? null : "+PONG\r\n");
  const { retry, signals } = noting();
  await using redis = new Redis("redis://nowhere", { dial, retry });
  await redis.send(["PING"]);
  const error = await assertRejects(() => redis.send(["GET", "k"]), RetryError);
  const { dialed, retries, replays } = redis.stats();
  assertEquals(log.filter((line) => line === "GET k").length, 5);
  assertEquals([dialed, retries, replays, signals.length], [5, 3, 4, 3]);
  assertEquals([error.attempts, error.errors.length], [5, 5]);
  assertMatch(
    error.message,
    /^Gave up after 5 attempts \(3 retries, 1 replay\): Connection closed/,
  );
});

Deno.test("A connection that was opened for the very command that it lost is no zombie", async () => {
  const { dial, log } = peers(() => null);
  const { retry, signals } = noting();
  await using redis = new Redis("redis://nowhere", { dial, retry });
  const error = await assertRejects(() => redis.send(["GET", "k"]), RetryError);
  assertEquals(
    [log.filter((line) => line === "GET k").length, signals.length],
    [
      4,
      3,
    ],
  );
  assertMatch(
    error.message,
    /^Gave up after 4 attempts \(3 retries, 0 replays\)/,
  );
});

Deno.test("A policy's own sleep that fails is told with the failures, whether it throws or rejects", async () => {
  const sleeps = [
    () => {
      throw new Error("no sleep");
    },
    () => Promise.reject(new Error("no sleep")),
  ];
  for (const sleep of sleeps) {
    await using redis = new Redis("redis://127.0.0.1:1", {
      retry: new Retry({ sleep }),
    });
    const error = await assertRejects(
      () => redis.send(["GET", "k"]),
      RetryError,
    );
    assertEquals(
      error.message,
      "Gave up after 1 attempt (0 retries, 0 replays): no sleep",
    );
    assertInstanceOf(error.errors[0], DialError);
    assertEquals(fateOf(error), "unsent");
    await redis.close(); // at once: nothing is under way
  }
});

Deno.test("The death of one connection costs the budget one token, and a dial that fails none", async () => {
  const { dial } = peers(([name, key], number) =>
    name === "GET" && number === 1
      ? (key === "last" ? null : "")
      : "$1\r\nv\r\n"
  );
  const { retry } = noting();
  await using redis = new Redis("redis://nowhere", { dial, retry });
  const keys = [..."abcdefgh", "last"];
  const replies = await Promise.all(
    keys.map((key) => redis.send(["GET", key])),
  );
  assertEquals(replies, keys.map(() => "v"));
  assertLessOrEqual(redis.stats().retryBudget, 100);
  assertGreaterOrEqual(redis.stats().retryBudget, 99.8);
  await using away = new Redis("redis://127.0.0.1:1", { retry });
  await assertRejects(() => away.send(["GET", "k"]), RetryError);
  assertEquals(away.stats().retryBudget, 100);
});

Deno.test("Each READONLY costs the budget a token", async () => {
  const { dial } = peers(() => READONLY);
  const { retry } = noting(2);
  await using redis = new Redis("redis://nowhere", { dial, retry });
  await assertRejects(() => redis.send(["SET", "k", "v"]), RetryError);
  assertEquals(redis.stats().retryBudget, 98);
});

/** What follows the commands that a demoted primary answers READONLY. */
const REFUSED: readonly [
  name: string,
  call: (redis: Redis) => Promise<unknown>,
][] = [
  ["send", (redis) => redis.send(["SET", "k", "v"])],
  ["a pipeline", (redis) => redis.pipeline([["SET", "k", "v"]])],
  [
    "a pipeline that is answered in part",
    (redis) => redis.pipeline([["GET", "k"], ["SET", "k", "v"], ["GET", "k"]]),
  ],
  [
    "a pipeline whose script says so in the old wording",
    (redis) => redis.pipeline([["GET", "k"], ["EVAL", "old", 0]]),
  ],
  ["a script", (redis) => redis.send(["EVAL", "new", 0])],
  ["a script, in the old wording", (redis) => redis.send(["EVAL", "old", 0])],
  ["EVALSHA", (redis) => redis.send(["EVALSHA", "old", 0])],
  ["a function", (redis) => redis.send(["FCALL", "new", 0])],
  [
    "a script that answers it among other things",
    (redis) => redis.send(["EVAL", "inside", 0]),
  ],
  [
    "a pipeline whose function does the same",
    (redis) => redis.pipeline([["FCALL", "inside", 0]]),
  ],
  [
    "a transaction whose script does the same",
    async (redis) => {
      await using lease = await redis.lease();
      await lease.send(["EXEC", "inside"]);
    },
  ],
  [
    "a call whose caller has left",
    async (redis) => {
      const controller = new AbortController();
      const { signal } = controller;
      const call = redis.send(["SET", "k", "v"], { signal });
      controller.abort();
      await assertRejects(() => call, DOMException);
      await delay(5);
    },
  ],
  ["a blocking command", (redis) => redis.send(["BLPOP", "k", 1])],
  [
    "a lease",
    async (redis) => {
      await using lease = await redis.lease();
      await lease.send(["SET", "k", "v"]);
    },
  ],
];

for (const [name, call] of REFUSED) {
  Deno.test(`READONLY retires its connection: ${name}`, async () => {
    const { dial } = peers(([name, word], number) =>
      name === "PING"
        ? "+PONG\r\n"
        : name === "GET"
        ? "$1\r\nv\r\n"
        : number > 1
        ? "+OK\r\n"
        : word === "old"
        ? "-ERR Error running script (call to f_1f): @user_script:1: @user_script: 1: -READONLY You can't write against a read only replica. \r\n"
        : word === "inside"
        ? `*2\r\n:1\r\n*1\r\n${READONLY}`
        : READONLY
    );
    const { retry } = noting();
    await using redis = new Redis("redis://nowhere", {
      dial,
      retry,
      maxConnections: 1,
    });
    await redis.send(["PING"]);
    await call(redis).catch((error) => assertInstanceOf(error, ReplyError));
    await redis.send(["PING"]);
    assertEquals(redis.stats().evicted, { readonly: 1 });
    assertEquals(redis.stats().dialed, 2);
    assertEquals(await redis.send(["SET", "k", "v"]), "OK");
  });
}

Deno.test("Other refusals leave their connection", async () => {
  for (
    const text of [
      "OOM command not allowed",
      "NOREPLICAS Not enough good replicas to write.",
      "MASTERDOWN Link with MASTER is down",
      "WRONGTYPE no",
    ]
  ) {
    const { dial } = peers(() => `-${text}\r\n`);
    await using redis = new Redis("redis://nowhere", { dial, retry: false });
    await assertRejects(() => redis.send(["SET", "k", "v"]), ReplyError);
    await redis.pipeline([["SET", "k", "v"]]).catch(() => {});
    assertEquals(redis.stats().evicted, {}, text);
  }
});

Deno.test("A pipeline is sent again only if the server has refused all of it for what passes", async () => {
  const cases: [replies: string[], isRetried: boolean][] = [
    [[READONLY, READONLY], true],
    [[READONLY, "-LOADING no\r\n"], true],
    [[READONLY, "-OOM no\r\n"], false],
    [[READONLY, "+OK\r\n"], false],
    [["+OK\r\n", READONLY], false],
    [["-OOM no\r\n", READONLY], false],
    [["-WRONGTYPE no\r\n", READONLY], false],
  ];
  for (const [replies, isRetried] of cases) {
    const left = [...replies];
    const { dial } = peers(() => left.shift() ?? "+OK\r\n");
    const { retry } = noting();
    const told: RetryInfo[] = [];
    await using redis = new Redis("redis://nowhere", {
      dial,
      retry,
      onRetry: (info) => told.push(info),
    });
    const commands: Command[] = [["SET", "a", 1], ["SET", "b", 1]];
    const answered = await redis.pipeline(commands);
    assertEquals(told.length, isRetried ? 1 : 0, replies.join(""));
    assertEquals(
      answered.every((reply) => reply === "OK"),
      isRetried,
      replies.join(""),
    );
    assert(told.every(({ isReplay }) => !isReplay));
  }
});

Deno.test("A refusal after a lost attempt does not hide the loss, an answer does", async () => {
  const cases: [answer: string, isAlone: boolean][] = [
    ["-OOM no\r\n", false],
    ["-NOPERM no\r\n", false],
    ["-WRONGTYPE no\r\n", true],
  ];
  const commands: Command[] = [["SET", "k", "v"], ["BLPOP", "k", 1]];
  const tried = commands.flatMap((command) =>
    cases.map(([answer, isAlone]) => ({ command, answer, isAlone }))
  );
  for (const { command, answer, isAlone } of tried) {
    let calls = 0;
    const { dial } = peers(() => calls++ === 0 ? null : answer);
    const { retry } = noting();
    await using redis = new Redis("redis://nowhere", { dial, retry });
    const error = await assertRejects(() =>
      redis.send(command, { replay: "always" })
    );
    assertEquals(error instanceof ReplyError, isAlone, answer);
    assertEquals(error instanceof RetryError, !isAlone, answer);
    assertEquals(fateOf(error), isAlone ? "executed" : "unknown", answer);
  }
});

Deno.test("A pipeline that goes on after a part was answered names the command it goes on with", async () => {
  await using server = await startRedis();
  await using proxy = await startProxy({ target: server });
  const told: RetryInfo[] = [];
  await using redis = new Redis(proxy.url, {
    onRetry: (info) => told.push(info),
  });
  await redis.send(["PING"]);
  proxy.cut(5, { scope: "open" });
  assertEquals(
    await redis.pipeline([["SET", "a", 1], ["DEL", "none"], ["SET", "b", 1]]),
    ["OK", 0, "OK"],
  );
  assertEquals(told.map(({ command, attempt }) => [command, attempt]), [[
    "DEL",
    1,
  ]]);
});

Deno.test("A call that onRetry aborts is not sent again", async () => {
  const caller = new AbortController();
  const reason = new Error("one attempt was enough");
  const { dial, log } = peers(() => "-LOADING later\r\n");
  const redis = new Redis("redis://nowhere", {
    dial,
    retry: new Retry({ sleep: () => Promise.resolve() }),
    onRetry: () => caller.abort(reason),
  });
  const call = redis.send(["INCR", "n"], { signal: caller.signal });
  assertEquals(await assertRejects(() => call), reason);
  const startedAt = performance.now();
  await redis.close();
  assertLess(performance.now() - startedAt, 1000);
  assertEquals(log.filter((command) => command.startsWith("INCR")).length, 1);
});
