// That a client of a cluster sends each command where its hash slot is, on real servers.

import "../../support/strict.ts";
import {
  assert,
  assertEquals,
  assertGreater,
  assertLess,
  assertLessOrEqual,
  assertMatch,
  assertRejects,
} from "@std/assert";
import { delay } from "@std/async/delay";
import {
  CommandError,
  DialError,
  ExponentialBackoff,
  fateOf,
  Redis,
  type RedisOptions,
  Retry,
} from "../../../mod.ts";
import { type Cluster, startCluster } from "../../support/redis_cluster.ts";
import { startProxy } from "../../support/fault_proxy.ts";
import { startRedis } from "../../support/redis_server.ts";

/** Tries for as long as a failover takes. */
const PATIENT = new Retry({
  retries: 40,
  deadlineMs: 20_000,
  backoff: new ExponentialBackoff({ jitter: 0.5 }),
});

/** One cluster for most tests of this file. */
let cluster: Cluster;
Deno.test.beforeAll(async () => {
  cluster = await startCluster();
});
Deno.test.afterAll(() => cluster[Symbol.asyncDispose]());

const clientOf = (options: RedisOptions = {}) =>
  new Redis(cluster.url, options);

const keys = (count: number): string[] =>
  Array.from({ length: count }, (_, i) => `key-${i}`);

/** How often the topology may be asked for since then. A busy machine leaves a reply owed for a second: then once every 200 ms. */
function mayBeAsked(since: number): number {
  const ms = performance.now() - since;
  return ms < 1000 ? 1 : 1 + Math.ceil(ms / 200);
}

Deno.test("Each command goes to the server that holds its key, without a redirect", async () => {
  const startedAt = performance.now();
  await using redis = clientOf();
  const all = keys(300);
  await Promise.all(all.map((key) => redis.send(["SET", key, key])));
  assertEquals(
    await Promise.all(all.map((key) => redis.send(["GET", key]))),
    all,
  );
  const { redirects, topology, servers } = redis.stats();
  assertEquals(redirects, { moved: 0, ask: 0 });
  assertEquals(topology?.covered, 16384);
  assertLessOrEqual(topology!.asked, mayBeAsked(startedAt));
  assertEquals(Object.keys(servers).length, 3);
  for (const key of all.slice(0, 20)) {
    const { hostname, port } = redis.originOf(key);
    const { address } = await cluster.primaryOf(key);
    assertEquals(`${hostname}:${port}`, address);
  }
});

Deno.test("One question for the topology serves all calls of the start, on the connection that goes on to be used", async () => {
  const before = await cluster.calls("cluster|slots");
  const startedAt = performance.now();
  await using redis = clientOf();
  await Promise.all(keys(100).map((key) => redis.send(["SET", key, 1])));
  const asked = await cluster.calls("cluster|slots") - before;
  assertLessOrEqual(asked, mayBeAsked(startedAt));
  assertLessOrEqual(redis.stats().dialed, 12);
});

Deno.test("A command that each server answers for itself is refused, and nodes() can be asked", async () => {
  await using redis = clientOf();
  const error = await assertRejects(() => redis.send(["DBSIZE"]), TypeError);
  assertEquals(
    error.message,
    "Cannot send DBSIZE to a cluster: each server answers for itself; use redis.nodes()",
  );
  assertEquals(fateOf(error), "unsent");
  assertEquals(await redis.send(["PING"]), "PONG");
  const nodes = redis.nodes();
  assertEquals(nodes.length, 3);
  assertEquals(
    nodes.reduce((sum, { hashSlots }) => sum + hashSlots, 0),
    16384,
  );
  const sizes = await Promise.all(nodes.map((node) => node.send(["DBSIZE"])));
  assert(sizes.every((size) => size > 0), `${sizes}`);
});

Deno.test("A hash slot that has moved is followed, with retry: false as well, and the topology is asked once", async () => {
  await using redis = clientOf({ retry: false });
  await redis.send(["SET", "{moves}a", "1"]);
  const { asked } = redis.stats().topology!;
  const startedAt = performance.now();
  const hashSlot = await cluster.hashSlotOf("{moves}a");
  const from = await cluster.primaryOf(hashSlot);
  const to = (await cluster.primaries()).find((node) => node !== from)!;
  await cluster.migrate([hashSlot, hashSlot], from, to);
  assertEquals(await redis.send(["INCR", "{moves}a"]), 2);
  assertEquals(await redis.send(["INCR", "{moves}a"]), 3);
  assertEquals(redis.stats().redirects.moved, 1);
  await delay(300);
  assertGreater(redis.stats().topology!.asked, asked);
  assertLessOrEqual(
    redis.stats().topology!.asked,
    asked + mayBeAsked(startedAt),
  );
  await cluster.migrate([hashSlot, hashSlot], to, from);
});

