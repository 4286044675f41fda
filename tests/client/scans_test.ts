// That a scan gives every element that is there all the while, whatever breaks, and holds no more than two pages.

import "../support/strict.ts";
import {
  assert,
  assertEquals,
  assertGreater,
  assertLessOrEqual,
  assertRejects,
} from "@std/assert";
import { delay } from "@std/async/delay";
import {
  type Command,
  CommandError,
  type CommandSender,
  ConnectionClosedError,
  DialError,
  hscan,
  Redis,
  Retry,
  scan,
  sscan,
  zscan,
} from "../../mod.ts";
import { testWithFixture as test } from "../support/fixture.ts";
import { assertAtRest } from "../support/pool_state.ts";
import { type ClusterNode, startCluster } from "../support/redis_cluster.ts";
import { startRedis } from "../support/redis_server.ts";

/** Writes that many keys, in pipelines. */
async function fill(
  redis: Redis,
  count: number,
  prefix = "key:",
): Promise<string[]> {
  const keys = Array.from({ length: count }, (_, i) => `${prefix}${i}`);
  for (let i = 0; i < count; i += 2000) {
    await redis.pipeline(
      keys.slice(i, i + 2000).map((key): Command => ["SET", key, 1]),
    );
  }
  return keys;
}

const sorted = (keys: Iterable<string>) => [...new Set(keys)].sort();

test("A scan that was left while a page was on its way gives nothing more", async (fixture) => {
  const redis = fixture.client();
  await fill(redis, 100);
  const [first] = await Array.fromAsync(scan(redis, { count: 10 }).pages());
  const keys = scan(redis, { count: 10 })[Symbol.asyncIterator]();
  for (const _ of first!) assertEquals((await keys.next()).done, false);
  const waiting = keys.next();
  await keys.return!();
  const end = { value: undefined, done: true } as const;
  assertEquals([await waiting, await keys.next()], [end, end]);
});

test("A scan gives every key, one by one or in pages", async (fixture) => {
  const redis = fixture.client();
  const keys = (await fill(redis, 5000)).sort();
  assertEquals((await Array.fromAsync(scan(redis))).sort(), keys);
  const pages = await Array.fromAsync(scan(redis, { count: 100 }).pages());
  assertGreater(pages.length, 20);
  assert(pages.every(({ length }) => length > 0));
  assertEquals(pages.flat().sort(), keys);
  await redis.send(["SADD", "set", "a"]);
  assertEquals(await Array.fromAsync(scan(redis, { type: "set" })), ["set"]);
  const some = await Array.fromAsync(
    scan(redis, { match: "key:1?", count: 10 }),
  );
  assertEquals(some.sort(), keys.filter((key) => /^key:1.$/.test(key)));
  const [bytes] = await Array.fromAsync(
    scan(redis, { match: new TextEncoder().encode("se?"), binary: true }),
  );
  assertEquals(bytes, new TextEncoder().encode("set"));
  const [node] = redis.nodes();
  assertEquals(sorted(await Array.fromAsync(scan(node!))).length, 5001);
  await using lease = await redis.lease();
  await lease.send(["SELECT", 1]);
  assertEquals(await Array.fromAsync(scan(lease)), []);
  await lease.send(["SELECT", 0]);
  assertEquals(
    (await Array.fromAsync(scan(lease, { count: 50 }))).length,
    5001,
  );
});

test("Hashes, sets and sorted sets are scanned, small ones and large ones", async (fixture) => {
  const redis = fixture.client();
  for (const count of [0, 3, 5000]) {
    const names = Array.from({ length: count }, (_, i) => `m${i}`).sort();
    if (count > 0) {
      await redis.pipeline([
        ["HSET", "hash", ...names.flatMap((name) => [name, `${name}'s`])],
        ["SADD", "set", ...names],
        ["ZADD", "zset", ...names.flatMap((name, i) => [i + 0.5, name])],
      ]);
    }
    const pairs: [string, string][] = await Array.fromAsync(
      hscan(redis, "hash"),
    );
    assertEquals(sorted(pairs.map(([field]) => field)), names);
    assert(pairs.every(([field, value]) => value === `${field}'s`));
    const members = await Array.fromAsync(sscan(redis, "set", { count: 10 }));
    assertEquals(sorted(members), names);
    const scores: [string, number][] = await Array.fromAsync(
      zscan(redis, "zset"),
    );
    assertEquals(sorted(scores.map(([member]) => member)), names);
    assert(scores.every(([member, score]) => names[score - 0.5] === member));
  }
  await redis.send(["ZADD", "zset", "-inf", "least"]);
  const [[bytes, score] = []] = await Array.fromAsync(
    zscan(redis, "zset", { match: "least", binary: true }),
  );
  assertEquals([bytes, score], [new TextEncoder().encode("least"), -Infinity]);
  const wrong = await assertRejects(
    () => Array.fromAsync(sscan(redis, "hash")),
    CommandError,
  );
  assertEquals([wrong.code, wrong.fate], ["WRONGTYPE", "executed"]);
  const fields = hscan(redis, "hash", { noValues: true, match: "m1" });
  const found = await Array.fromAsync(fields).catch((error) => error.code);
  assert(["ERR", "m1"].includes(`${found}`)); // Redis 7.4 and later
  assertAtRest(redis);
});

