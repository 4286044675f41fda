// That the replies of a pipeline belong to its commands, and what its loss means.

import "../support/strict.ts";
import {
  assert,
  assertEquals,
  assertInstanceOf,
  assertMatch,
  assertRejects,
  assertStringIncludes,
} from "@std/assert";
import {
  type Command,
  CommandError,
  ConnectionClosedError,
  DeadlineError,
  fateOf,
  PipelineError,
  Redis,
  ReplyError,
  Retry,
  RetryError,
} from "../../mod.ts";
import { delay } from "@std/async/delay";
import { FakeServer } from "../support/fake_server.ts";
import { startRedis } from "../support/redis_server.ts";
import { CLOSE, ScriptedServer } from "../support/scripted_server.ts";
import { until } from "../support/wait.ts";
import { testWithFixture as test } from "../support/fixture.ts";
import { NotedWaits } from "../support/policies.ts";
import { lossOf } from "../support/loss.ts";

/** Of its three, the second must not run twice. */
const UNSAFE: readonly Command[] = [
  ["SET", "a", 1],
  ["INCR", "counter"],
  ["SET", "b", 1],
];

const pipelineErrorOf = (call: Promise<unknown>): Promise<PipelineError> =>
  assertRejects(() => call, PipelineError);

test("A pipeline answers in order, with error replies as values", async (fixture) => {
  const redis = fixture.client();
  const commands: Command[] = [];
  for (let i = 0; i < 3000; i++) commands.push(["ECHO", `${i}`]);
  assertEquals(
    await redis.pipeline(commands),
    Array.from({ length: 3000 }, (_, i) => `${i}`),
  );
  const [set, wrong, incr, nothing] = await redis.pipeline([
    ["SET", "text", "value"],
    ["INCR", "text"],
    ["INCR", "counter"],
    ["GET", "none"],
  ]);
  assertEquals([set, incr, nothing], ["OK", 1, null]);
  assertInstanceOf(wrong, ReplyError);
  assertMatch(wrong.message, /^ERR value is not an integer/);
  const errors = await redis.pipeline([["NOSUCH"], ["GET"]]);
  assert(errors.every((reply) => reply instanceof ReplyError));
  assertEquals(redis.stats().retries, 0);
});

test("Pipelines and sends of one turn do not mix up their replies", async (fixture) => {
  const redis = fixture.client({ maxConnections: 1 });
  const replies = await Promise.all(
    Array.from(
      { length: 300 },
      (_, i) =>
        i % 3 === 0
          ? redis.send(["ECHO", `${i}`])
          : redis.pipeline([["ECHO", `${i}a`], ["ECHO", `${i}b`]]),
    ),
  );
  replies.forEach((reply, i) =>
    assertEquals(reply, i % 3 === 0 ? `${i}` : [`${i}a`, `${i}b`])
  );
});

test("An empty pipeline is answered without a connection", async (fixture) => {
  const redis = fixture.client();
  assertEquals(await redis.pipeline([]), []);
  assertEquals(redis.stats().dialed, 0);
  await redis.close();
});

test("A pipeline with a bad argument in the middle sends nothing", async (fixture) => {
  const redis = fixture.client();
  await redis.send(["PING"]);
  for (const bad of [NaN, undefined, null, {}, [], true]) {
    const broken = ["SET", "b", bad] as unknown as Command;
    const error = await assertRejects(
      () => redis.pipeline([["SET", "a", 1], broken, ["SET", "c", 1]]),
      TypeError,
    );
    assertEquals(fateOf(error), "unsent");
    await assertRejects(() => redis.send(broken), TypeError);
  }
  for (const none of [[], undefined, null, "PING", 7, [7]]) {
    const broken = none as unknown as Command;
    await assertRejects(() => redis.send(broken), TypeError);
    await assertRejects(
      () => redis.pipeline([["SET", "a", 1], broken]),
      TypeError,
    );
  }
  assertEquals(await redis.send(["EXISTS", "a", "b", "c"]), 0);
  assertEquals(redis.stats().dialed, 1);
  assertEquals(redis.stats().inFlight, 0);
  await redis.close(); // and does not wait for any of them
});

test("A pipeline of which the server ran a part is answered as it is", async (fixture) => {
  const redis = fixture.client();
  await fixture.server.cli("SET", "key", "value");
  await fixture.server.cli("REPLICAOF", "127.0.0.1", 1);
  const [got, set] = await redis.pipeline([["GET", "key"], ["SET", "key", 2]]);
  assertEquals(got, "value");
  assertInstanceOf(set, ReplyError);
  assertEquals(set.code, "READONLY");
  assertEquals(fixture.retried, []);
});

