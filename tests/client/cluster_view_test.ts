// What a client of a real cluster shows of it: nodes, statistics, text, channels and verdicts.

import "../support/strict.ts";
import {
  assert,
  assertEquals,
  assertGreater,
  assertInstanceOf,
  assertMatch,
  assertRejects,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import { delay } from "@std/async/delay";
import { tracingChannel } from "node:diagnostics_channel";
import { subscribe, unsubscribe } from "node:diagnostics_channel";
import "../../client/diagnostics.ts";
import type {
  CommandTrace,
  MessageOf,
  TelemetryEvents,
} from "../../client/diagnostics.ts";
import {
  CommandError,
  DepartedError,
  fateOf,
  type Origin,
  Redis,
  type RedisNode,
  Retry,
  type Verdict,
} from "../../mod.ts";
import { type Cluster, startCluster } from "../support/redis_cluster.ts";
import { until } from "../support/wait.ts";

const nameOf = ({ hostname, port }: Origin): string => `${hostname}:${port}`;

/** The node of a client with that address. */
const nodeAt = (redis: Redis, address: string): RedisNode =>
  redis.nodes().find(({ origin }) => nameOf(origin) === address)!;

/** Messages of one channel, until it is disposed of. */
class Heard<Name extends keyof TelemetryEvents> implements Disposable {
  readonly messages: MessageOf<Name>[] = [];
  readonly #name: string;
  readonly #listener = (message: unknown) =>
    void this.messages.push(message as MessageOf<Name>);

  constructor(name: Name) {
    this.#name = `@unzombie/redis:${name}`;
    subscribe(this.#name, this.#listener);
  }

  [Symbol.dispose](): void {
    unsubscribe(this.#name, this.#listener);
  }
}

/** A key of each primary, by its address. */
async function keysOf(cluster: Cluster): Promise<Map<string, string>> {
  const keys = new Map<string, string>();
  for (let i = 0; keys.size < 3; i++) {
    const { address } = await cluster.primaryOf(`key-${i}`);
    if (!keys.has(address)) keys.set(address, `key-${i}`);
  }
  return keys;
}

async function showsNodes(cluster: Cluster): Promise<void> {
  const keys = await keysOf(cluster);
  await using redis = new Redis(cluster.url);
  assertThrows(
    () => redis.nodes(),
    TypeError,
    `Cannot list the nodes of the cluster of ${
      cluster.nodes[0]!.address
    }: none is known before a first command`,
  );
  assertEquals(redis.originOf("key"), redis.origin);
  await redis.send(["PING"]);
  assertEquals(
    redis.nodes().map(({ origin }) => nameOf(origin)).sort(),
    [...keys.keys()].sort(),
  );
  assertEquals(
    redis.nodes().reduce((sum, { hashSlots }) => sum + hashSlots, 0),
    16384,
  );
  for (const [address, key] of keys) {
    assertEquals(nameOf(redis.originOf(key)), address);
    await redis.send(["SET", key, 1]);
    assertEquals(await nodeAt(redis, address).send(["GET", key]), "1");
  }
  // Each answers for itself; by way of the client it is refused.
  await assertRejects(() => redis.send(["DBSIZE"]), TypeError, "nodes()");
  const sizes = await Promise.all(
    redis.nodes().map((node) => node.send(["DBSIZE"])),
  );
  assertEquals(sizes, [1, 1, 1]);
  for (const node of redis.nodes()) {
    await using lease = await node.lease();
    const [, found] = await lease.send(["SCAN", 0]) as [string, string[]];
    assertEquals(found, [keys.get(nameOf(node.origin))!]);
  }

  // What another server has is not there: MOVED is an answer.
  const [[first], [second, other]] = [...keys] as [
    [string, string],
    [string, string],
  ];
  const node = nodeAt(redis, first);
  const { moved } = redis.stats().redirects;
  const error = await assertRejects(
    () => node.send(["GET", other]),
    CommandError,
    "MOVED",
  );
  assertEquals([error.code, fateOf(error)], ["MOVED", "unsent"]);
  assert(!error.message.includes("cluster=true"), error.message);
  const [value] = await node.pipeline([["GET", other]]);
  assertInstanceOf(value, CommandError);
  assertStringIncludes(value.message, second);
  assertEquals(redis.stats().redirects.moved, moved);
  for (const node of redis.nodes()) await node.send(["FLUSHALL"]);
}

async function showsStatistics(cluster: Cluster): Promise<void> {
  const keys = await keysOf(cluster);
  await using redis = new Redis(cluster.url, { maxConnections: 4 });
  const seed = cluster.nodes[0]!.address;
  assertEquals(
    Deno.inspect(redis).split("\n")[0],
    `Redis cluster of ${seed} (0 servers, not asked yet), open`,
  );
  const { servers: none, topology: unknown } = redis.stats();
  assertEquals(none, {});
  assertEquals(unknown?.asked ?? 0, 0);
  for (const key of keys.values()) await redis.send(["SET", key, 1]);
  const stats = redis.stats();
  assertEquals(Object.keys(stats.servers).sort(), [...keys.keys()].sort());
  for (const server of Object.values(stats.servers)) {
    assertEquals([server.open, server.maxConnections], [1, 4]);
    assertMatch(`${server.hashSlots}`, /^546[12]$/);
  }
  assertEquals([stats.open, stats.idle, stats.maxConnections], [3, 3, 12]);
  assertGreater(stats.dialed, 2);
  assertEquals(stats.redirects, { moved: 0, ask: 0 });
  assertEquals([stats.topology!.asked, stats.topology!.covered], [1, 16384]);
  assertGreater(stats.topology!.askedAt!, Date.now() - 10_000);
  const lines = Deno.inspect(redis).split("\n");
  assertMatch(
    lines[0]!,
    new RegExp(
      `^Redis cluster of ${seed} \\(3 servers, 16384 hash slots covered, asked \\d+ ms ago\\), open$`,
    ),
  );
  for (const address of keys.keys()) {
    assert(
      lines.some((line) =>
        line.startsWith(`  ${address}`) &&
        line.endsWith("hash slots, 1 of 4 open: 1 idle, 0 in flight, 0 waiting")
      ),
      lines.join("\n"),
    );
  }
  assert(!lines.some((line) => line.startsWith("  note")), lines.join("\n"));
}

async function publishesMoves(cluster: Cluster): Promise<void> {
  using redirects = new Heard("cluster:redirect");
  using topologies = new Heard("cluster:topology");
  await using redis = new Redis(cluster.url);
  const key = "{moves}key";
  await redis.send(["SET", key, 1]);
  const [first, ...more] = topologies.messages;
  assertEquals([more, redirects.messages], [[], []]);
  const { servers, covered, askedOf, why, attributes } = first!;
  assertEquals([servers.length, covered, why], [3, 16384, "the first call"]);
  assertEquals(
    askedOf,
    `${attributes["server.address"]}:${attributes["server.port"]}`,
  );
  assertGreater(first!.tookMs, 0);

  const traced: [phase: string, port: unknown][] = [];
  const commands = tracingChannel("@unzombie/redis:command");
  const listeners = {
    start: (message: unknown) =>
      traced.push([
        "start",
        (message as CommandTrace).attributes["server.port"],
      ]),
    asyncEnd: (message: unknown) =>
      traced.push(["end", (message as CommandTrace).attributes["server.port"]]),
  };
  commands.start.subscribe(listeners.start);
  commands.asyncEnd.subscribe(listeners.asyncEnd);
  try {
    const from = await cluster.primaryOf(key);
    const to = (await cluster.primaries()).find((node) => node !== from)!;
    const hashSlot = await cluster.hashSlotOf(key);
    await cluster.migrate([hashSlot, hashSlot], from, to);
    assertEquals(await redis.send(["GET", key]), "1");
    assertEquals(
      redirects.messages.map(({ attributes: _, ...what }) => what),
      [{ code: "MOVED", hashSlot, from: from.address, to: to.address }],
    );
    assertEquals(redis.stats().redirects, { moved: 1, ask: 0 });
    assertEquals(traced, [
      ["start", from.server.port],
      ["end", to.server.port],
    ]);
    assertEquals(nameOf(redis.originOf(key)), to.address);
    await until(() => topologies.messages.length === 2);
    assertEquals(topologies.messages[1]!.why, "MOVED");
    await cluster.migrate([hashSlot, hashSlot], to, from);
    // What any server runs is traced to the one that ran it.
    for (let i = 0; i < 10; i++) {
      const nodes = await redis.send(["CLUSTER", "NODES"]) as string;
      const [, port] = /:(\d+)@\d+\S* myself/.exec(nodes)!;
      assertEquals(traced.at(-1), ["end", Number(port)]);
    }
  } finally {
    commands.start.unsubscribe(listeners.start);
    commands.asyncEnd.unsubscribe(listeners.asyncEnd);
  }
  for (const node of redis.nodes()) await node.send(["FLUSHALL"]);
}

async function namesFailover(cluster: Cluster): Promise<void> {
  const keys = await keysOf(cluster);
  const [address, key] = [...keys].at(-1)!;
  const verdicts: Verdict[] = [];
  await using redis = new Redis(cluster.url, {
    postMortem: true,
    onVerdict: (verdict) => verdicts.push(verdict),
    retry: new Retry({ retries: 100, deadlineMs: 30_000 }),
  });
  for (const key of keys.values()) await redis.send(["SET", key, 1]);
  const node = nodeAt(redis, address);
  const { dialed } = redis.stats();
  await delay(50);
  await cluster.kill(cluster.node(address));
  assertEquals(await redis.send(["SET", key, 2]), "OK");
  await until(() => verdicts.length > 0);
  const [verdict, ...more] = verdicts as [Verdict];
  assertEquals(more, []);
  assertEquals(
    [verdict.cause, verdict.confidence, verdict.report.endpoint],
    ["failover", "likely", address],
  );
  const successor = nameOf(redis.originOf(key));
  assertMatch(verdict.text, /a failover: hash slots \d+-\d+ went to 127\.0\.0/);
  assertStringIncludes(verdict.text, `went to ${successor}`);
  assertEquals(redis.stats().lastVerdict, verdict);

  const stats = redis.stats();
  assertEquals(Object.keys(stats.servers).includes(address), false);
  assertEquals(Object.keys(stats.servers).includes(successor), true);
  assertGreater(stats.dialed, dialed); // those of the server that has gone, too
  assertEquals(stats.lastClose!.endpoint, address);
  assertGreater(stats.dialFailures, 0);
  await assertRejects(
    () => node.send(["PING"]),
    DepartedError,
    `${address} has left the cluster of `,
  );
  const { covered } = stats.topology!;
  assertEquals(covered, 16384);
}

Deno.test("A client of a cluster shows its servers", async (t) => {
  await using cluster = await startCluster();
  await t.step(
    "each of them can be addressed by itself",
    () => showsNodes(cluster),
  );
  await t.step(
    "statistics and text have a line for each",
    () => showsStatistics(cluster),
  );
  await t.step(
    "redirects and questions are published",
    () => publishesMoves(cluster),
  );
  await t.step(
    "a failover is the verdict on connections to a server that was replaced",
    () => namesFailover(cluster),
  );
});
