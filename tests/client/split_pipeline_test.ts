// That the replies of a pipeline over several servers belong to its commands, on a real cluster.

import "../support/strict.ts";
import {
  assert,
  assertEquals,
  assertInstanceOf,
  assertLess,
  assertMatch,
  assertRejects,
} from "@std/assert";
import { delay } from "@std/async/delay";
import {
  ClosedError,
  type Command,
  CommandError,
  ConnectionClosedError,
  fateOf,
  PipelineError,
  Redis,
  type RedisOptions,
  Retry,
} from "../../mod.ts";
import type { Attempts } from "../../client/attempts.ts";
import type { Call } from "../../client/call.ts";
import type { Router } from "../../client/servers/directory.ts";
import { startSplit } from "../../client/split_pipeline.ts";
import type { Slot } from "../../pool/connection/in_flight.ts";
import type { PushRight } from "../../pool/connection/push_right.ts";
import { dial } from "../../pool/socket/dial.ts";
import { hashSlotOf } from "../../client/servers/hash_slot.ts";
import {
  type Cluster,
  type ClusterNode,
  startCluster,
} from "../support/redis_cluster.ts";
import { until } from "../support/wait.ts";

/** One cluster for all tests of this file. */
let cluster: Cluster;
Deno.test.beforeAll(async () => {
  cluster = await startCluster({ replicasPerPrimary: 0 });
});
Deno.test.afterAll(() => cluster[Symbol.asyncDispose]());

const clientOf = (options: RedisOptions = {}) =>
  new Redis(cluster.url, options);

/** One key of each server. */
async function keyOfEach(): Promise<
  [[string, ClusterNode], [string, ClusterNode], ...[string, ClusterNode][]]
> {
  const keys = new Map<ClusterNode, string>();
  for (let i = 0; keys.size < 3; i++) {
    const node = await cluster.primaryOf(`k${i}`);
    if (!keys.has(node)) keys.set(node, `k${i}`);
  }
  const [first, second, ...others] = [...keys].map(
    ([node, key]): [string, ClusterNode] => [key, node],
  );
  return [first!, second!, ...others];
}

Deno.test("A thousand keys over all servers are answered in order, over one connection to each", async () => {
  await using redis = clientOf();
  await redis.pipeline(["a", "b", "c", "d", "e"].map((key) => ["GET", key]));
  const keys = Array.from({ length: 1000 }, (_, i) => `many-${i}`);
  const replies = await redis.pipeline(
    keys.flatMap((key): Command[] => [["SET", key, key], ["GET", key]]),
  );
  assertEquals(replies, keys.flatMap((key) => ["OK", key]));
  const { servers, redirects } = redis.stats();
  assertEquals(redirects, { moved: 0, ask: 0 });
  assertEquals(Object.keys(servers).length, 3);
  for (const { open } of Object.values(servers)) assertEquals(open, 1);
});

Deno.test("Commands that any server runs and error replies have their place in a pipeline", async () => {
  await using redis = clientOf();
  const [[first], [second]] = await keyOfEach();
  const [pong, set, wrong, echo, incr] = await redis.pipeline([
    ["PING"],
    ["SET", first, "text"],
    ["INCR", first],
    ["ECHO", "text"],
    ["INCR", `{${second}}counter`],
  ]);
  assertEquals([pong, set, echo, incr], ["PONG", "OK", "text", 1]);
  assertInstanceOf(wrong, CommandError);
  assertEquals([wrong.command, wrong.fate], ["INCR", "executed"]);
  assertMatch(wrong.stack ?? "", /split_pipeline_test/);
  assertEquals(await redis.pipeline([]), []);
  await redis.pipeline([["DEL", first], ["DEL", `{${second}}counter`]]);
});

Deno.test("A command that each server answers for itself is refused before anything is sent", async () => {
  await using redis = clientOf();
  const error = await assertRejects(
    () => redis.pipeline([["SET", "refused", 1], ["DBSIZE"]]),
    TypeError,
  );
  assertMatch(error.message, /^Cannot send DBSIZE to a cluster: /);
  assertEquals(fateOf(error), "unsent");
  assertEquals(await redis.send(["EXISTS", "refused"]), 0);
});