Deno.test("A pipeline that was answered in part was not unsent", async () => {
  const server = new TextEncoder();
  const { promise: ended, resolve: end } = Promise.withResolvers<null>();
  const answers = ["*0\r\n", ":1\r\n+OK\r\n"];
  let written = Promise.withResolvers<void>();
  const dial = () =>
    Promise.resolve({
      async read(buffer: Uint8Array): Promise<number | null> {
        await Promise.race([written.promise, ended]);
        written = Promise.withResolvers<void>();
        const answer = answers.shift();
        if (answer === undefined) return await ended;
        return server.encodeInto(answer, buffer).written;
      },
      async write(bytes: Uint8Array): Promise<number> {
        written.resolve();
        // The write of the first commands is not over when their answer comes.
        if (bytes.length > 1000) setTimeout(() => end(null), 20), await ended;
        return bytes.length;
      },
      close: () => end(null),
    });
  await using redis = new Redis("redis://nowhere", { retry: false, dial });
  const error = await assertRejects(
    () =>
      redis.pipeline([
        ["INCR", "n"],
        ["SET", "k", "x".repeat(100_000)],
        ["GET", "k"],
      ]),
    PipelineError,
  );
  assertEquals(fateOf(error), "unknown");
  assertMatch(
    error.message,
    /^Cannot send a pipeline of 3 commands: 2 were answered, 1 not: Connection closed by server/,
  );
  const [incr, set, get] = error.outcomes;
  assertEquals([incr, set], [1, "OK"]);
  assertInstanceOf(get, ConnectionClosedError);
  assert(get === error.cause);
});

test("A pipeline that lost its connection goes on where its replies ended", async (fixture) => {
  const noted = new NotedWaits();
  const redis = fixture.client({ retry: noted.policy() });
  const commands: Command[] = [["INCR", "first"]];
  for (let i = 0; i < 50; i++) commands.push(["SET", `key${i}`, i]);
  const expected = [1, ...Array(50).fill("OK")];
  // ":1\r\n" and "+OK\r\n" for the handful that get through.
  for (
    const [bytes, answered] of [[4, 1], [6, 1], [9, 2], [4 + 5 * 30 + 2, 31], [
      4 + 5 * 49,
      50,
    ]] as const
  ) {
    await redis.send(["DEL", "first"]);
    await fixture.server.cli("CONFIG", "RESETSTAT");
    fixture.retried.length = 0;
    fixture.proxy.cut(bytes, { scope: "open" });
    assertEquals(await redis.pipeline(commands), expected, `${bytes} bytes`);
    assertEquals(await fixture.calls("incr"), 1);
    assertEquals(await fixture.calls("set"), 50 + 51 - answered);
    assertEquals(fixture.retried.map(({ command }) => command), ["SET"]);
    assert(fixture.retried[0]?.isReplay);
  }
});

test("A pipeline never repeats an unsafe command that may have run", async (fixture) => {
  const redis = fixture.client();
  for (const bytes of [0, 2]) {
    await redis.send(["DEL", "counter"]);
    fixture.proxy.cut(bytes, { scope: "open" });
    const error = await lossOf(redis.pipeline(UNSAFE));
    assertEquals(error.fate, "unknown");
    assertStringIncludes(error.message, "INCR was not replayed");
    assertEquals(await redis.send(["GET", "counter"]), "1", `${bytes} bytes`);
  }
});

test("A pipeline of which a part was answered says what became of each command", async (fixture) => {
  const redis = fixture.client();
  for (const bytes of [5, 7]) { // "+OK\r\n" and nothing or a part of ":1\r\n"
    await redis.send(["DEL", "counter"]);
    fixture.proxy.cut(bytes, { scope: "open" });
    const error = await pipelineErrorOf(redis.pipeline(UNSAFE));
    assertEquals(fateOf(error), "unknown");
    const [set, incr, last] = error.outcomes;
    assertEquals(set, "OK");
    assertInstanceOf(incr, ConnectionClosedError);
    assertEquals([fateOf(incr), fateOf(last)], ["unknown", "unknown"]);
    assertEquals(error.cause, incr);
    assertStringIncludes(error.message, "1 was answered, 2 not: Connection");
    assertStringIncludes(error.message, "INCR was not replayed");
    assertEquals(await redis.send(["GET", "counter"]), "1", `${bytes} bytes`);
  }
});

test("An error reply before the loss is an outcome with a fate of its own", async (fixture) => {
  const redis = fixture.client();
  await redis.pipeline([["DEL", "counter"], ["SET", "text", "a"]]);
  const wrong = "-ERR value is not an integer or out of range\r\n".length;
  fixture.proxy.cut(wrong, { scope: "open" });
  const error = await pipelineErrorOf(
    redis.pipeline([["INCR", "text"], ["INCR", "counter"]]),
  );
  const [refused, lost] = error.outcomes;
  assertInstanceOf(refused, CommandError);
  assertEquals([refused.command, refused.fate], ["INCR", "executed"]);
  assertEquals(fateOf(lost), "unknown");
});

