// Subscriptions on a real server: what is delivered, to whom, and how they end.

import "../support/strict.ts";
import {
  assert,
  assertEquals,
  assertInstanceOf,
  assertRejects,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import { delay } from "@std/async/delay";
import {
  ClosedError,
  CommandError,
  DeadlineError,
  DialError,
  fateOf,
  Redis,
} from "../../mod.ts";
import {
  type Item,
  Subscriber,
  type SubscriberOptions,
} from "../../pubsub/mod.ts";
import { startProxy } from "../support/fault_proxy.ts";
import { startRedis } from "../support/redis_server.ts";
import { CLOSE, helloOf, ScriptedServer } from "../support/scripted_server.ts";
import { until } from "../support/wait.ts";

/** The payloads of the next `count` items, which must be messages. */
async function payloadsOf<P extends string | Uint8Array>(
  items: AsyncIterator<Item<P>, undefined>,
  count: number,
): Promise<P[]> {
  const payloads: P[] = [];
  while (payloads.length < count) {
    const { value } = await items.next();
    assert(value?.type === "message", JSON.stringify(value));
    payloads.push(value.payload);
  }
  return payloads;
}

const numSub = async (redis: Redis, channel: string): Promise<number> =>
  ((await redis.send(["PUBSUB", "NUMSUB", channel])) as [string, number])[1];

Deno.test("Messages come in the order of their channel, whatever comes with them", async () => {
  await using server = await startRedis();
  await using redis = new Redis(server.url);
  await using subscriber = new Subscriber(server.url);
  const text = await subscriber.subscribe(["a", "b", "é☃"]);
  const bytes = await subscriber.subscribe("a", { binary: true });
  const pattern = await subscriber.psubscribe(["a*", "?"]);
  const shard = await subscriber.ssubscribe("a");
  const large = "x".repeat(100_000);
  const counts = await redis.pipeline([
    ["PUBLISH", "a", "1"],
    ["PUBLISH", "b", ""],
    ["PUBLISH", "é☃", "ü"],
    ["PUBLISH", "a", large],
    ["PUBLISH", "a", new Uint8Array([0, 255, 13, 10])],
    ["SPUBLISH", "a", "shard"],
  ]);
  assertEquals(counts, [3, 2, 1, 3, 3, 1]);
  assertEquals(await payloadsOf(text, 4), ["1", "", "ü", large]);
  const { value } = await text.next();
  assertEquals(value, {
    type: "message",
    channel: "a",
    pattern: undefined,
    payload: "\0\ufffd\r\n",
  });
  const [one, , raw] = await payloadsOf(bytes, 3);
  assertEquals([one, raw], [
    new Uint8Array([49]),
    new Uint8Array([0, 255, 13, 10]),
  ]);
  // Which pattern of a channel comes first is up to the server.
  const matched: string[] = [];
  for await (const item of pattern) {
    assert(item.type === "message");
    matched.push(`${item.channel} by ${item.pattern}`);
    if (matched.length === 7) break;
  }
  assertEquals([2, 1, 2, 2].map((count) => matched.splice(0, count).sort()), [
    ["a by ?", "a by a*"],
    ["b by ?"],
    ["a by ?", "a by a*"],
    ["a by ?", "a by a*"],
  ]);
  assertEquals(await payloadsOf(shard, 1), ["shard"]);
});

Deno.test("A subscription is active once its promise has resolved", async () => {
  await using server = await startRedis();
  await using redis = new Redis(server.url);
  await using subscriber = new Subscriber(server.url);
  for (let i = 0; i < 20; i++) {
    using subscription = await subscriber.subscribe(`channel ${i}`);
    assertEquals(await redis.send(["PUBLISH", `channel ${i}`, "x"]), 1);
    assertEquals(await payloadsOf(subscription, 1), ["x"]);
  }
});

Deno.test("Subscriptions of one channel share one of the server, and none loses a message to another", async () => {
  await using server = await startRedis();
  await using redis = new Redis(server.url);
  await using subscriber = new Subscriber(server.url);
  const first = await subscriber.subscribe("a");
  const subscribes = () => server.cli("INFO", "commandstats");
  let isOver = false;
  let published = 0;
  const flood = (async () => {
    for (; !isOver; published++) await redis.send(["PUBLISH", "a", published]);
  })();
  const seen: string[] = [];
  for (let i = 0; i < 100; i++) {
    using other = await subscriber.subscribe(i % 3 === 0 ? ["a", "b"] : "a");
    seen.push((await payloadsOf(other, 1))[0]!);
  }
  isOver = true;
  await flood;
  assertStringIncludes(await subscribes(), "cmdstat_subscribe:calls=3");
  assertEquals(seen, seen.toSorted((a, b) => Number(a) - Number(b)));
  assertEquals(
    await payloadsOf(first, published),
    Array.from({ length: published }, (_, i) => `${i}`),
  );
  assertEquals(await numSub(redis, "a"), 1);
  first.unsubscribe();
  await until(async () => await numSub(redis, "a") === 0, "unsubscribed");
});

Deno.test("A subscription ends by break, using, unsubscribe, its signal and close, each in its own way", async () => {
  await using server = await startRedis();
  await using redis = new Redis(server.url);
  const subscriber = new Subscriber(server.url);
  const publish = (payload: string) => redis.send(["PUBLISH", "a", payload]);
  const keeper = await subscriber.subscribe("keeper");

  const broken = await subscriber.subscribe("a");
  await publish("1");
  for await (const _ of broken) break;
  assertEquals([broken.isEnded, await broken.next()], [true, {
    value: undefined,
    done: true,
  }]);
  await until(async () => await numSub(redis, "a") === 0);

  {
    using _subscription = await subscriber.subscribe("a");
  }
  await until(async () => await numSub(redis, "a") === 0);

  const left = await subscriber.subscribe("a");
  await publish("2");
  await until(() => left.queued === 1);
  left.unsubscribe();
  await publish("3");
  const rest: unknown[] = [];
  for await (const item of left) rest.push(item);
  assertEquals(rest.length, 1);

  const controller = new AbortController();
  const { signal } = controller;
  const aborted = await subscriber.subscribe("a", { signal });
  const reason = new Error("enough");
  const reading = aborted.next();
  const waiting = subscriber.subscribe(["a", "c"], { signal });
  controller.abort(reason);
  for (const promise of [reading, waiting]) {
    assertEquals(await promise.catch((error) => error), reason);
  }
  assertEquals((await aborted.next()).done, true);
  await assertRejects(() => subscriber.subscribe("a", { signal }), Error);

  const ends: unknown[] = [];
  await subscriber.subscribe("a", {
    onMessage: () => {},
    onEnd: (error) => ends.push(error),
  });
  const pending = keeper.next();
  await subscriber.close();
  assertEquals([await pending, ends], [
    { value: undefined, done: true },
    [undefined],
  ]);
  await assertRejects(() => subscriber.subscribe("a"), ClosedError);
  assertEquals(subscriber.stats().subscriptions, 0);
});

Deno.test("Callbacks are called one after the other, and what one throws ends nothing", async () => {
  await using server = await startRedis();
  await using redis = new Redis(server.url);
  await using subscriber = new Subscriber(server.url);
  const heard: string[] = [];
  const { error } = console;
  const printed: unknown[] = [];
  console.error = (...args) => printed.push(args[0]);
  try {
    let isBusy = false;
    const subscription = await subscriber.subscribe("a", {
      onMessage: async ({ payload }) => {
        assertEquals(isBusy, false);
        isBusy = true;
        await delay(1);
        isBusy = false;
        heard.push(payload);
        if (payload === "2") throw new Error("of the callback");
      },
    });
    await assertRejects(() => subscription.next(), TypeError, "onMessage");
    await subscriber.subscribe("a", {
      onMessage: () => {
        throw new Error("at once");
      },
    });
    await redis.pipeline(
      ["1", "2", "3", "4"].map((n) => ["PUBLISH", "a", n] as const),
    );
    await until(() => heard.length === 4);
    assertEquals(heard, ["1", "2", "3", "4"]);
    assertEquals(printed.length, 5);
  } finally {
    console.error = error;
  }
});

Deno.test("A subscription that a callback ends calls onEnd once, after all that waited", async () => {
  await using server = await startRedis();
  await using redis = new Redis(server.url);
  await using subscriber = new Subscriber(server.url);
  const publish = (channel: string, count: number) =>
    redis.pipeline(
      Array.from({ length: count }, (_, i) => ["PUBLISH", channel, i + 1]),
    );
  for (const isLate of [false, true]) {
    const heard: unknown[] = [];
    const channel = `late ${isLate}`;
    const ended = Promise.withResolvers<void>();
    const subscription = await subscriber.subscribe(channel, {
      onMessage({ payload }) {
        heard.push(payload);
        if (payload === "2") subscription.unsubscribe();
        // The first one makes the others wait.
        if (isLate || payload === "1") return delay(20);
      },
      onEnd(error) {
        heard.push(error);
        ended.resolve();
      },
    });
    await publish(channel, 4);
    await ended.promise;
    await delay(100); // nothing follows
    assertEquals(heard, ["1", "2", "3", "4", undefined]);
  }
  const heard: unknown[] = [];
  const subscription = await subscriber.subscribe("first", {
    onMessage: ({ payload }) => {
      heard.push(payload);
      subscription.unsubscribe();
    },
    onEnd: (error) => heard.push(error),
  });
  await publish("first", 1);
  await until(() => heard.length > 1);
  assertEquals(heard, ["1", undefined]);
});

Deno.test("A subscription that onGap ends gives nothing after that", async () => {
  const active = "*3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n";
  const message = "*3\r\n$7\r\nmessage\r\n$1\r\na\r\n$1\r\nx\r\n";
  await using server = new ScriptedServer(([name], connection) => {
    if (name === "HELLO") return helloOf({ version: "7.0.15" });
    if (name === "PING") return CLOSE;
    if (name !== "SUBSCRIBE") return "+OK\r\n";
    return connection === 1 ? active : active + message;
  });
  await using subscriber = new Subscriber(server.url, { pingIntervalMs: 20 });
  const heard: string[] = [];
  const ended = Promise.withResolvers<void>();
  const subscription = await subscriber.subscribe("a", {
    onMessage: ({ payload }) => heard.push(payload),
    onAway: () => heard.push("away"),
    onGap: () => {
      heard.push("gap");
      subscription.unsubscribe();
    },
    onEnd: () => {
      heard.push("end");
      ended.resolve();
    },
  });
  await ended.promise;
  await delay(0); // what has come with the gap was taken
  assertEquals(heard, ["away", "gap", "end"]);
});

Deno.test("A thousand channels are subscribed at once, in few commands", async () => {
  await using server = await startRedis();
  await using redis = new Redis(server.url);
  await using subscriber = new Subscriber(server.url);
  const names = Array.from({ length: 2500 }, (_, i) => `channel ${i}`);
  const all = await subscriber.subscribe(names);
  const each = await Promise.all(
    names.slice(0, 1000).map((name) => subscriber.psubscribe(name)),
  );
  const stats = await server.cli("INFO", "commandstats");
  assertStringIncludes(stats, "cmdstat_subscribe:calls=3,");
  assertStringIncludes(stats, "cmdstat_psubscribe:calls=1,");
  await redis.pipeline(
    names.slice(0, 1000).map((name) => ["PUBLISH", name, name] as const),
  );
  assertEquals(await payloadsOf(all, 1000), names.slice(0, 1000));
  for (const [i, subscription] of each.entries()) {
    assertEquals(await payloadsOf(subscription, 1), [names[i]!]);
  }
  await server.cli("CLIENT", "KILL", "TYPE", "pubsub");
  const { value } = await all.next();
  assertEquals(value?.type, "away");
  const back = new Set<string>();
  while (back.size < names.length) {
    const { value: gap } = await all.next();
    assert(gap?.type === "gap");
    for (const name of gap.channels) back.add(name);
  }
});

Deno.test("What the server refuses rejects one subscription, and no other", async () => {
  await using server = await startRedis();
  await using redis = new Redis(server.url);
  await redis.send([
    "ACL",
    "SETUSER",
    "app",
    "on",
    ">sesame",
    "+@all",
    "&open*",
  ]);
  const url = server.url.replace("//", "//app:sesame@");
  await using subscriber = new Subscriber(url);
  const [open, closed] = await Promise.allSettled([
    subscriber.subscribe("open"),
    subscriber.subscribe(["open", "closed"]),
  ]);
  assert(open.status === "fulfilled" && closed.status === "rejected");
  assertInstanceOf(closed.reason, CommandError);
  assertEquals(
    [closed.reason.code, closed.reason.command, fateOf(closed.reason)],
    ["NOPERM", "SUBSCRIBE", "unsent"],
  );
  assertEquals(await redis.send(["PUBLISH", "open", "x"]), 1);
  assertEquals(await payloadsOf(open.value, 1), ["x"]);

  // After a loss it is refused what it had: its reader learns that.
  await redis.send(["ACL", "SETUSER", "app", "resetchannels", "&other"]);
  await server.cli("CLIENT", "KILL", "TYPE", "pubsub");
  const types: string[] = [];
  const error = await assertRejects(async () => {
    for await (const { type } of open.value) types.push(type);
  }, CommandError);
  assertEquals([types, error.code], [["away"], "NOPERM"]);
});

Deno.test("Without a server a subscription fails in time, and the error says what kept it; the password is in none", async () => {
  const url = "redis://user:secret-word@127.0.0.1:1";
  const tries: string[] = [];
  await using subscriber = new Subscriber(url, {
    onError: (error, { attempt }) => tries.push(`${attempt} ${error.message}`),
    backoff: { delayMs: () => 5 },
  });
  const error = await assertRejects(
    () => subscriber.subscribe("a", { deadlineMs: 300 }),
    DeadlineError,
  );
  assertInstanceOf(error.cause, DialError);
  assert(subscriber.stats().failures > 4);
  assertEquals(tries.map((text) => text.split(" ")[0]).slice(0, 3), [
    "1",
    "2",
    "4",
  ]);
  const text = [Deno.inspect(subscriber), Deno.inspect(error), ...tries].join();
  assertEquals(text.includes("secret-word"), false);

  await using server = await startRedis({ password: "right" });
  await using wrong = new Subscriber(server.url, { password: "wrong-word" });
  const refused = await assertRejects(() => wrong.subscribe("a"), DialError);
  assertEquals(refused.isRetriable, false);
  assertEquals(Deno.inspect(refused).includes("wrong-word"), false);
});

Deno.test("What an earlier subscription has failed with is not the cause of a later failure", async () => {
  await using server = await startRedis();
  await using proxy = await startProxy({ target: server });
  await using subscriber = new Subscriber(proxy.url, {
    backoff: { delayMs: () => 5 },
  });
  const late = () =>
    assertRejects(
      () => subscriber.subscribe("a", { deadlineMs: 200 }),
      DeadlineError,
    );
  await proxy.refuse();
  assertInstanceOf((await late()).cause, DialError);
  await proxy.accept();
  await subscriber.subscribe("b");
  proxy.silence({ scope: "open" });
  assertEquals((await late()).cause, undefined);
});

Deno.test("Options and names that cannot be used are refused by name", async () => {
  const wrong: [object, string][] = [
    [{ whenFull: "drop" }, "whenFull"],
    [{ maxQueued: 0 }, "maxQueued"],
    [{ maxQueuedBytes: 1.5 }, "maxQueuedBytes"],
    [{ pingIntervalMs: 0 }, "pingIntervalMs"],
    [{ backoff: 5 }, "backoff"],
    [{ onError: 5 }, "onError"],
    [{ onMessage: () => {} }, "onMessage"],
  ];
  for (const [options, name] of wrong) {
    assertThrows(
      () => new Subscriber("redis://h", options as SubscriberOptions),
      TypeError,
      name,
    );
  }
  await using subscriber = new Subscriber();
  for (
    const [names, options, text] of [
      [[], {}, "no channel"],
      [[5], {}, "5"],
      ["\ud800", {}, "well-formed"],
      ["a", { onGap: () => {} }, "onGap"],
      ["a", { binary: 1 }, "binary"],
      ["a", { deadline: 1 }, "deadline"],
    ] as const
  ) {
    await assertRejects(
      () =>
        subscriber.subscribe(names as unknown as string[], options as object),
      TypeError,
      text,
    );
  }
});
