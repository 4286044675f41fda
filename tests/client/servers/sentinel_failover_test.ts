// That failovers of real Sentinels lose no event and hide no loss: by hand, after a crash, and from a server that is frozen.

import "../../support/strict.ts";
import {
  assert,
  assertEquals,
  assertLess,
  assertRejects,
  assertStringIncludes,
} from "@std/assert";
import { delay } from "@std/async/delay";
import {
  DialError,
  ExponentialBackoff,
  fateOf,
  Redis,
  Retry,
} from "../../../mod.ts";
import { WebhookRecorder } from "../../../recorder/recorder.ts";
import {
  type Sentinels,
  startSentinels,
} from "../../support/redis_sentinels.ts";
import { until } from "../../support/wait.ts";

/** A client asks its Sentinel four times a second while calls are open; what is left is room for a busy machine, in milliseconds. */
const CATCH_UP_MS = 800;

/** What became of a load. */
interface Outcome {
  /** INCRs that were answered. */
  readonly successes: number;
  /** INCRs that may have run. */
  readonly unknown: number;
  /** Events that a recorder has accepted. */
  readonly events: number;
  /** The longest call of the recorder, in milliseconds. */
  readonly longestMs: number;
}

/** About 200 INCRs and 200 events a second, until the function returned is called. */
function startLoad(redis: Redis): () => Promise<Outcome> {
  const recorder = new WebhookRecorder(redis);
  const event = { mallId: "mall", shopNo: 1, eventType: "order" };
  const running = new Set<Promise<void>>();
  let successes = 0, unknown = 0, events = 0, longestMs = 0;
  let isOver = false;
  const increment = async () => {
    try {
      await redis.send(["INCR", "counter"]);
      successes++;
    } catch (error) {
      if (fateOf(error) === "unknown") unknown++;
    }
  };
  const record = async () => {
    events++;
    const startedAt = performance.now();
    await recorder.record(event);
    longestMs = Math.max(longestMs, performance.now() - startedAt);
  };
  const start = (run: () => Promise<void>) => {
    const over = run().finally(() => running.delete(over));
    running.add(over);
  };
  const load = (async () => {
    while (!isOver) {
      start(increment);
      start(record);
      await delay(5);
    }
  })();
  return async () => {
    isOver = true;
    await load;
    await Promise.all(running);
    await recorder.flush();
    await recorder[Symbol.asyncDispose]();
    return { successes, unknown, events, longestMs };
  };
}

/**
 * Runs a load while the primary changes.
 *
 * @returns What became of it, and after how long, in milliseconds, the first command was written on the new primary once it was named.
 */
async function failOver(
  set: Sentinels,
  cause: () => Promise<unknown>,
  afterwards: () => Promise<void> = () => delay(500),
): Promise<Outcome & { readonly caughtUpMs: number }> {
  const before = await set.primary();
  await using redis = new Redis(set.url, {
    ...set.clientOptions,
    retry: new Retry({
      backoff: new ExponentialBackoff({ jitter: 0.5 }),
      retries: 40,
      deadlineMs: 20_000,
    }),
  });
  const stop = startLoad(redis);
  await delay(1000);
  await cause();
  const { server } = await set.waitForPrimary({ than: before });
  const namedAt = performance.now();
  const address = set.addressOf(server);
  await until(() => (redis.stats().servers[address]?.open ?? 0) > 0);
  await redis.send(["PING"]);
  const caughtUpMs = performance.now() - namedAt;
  await afterwards();
  const outcome = await stop();
  const key = "webhook_frequency_mall_1_order";
  assertEquals(Number(await server.cli("ZCARD", key)), outcome.events);
  const counter = Number(await server.cli("GET", "counter"));
  const most = outcome.successes + outcome.unknown;
  assert(counter <= most, `${counter} of at most ${most}`);
  return { ...outcome, caughtUpMs };
}

Deno.test("A failover by hand loses no event, although the old primary goes on answering", async () => {
  await using set = await startSentinels();
  const { caughtUpMs } = await failOver(set, () => set.failover());
  assertLess(caughtUpMs, CATCH_UP_MS);
});

Deno.test("A crash of the primary loses no event, and the new one is in use as soon as it is named", async () => {
  await using set = await startSentinels();
  const { caughtUpMs } = await failOver(set, () => set.crash());
  assertLess(caughtUpMs, CATCH_UP_MS);
});

Deno.test("A frozen primary loses no event, and what it answers later counts for nothing", async () => {
  await using set = await startSentinels();
  const frozen = await set.primary();
  const freeze = () => Promise.resolve(set.freeze(frozen));
  const { caughtUpMs } = await failOver(set, freeze, async () => {
    set.thaw(frozen);
    await delay(500);
  });
  assertLess(caughtUpMs, CATCH_UP_MS);
});

Deno.test("Sentinels over TLS, with a password of their own, name a primary; one that answers is enough", async () => {
  await using set = await startSentinels({
    tls: true,
    password: "of the data",
    sentinelPassword: "of the Sentinels",
  });
  const [first, second, third] = set.sentinels;
  await using redis = new Redis(set.url, set.clientOptions);
  assertEquals(await redis.send(["SET", "key", "value"]), "OK");
  const primary = await set.primary();
  await first!.kill();
  await second!.kill();
  await delay(700);
  assertEquals(await redis.send(["GET", "key"]), "value");
  await using late = new Redis(set.url, set.clientOptions);
  assertEquals(await late.send(["GET", "key"]), "value");

  const { sentinel: { tls } = {}, ...own } = set.clientOptions;
  await using locked = new Redis(
    `rediss://${set.addressOf(third!)}?sentinel=mymaster`,
    { ...own, sentinel: { ...tls === undefined ? {} : { tls } } },
  );
  const error = await assertRejects(() => locked.send(["PING"]), DialError);
  assertEquals(
    error.message,
    `Cannot connect to the primary mymaster: 1 Sentinel asked: ${
      set.addressOf(third!)
    } asks for a password: give it in sentinel.password if it is a Sentinel (most listen on port 26379)`,
  );

  await third!.kill();
  assertEquals(await redis.send(["GET", "key"]), "value");
  await primary.restart();
  assertEquals(await redis.send(["PING"]), "PONG");
  await using none = new Redis(set.url, { ...set.clientOptions, retry: false });
  const refused = await assertRejects(() => none.send(["PING"]), DialError);
  assertStringIncludes(refused.message, "3 Sentinels asked: ");
  assert(refused.isRetriable);
});