test("While a page is read one page is on its way, and no more", async (fixture) => {
  const redis = fixture.client();
  await fill(redis, 2000);
  const before = await fixture.calls("scan");
  let pages = 0;
  for await (const _page of scan(redis, { count: 100 }).pages()) {
    await delay(10);
    pages++;
    const asked = await fixture.calls("scan") - before;
    assertLessOrEqual(asked, pages + 1);
    if (pages === 5) break;
  }
  await delay(20);
  assertEquals(await fixture.calls("scan") - before, 6);
  assertAtRest(redis);
});

test("break, an exception and a signal end a scan, and leave nothing", async (fixture) => {
  const redis = fixture.client();
  await fill(redis, 3000);
  for await (const _key of scan(redis, { count: 10 })) break;
  await assertRejects(async () => {
    for await (const _key of scan(redis)) throw new Error("mine");
  }, "mine");
  const controller = new AbortController();
  const { signal } = controller;
  let seen = 0;
  const error = await assertRejects(
    async () => {
      for await (const _key of scan(redis, { count: 100, signal })) {
        if (++seen === 250) controller.abort(new Error("enough"));
      }
    },
    Error,
    "enough",
  );
  assertEquals(seen, 250);
  assertEquals(error, signal.reason);
  await assertRejects(() => Array.fromAsync(scan(redis, { signal })), "enough");
  const iterator = scan(redis)[Symbol.asyncIterator]();
  assertEquals(await iterator.return!(), { value: undefined, done: true });
  assertEquals(await iterator.next(), { value: undefined, done: true });
  await redis.send(["PING"]); // behind what was on its way
  assertAtRest(redis);
});

test("A scan that is waiting for a silent server ends by its signal at once", async (fixture) => {
  const redis = fixture.client();
  await fill(redis, 3000);
  const started = performance.now();
  const signal = AbortSignal.timeout(100);
  const iterator = scan(redis, { count: 100, signal })[Symbol.asyncIterator]();
  await iterator.next();
  fixture.proxy.silence();
  const error = await assertRejects(async () => {
    while (!(await iterator.next()).done);
  });
  assertEquals(error, signal.reason);
  assertLessOrEqual(performance.now() - started, 2000);
});

test("Several may ask for the next element at the same time, and each gets another", async (fixture) => {
  const redis = fixture.client();
  const keys = (await fill(redis, 500)).sort();
  const iterator = scan(redis, { count: 50 })[Symbol.asyncIterator]();
  const results = await Promise.all(
    Array.from({ length: 510 }, () => iterator.next()),
  );
  assertEquals(
    results.flatMap(({ value, done }) => done ? [] : [value]).sort(),
    keys,
  );
});

test("Options that make no sense are refused", async (fixture) => {
  const redis = fixture.client();
  for (
    const options of [
      { count: 0 },
      { count: 1.5 },
      { match: 1 },
      { type: 1 },
      { cursor: "7" },
      { signal: {} },
      { retry: 3 },
    ]
  ) {
    await assertRejects(
      () => Array.fromAsync(scan(redis, options as never)),
      TypeError,
      "expected",
    );
  }
  assertEquals(await fixture.calls("scan"), 0);
});