Deno.test("Options apply to all of a pipeline", async () => {
  await using redis = clientOf();
  const keys = (await keyOfEach()).map(([key]) => key);
  await redis.pipeline(keys.map((key): Command => ["SET", key, key]));
  const replies = await redis.pipeline(
    keys.map((key): Command => ["GET", key]),
    { binary: true },
  );
  assert(replies.every((reply) => reply instanceof Uint8Array));
  const reason = new Error("too late");
  const aborted = await assertRejects(() =>
    redis.pipeline(keys.map((key): Command => ["INCR", key]), {
      signal: AbortSignal.abort(reason),
    })
  );
  assertEquals([aborted, fateOf(aborted)], [reason, "unsent"]);
  await assertRejects(
    () => redis.pipeline([["GET", "a"], ["GET", "b"]], { deadlineMs: -1 }),
    TypeError,
  );
  await redis.pipeline(keys.map((key): Command => ["DEL", key]));
});

Deno.test("What has moved in the midst of a pipeline is sent again where it went, in order", async () => {
  const key = "{moved}";
  const hashSlot = hashSlotOf(key);
  const from = await cluster.primaryOf(key);
  const to = cluster.nodes.find((node) => node !== from)!;
  await using redis = clientOf({ retry: false });
  await redis.send(["DEL", key]);
  const push = (from: number): Command[] =>
    Array.from({ length: 40 }, (_, i) => ["RPUSH", key, from + i]);
  assertEquals((await redis.pipeline(push(0))).at(-1), 40);
  await cluster.migrate([hashSlot, hashSlot], from, to);
  const [other] = (await keyOfEach()).find(([, node]) => node === from)!;
  const replies = await redis.pipeline([...push(40), ["GET", other]]);
  assertEquals(replies, [
    ...Array.from({ length: 40 }, (_, i) => 41 + i),
    null,
  ]);
  assertEquals(
    await redis.send(["LRANGE", key, 0, -1]),
    Array.from({ length: 80 }, (_, i) => `${i}`),
  );
  assertEquals(redis.stats().redirects, { moved: 1, ask: 0 });
  assertEquals(redis.stats().retries, 0);
  await cluster.migrate([hashSlot, hashSlot], to, from);
});

Deno.test("Commands on a hash slot that is being moved follow ASK one by one, beside other callers", async () => {
  const [here, gone, fresh] = ["{ask}here", "{ask}gone", "{ask}fresh"];
  const hashSlot = hashSlotOf(here);
  const from = await cluster.primaryOf(here);
  const to = cluster.nodes.find((node) => node !== from)!;
  const [other] = (await keyOfEach()).find(([, node]) => node === to)!;
  await using redis = clientOf({ retry: false });
  await redis.pipeline([["SET", here, "h"], ["SET", gone, "g"]]);
  await using migration = await cluster.openMigration(
    [hashSlot, hashSlot],
    from,
    to,
  );
  await migration.moveKey(gone);
  const commands: Command[] = [
    ["GET", here],
    ["GET", gone],
    ["INCR", fresh],
    ["APPEND", here, "!"],
    ["INCR", fresh],
    ["NOSUCH", gone],
    ["APPEND", gone, "!"],
  ];
  for (let i = 0; i < 20; i++) {
    const beside = Array.from({ length: 5 }, () => redis.send(["GET", other]));
    const pipeline = redis.pipeline(commands);
    beside.push(redis.send(["GET", gone]));
    const replies = await pipeline;
    await Promise.all(beside);
    assertInstanceOf(replies[5], CommandError);
    assertMatch(replies[5].message, /^ERR unknown command/);
    const marks = "!".repeat(i);
    assertEquals(
      replies.filter((reply) => !(reply instanceof CommandError)),
      [`h${marks}`, `g${marks}`, 2 * i + 1, 2 + i, 2 * i + 2, 2 + i],
    );
  }
  assert(redis.stats().redirects.ask >= 20);
  // Both keys of one command are at different servers: it is tried again until they are not.
  const error = await assertRejects(
    () => redis.pipeline([["MGET", here, gone]]),
    CommandError,
  );
  assertEquals([error.code, error.fate], ["TRYAGAIN", "unsent"]);
  const patient = redis.pipeline([["MGET", here, gone], ["GET", other]], {
    retry: new Retry({ retries: 20 }),
  });
  await migration.moveKeys();
  await migration.finish();
  const [both] = await patient;
  assertEquals(both, [`h${"!".repeat(20)}`, `g${"!".repeat(20)}`]);
  await redis.pipeline([["DEL", here], ["DEL", gone], ["DEL", fresh]]);
  await cluster.migrate([hashSlot, hashSlot], to, from);
});

