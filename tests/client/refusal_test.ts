// What follows from an error reply: another attempt, or a rejection.

import "../support/strict.ts";
import {
  assert,
  assertEquals,
  assertGreaterOrEqual,
  assertInstanceOf,
  assertRejects,
  assertStringIncludes,
} from "@std/assert";
import { delay } from "@std/async/delay";
import {
  type Command,
  DialError,
  Redis,
  ReplyError,
  RetryError,
} from "../../mod.ts";
import { Fixture, testWithFixture as test } from "../support/fixture.ts";
import { later, until } from "../support/wait.ts";
import { NotedWaits, patient } from "../support/policies.ts";

test("READONLY is tried again, on another connection, until the server is a primary", async (fixture) => {
  const redis = fixture.client({ retry: patient() });
  await redis.send(["PING"]);
  await fixture.server.cli("REPLICAOF", "127.0.0.1", 1);
  const counted = later(redis.send(["INCR", "counter"]));
  const piped = later(
    redis.pipeline([["INCR", "counter"], ["SET", "key", "value"]]),
  );
  await until(() => fixture.retried.length >= 4, "some attempts");
  await fixture.server.cli("REPLICAOF", "NO", "ONE");
  const replies = [await counted, ...await piped];
  assert(replies.includes("OK"));
  assertEquals(await redis.send(["GET", "counter"]), "2");
  const { retries, replays, evicted } = redis.stats();
  assertGreaterOrEqual(retries, 4);
  assertEquals(replays, 0);
  assertGreaterOrEqual(evicted.readonly ?? 0, 1);
  assert(fixture.retried.every(({ isReplay }) => !isReplay));
  assertEquals(
    new Set(fixture.retried.map(({ error }) => (error as ReplyError).code)),
    new Set(["READONLY"]),
  );
});

test("READONLY that lasts ends in a RetryError, or at once without retry", async (fixture) => {
  const noted = new NotedWaits();
  const redis = fixture.client({ retry: noted.policy() });
  await fixture.server.cli("REPLICAOF", "127.0.0.1", 1);
  const error = await assertRejects(
    () => redis.send(["SET", "k", 1]),
    RetryError,
  );
  assertEquals(error.attempts, 4);
  assertInstanceOf(error.cause, ReplyError);
  assertEquals(noted.waits, [100, 200, 400]);
  await assertRejects(
    () => redis.send(["SET", "k", 1], { retry: false }),
    ReplyError,
    "READONLY",
  );
});

Deno.test("BUSY is tried again until the script is killed", async () => {
  await using fixture = await Fixture.start({
    config: { "lua-time-limit": 5 },
  });
  const script = fixture.server.cli("EVAL", "while true do end", 0)
    .catch((error: Error) => error.message);
  await delay(50);
  const redis = fixture.client({ retry: patient() });
  const counted = later(redis.send(["INCR", "counter"]));
  await until(() => fixture.retried.length > 0, "an attempt");
  await fixture.server.cli("SCRIPT", "KILL");
  assertEquals(await counted, 1);
  assertStringIncludes(await script, "killed");
  assert(
    fixture.retried.some(({ error }) =>
      error instanceof ReplyError && error.code === "BUSY"
    ),
  );
});

Deno.test("LOADING is tried again until the data are there", async () => {
  await using fixture = await Fixture.start({
    config: { appendonly: "yes", "key-load-delay": 300 },
  });
  const filler = fixture.client();
  await filler.pipeline(
    Array.from({ length: 4000 }, (_, i): Command => ["SET", `key${i}`, i]),
  );
  await filler.close();
  await fixture.server.stop();
  const started = later(fixture.server.start());
  const redis = fixture.client({ retry: patient() });
  assertEquals(await redis.send(["GET", "key3999"]), "3999");
  await started;
  assert(
    fixture.retried.some(({ error }) =>
      // Refused itself, or in the handshake of its connection.
      [error, error.cause].some((e) =>
        e instanceof ReplyError && e.code === "LOADING"
      )
    ),
    `only ${fixture.retried.map(({ error }) => error.message).join("; ")}`,
  );
});

test("An error that is an answer is not tried again", async (fixture) => {
  const redis = fixture.client();
  await redis.send(["SET", "text", "value"]);
  const wrong: [Command, string][] = [
    [["LPUSH", "text", "x"], "WRONGTYPE"],
    [["NOSUCHCOMMAND"], "ERR"],
    [["GET"], "ERR"],
    [["EVAL", "return redis.error_reply('NOPE not this')", 0], "NOPE"],
  ];
  for (const [command, code] of wrong) {
    const error = await assertRejects(() => redis.send(command), ReplyError);
    assertEquals(error.code, code);
  }
  assertEquals(await fixture.calls("lpush"), 1);
  assertEquals(fixture.retried, []);
  const { retries, dialed, evicted } = redis.stats();
  assertEquals({ retries, dialed, evicted }, {
    retries: 0,
    dialed: 1,
    evicted: {},
  });
});

test("A wrong password costs one connection, however many ask", async (fixture) => {
  await fixture.server.cli("CONFIG", "SET", "requirepass", "right");
  const redis = fixture.client({ password: "mist@ken" });
  await Promise.all(
    Array.from(
      { length: 50 },
      () => assertRejects(() => redis.send(["PING"]), DialError, "WRONGPASS"),
    ),
  );
  assertEquals(fixture.proxy.connections, 1);
  assertEquals(fixture.retried, []);
  // The server's owner must be able to stop it.
  const owner = new Redis(fixture.server.url, { password: "right" });
  await owner.send(["CONFIG", "SET", "requirepass", ""]);
  await owner.close();
});
