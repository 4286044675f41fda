// Gaps: a message that was published is delivered once, or lies in a gap.

import "../support/strict.ts";
import {
  assert,
  assertEquals,
  assertGreater,
  assertLess,
  assertLessOrEqual,
  assertMatch,
  assertStringIncludes,
} from "@std/assert";
import { delay } from "@std/async/delay";
import { type CloseReport, Redis, type Verdict } from "../../mod.ts";
import {
  type Gap,
  type Item,
  Subscriber,
  type SubscriberOptions,
  type Subscription,
} from "../../pubsub/mod.ts";
import { FakeServer } from "../support/fake_server.ts";
import { startProxy } from "../support/fault_proxy.ts";
import { importFlags } from "../support/imports.ts";
import { linesOf } from "../support/lines.ts";
import { Random, searchLength } from "../support/random.ts";
import { startRedis } from "../support/redis_server.ts";
import { until } from "../support/wait.ts";
import { checkCovered, Publisher } from "./coverage.ts";

/** The next gap; what comes before it must not be a message. */
async function nextGap(subscription: Subscription): Promise<Gap> {
  while (true) {
    const { value } = await subscription.next();
    assert(value !== undefined && value.type !== "message");
    if (value.type === "gap") return value;
  }
}

interface Setting {
  readonly server: Awaited<ReturnType<typeof startRedis>>;
  readonly proxy: Awaited<ReturnType<typeof startProxy>>;
  readonly redis: Redis;
  readonly subscriber: Subscriber;
  readonly subscription: Subscription;
  readonly reports: CloseReport[];
}

function testGap(
  name: string,
  options: SubscriberOptions,
  fn: (setting: Setting) => Promise<void>,
): void {
  Deno.test(name, async () => {
    await using server = await startRedis();
    await using proxy = await startProxy({ target: server });
    await using redis = new Redis(server.url);
    const reports: CloseReport[] = [];
    await using subscriber = new Subscriber(proxy.url, {
      onClose: (report) => reports.push(report),
      ...options,
    });
    const subscription = await subscriber.subscribe("a");
    await fn({ server, proxy, redis, subscriber, subscription, reports });
  });
}

testGap(
  "A connection that the server has killed is replaced, and the gap says when, how long and why",
  {},
  async (
    { server, redis, subscriber, subscription, reports },
  ) => {
    const waiting = subscription.next();
    await delay(20);
    const killedAt = Date.now();
    await server.cli("CLIENT", "KILL", "TYPE", "pubsub");
    const { value: away } = await waiting;
    assert(away?.type === "away");
    assertStringIncludes(away.reason, "Connection closed by server");
    const gap = await nextGap(subscription);
    assertLessOrEqual(gap.from, killedAt);
    assertLessOrEqual(killedAt, gap.until);
    assertEquals(gap.ms, gap.until - gap.from);
    assertEquals([gap.channels, gap.dropped, gap.reason], [
      ["a"],
      0,
      away.reason,
    ]);
    assert(gap.report === reports[0] && away.report === reports[0]);
    assertEquals([gap.report?.by, gap.report?.how], ["server", "fin"]);
    assertEquals(await redis.send(["PUBLISH", "a", "after"]), 1);
    const { value } = await subscription.next();
    assertEquals(value?.type === "message" && value.payload, "after");
    const { losses, gaps, open, active } = subscriber.stats();
    assertEquals([losses, gaps, open, active], [1, 1, 1, 1]);
  },
);

testGap("A peer that is silently gone is found by PING, in its time", {
  pingIntervalMs: 100,
  replyTimeoutMs: 300,
}, async ({ proxy, subscription }) => {
  proxy.silence({ scope: "open" });
  const silentAt = performance.now();
  const gap = await nextGap(subscription);
  const tookMs = performance.now() - silentAt;
  assertGreater(tookMs, 250);
  assertLess(tookMs, 3000);
  assertEquals(gap.report?.how, "silence");
  assertMatch(gap.reason, /without a reply.*PING/);
  assertGreater(gap.ms, 250);
});