Deno.test("A server that is lost leaves a pipeline what the others have answered", async () => {
  await using redis = clientOf({ replyTimeoutMs: 300 });
  const keys = await keyOfEach();
  const [[, frozen]] = keys;
  const commands = keys.flatMap(([key]): Command[] => [
    ["INCR", `{${key}}n`],
    ["INCR", `{${key}}n`],
  ]);
  await redis.pipeline(commands);
  frozen.server.freeze();
  const call = redis.pipeline(commands);
  const error = await assertRejects(() => call, PipelineError).finally(() =>
    frozen.server.thaw()
  );
  assertInstanceOf(error.cause, ConnectionClosedError);
  assertEquals(error.outcomes.slice(2), [3, 4, 3, 4]);
  for (const outcome of error.outcomes.slice(0, 2)) {
    assertInstanceOf(outcome, ConnectionClosedError);
    assertEquals(fateOf(outcome), "unknown");
  }
  assertMatch(
    error.message,
    /^Cannot send a pipeline of 6 commands: 4 were answered, 2 not: Connection closed by client after /,
  );
  assertMatch(error.stack ?? "", /split_pipeline_test/);
  await until(async () => {
    const counts = await redis.pipeline(
      keys.map(([key]): Command => ["GET", `{${key}}n`]),
    );
    return counts.every((count) => count === "4");
  }, "the frozen server has run what it was sent");
  await redis.pipeline(keys.map(([key]): Command => ["DEL", `{${key}}n`]));
});

Deno.test("An abort ends every part of a pipeline, and is rejected as it is", async () => {
  await using redis = clientOf({ replyTimeoutMs: 400 });
  const keys = await keyOfEach();
  const [[, frozen]] = keys;
  const commands = keys.map(([key]): Command => ["SET", key, 1]);
  await redis.pipeline(commands);
  frozen.server.freeze();
  const caller = new AbortController();
  const call = redis.pipeline(commands, { signal: caller.signal });
  await until(() => redis.stats().inFlight === 1, "two are answered");
  const reason = new Error("the caller has left");
  caller.abort(reason);
  assertEquals(await assertRejects(() => call), reason);
  assertEquals(fateOf(reason), "unknown");
  frozen.server.thaw();
  await redis.pipeline(keys.map(([key]): Command => ["DEL", key]));
});

Deno.test("An abort is no unsent if a part of the pipeline has run, though the rest was never sent", async () => {
  const keys = await keyOfEach();
  const [[, away]] = keys;
  let isAway = false;
  let retries = 0;
  await using redis = clientOf({
    dial: (endpoint, options) =>
      isAway && endpoint.port === away.server.port
        ? Promise.reject(new Deno.errors.ConnectionRefused("away"))
        : dial(endpoint, options),
    retry: new Retry({ sleep: () => new Promise(() => retries++) }),
  });
  const commands = keys.map(([key]): Command => ["SET", key, 1]);
  await redis.pipeline(commands);
  isAway = true;
  await cluster.killConnections([away]);
  await until(() => redis.stats().idle === 2, "one connection is gone");
  const caller = new AbortController();
  const call = redis.pipeline(commands, { signal: caller.signal });
  await until(
    () => retries > 0 && redis.stats().inFlight === 0,
    "one waits for its next attempt, two are answered",
  );
  const reason = new Error("the caller has left");
  caller.abort(reason);
  assertEquals(await assertRejects(() => call), reason);
  assertEquals(fateOf(reason), "unknown");
});

Deno.test("What cannot be started any more leaves a pipeline what was started before", async () => {
  let started = 0;
  const server = { push: (slot: Slot) => slot.resolve("OK") } as PushRight;
  const attempts = {
    ended() {},
    start(call: Call) {
      if (++started === 2) throw new ClosedError("Cannot go on: closed");
      queueMicrotask(() => call.sendOn(server));
    },
  } as unknown as Attempts;
  const commands: Command[] = [["SET", "a", 1], ["SET", "b", 1], [
    "SET",
    "c",
    1,
  ]];
  const router = {} as Router;
  const error = await assertRejects(
    () =>
      new Promise((resolve, reject) =>
        startSplit({ attempts, router, commands, options: {}, resolve, reject })
      ),
    PipelineError,
  );
  const [a, b, c] = error.outcomes;
  assertEquals([a, c], ["OK", "OK"]);
  assertInstanceOf(b, ClosedError);
  assertEquals(fateOf(b), "unsent");
});

