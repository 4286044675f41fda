// What becomes of a command that was sent on a connection that was dead already.

import "../support/strict.ts";
import {
  assertEquals,
  assertInstanceOf,
  assertLess,
  assertMatch,
  assertStringIncludes,
} from "@std/assert";
import {
  type Command,
  ConnectionClosedError,
  ExponentialBackoff,
  fateOf,
  type Reply,
  Retry,
} from "../../mod.ts";
import { Fixture, testWithFixture as test } from "../support/fixture.ts";
import { LateSockets } from "../../cli/proof/late_socket.ts";
import { NotedWaits } from "../support/policies.ts";
import { lossOf } from "../support/loss.ts";

Deno.test("A command on a zombie is replayed at once, on a fresh connection, where that is harmless", async () => {
  const harmless: [Command, Reply][] = [
    [["SET", "key", "value"], "OK"],
    [["GET", "key"], "value"],
    [["ZADD", "set", 1700000000, "member"], 1],
    [["ZADD", "set", 1700000000, "member"], 0],
    [["ZRANGE", "set", 0, -1], ["member"]],
    [["DEL", "key"], 1],
    [["PING"], "PONG"],
  ];
  await using fixture = await Fixture.start();
  const noted = new NotedWaits();
  for (const [command, expected] of harmless) {
    fixture.retried.length = 0;
    const redis = fixture.client({
      dial: new LateSockets().dial,
      retry: noted.policy(),
    });
    await redis.send(["PING"]);
    await fixture.kill();
    assertEquals(await redis.send(command), expected, command.join(" "));
    assertEquals(noted.waits, []);
    const { dialed, retries, replays, evicted } = redis.stats();
    assertEquals({ dialed, retries, replays, evicted }, {
      dialed: 2,
      retries: 0,
      replays: 1,
      evicted: { fin: 1 },
    });
    const [info] = fixture.retried;
    assertEquals(
      [info?.command, info?.attempt, info?.delayMs, info?.isReplay],
      [command[0], 1, 0, true],
    );
    assertInstanceOf(info?.error, ConnectionClosedError);
    await redis.close();
  }
});

test("The free replay is free by the clock", async (fixture) => {
  const redis = fixture.client({
    dial: new LateSockets().dial,
    retry: new Retry({
      backoff: new ExponentialBackoff({ baseMs: 3000, capMs: 3000 }),
    }),
  });
  await redis.send(["PING"]);
  await fixture.kill();
  const startedAt = performance.now();
  assertEquals(await redis.send(["GET", "key"]), null);
  assertLess(performance.now() - startedAt, 1500);
});

test("A pipeline on a zombie is replayed at once", async (fixture) => {
  const noted = new NotedWaits();
  const redis = fixture.client({
    dial: new LateSockets().dial,
    retry: noted.policy(),
  });
  await redis.send(["PING"]);
  await fixture.kill();
  const replies = await redis.pipeline([["SET", "a", 1], ["GET", "a"]]);
  assertEquals(replies, ["OK", "1"]);
  assertEquals(noted.waits, []);
});

test("The free replay does not land on the next zombie", async (fixture) => {
  const noted = new NotedWaits();
  const redis = fixture.client({
    dial: new LateSockets().dial,
    retry: noted.policy(),
  });
  const leases = await Promise.all(
    Array.from({ length: 6 }, () => redis.lease()),
  );
  for (const lease of leases) {
    await lease.send(["PING"]);
    lease.release();
  }
  assertEquals(redis.stats().idle, 6);
  await fixture.kill();
  assertEquals(await redis.send(["GET", "key"]), null);
  assertEquals(noted.waits, []);
});

test("INCR on a zombie is not replayed, and the error says why", async (fixture) => {
  const redis = fixture.client({ dial: new LateSockets().dial });
  await redis.send(["PING"]);
  await fixture.kill();
  const error = await lossOf(redis.send(["INCR", "counter"]));
  assertEquals(error.fate, "unknown");
  assertEquals(fateOf(error), "unknown");
  assertMatch(error.message, /^Connection closed by server: /);
  assertStringIncludes(
    error.message,
    "the command may have run, INCR was not replayed: a second run would add again",
  );
  assertEquals(await fixture.server.cli("EXISTS", "counter"), "0");
  assertEquals(fixture.retried, []);
  const pipelined = fixture.client({ dial: new LateSockets().dial });
  await pipelined.send(["PING"]);
  await fixture.kill();
  const loss = await lossOf(
    pipelined.pipeline([["GET", "a"], ["INCR", "counter"], ["LPUSH", "l", 1]]),
  );
  assertEquals(loss.fate, "unknown");
  assertStringIncludes(loss.message, "INCR was not replayed");
});