Deno.test("Each command has a fate of its own: one was lost, the next was never written", async () => {
  let connections = 0;
  await using server = new FakeServer(async (connection) => {
    const chunk = new Uint8Array(64 * 1024);
    await connection.read(chunk); // HELLO
    if (++connections > 1) return connection.close();
    await connection.write(new TextEncoder().encode("*0\r\n"));
    await connection.read(chunk);
    await connection.write(new TextEncoder().encode("+OK\r\n"));
    await delay(20);
    connection.close();
  });
  await using redis = new Redis(`redis://${server.address}`, {
    retry: new NotedWaits().policy(1),
  });
  const big = "x".repeat(4_000_000);
  const error = await pipelineErrorOf(
    redis.pipeline([["SET", "a", 1], ["SET", "b", big], ["SET", "c", big], [
      "SET",
      "d",
      big,
    ]]),
  );
  assertInstanceOf(error.cause, RetryError);
  const [answered, written, ...waiting] = error.outcomes;
  assertEquals(answered, "OK");
  assertEquals([written, fateOf(written)], [error.cause, "unknown"]);
  for (const outcome of waiting) {
    assertInstanceOf(outcome, RetryError);
    assertEquals([fateOf(outcome), outcome.attempts], ["unsent", 3]);
  }
});

Deno.test("A deadline leaves a pipeline the replies that have come", async () => {
  await using server = new ScriptedServer(([name, key]) =>
    name === "HELLO" ? "*0\r\n" : key === "a" ? "+OK\r\n" : undefined
  );
  await using redis = new Redis(server.url);
  await redis.send(["SET", "a", 1]); // the deadline is not for the dial
  const error = await pipelineErrorOf(
    redis.pipeline([["SET", "a", 1], ["SET", "b", 1]], { deadlineMs: 150 }),
  );
  assertInstanceOf(error.cause, DeadlineError);
  assertEquals(error.outcomes[0], "OK");
  assertEquals(fateOf(error.outcomes[1]), "unknown"); // it was in flight
  await redis.close({ drainMs: 0 });
});

Deno.test("The reason of an abort is rejected as it is, also if a part was answered", async () => {
  await using server = new ScriptedServer(([name, key]) =>
    name === "HELLO" ? "*0\r\n" : key === "a" ? "+OK\r\n" : undefined
  );
  await using redis = new Redis(server.url);
  const caller = new AbortController();
  const call = redis.pipeline([["SET", "a", 1], ["SET", "b", 1]], {
    signal: caller.signal,
  });
  await until(() => redis.stats().inFlight === 1, "the first is answered");
  const reason = new Error("the caller has left");
  caller.abort(reason);
  assertEquals(await assertRejects(() => call), reason);
  assertEquals(fateOf(reason), "unknown");
  await redis.close({ drainMs: 0 });
});

Deno.test("An abort between two attempts of a pipeline of which a part has run is no unsent", async () => {
  let connections = 0;
  await using server = new ScriptedServer(([name, key], connection) => {
    connections = connection;
    if (name === "HELLO") return connection === 1 ? "*0\r\n" : CLOSE;
    return key === "a" ? "+OK\r\n" : CLOSE;
  });
  const sleep = new Promise<void>(() => {});
  await using redis = new Redis(server.url, {
    retry: new Retry({ sleep: () => sleep }),
  });
  const caller = new AbortController();
  const call = redis.pipeline([["SET", "a", 1], ["SET", "b", 1]], {
    signal: caller.signal,
  });
  await until(
    () => connections > 1 && redis.stats().retries === 1,
    "it waits for its next attempt",
  );
  const reason = new Error("the caller has left");
  caller.abort(reason);
  assertEquals(await assertRejects(() => call), reason);
  assertEquals(fateOf(reason), "unknown");
});

test("What is left of a pipeline is sent again if the server refuses it for a reason that passes", async (fixture) => {
  await using replica = await startRedis();
  await replica.cli("REPLICAOF", "127.0.0.1", "1");
  const redis = fixture.client({
    retry: new Retry({
      sleep: () => Promise.resolve(fixture.proxy.retarget(fixture.server)),
    }),
  });
  await redis.send(["PING"]);
  fixture.proxy.retarget(replica);
  fixture.proxy.cut(5, { scope: "open" });
  assertEquals(
    await redis.pipeline([["SET", "a", 1], ["SET", "b", 1]]),
    ["OK", "OK"],
  );
  assertMatch(`${fixture.retried.at(-1)?.error}`, /READONLY/);
});
