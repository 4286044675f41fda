// What fateOf says of calls that were refused, aborted, or tried more than once.

import "../support/strict.ts";
import {
  assertEquals,
  assertMatch,
  assertNotEquals,
  assertRejects,
} from "@std/assert";
import { delay } from "@std/async/delay";
import {
  CheckoutTimeoutError,
  ConnectionClosedError,
  DialError,
  type Fate,
  fateOf,
  ReplyError,
  Retry,
  RetryError,
} from "../../mod.ts";
import { startRedis } from "../support/redis_server.ts";
import { testWithFixture as test } from "../support/fixture.ts";
import { NotedWaits } from "../support/policies.ts";
import { CLOSE_REPORT, lossOf } from "../support/loss.ts";

Deno.test("fateOf speaks for all attempts", () => {
  const unsent = new ConnectionClosedError(CLOSE_REPORT, "unsent");
  const unknown = new ConnectionClosedError(CLOSE_REPORT, "unknown");
  const executed = new ConnectionClosedError(CLOSE_REPORT, "executed");
  const dialed = new DialError("redis.example:6379", "connect", "no");
  const waited = new CheckoutTimeoutError("no");
  const cases: [unknown, Fate][] = [
    [unsent, "unsent"],
    [unknown, "unknown"],
    [executed, "executed"],
    [dialed, "unsent"],
    [waited, "unsent"],
    [new TypeError("a mistake of the caller's own"), "unknown"],
    [new ReplyError("WRONGTYPE no"), "executed"],
    [new DOMException("gone", "AbortError"), "unknown"],
    ["anything", "unknown"],
    [undefined, "unknown"],
    [new RetryError([unsent, dialed, waited]), "unsent"],
    [new RetryError([unknown, dialed]), "unknown"],
    [new RetryError([dialed, unknown, unsent]), "unknown"],
    [new RetryError([new RetryError([unknown]), dialed]), "unknown"],
  ];
  for (const [error, fate] of cases) {
    assertEquals(fateOf(error), fate, Deno.inspect(error));
  }
});

Deno.test("fateOf does not call executed what the server refused to run", () => {
  const loading = new ReplyError(
    "LOADING Redis is loading the dataset in memory",
  );
  const readonly = new ReplyError(
    "READONLY You can't write against a read only replica.",
  );
  for (const error of [loading, readonly]) {
    assertNotEquals(fateOf(error), "executed");
    assertNotEquals(fateOf(new RetryError([error, error])), "executed");
  }
});

test("fateOf does not believe a script that says it did not run", async (fixture) => {
  const redis = fixture.client();
  const script =
    "redis.call('INCR', KEYS[1]); return redis.error_reply('LOADING later')";
  const error = await assertRejects(
    () => redis.send(["EVAL", script, 1, "key"]),
    ReplyError,
  );
  assertEquals(error.code, "LOADING");
  assertEquals(fateOf(error), "unknown");
  assertEquals(await redis.send(["GET", "key"]), "1");
});

test("fateOf stays unknown when one attempt was lost and another refused", async (fixture) => {
  const redis = fixture.client({ retry: new NotedWaits().policy(1) });
  await fixture.server.cli("REPLICAOF", "127.0.0.1", 1);
  const refused = await assertRejects(
    () => redis.send(["SET", "key", "value"], { retry: false }),
    ReplyError,
  );
  await fixture.server.cli("REPLICAOF", "NO", "ONE");
  await redis.send(["PING"]);
  fixture.proxy.cut(0, { scope: "open" });
  const lost = await lossOf(redis.send(["INCR", "counter"]));
  assertEquals(fateOf(new RetryError([lost, refused])), "unknown");
  assertEquals(fateOf(new RetryError([refused, lost])), "unknown");
});

test("fateOf remembers the attempt before a refusal", async (fixture) => {
  await using replica = await startRedis();
  await replica.cli("REPLICAOF", "127.0.0.1", "1");
  const retry = new Retry({ isRetriable: (e) => !(e instanceof ReplyError) });
  const redis = fixture.client({ retry, maxConnections: 1 });
  await redis.send(["PING"]);
  fixture.proxy.retarget(replica);
  fixture.proxy.cut(0, { scope: "open" });
  const error = await assertRejects(() => redis.send(["SET", "key", "v"]));
  assertMatch(`${error}`, /READONLY/);
  assertEquals(fateOf(error), "unknown");
  assertEquals(await fixture.server.cli("GET", "key"), "v");
});

test("fateOf does not believe what an abort gives as its reason", async (fixture) => {
  const redis = fixture.client();
  await redis.send(["PING"]);
  fixture.server.freeze();
  const group = new AbortController();
  const call = redis.send(["INCR", "n"], { signal: group.signal });
  await delay(20);
  group.abort(new DialError("elsewhere:1", "connect", "refused"));
  const error = await assertRejects(() => call, DialError);
  fixture.server.thaw();
  assertEquals(fateOf(error), "unknown");
});