Deno.test("A key on its way is asked for where it goes, beside other callers", async () => {
  await using redis = clientOf();
  const hashSlot = await cluster.hashSlotOf("{asked}");
  const from = await cluster.primaryOf(hashSlot);
  const to = (await cluster.primaries()).find((node) => node !== from)!;
  await redis.send(["SET", "{asked}n", "0"]);
  const held = cluster.migrate([hashSlot, hashSlot], from, to, {
    holdMs: 500,
  });
  let sent = 0;
  const others = keys(50);
  for (let isOver = false; !isOver;) {
    const [, ...replies] = await Promise.all([
      redis.send(["INCR", "{asked}n"]).then(() => sent++),
      ...others.map((key) => redis.send(["EXISTS", key])),
    ]);
    assertEquals(replies.length, others.length);
    isOver = await Promise.race([
      held.then(() => true),
      delay(5).then(() => false),
    ]);
  }
  assertEquals(await redis.send(["GET", "{asked}n"]), `${sent}`);
  assert(redis.stats().redirects.ask > 0);
  await cluster.migrate([hashSlot, hashSlot], to, from);
});

Deno.test("A planned failover loses nothing and runs nothing twice", async () => {
  await using redis = clientOf();
  const failovers: unknown[] = [];
  redis.onFailover((failover) => failovers.push(failover));
  const counter = "planned";
  const primary = await cluster.primaryOf(counter);
  let sent = 0;
  let isOver = false;
  const load = (async () => {
    while (!isOver) {
      await redis.send(["INCR", counter]);
      sent++;
    }
  })();
  await delay(50);
  await cluster.failover(await cluster.replicaOf(primary));
  await delay(300);
  isOver = true;
  await load;
  assertEquals(await redis.send(["GET", counter]), `${sent}`);
  assertEquals(failovers.length, 1);
  assertEquals(
    `127.0.0.1:${redis.originOf(counter).port}`,
    (await cluster.primaryOf(counter)).address,
  );
});

Deno.test("A killed primary is replaced: a patient call is not rejected, and a counter never runs ahead", async () => {
  await using cluster = await startCluster();
  await using redis = new Redis(cluster.url, { retry: PATIENT });
  const primary = await cluster.primaryOf("killed");
  const topologies = await cluster.calls("cluster|slots");
  let answered = 0;
  let unknown = 0;
  let isOver = false;
  const load = (async () => {
    while (!isOver) {
      await redis.send(["SET", "killed-{killed}", "x"]);
      await redis.send(["INCR", "killed"]).then(
        () => answered++,
        (error) => {
          assertEquals(fateOf(error), "unknown", error);
          unknown++;
        },
      );
    }
  })();
  await delay(100);
  const startedAt = performance.now();
  const replicas = await cluster.replicasOf(primary);
  await cluster.kill(primary);
  await cluster.waitForPromotion(primary, replicas);
  const promotedMs = performance.now() - startedAt;
  const before = answered;
  while (answered === before) await delay(5);
  const servedMs = performance.now() - startedAt;
  isOver = true;
  await load;
  const count = Number(await redis.send(["GET", "killed"]));
  assertLessOrEqual(count, answered + unknown);
  assertLessOrEqual(answered, count);
  // The longest backoff is a second.
  assertLess(servedMs - promotedMs, 1500);
  const asked = await cluster.calls("cluster|slots") - topologies;
  assertLess(asked / (servedMs / 1000), 12);
});

Deno.test("A server without a cluster is a cluster of one", async () => {
  await using server = await startRedis();
  await using redis = new Redis(`${server.url}?cluster=true`);
  await redis.send(["SET", "key", "value"]);
  assertEquals(await redis.send(["GET", "key"]), "value");
  assertEquals(redis.stats().topology?.covered, 16384);
});

Deno.test("When no server answers, the error lists each of them", async () => {
  await using redis = new Redis(
    "redis://127.0.0.1:1?cluster=true&seeds=127.0.0.1:2",
    { retry: false },
  );
  const error = await assertRejects(
    () => redis.send(["GET", "key"]),
    DialError,
  );
  assertMatch(
    error.message,
    /^Cannot connect to the cluster of 127\.0\.0\.1:1: none of 2 servers has answered CLUSTER SLOTS: 127\.0\.0\.1:1 connection refused.*, 127\.0\.0\.1:2 connection refused/,
  );
  assertEquals([error.fate, error.isRetriable], ["unsent", true]);
});

Deno.test("One seed that is down does no harm", async () => {
  const { address } = cluster.nodes[0]!;
  await using redis = new Redis(
    `redis://127.0.0.1:1?cluster=true&seeds=${address}`,
  );
  assertEquals(await redis.send(["SET", "key", "value"]), "OK");
});

Deno.test("A wrong password is tried once", async () => {
  await using server = await startRedis({ password: "right" });
  const url = new URL(`${server.url}?cluster=true`);
  url.password = "wrong";
  await using redis = new Redis(url);
  const error = await assertRejects(
    () => redis.send(["GET", "key"]),
    DialError,
  );
  assertEquals(error.isRetriable, false);
  assertEquals(redis.stats().dialFailures, 1);
});