Deno.test("A blocking command follows its list to another server, with the time that is left", async () => {
  const key = "{blocked}";
  const hashSlot = hashSlotOf(key);
  const from = await cluster.primaryOf(key);
  const to = cluster.nodes.find((node) => node !== from)!;
  await using redis = clientOf({ retry: false });
  const startedAt = performance.now();
  const popped = redis.send(["BLPOP", key, 1.2]);
  const found = redis.send(["BLPOP", `${key}found`, 5]);
  await delay(600);
  await cluster.migrate([hashSlot, hashSlot], from, to);
  assertEquals(await popped, null);
  assertLess(performance.now() - startedAt, 1700);
  await redis.send(["RPUSH", `${key}found`, "element"]);
  assertEquals(await found, [`${key}found`, "element"]);
  // While it is being moved, ASK leads it there at once.
  await using migration = await cluster.openMigration(
    [hashSlot, hashSlot],
    to,
    from,
  );
  const asked = redis.send(["BLPOP", key, 5]);
  await until(
    async () =>
      (await from.server.cli("INFO", "clients")).includes("blocked_clients:1"),
    "it blocks at the target",
  );
  using target = await cluster.open(from);
  await target.run(["ASKING"]);
  await target.run(["RPUSH", key, "there"]);
  assertEquals(await asked, [key, "there"]);
  await migration.finish();
});

Deno.test("A lease is of the server of its key", async () => {
  await using redis = clientOf();
  for (const [key] of await keyOfEach()) {
    await using lease = await redis.lease({ key });
    await lease.send(["MULTI"]);
    await lease.send(["SET", key, 1]);
    await lease.send(["DEL", key]);
    assertEquals(await lease.send(["EXEC"]), ["OK", 1]);
  }
  await assertRejects(() => redis.lease(), TypeError, "without a key");
  await assertRejects(
    () => redis.lease({ key: 7 as unknown as string }),
    TypeError,
    "expected a key",
  );
});

Deno.test("A transaction goes to the server of its keys, which need one hash slot", async () => {
  await using redis = clientOf();
  for (const [key] of await keyOfEach()) {
    assertEquals(
      await redis.transaction([
        ["PING"],
        ["SET", `{${key}}a`, 1],
        ["INCR", `{${key}}a`],
        ["DEL", `{${key}}a`],
      ]),
      ["PONG", "OK", 2, 1],
    );
  }
  const [[first], [second]] = await keyOfEach();
  const error = await assertRejects(
    () => redis.transaction([["SET", first, 1], ["INCR", second]]),
    TypeError,
  );
  assertEquals(
    error.message,
    "Cannot send a transaction to a cluster: the keys of SET and INCR have different hash slots; give them the same {tag}",
  );
  assertEquals(fateOf(error), "unsent");
  await assertRejects(() => redis.transaction([["DBSIZE"]]), TypeError);
  const crossing = await assertRejects(
    () => redis.transaction([["MSET", first, 1, second, 1]]),
    CommandError,
  );
  assertMatch(crossing.message, /since MSET was refused: CROSSSLOT/);
  assertEquals(redis.stats().redirects, { moved: 0, ask: 0 });
});

Deno.test("A transaction and what is watched follow their hash slot, and never run in part", async () => {
  const [a, b] = ["{tx}a", "{tx}b"];
  const hashSlot = hashSlotOf(a);
  const from = await cluster.primaryOf(a);
  const to = cluster.nodes.find((node) => node !== from)!;
  await using redis = clientOf({ retry: false });
  const both: Command[] = [["INCR", a], ["INCR", b]];
  assertEquals(await redis.transaction(both), [1, 1]);
  await cluster.migrate([hashSlot, hashSlot], from, to);
  assertEquals(await redis.transaction(both), [2, 2]);
  assertEquals(redis.stats().redirects, { moved: 1, ask: 0 });
  await using late = clientOf();
  await late.pipeline([["GET", a], ["GET", b]]);
  await cluster.migrate([hashSlot, hashSlot], to, from);
  assertEquals(
    await late.watch([a], async (lease) => [
      ["SET", a, Number(await lease.send(["GET", a])) + 1],
      ["INCR", b],
    ]),
    ["OK", 3],
  );

  await using migration = await cluster.openMigration(
    [hashSlot, hashSlot],
    from,
    to,
  );
  await migration.moveKey(b);
  // Of the two keys each server has one.
  const error = await assertRejects(
    () => redis.transaction(both),
    CommandError,
  );
  assertEquals([error.code, error.fate], ["TRYAGAIN", "unsent"]);
  const waiting = redis.transaction(both, {
    retry: new Retry({ retries: 20 }),
  });
  await delay(30);
  await migration.moveKey(a);
  // Now the target has both, and ASKING holds for the whole transaction.
  assertEquals(await waiting, [4, 4]);
  assertEquals(await redis.transaction(both), [5, 5]);
  assertEquals(await redis.transaction([["INCR", b]]), [6]);
  assert(redis.stats().redirects.ask >= 3);
  await migration.finish();
  await redis.pipeline([["DEL", a], ["DEL", b]]);
  await cluster.migrate([hashSlot, hashSlot], to, from);
});
