// That a command that blocks for long notices a peer that has vanished, and misses nothing between its slices.

import "../support/strict.ts";
import {
  assert,
  assertEquals,
  assertInstanceOf,
  assertLess,
  assertMatch,
} from "@std/assert";
import { deadline } from "@std/async/deadline";
import { delay } from "@std/async/delay";
import {
  type Command,
  ConnectionClosedError,
  fateOf,
  Redis,
  type Reply,
} from "../../mod.ts";
import { blockOf, SLICE } from "../../client/blocking.ts";
import { startProxy } from "../support/fault_proxy.ts";
import { startRedis } from "../support/redis_server.ts";
import { SOON_MS, until } from "../support/wait.ts";

/** Shortens the slices for as long as it is there. */
function slicesOf(ms: number): Disposable {
  const before = SLICE.ms;
  SLICE.ms = ms;
  return { [Symbol.dispose]: () => void (SLICE.ms = before) };
}

/** Commands that block for ever, on keys of their own, and what ends them. */
const BLOCKING: [Command, wake: Command, reply: Reply][] = [
  [["BLPOP", "a", 0], ["RPUSH", "a", "x"], ["a", "x"]],
  [["brpop", "none", "b", "0"], ["RPUSH", "b", "x"], ["b", "x"]],
  [["BRPOPLPUSH", "c", "c2", 0], ["RPUSH", "c", "x"], "x"],
  [["BLMOVE", "d", "d2", "LEFT", "LEFT", 0], ["RPUSH", "d", "x"], "x"],
  [["BZPOPMIN", "e", 0], ["ZADD", "e", 1, "x"], ["e", "x", "1"]],
  [["BZPOPMAX", "f", 0], ["ZADD", "f", 1, "x"], ["f", "x", "1"]],
  [["BLMPOP", 0, 1, "g", "LEFT"], ["RPUSH", "g", "x"], ["g", ["x"]]],
  [["BZMPOP", 0, 1, "h", "MIN"], ["ZADD", "h", 1, "x"], ["h", [["x", "1"]]]],
  [["XREAD", "BLOCK", 0, "STREAMS", "i", "0"], ["XADD", "i", "1-1", "f", "v"], [
    ["i", [["1-1", ["f", "v"]]]],
  ]],
  [["XREAD", "COUNT", 9, "BLOCK", 0, "STREAMS", "j", "k", "$", "$"], [
    "XADD",
    "k",
    "2-1",
    "f",
    "v",
  ], [["k", [["2-1", ["f", "v"]]]]]],
  [
    [
      "XREADGROUP",
      "GROUP",
      "BLOCK",
      "STREAMS",
      "BLOCK",
      0,
      "STREAMS",
      "l",
      ">",
    ],
    ["XADD", "l", "1-1", "f", "v"],
    [["l", [["1-1", ["f", "v"]]]]],
  ],
];

Deno.test("Blocking commands are answered in whichever slice their element comes", async () => {
  using _ = slicesOf(400);
  await using server = await startRedis();
  await using redis = new Redis(server.url, { maxConnections: 20 });
  await redis.send(["XADD", "k", "1-1", "old", "entry"]);
  await redis.send(["XGROUP", "CREATE", "l", "BLOCK", "$", "MKSTREAM"]);
  const replies = Promise.all(BLOCKING.map(([command]) => redis.send(command)));
  await delay(1500); // more than one slice: those in seconds last one
  for (const [, wake] of BLOCKING) await redis.send(wake);
  assertEquals(await replies, BLOCKING.map(([, , reply]) => reply));
  const stats = `${await redis.send(["INFO", "commandstats"])}`;
  assert(Number(/cmdstat_xread:calls=(\d+)/.exec(stats)?.[1]) >= 6, stats);
});

Deno.test("A blocking command with a timeout of several slices ends with it", async () => {
  using _ = slicesOf(400);
  await using server = await startRedis();
  await using redis = new Redis(server.url);
  const startedAt = performance.now();
  const replies = await Promise.all([
    redis.send(["BLPOP", "list", 2]),
    redis.send(["XREAD", "BLOCK", 2000, "STREAMS", "stream", "$"]),
  ]);
  const tookMs = performance.now() - startedAt;
  assertEquals(replies, [null, null]);
  assert(tookMs >= 1990 && tookMs < 3500, `it took ${tookMs} ms`);
});

Deno.test("XREAD with $ misses nothing between two slices", async () => {
  using _ = slicesOf(150);
  await using server = await startRedis();
  await using proxy = await startProxy({ target: server });
  await using redis = new Redis(proxy.url, { maxConnections: 20 });
  proxy.delay(200); // the end of each slice is known late: what comes meanwhile is between two
  const reading: Promise<Reply>[] = [];
  for (let n = 0; n < 12; n++) {
    const stream = `stream ${n}`;
    await server.cli("XADD", stream, "1-0", "n", "old");
    reading.push(
      redis.send(["XREAD", "BLOCK", 60_000, "STREAMS", stream, "$"]),
    );
    await delay(29);
  }
  await delay(1000);
  for (let n = 0; n < 12; n++) {
    await server.cli("XADD", `stream ${n}`, "2-0", "n", "new");
  }
  const entry = ["2-0", ["n", "new"]];
  assertEquals(
    await Promise.all(reading),
    reading.map((_, n) => [[`stream ${n}`, [entry]]]),
  );
});