testGap("A peer that answers is left alone, whether messages come or not", {
  pingIntervalMs: 20,
  replyTimeoutMs: 2000,
}, async ({ redis, subscriber, subscription }) => {
  for (let i = 0; i < 20; i++) {
    await redis.send(["PUBLISH", "a", i]);
    await delay(10);
  }
  assertEquals([subscription.queued, subscriber.stats().losses], [20, 0]);
});

for (const by of ["rst", "fin"] as const) {
  testGap(
    `A message cut short by ${by.toUpperCase()} is no message, and those before it are`,
    {},
    async (
      { proxy, redis, subscription },
    ) => {
      const one = "*3\r\n$7\r\nmessage\r\n$1\r\na\r\n$3\r\none\r\n".length;
      proxy.cut(one + 20, { by, scope: "open" });
      await redis.pipeline([["PUBLISH", "a", "one"], ["PUBLISH", "a", "two"]]);
      const { value } = await subscription.next();
      assertEquals(value?.type === "message" && value.payload, "one");
      const gap = await nextGap(subscription);
      assertEquals(gap.report?.how, by);
      if (by === "fin") assertEquals(gap.report?.replyBytes, 20);
      await redis.send(["PUBLISH", "a", "three"]);
      const { value: next } = await subscription.next();
      assertEquals(next?.type === "message" && next.payload, "three");
    },
  );
}

testGap(
  "While no connection can be opened attempts follow with backoff, and few of them are told",
  {
    backoff: { delayMs: (attempt) => Math.min(5 * 2 ** attempt, 40) },
  },
  async ({ proxy, subscriber, subscription }) => {
    await proxy.refuse();
    const startedAt = performance.now();
    await proxy.killAll("rst");
    const { value: away } = await subscription.next();
    assertEquals(away?.type, "away");
    await until(() => subscriber.stats().failures >= 6);
    assertGreater(performance.now() - startedAt, 5 + 10 + 20 + 40 + 40);
    assertStringIncludes(`${subscriber.stats().lastError}`, "refused");
    await proxy.accept();
    const gap = await nextGap(subscription);
    assertGreater(gap.ms, 100);
  },
);

testGap("With postMortem the verdict names the report of the gap", {
  postMortem: true,
}, async ({ server, subscriber, subscription }) => {
  await until(async () =>
    /clients:3/.test(await server.cli("INFO", "clients"))
  );
  await delay(50);
  await server.cli("CLIENT", "KILL", "TYPE", "pubsub");
  await server.cli("CLIENT", "KILL", "TYPE", "normal");
  const gap = await nextGap(subscription);
  let verdict: Verdict | undefined;
  await until(() => (verdict = subscriber.stats().lastVerdict) !== undefined);
  assertEquals(verdict!.report.how, gap.report!.how);
});

Deno.test("Whatever is neither a message nor an answer ends the connection, and a gap says so", async () => {
  const rubbish = [
    ":1\r\n",
    "+OK\r\n",
    "-ERR what\r\n",
    "HTTP/1.1 400\r\n",
    "*2\r\n$7\r\nmessage\r\n$1\r\na\r\n",
    "*3\r\n$7\r\nmessage\r\n$1\r\na\r\n:1\r\n",
    "*3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n",
    "*4\r\n$8\r\npmessage\r\n:1\r\n$1\r\na\r\n$1\r\nx\r\n",
    "$70000000000\r\n",
    "*3\r\n$7\r\nmessage\r\n$1\r\na\r\n$90000\r\n",
  ];
  for (const text of rubbish) {
    let isFirst = true;
    await using server = new FakeServer(async (connection) => {
      const mine = isFirst;
      isFirst = false;
      const buffer = new Uint8Array(4096);
      const decoder = new TextDecoder();
      const write = (text: string) =>
        connection.write(new TextEncoder().encode(text));
      while (true) {
        const count = await connection.read(buffer);
        if (count === null) return;
        const sent = decoder.decode(buffer.subarray(0, count));
        if (sent.includes("HELLO")) await write("*2\r\n$2\r\nid\r\n:7\r\n");
        if (sent.includes("\r\nSUBSCRIBE")) {
          await write("*3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n");
          if (mine) await write(text);
        }
      }
    });
    await using subscriber = new Subscriber(`redis://${server.address}`, {
      limits: { maxBulkLength: 60_000 },
    });
    const gap = await nextGap(await subscriber.subscribe("a"));
    assertEquals(gap.report?.how, "protocol-error", text);
    assertEquals(gap.channels, ["a"]);
  }
});

