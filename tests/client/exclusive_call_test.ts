// Blocking commands, each on a connection of its own.

import "../support/strict.ts";
import { assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { delay } from "@std/async/delay";
import { testWithFixture as test } from "../support/fixture.ts";
import { later } from "../support/wait.ts";
import { patient } from "../support/policies.ts";
import { lossOf } from "../support/loss.ts";

test("A blocking command that a replica refuses is tried again like any other", async (fixture) => {
  await fixture.server.cli("RPUSH", "list", "element");
  await fixture.server.cli("REPLICAOF", "127.0.0.1", 1);
  const redis = fixture.client({ retry: patient() });
  const popped = later(redis.send(["BLPOP", "list", 1]));
  await delay(60);
  await fixture.server.cli("REPLICAOF", "NO", "ONE");
  assertEquals(await popped, ["list", "element"]);
});

test("A blocking command comes before callers that ask for a connection after it", async (fixture) => {
  const redis = fixture.client({ maxConnections: 1 });
  await redis.send(["RPUSH", "list", "element"]);
  const popped = later(redis.send(["BLPOP", "list", 5]));
  await using _lease = await redis.lease();
  const late = delay(1000).then(() => "it waits for the lease");
  assertEquals(await Promise.race([popped, late]), ["list", "element"]);
  await late;
});

test("A blocking command that is aborted before it begins keeps no connection", async (fixture) => {
  const redis = fixture.client({ maxConnections: 1 });
  await redis.send(["PING"]);
  const abort = new AbortController();
  const { signal } = abort;
  const popped = redis.send(["BLPOP", "list", 0], { signal });
  abort.abort();
  await assertRejects(() => popped, DOMException);
  assertEquals(await redis.send(["PING"]), "PONG");
  assertEquals(redis.stats().leased, 0);
});

test("The loss of a blocking command says why it was not replayed", async (fixture) => {
  const redis = fixture.client();
  await redis.send(["RPUSH", "list", "element"]);
  fixture.proxy.cut(0, { scope: "open" });
  const error = await lossOf(redis.send(["BLPOP", "list", 1]));
  assertEquals(error.fate, "unknown");
  assertStringIncludes(error.message, "BLPOP was not replayed: ");
  assertEquals(await redis.send(["LLEN", "list"]), 0);
});