Deno.test("XREAD with $ is sent once where the server does not tell the newest id", async () => {
  using _ = slicesOf(150);
  await using server = await startRedis();
  await server.cli("ACL", "SETUSER", "default", "-xrevrange");
  await using redis = new Redis(server.url);
  const reading = redis.send([
    "XREAD",
    "BLOCK",
    1000,
    "STREAMS",
    "stream",
    "$",
  ]);
  assertEquals(await reading, null);
  const stats = await server.cli("INFO", "commandstats");
  assertEquals(/cmdstat_xread:calls=(\d+)/.exec(stats)?.[1], "1");
});

Deno.test("A peer that has vanished is noticed by a blocking command, which may have run", async () => {
  using _ = slicesOf(600);
  await using server = await startRedis();
  await using proxy = await startProxy({ target: server });
  await using redis = new Redis(proxy.url, { replyTimeoutMs: 300 });
  await redis.send(["XGROUP", "CREATE", "s", "g", "$", "MKSTREAM"]);
  const lease = await redis.lease();
  const blocked = Promise.allSettled([
    redis.send(["BLPOP", "list", 0]),
    redis.send(
      ["XREADGROUP", "GROUP", "g", "c", "BLOCK", 0, "STREAMS", "s", ">"],
    ),
    lease.send(["BLMOVE", "a", "b", "LEFT", "LEFT", 0]),
  ]);
  await until(
    // One that is dialed after the silence blocks for ever.
    async () =>
      (await server.cli("INFO", "clients")).includes("blocked_clients:3"),
    "all three block",
  );
  proxy.silence({ scope: "open" });
  const startedAt = performance.now();
  for (const outcome of await deadline(blocked, SOON_MS)) {
    assert(outcome.status === "rejected");
    assertInstanceOf(outcome.reason, ConnectionClosedError);
    assertEquals(fateOf(outcome.reason), "unknown");
    assertMatch(outcome.reason.message, /without a reply/);
  }
  assertLess(performance.now() - startedAt, 3000);
  lease.release();
});

Deno.test("CLIENT UNBLOCK ends a blocking command in the midst of a slice", async () => {
  using _ = slicesOf(5000);
  await using server = await startRedis();
  await using redis = new Redis(server.url);
  const lease = await redis.lease();
  const id = Number(await lease.send(["CLIENT", "ID"]));
  const popped = lease.send(["BLPOP", "list", 0]);
  await delay(100);
  await redis.send(["CLIENT", "UNBLOCK", id, "TIMEOUT"]);
  assertEquals(await popped, null);
  lease.release();
});

Deno.test("What is sent on a lease after a blocking command keeps its place", async () => {
  using _ = slicesOf(200);
  await using server = await startRedis();
  await using redis = new Redis(server.url);
  const lease = await redis.lease();
  const order: string[] = [];
  const both = Promise.all([
    lease.send(["BLPOP", "list", 0]).then(() => order.push("BLPOP")),
    lease.send(["INCR", "count"]).then(() => order.push("INCR")),
  ]);
  await delay(1300);
  assertEquals(await redis.send(["GET", "count"]), null);
  await redis.send(["RPUSH", "list", "x"]);
  await both;
  assertEquals(order, ["BLPOP", "INCR"]);
  lease.release();
});

Deno.test("WAIT and WAITAOF wait in slices for as many replicas as they were told", async () => {
  using _ = slicesOf(200);
  await using server = await startRedis();
  await using redis = new Redis(server.url);
  const lease = await redis.lease();
  await lease.send(["SET", "key", "value"]);
  const startedAt = performance.now();
  assertEquals(await lease.send(["WAIT", 0, 5000]), 0); // as many as there are
  assertLess(performance.now() - startedAt, 1000);
  assertEquals(await lease.send(["WAIT", 1, 700]), 0);
  assert(performance.now() - startedAt >= 690);
  lease.release();
});

Deno.test("In a transaction and without replies nothing is sent twice", async () => {
  using _ = slicesOf(200);
  await using server = await startRedis();
  await using redis = new Redis(server.url);
  const lease = await redis.lease();
  await lease.send(["MULTI"]);
  await lease.send(["XREAD", "BLOCK", 0, "STREAMS", "s", "$"]);
  await lease.send(["BLPOP", "list", 0]);
  assertEquals(await lease.send(["EXEC"]), [null, null]);
  await lease.send(["CLIENT", "REPLY", "OFF"]);
  assertEquals(await lease.send(["BLPOP", "list", 0]), null);
  await delay(500);
  const stats = `${await redis.send(["INFO", "commandstats"])}`;
  assertEquals(/cmdstat_blpop:calls=(\d+)/.exec(stats)?.[1], "2");
  lease.release();
});

Deno.test("Only what may be sent again is cut", () => {
  using _ = slicesOf(20_000);
  const uncut: Command[] = [
    ["BLPOP", "list", 19],
    ["BLPOP", "list", "soon"],
    ["BLPOP", "list", -1],
    ["BLPOP", "list"],
    ["BLPOP", "list", ""],
    ["BLPOP"],
    ["WAIT", 1],
    ["XREAD", "STREAMS", "s", "0"],
    ["XREAD", "BLOCK", 0, "STREAMS", "s", "+"],
    ["XREAD", "BLOCK", 0, "STREAMS", "s", "t", "0"],
    ["XREAD", "BLOCK"],
    ["GET", "BLOCK"],
  ];
  for (const command of uncut) {
    assertEquals(blockOf(command), undefined, command.join(" "));
  }
  const block = blockOf(["BLPOP", "list", 60]);
  assertEquals(block?.ms, 60_000);
  assertEquals(block?.lasting(1500, ["BLPOP", "list", 60]), [
    "BLPOP",
    "list",
    2,
  ]);
});