test("A double of a client is scanned by send alone", async () => {
  const sent: string[] = [];
  const double: CommandSender = {
    send: (command) => {
      sent.push(command.join(" "));
      return Promise.resolve(sent.length < 3 ? ["7", ["k"]] : ["0", []]);
    },
  };
  assertEquals(await Array.fromAsync(scan(double, { count: 5 })), ["k", "k"]);
  assertEquals(sent, ["SCAN 0 COUNT 5", "SCAN 7 COUNT 5", "SCAN 7 COUNT 5"]);
});

for (const how of ["killed", "cut", "silent"] as const) {
  test(`A scan whose connection is ${how} in the middle misses nothing`, async (fixture) => {
    const redis = fixture.client({ replyTimeoutMs: 200 });
    const keys = (await fill(redis, 4000)).sort();
    const seen: string[] = [];
    let pages = 0;
    for await (const page of scan(redis, { count: 200 }).pages()) {
      seen.push(...page);
      if (++pages % 5 !== 0) continue;
      if (how === "killed") await fixture.kill();
      else if (how === "cut") fixture.proxy.cut(100, { scope: "open" });
      else fixture.proxy.silence({ scope: "open" });
    }
    assertEquals(sorted(seen), keys);
    assertEquals(seen.length, keys.length); // the same run: no page was read twice
    assertGreater(redis.stats().dialed, 2);
    assertAtRest(redis);
  });
}

Deno.test("A scan begins again where its server was restarted, since its cursor means nothing there", async () => {
  await using server = await startRedis({ durable: true });
  await using redis = new Redis(server.url, {
    retry: new Retry({ retries: 30 }),
  });
  const keys = (await fill(redis, 3000)).sort();
  const seen: string[] = [];
  let pages = 0;
  for await (const page of scan(redis, { count: 100 }).pages()) {
    seen.push(...page);
    if (++pages === 10) await server.restart();
  }
  assertEquals(sorted(seen), keys);
  assertGreater(seen.length, keys.length); // what was read before comes again
  assertAtRest(redis);
});

test("A scan of a server that is away ends with the error of its last attempt", async (fixture) => {
  const redis = fixture.client();
  await fill(redis, 3000);
  const pages = scan(redis, { count: 100, retry: false }).pages();
  await pages.next();
  await fixture.server.kill();
  const error = await assertRejects(async () => {
    while (!(await pages.next()).done);
  });
  assert(error instanceof ConnectionClosedError || error instanceof DialError);
  assertEquals(await pages.next(), { value: undefined, done: true });
});

Deno.test("All primaries of a cluster are scanned, also through a failover in the middle", async (t) => {
  await using cluster = await startCluster({ nodeTimeoutMs: 500 });
  await using redis = new Redis(cluster.url, {
    retry: new Retry({ retries: 40, deadlineMs: 15_000 }),
    replyTimeoutMs: 1000,
  });
  const keys = (await fill(redis, 3000)).sort();
  await cluster.settled();

  await t.step("every key comes once while nothing happens", async () => {
    await using fresh = new Redis(cluster.url);
    const seen = await Array.fromAsync(scan(fresh, { count: 100 }));
    assertEquals(seen.sort(), keys);
  });

  await t.step("a key of the cluster is scanned where it is", async () => {
    await redis.send(["SADD", "set", ...keys]);
    assertEquals(sorted(await Array.fromAsync(sscan(redis, "set"))), keys);
    await redis.send(["DEL", "set"]);
  });

  for (const how of ["planned", "crash", "freeze"] as const) {
    await t.step(`${how}: every key comes at least once`, async () => {
      await cluster.settled();
      await redis.pipeline(keys.map((key): Command => ["GET", key])); // follows MOVED
      const seen: string[] = [];
      let pages = 0;
      let broken: ClusterNode | undefined;
      for await (const page of scan(redis, { count: 100 }).pages()) {
        seen.push(...page);
        if (++pages !== 3) continue;
        broken = await cluster.primaryOf(page[0]!); // which is being scanned
        if (how === "planned") {
          await cluster.failover(await cluster.replicaOf(broken));
        } else if (how === "crash") await cluster.kill(broken);
        else cluster.freeze(broken);
      }
      const there = await cluster.keys();
      assertEquals(there.filter((key) => !seen.includes(key)), []);
      if (how === "planned") return; // the server that was demoted has the keys, too
      assertGreater(seen.length, keys.length); // those of the first pages come again
      assert(broken !== undefined);
      if (how === "freeze") cluster.thaw(broken);
      else await cluster.restart(broken);
      assertAtRest(redis);
    });
  }
});