Deno.test("A process that was frozen finds a peer that is gone within two seconds", async () => {
  await using server = await startRedis();
  await using proxy = await startProxy({ target: server });
  const child = new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "-A",
      "--no-check",
      ...importFlags,
      new URL("./frozen_subscriber.ts", import.meta.url).pathname,
      proxy.url,
    ],
    stdout: "piped",
  }).spawn();
  const lines = linesOf(child.stdout);
  const next = async () => JSON.parse((await lines.next()).value!) as Item;
  assertEquals(`${(await next()).type}`, "ready");
  child.kill("SIGSTOP");
  proxy.silence({ scope: "open" });
  await delay(2500);
  child.kill("SIGCONT");
  const wokenAt = performance.now();
  assertEquals((await next()).type, "away");
  assertLess(performance.now() - wokenAt, 4000); // 2 by rule, and a busy machine
  const gap = await next();
  assert(gap.type === "gap");
  assertStringIncludes(gap.reason, "frozen");
  assertGreater(gap.ms, 2500);
  await lines.next();
  await child.status;
});

Deno.test("A process that was frozen while a PING was owed finds a peer that is gone as soon", async () => {
  await using server = await startRedis();
  await using proxy = await startProxy({ target: server });
  await using subscriber = new Subscriber(proxy.url, {
    pingIntervalMs: 100,
    replyTimeoutMs: 30_000,
  });
  const subscription = await subscriber.subscribe("a");
  proxy.silence({ scope: "open" });
  await delay(300); // a PING is owed
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 2500);
  const wokenAt = performance.now();
  const gap = await nextGap(subscription);
  assertLess(performance.now() - wokenAt, 4000); // 2 by rule, and a busy machine
  assertStringIncludes(gap.reason, "frozen");
});

Deno.test("Under random losses every message is delivered once, in order, or lies in a gap", async () => {
  const random = new Random();
  await using server = await startRedis();
  await using proxy = await startProxy({ target: server });
  await using redis = new Redis(server.url);
  await using subscriber = new Subscriber(proxy.url, {
    pingIntervalMs: 50,
    replyTimeoutMs: 250,
    backoff: { delayMs: () => 5 },
  });
  const channels = ["a", "b"];
  const subscription = await subscriber.subscribe(channels);
  const items: Item[] = [];
  const reading = (async () => {
    for await (const item of subscription) items.push(item);
  })();
  const publisher = new Publisher(
    redis,
    "PUBLISH",
    channels,
    async () => {
      if (random.oneIn(5)) await delay(random.below(3));
    },
  );
  const rounds = searchLength(25);
  for (let i = 0; i < rounds; i++) {
    await delay(20 + random.below(60));
    switch (random.below(5)) {
      case 0:
        await server.cli("CLIENT", "KILL", "TYPE", "pubsub");
        break;
      case 1:
        await proxy.killAll(random.pick(["rst", "fin"]));
        break;
      case 2:
        proxy.cut(1 + random.below(500), {
          by: random.pick(["rst", "fin"]),
          scope: "open",
        });
        break;
      case 3: {
        // What is swallowed never comes, as on no network: the connection must end of it.
        await until(() => subscriber.stats().active === 2);
        const { losses } = subscriber.stats();
        proxy.silence({ scope: "open" });
        await until(() => subscriber.stats().losses > losses);
        break;
      }
      case 4:
        proxy.split(7, { scope: "open" });
    }
  }
  proxy.pass();
  await publisher.stop(items);
  subscription.unsubscribe();
  await reading;
  const losses = items.filter(({ type }) => type === "gap").length;
  assertGreater(losses, 3);
  const missing = checkCovered(publisher.published, items);
  console.log(
    `${publisher.published.length} published, ${missing} missing in ${losses} gaps`,
  );
});
