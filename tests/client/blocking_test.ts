// That a blocking command holds up no other, and takes nothing after it was given up.

import "../support/strict.ts";
import {
  assertEquals,
  assertGreaterOrEqual,
  assertLess,
  assertRejects,
} from "@std/assert";
import { delay } from "@std/async/delay";
import { ConnectionClosedError } from "../../mod.ts";
import { testWithFixture as test } from "../support/fixture.ts";
import { assertAtRest } from "../support/pool_state.ts";
import { later, SOON_MS, until } from "../support/wait.ts";

test("Blocking commands by send() delay no other command", async (fixture) => {
  const redis = fixture.client({ maxConnections: 4, replyTimeoutMs: 700 });
  const popped = later(Promise.all([
    redis.send(["BLPOP", "list1", 0]),
    redis.send(["BLMPOP", 0, 1, "list2", "LEFT"]),
    redis.send(["XREAD", "BLOCK", 0, "STREAMS", "stream", "$"]),
  ]));
  await until(
    async () =>
      (await fixture.server.cli("INFO", "clients")).includes(
        "blocked_clients:3",
      ),
    "three are blocked",
  );
  const startedAt = performance.now();
  for (let i = 0; i < 100; i++) {
    assertEquals(await redis.send(["ECHO", `${i}`]), `${i}`);
  }
  assertLess(performance.now() - startedAt, 4000);
  // Longer than replyTimeoutMs: nothing is owed yet.
  await delay(900);
  await redis.pipeline([
    ["RPUSH", "list1", "a"],
    ["RPUSH", "list2", "b"],
    ["XADD", "stream", "1-1", "field", "c"],
  ]);
  assertEquals(await popped, [
    ["list1", "a"],
    ["list2", ["b"]],
    [["stream", [["1-1", ["field", "c"]]]]],
  ]);
  assertEquals(redis.stats().evicted, {});
  assertAtRest(redis);
});

test("A blocking command has its own time and the reply timeout", async (fixture) => {
  const redis = fixture.client({ replyTimeoutMs: 200 });
  assertEquals(await redis.send(["BLPOP", "list", 0.6]), null);
  assertEquals(await redis.send(["BLPOP", "list", "0.3"]), null);
  await assertRejects(() => redis.send(["WAIT", 1, 300]), TypeError, "lease");
  await using lease = await redis.lease();
  assertEquals(await lease.send(["WAIT", 1, 300]), 0);
  fixture.proxy.silence({ scope: "open" });
  const startedAt = performance.now();
  const lost = await assertRejects(
    () => lease.send(["BLPOP", "list", 0.3]),
    ConnectionClosedError,
  );
  assertEquals(lost.report.how, "silence");
  const elapsed = performance.now() - startedAt;
  assertGreaterOrEqual(elapsed, 490);
  assertLess(elapsed, SOON_MS);
});

test("An aborted BLPOP closes its connection, and takes no element afterwards", async (fixture) => {
  const redis = fixture.client({ maxConnections: 2 });
  const leaver = new AbortController();
  const left = assertRejects(
    () => redis.send(["BLPOP", "list", 0], { signal: leaver.signal }),
    Error,
    "enough",
  );
  const blocked = async (n: number) =>
    (await fixture.server.cli("INFO", "clients")).includes(
      `blocked_clients:${n}`,
    );
  await until(() => blocked(1), "it blocks");
  leaver.abort(new Error("enough"));
  await left;
  await until(() => blocked(0), "the server noticed");
  assertEquals(await redis.send(["RPUSH", "list", "precious"]), 1);
  assertEquals(await redis.send(["LRANGE", "list", 0, -1]), ["precious"]);
  assertEquals(redis.stats().evicted, { requested: 1 });
  const [report] = fixture.reports;
  assertEquals([report?.by, report?.how], ["client", "requested"]);
  assertAtRest(redis);
});

test("An aborted wait for a blocking command takes no connection", async (fixture) => {
  const redis = fixture.client({ maxConnections: 1 });
  const held = await redis.lease();
  const leaver = new AbortController();
  const left = assertRejects(() =>
    redis.send(["BLPOP", "list", 0], { signal: leaver.signal })
  );
  await delay(5);
  leaver.abort();
  await left;
  held.release();
  assertEquals(await redis.send(["PING"]), "PONG");
  assertEquals(redis.stats().dialed, 1);
  assertAtRest(redis);
});