Deno.test("Keys of two hash slots in one command are the server's to refuse", async () => {
  await using redis = clientOf();
  const error = await assertRejects(
    () => redis.send(["MGET", "a", "b"]),
    CommandError,
  );
  assertEquals([error.code, error.fate], ["CROSSSLOT", "unsent"]);
  assertMatch(
    error.message,
    /same \{tag\}, or send a pipeline of single commands$/,
  );
});

Deno.test("A URL with another database than 0 is refused, with what to change about it", async () => {
  const { address } = cluster.nodes[0]!;
  await using redis = new Redis(`redis://${address}/1?cluster=true`);
  await assertRejects(
    () => redis.send(["GET", "key"]),
    DialError,
    "a cluster has database 0 alone: remove the database from the URL",
  );
});

Deno.test("A lease that a key is not of says so", async () => {
  await using redis = clientOf();
  await using lease = await redis.lease({ key: "a" });
  const { hostname, port } = redis.originOf("a");
  const { code, message } = await assertRejects(
    () => lease.send(["GET", "b"]),
    CommandError,
  );
  assertEquals(code, "MOVED");
  assert(
    message.endsWith(
      `; this lease is of ${hostname}:${port}: take another with redis.lease({ key }), or give its keys the same {tag}`,
    ),
    message,
  );
});

Deno.test("A client that is closed while it asks for the topology leaves nothing behind", async () => {
  await using server = await startRedis();
  server.freeze();
  const redis = new Redis(`${server.url}?cluster=true`);
  const sent = assertRejects(() => redis.send(["GET", "key"]));
  await delay(50);
  await redis.close({ drainMs: 0 });
  await sent;
  server.thaw();
});

Deno.test("Over TLS the nodes are dialed by the names in their certificates, with one password", async () => {
  await using cluster = await startCluster({
    tls: true,
    hostnames: true,
    password: "a b",
    replicasPerPrimary: 0,
  });
  await using redis = new Redis(cluster.url, {
    tls: { caCerts: [cluster.caCert] },
  });
  const all = keys(50);
  await Promise.all(all.map((key) => redis.send(["SET", key, key])));
  assertEquals(Object.keys(redis.stats().servers).length, 3);
  for (const name of Object.keys(redis.stats().servers)) {
    assertMatch(name, /^localhost:/);
  }
  assert(!Deno.inspect(redis).includes("a b"));
});

Deno.test("Addresses are mapped, those of redirects as well", async () => {
  await using stack = new AsyncDisposableStack();
  const proxies = new Map<string, string>();
  for (const { server, address } of cluster.nodes) {
    const proxy = stack.use(await startProxy({ target: server }));
    proxies.set(address, `127.0.0.1:${proxy.port}`);
  }
  const first = proxies.get(cluster.nodes[0]!.address)!;
  await using redis = new Redis(`redis://${first}`, {
    cluster: { mapAddress: (address) => proxies.get(address) ?? address },
  });
  const all = keys(50);
  await Promise.all(all.map((key) => redis.send(["SET", key, key])));
  const hashSlot = await cluster.hashSlotOf("{mapped}");
  const from = await cluster.primaryOf(hashSlot);
  const to = (await cluster.primaries()).find((node) => node !== from)!;
  await redis.send(["SET", "{mapped}", "1"]);
  await cluster.migrate([hashSlot, hashSlot], from, to);
  assertEquals(await redis.send(["INCR", "{mapped}"]), 2);
  assertEquals(
    Object.keys(redis.stats().servers).filter((name) =>
      ![...proxies.values()].includes(name)
    ),
    [],
  );
  await cluster.migrate([hashSlot, hashSlot], to, from);
});

Deno.test("A map of addresses that throws rejects the call with its error, and nothing else", async () => {
  const { address } = cluster.nodes[0]!;
  let isBroken = false;
  await using redis = new Redis(`redis://${address}`, {
    cluster: {
      mapAddress: (address) => {
        if (isBroken) throw new Error("the map is broken");
        return address;
      },
    },
  });
  const hashSlot = await cluster.hashSlotOf("{broken}");
  const from = await cluster.primaryOf(hashSlot);
  const to = (await cluster.primaries()).find((node) => node !== from)!;
  await redis.send(["SET", "{broken}", "1"]);
  await cluster.migrate([hashSlot, hashSlot], from, to);
  isBroken = true;
  const error = await assertRejects(
    () => redis.send(["INCR", "{broken}"]),
    TypeError,
    "Cannot use mapAddress: it threw for 127.0.0.1:",
  );
  assertEquals(fateOf(error), "unsent");
  assertEquals((error.cause as Error).message, "the map is broken");
  isBroken = false;
  assertEquals(await redis.send(["INCR", "{broken}"]), 2);
  await cluster.migrate([hashSlot, hashSlot], to, from);
});
