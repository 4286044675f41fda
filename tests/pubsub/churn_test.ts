// That subscriptions which come and go, also through losses, leave what is wanted on the server, and nothing else.

import "../support/strict.ts";
import { assert, assertEquals } from "@std/assert";
import { delay } from "@std/async/delay";
import { type CloseReport, Redis } from "../../mod.ts";
import { Subscriber, type Subscription } from "../../pubsub/mod.ts";
import { startProxy } from "../support/fault_proxy.ts";
import { Random, searchLength } from "../support/random.ts";
import { startRedis } from "../support/redis_server.ts";
import { until } from "../support/wait.ts";

const KINDS = ["subscribe", "psubscribe", "ssubscribe"] as const;

Deno.test("Subscriptions that come and go through losses leave what is wanted on the server, and nothing else", async () => {
  const random = new Random();
  await using server = await startRedis();
  await using proxy = await startProxy({ target: server });
  await using redis = new Redis(server.url);
  const ends: CloseReport[] = [];
  await using subscriber = new Subscriber(proxy.url, {
    onClose: (report) => ends.push(report),
    backoff: { delayMs: () => 5 },
  });
  const names = ["a", "b", "c", "d"];
  const held: { kind: typeof KINDS[number]; subscription: Subscription }[] = [];
  const come = async () => {
    const kind = random.pick(KINDS);
    const some = names.filter(() => random.oneIn(2));
    if (some.length === 0) return;
    const signal = random.oneIn(4)
      ? AbortSignal.timeout(random.below(3))
      : undefined;
    try {
      const subscription = await subscriber[kind](some, {
        ...signal && { signal },
        binary: random.oneIn(4) as false,
      });
      held.push({ kind, subscription });
    } catch (error) {
      assertEquals(error, signal?.reason);
    }
  };
  const rounds = searchLength(30);
  for (let round = 0; round < rounds; round++) {
    const coming = Array.from({ length: random.below(6) }, come);
    for (const _ of Array.from({ length: random.below(6) })) {
      if (held.length === 0) continue;
      const [left] = held.splice(random.below(held.length), 1);
      if (random.oneIn(2)) left!.subscription.unsubscribe();
      else await left!.subscription.return();
      if (random.oneIn(2)) await delay(0);
    }
    if (random.oneIn(4)) await proxy.killAll(random.pick(["rst", "fin"]));
    if (random.oneIn(2)) await Promise.all(coming);
    else void Promise.all(coming);
    await delay(random.below(8));
  }
  await until(() => {
    const { subscriptions, channels, active } = subscriber.stats();
    const live = held.filter(({ subscription }) => !subscription.isEnded);
    return subscriptions === live.length && channels === active;
  }, "all are active");
  const wantedOf = (kind: typeof KINDS[number]) =>
    [
      ...new Set(
        held.filter((one) => one.kind === kind && !one.subscription.isEnded)
          .flatMap(({ subscription }) => [...subscription.channels]),
      ),
    ].sort();
  const found = async (what: string) =>
    ((await redis.send(["PUBSUB", what])) as string[]).sort();
  await until(
    async () =>
      `${await found("CHANNELS")}` === `${wantedOf("subscribe")}` &&
      `${await found("SHARDCHANNELS")}` === `${wantedOf("ssubscribe")}` &&
      await redis.send(["PUBSUB", "NUMPAT"]) === wantedOf("psubscribe").length,
    "the server has what is wanted",
  );
  assertEquals(ends.filter(({ how }) => how === "protocol-error"), []);
  // Each gets one of each of its channels.
  for (const name of names) {
    await redis.send(["PUBLISH", name, "end"]);
    await redis.send(["SPUBLISH", name, "end"]);
  }
  for (const { subscription } of held) {
    if (subscription.isEnded) continue;
    const heard: string[] = [];
    while (heard.length < subscription.channels.length) {
      const { value } = await subscription.next();
      assert(value !== undefined);
      if (value.type === "message") heard.push(value.channel);
    }
    assertEquals(heard.sort(), [...subscription.channels].sort());
    assertEquals(subscription.queued, 0);
  }
});
