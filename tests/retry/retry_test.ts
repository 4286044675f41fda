// Trying again: when, how often, after what, and how it is given up.

import "../support/strict.ts";
import {
  assert,
  assertEquals,
  assertGreaterOrEqual,
  assertLess,
  assertLessOrEqual,
  assertRejects,
  assertStrictEquals,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import { delay } from "@std/async/delay";
import {
  type BackoffOptions,
  ExponentialBackoff,
} from "../../retry/backoff.ts";
import {
  Retry,
  type RetryAttempt,
  RetryError,
  type RetryErrorOptions,
  type RetryOptions,
} from "../../retry/retry.ts";
import { Random } from "../support/random.ts";

const attempts = (count: number) => Array.from({ length: count }, (_, i) => i);

/** A policy that writes its waits down instead of waiting. */
function instant(options: RetryOptions = {}): {
  retry: Retry;
  waits: number[];
} {
  const waits: number[] = [];
  const retry = new Retry({
    ...options,
    sleep: (ms) => {
      waits.push(ms);
      return Promise.resolve();
    },
  });
  return { retry, waits };
}

/** Work that fails some times and then answers the attempt. */
function failing(times: number): {
  work: (attempt: number) => number;
  seen: number[];
} {
  const seen: number[] = [];
  return {
    seen,
    work: (attempt) => {
      seen.push(attempt);
      if (attempt < times) throw new Error(`failure ${attempt}`);
      return attempt;
    },
  };
}

Deno.test("ExponentialBackoff waits base first, doubles, and stops at the cap", () => {
  const schedule = (options: BackoffOptions, count = 6) => {
    const backoff = new ExponentialBackoff(options);
    return attempts(count).map((attempt) => backoff.delayMs(attempt));
  };
  const usual = [100, 200, 400, 800, 1000, 1000];
  const printed = schedule({ baseMs: 100, capMs: 1000 });
  console.log(printed.join(", "));
  assertEquals(printed, usual);
  assertEquals(schedule({}), usual);
  assertEquals(schedule({ baseMs: 1, capMs: 10 }), [1, 2, 4, 8, 10, 10]);
  assertEquals(schedule({ baseMs: 50, capMs: 20 }, 2), [20, 20]);
  assertEquals(schedule({ baseMs: 0.5, capMs: 2 }, 4), [0.5, 1, 2, 2]);
  assertEquals(schedule({ capMs: 0 }, 2), [0, 0]);
  assertEquals(
    schedule({ baseMs: 100, capMs: Infinity }),
    [100, 200, 400, 800, 1600, 3200],
  );
});

Deno.test("ExponentialBackoff knows a wait for any attempt, however late", () => {
  for (const baseMs of [0, 1, 100]) {
    const backoff = new ExponentialBackoff({ baseMs, capMs: 1000 });
    for (const attempt of [31, 64, 1023, 1024, 5000]) {
      assertEquals(
        backoff.delayMs(attempt),
        baseMs === 0 ? 0 : 1000,
        `base ${baseMs}, attempt ${attempt}`,
      );
    }
  }
});

Deno.test("ExponentialBackoff takes only its jitter's share off a wait", () => {
  const plain = new ExponentialBackoff();
  const dice = new Random();
  for (const jitter of [0, 0.1, 0.5, 1]) {
    const chances = [
      () => 0,
      () => 1 - 2 ** -53,
      () => dice.word() / 2 ** 32,
    ];
    for (const random of chances) {
      const backoff = new ExponentialBackoff({ jitter, random });
      for (const attempt of attempts(100)) {
        const most = plain.delayMs(attempt);
        const delayMs = backoff.delayMs(attempt);
        assertLessOrEqual(delayMs, most);
        assertGreaterOrEqual(delayMs, most * (1 - jitter));
      }
    }
  }
  const halved = new ExponentialBackoff({ jitter: 1, random: () => 0.5 });
  assertEquals(attempts(4).map((n) => halved.delayMs(n)), [50, 100, 200, 400]);
});

Deno.test("ExponentialBackoff spreads its waits by Math.random where no other dice are given", () => {
  const backoff = new ExponentialBackoff({ jitter: 1 });
  const waits = new Set(attempts(100).map(() => backoff.delayMs(3)));
  assertGreaterOrEqual(waits.size, 50);
});

Deno.test("ExponentialBackoff and Retry refuse numbers out of their range by name", () => {
  const text = "100" as unknown as number;
  const bad: [string, () => unknown][] = [
    ["baseMs -1", () => new ExponentialBackoff({ baseMs: -1 })],
    ["baseMs NaN", () => new ExponentialBackoff({ baseMs: NaN })],
    ["baseMs 100", () => new ExponentialBackoff({ baseMs: text })],
    ["capMs -1", () => new ExponentialBackoff({ capMs: -1 })],
    ["capMs NaN", () => new ExponentialBackoff({ capMs: NaN })],
    ["jitter -0.1", () => new ExponentialBackoff({ jitter: -0.1 })],
    ["jitter 1.1", () => new ExponentialBackoff({ jitter: 1.1 })],
    ["jitter NaN", () => new ExponentialBackoff({ jitter: NaN })],
    ["retries -1", () => new Retry({ retries: -1 })],
    ["retries NaN", () => new Retry({ retries: NaN })],
    ["retries 100", () => new Retry({ retries: text })],
    ["deadlineMs -1", () => new Retry({ deadlineMs: -1 })],
    ["deadlineMs NaN", () => new Retry({ deadlineMs: NaN })],
  ];
  for (const [says, make] of bad) {
    assertThrows(make, RangeError, `Cannot use ${says}: expected a number`);
  }
});

Deno.test("Retry answers at once where nothing fails", async () => {
  const { retry, waits } = instant();
  assertEquals(await retry.run(() => "yes"), "yes");
  assertEquals(await retry.run(() => Promise.resolve("later")), "later");
  assertEquals(waits, []);
});

Deno.test("Retry tries three times again, with the waits of its backoff", async () => {
  for (const times of [1, 2, 3]) {
    const { retry, waits } = instant();
    const { work, seen } = failing(times);
    assertEquals(await retry.run(work), times);
    assertEquals(seen, attempts(times + 1));
    assertEquals(waits, [100, 200, 400].slice(0, times));
  }
});

Deno.test("Retry makes as many attempts as it was told, and one more", async () => {
  for (const retries of [0, 1, 2, 10]) {
    const { retry, waits } = instant({ retries });
    const { work, seen } = failing(Infinity);
    const error = await assertRejects(() => retry.run(work), RetryError);
    assertEquals(seen, attempts(retries + 1));
    assertEquals(waits.length, retries);
    assertEquals(error.attempts, retries + 1);
  }
  const { retry } = instant({ retries: Infinity });
  assertEquals(await retry.run(failing(5000).work), 5000);
});

Deno.test("RetryError holds what each attempt failed with, and the last as its cause", async () => {
  const failures = [new Error("first"), "second", new TypeError("third")];
  const { retry } = instant({ retries: 2 });
  const error = await assertRejects(
    () => retry.run((attempt) => Promise.reject(failures[attempt])),
    RetryError,
  );
  assertEquals(error.name, "RetryError");
  assertEquals(
    error.message,
    "Gave up after 3 attempts (2 retries, 0 replays): third",
  );
  assertStrictEquals(error.cause, failures[2]);
  assertEquals(error.errors.length, 3);
  error.errors.forEach((e, i) => assertStrictEquals(e, failures[i]));
  assertEquals(
    new RetryError(["text"]).message,
    "Gave up after 1 attempt (0 retries, 0 replays): text",
  );
});

Deno.test("Retry throws a failure that is not retriable as it is", async () => {
  const fatal = new TypeError("fatal");
  const asked: unknown[] = [];
  const { retry, waits } = instant({
    isRetriable: (error) => {
      asked.push(error);
      return error !== fatal;
    },
  });
  const first = new Error("once");
  const error = await assertRejects(() =>
    retry.run((attempt) => {
      throw attempt === 0 ? first : fatal;
    })
  );
  assertStrictEquals(error, fatal);
  assertEquals(waits, [100]);
  assertEquals(asked.length, 2);
  assertStrictEquals(asked[0], first);
  assertStrictEquals(asked[1], fatal);
});

Deno.test("Retry asks the call's isRetriable, and then its own", async () => {
  const { retry, waits } = instant({ isRetriable: () => true });
  const { work, seen } = failing(Infinity);
  const error = await assertRejects(
    () => retry.run(work, { isRetriable: () => false }),
    Error,
    "failure 0",
  );
  assert(!(error instanceof RetryError));
  assertEquals([seen, waits], [[0], []]);

  const strict = instant({ isRetriable: () => false });
  await assertRejects(
    () => strict.retry.run(work, { isRetriable: () => true }),
    Error,
    "failure 0",
  );
  assertEquals(strict.waits, []);
});

Deno.test("Retry never tries an abort again", async () => {
  const { retry, waits } = instant();
  const abort = new DOMException("stop", "AbortError");
  const error = await assertRejects(() =>
    retry.run(() => Promise.reject(abort))
  );
  assertStrictEquals(error, abort);
  assertEquals(waits, []);
});

Deno.test("Retry tells of each wait before it begins", async () => {
  const told: RetryAttempt[] = [];
  const order: string[] = [];
  const retry = new Retry({
    retries: 2,
    sleep: (ms) => {
      order.push(`sleep ${ms}`);
      return Promise.resolve();
    },
  });
  await assertRejects(
    () =>
      retry.run(failing(Infinity).work, {
        onRetry: (attempt) => {
          told.push(attempt);
          order.push(`told ${attempt.delayMs}`);
        },
      }),
    RetryError,
  );
  assertEquals(order, ["told 100", "sleep 100", "told 200", "sleep 200"]);
  assertEquals(
    told.map(({ attempt, delayMs, error }) => [
      attempt,
      delayMs,
      (error as Error).message,
    ]),
    [[0, 100, "failure 0"], [1, 200, "failure 1"]],
  );
});

Deno.test("Retry says what follows a failure", () => {
  const retry = new Retry({
    retries: 3,
    deadlineMs: 1000,
    isRetriable: (error) => error !== "fatal",
  });
  assertEquals(attempts(5).map((n) => retry.next(n, "any", 0)), [
    100,
    200,
    400,
    "exhausted",
    "exhausted",
  ]);
  assertEquals(retry.next(0, "fatal", 0), "final");
  assertEquals(retry.next(3, "fatal", 5000), "final");
  assertEquals(retry.next(0, "any", 900), 100);
  assertEquals(retry.next(0, "any", 900.1), "exhausted");
  assertEquals(retry.next(1, "any", 801), "exhausted");
});

Deno.test("Retry begins no wait that would end after its deadline", async () => {
  const backoff = { delayMs: (attempt: number) => [20, 40, 5000][attempt]! };
  const retry = new Retry({ backoff, deadlineMs: 1000 });
  const startedAt = performance.now();
  const error = await assertRejects(
    () => retry.run(failing(Infinity).work),
    RetryError,
  );
  const elapsedMs = performance.now() - startedAt;
  assertEquals(error.attempts, 3);
  assertGreaterOrEqual(elapsedMs, 55);
  assertLess(elapsedMs, 1000);
});

Deno.test("Retry counts the time of the work against its deadline", async () => {
  const sleep = (ms: number) =>
    new Promise<void>((done) => setTimeout(done, ms));
  const retry = new Retry({
    backoff: new ExponentialBackoff({ baseMs: 1 }),
    deadlineMs: 50,
    retries: Infinity,
  });
  let runs = 0;
  const error = await assertRejects(() =>
    retry.run(async () => {
      runs++;
      await sleep(60);
      throw new Error("slow");
    }), RetryError);
  assertEquals([runs, error.attempts], [1, 1]);
});

Deno.test("Retry keeps its deadline after thousands of attempts without a wait", () => {
  const retry = new Retry({
    backoff: new ExponentialBackoff({ baseMs: 0 }),
    deadlineMs: 1000,
    retries: Infinity,
  });
  for (const attempt of [0, 1000, 1023, 1024, 10_000]) {
    assertEquals(retry.next(attempt, "any", 999), 0, `attempt ${attempt}`);
    assertEquals(
      retry.next(attempt, "any", 1001),
      "exhausted",
      `attempt ${attempt}`,
    );
  }
});

Deno.test("Retry does not run at all for a signal that has aborted", async () => {
  const { retry } = instant();
  const { work, seen } = failing(0);
  const reason = new Error("too late");
  const error = await assertRejects(() =>
    retry.run(work, { signal: AbortSignal.abort(reason) })
  );
  assertStrictEquals(error, reason);
  assertEquals(seen, []);
});

Deno.test("Retry throws the signal's reason where the work fails after an abort", async () => {
  const { retry, waits } = instant();
  const controller = new AbortController();
  const reason = new Error("enough");
  const error = await assertRejects(() =>
    retry.run(() => {
      controller.abort(reason);
      throw new Error("because of it");
    }, { signal: controller.signal })
  );
  assertStrictEquals(error, reason);
  assertEquals(waits, []);
});

Deno.test("Retry returns what the work returned, even after an abort", async () => {
  const { retry } = instant();
  const controller = new AbortController();
  const answer = await retry.run(() => {
    controller.abort();
    return "done";
  }, { signal: controller.signal });
  assertEquals(answer, "done");
});

Deno.test("Retry stops a wait when the signal aborts", async () => {
  const retry = new Retry({
    backoff: new ExponentialBackoff({ baseMs: 60_000, capMs: 60_000 }),
  });
  const { work, seen } = failing(Infinity);
  const controller = new AbortController();
  const reason = new Error("enough");
  const startedAt = performance.now();
  setTimeout(() => controller.abort(reason), 20);
  const error = await assertRejects(() =>
    retry.run(work, { signal: controller.signal })
  );
  assertStrictEquals(error, reason);
  assertEquals(seen, [0]);
  assertLess(performance.now() - startedAt, 5000);
});

Deno.test("Retry runs no more after an abort that its sleep did not notice", async () => {
  const controller = new AbortController();
  const reason = new Error("enough");
  const retry = new Retry({
    sleep: () => {
      controller.abort(reason);
      return Promise.resolve();
    },
  });
  const { work, seen } = failing(Infinity);
  const error = await assertRejects(() =>
    retry.run(work, { signal: controller.signal })
  );
  assertStrictEquals(error, reason);
  assertEquals(seen, [0]);
});

Deno.test("Retry ends with its signal, whatever its sleep does", async () => {
  const controller = new AbortController();
  const reason = new Error("enough");
  const woken = Promise.withResolvers<void>();
  const retry = new Retry({ sleep: () => woken.promise });
  const run = retry.run(failing(Infinity).work, controller);
  await delay(5);
  controller.abort(reason);
  assertStrictEquals(await assertRejects(() => run), reason);
  woken.reject(new Error("too late")); // is no unhandled rejection

  const thrown = new Error("no sleep");
  const broken = new Retry({
    sleep: () => {
      throw thrown;
    },
  });
  const failed = await assertRejects(() => broken.run(failing(1).work));
  assertStrictEquals(failed, thrown);
});

Deno.test("Retry hands its signal to the sleep it was given", async () => {
  const { signal } = new AbortController();
  const given: (AbortSignal | undefined)[] = [];
  const retry = new Retry({
    sleep: (_ms, signal) => {
      given.push(signal);
      return Promise.resolve();
    },
  });
  await retry.run(failing(1).work, { signal });
  await retry.run(failing(1).work);
  assertStrictEquals(given[0], signal);
  assertStrictEquals(given[1], undefined);
});

Deno.test("Retry really waits", async () => {
  const retry = new Retry({
    backoff: new ExponentialBackoff({ baseMs: 20, capMs: 40 }),
  });
  const startedAt = performance.now();
  assertEquals(await retry.run(failing(3).work), 3);
  const elapsedMs = performance.now() - startedAt;
  assertGreaterOrEqual(elapsedMs, 95); // 20 + 40 + 40, less a timer's early ends
  assertLess(elapsedMs, 5000);
});

Deno.test("Retry serves many runs at once", async () => {
  const retry = new Retry({
    backoff: new ExponentialBackoff({ baseMs: 1, jitter: 1 }),
  });
  const answers = await Promise.all(
    attempts(100).map((n) => retry.run(failing(n % 4).work)),
  );
  assertEquals(answers, attempts(100).map((n) => n % 4));
});

/** An error with properties and a cause, as a failed dial is. */
function failedDial(text: string): Error {
  const cause = new Error("connection refused (os error 111)");
  return Object.assign(new Error(text, { cause }), { phase: "connect" });
}

Deno.test("Failures are alike whether they say one or several, milliseconds or seconds", () => {
  const errors = [
    "1 command served, 990 ms old",
    "0 commands served, 1.0 s old",
  ]
    .map((text) => new Error(`Closed: ${text}`));
  const error = new RetryError(errors);
  assertStringIncludes(Deno.inspect(error), "2 attempts failed with ");
  const other = new RetryError([
    new Error("1 command lost"),
    new Error("0 commands sent"),
  ]);
  assertEquals(Deno.inspect(other).match(/1 attempt failed/g)?.length, 2);
});

Deno.test("RetryError shows failures that are alike once, with their number", () => {
  const error = new RetryError([
    ...attempts(4).map((n) => failedDial(`cannot connect for ${n}.5 ms`)),
    new TypeError("something else"),
  ]);
  const text = Deno.inspect(error);
  assertEquals(text.match(/4 attempts failed with /g)?.length, 1);
  assertEquals(text.match(/1 attempt failed with /g)?.length, 1);
  assertEquals(text.match(/cannot connect/g)?.length, 1);
  assertStringIncludes(text, "cannot connect for 3.5 ms"); // the last of them
  assertStringIncludes(text, 'phase: "connect"');
  assertStringIncludes(text, "[cause]: Error: connection refused");
  assert(text.startsWith("RetryError: Gave up after 5 attempts (4 retries"));
  assertLess(text.split("\n").length, 30, text);
});

Deno.test("RetryError is short also within other errors, and with failures that are no errors", () => {
  const error = new RetryError(attempts(5).map(() => failedDial("refused")));
  const around = Deno.inspect(new Error("cannot save", { cause: error }));
  assertEquals(around.match(/refused/g)!.length, 3, around);
  assertStringIncludes(around, "5 attempts failed with Error: refused");
  const texts = Deno.inspect(new RetryError(["no", "no", 5, undefined]));
  assertStringIncludes(texts, '2 attempts failed with "no"');
  assertStringIncludes(texts, "1 attempt failed with 5");
  assertStringIncludes(texts, "1 attempt failed with undefined");
});

Deno.test("RetryError tells failures of different kinds apart", () => {
  const text = Deno.inspect(
    new RetryError([new Error("a"), new TypeError("a"), new Error("b")]),
  );
  assertEquals(text.match(/1 attempt failed with /g)?.length, 3);
});

Deno.test("RetryError counts retries and replays so that they add up", () => {
  const says = (count: number, options: RetryErrorOptions = {}) =>
    new RetryError(attempts(count).map(() => "no"), options).message;
  assertEquals(
    says(5, { replays: 1 }),
    "Gave up after 5 attempts (3 retries, 1 replay): no",
  );
  assertEquals(
    says(2, { replays: 0 }),
    "Gave up after 2 attempts (1 retry, 0 replays): no",
  );
  assertEquals(
    says(2, { attempts: 1 }),
    "Gave up after 1 attempt (0 retries, 0 replays): no",
  );
  assertEquals(
    says(2, { retryAfterMs: 99.2 }),
    "Gave up after 2 attempts (1 retry, 0 replays; the retry budget is spent, come back in 100 ms): no",
  );
  const error = new RetryError(["a", "b"], { attempts: 1, retryAfterMs: 50 });
  assertEquals([error.attempts, error.retryAfterMs], [1, 50]);
  assertEquals(error.errors, ["a", "b"]);
  assertEquals(new RetryError(["a"]).retryAfterMs, undefined);
});

Deno.test("RetryError keeps its failures, whatever becomes of the list", () => {
  const list: unknown[] = ["a"];
  const error = new RetryError(list);
  list.push("b");
  assertEquals(error.errors, ["a"]);
});
