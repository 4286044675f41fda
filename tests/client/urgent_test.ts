// Commands that end what holds up the others: they overtake it, on a connection of their own.

import "../support/strict.ts";

import {
  assert,
  assertEquals,
  assertRejects,
  assertStringIncludes,
} from "@std/assert";
import { delay } from "@std/async/delay";
import { ClosedError, Redis } from "../../mod.ts";
import { ReplyError } from "../../resp/errors.ts";
import { startRedis } from "../support/redis_server.ts";

const LOOP = "while true do end";
const LIBRARY = `#!lua name=endless
redis.register_function('endless', function() ${LOOP} end)`;

/** Waits until the server is busy with a script: it says so to each new connection. */
async function untilBusy(
  server: { cli(...args: string[]): Promise<string> },
): Promise<void> {
  while (true) {
    const answer = await server.cli("PING").catch((error) => String(error));
    if (answer.includes("BUSY")) return;
    await delay(20);
  }
}

Deno.test("SCRIPT KILL overtakes the script that it is to end, with one connection, a password and a database", async () => {
  await using server = await startRedis({
    password: "secret",
    config: { "busy-reply-threshold": 50 },
  });
  await using redis = new Redis(server.url, {
    maxConnections: 1,
    database: 5,
    retry: false,
  });
  const script = assertRejects(() => redis.send(["EVAL", LOOP, 0]), ReplyError);
  const behind = redis.send(["PING"]);
  await untilBusy(server);
  assertEquals(await redis.send(["SCRIPT", "KILL"]), "OK");
  assertStringIncludes((await script).message, "Script killed by user");
  assertEquals(await behind, "PONG");
  const { open, dialed, leased } = redis.stats();
  assertEquals({ open, dialed, leased }, { open: 1, dialed: 1, leased: 0 });
  const clients = `${await redis.send(["CLIENT", "LIST", "TYPE", "normal"])}`;
  assertEquals(clients.trim().split("\n").length, 1, clients);
});

Deno.test("FUNCTION STATS tells of a function that runs, and FUNCTION KILL ends it", async () => {
  await using server = await startRedis({
    config: { "busy-reply-threshold": 50 },
  });
  await using redis = new Redis(server.url, {
    maxConnections: 1,
    retry: false,
  });
  await redis.send(["FUNCTION", "LOAD", LIBRARY]);
  const lost = assertRejects(
    () => redis.send(["FCALL", "endless", 0]),
    ReplyError,
  );
  await untilBusy(server);
  const stats = Deno.inspect(await redis.send(["FUNCTION", "STATS"]), {
    depth: 9,
  });
  assertStringIncludes(stats, '"endless"');
  assertEquals(await redis.send(["FUNCTION", "KILL"]), "OK");
  assertStringIncludes((await lost).message, "killed by user");
});

Deno.test("SCRIPT KILL with no script to end is answered, not tried again", async () => {
  await using server = await startRedis();
  await using redis = new Redis(server.url);
  const error = await assertRejects(
    () => redis.send(["script", "kill"]),
    ReplyError,
  );
  assertStringIncludes(error.message, "NOTBUSY");
  assertEquals(redis.stats().dialed, 0);
});

Deno.test("CLIENT UNPAUSE overtakes the write that is paused", async () => {
  await using server = await startRedis();
  await using redis = new Redis(server.url, { maxConnections: 1 });
  await redis.send(["CLIENT", "PAUSE", 30_000, "WRITE"]);
  const paused = redis.send(["SET", "k", "v"]);
  const startedAt = performance.now();
  assertEquals(await redis.send(["CLIENT", "UNPAUSE"]), "OK");
  assertEquals(await paused, "OK");
  assert(performance.now() - startedAt < 2000);
});

Deno.test("SHUTDOWN NOSAVE ends a server that is busy with a script", async () => {
  await using server = await startRedis({
    config: { "busy-reply-threshold": 50 },
  });
  await using redis = new Redis(server.url, {
    maxConnections: 1,
    retry: false,
  });
  const lost = assertRejects(() => redis.send(["EVAL", LOOP, 0]));
  await untilBusy(server);
  const end = await assertRejects(
    () => redis.send(["SHUTDOWN", "NOSAVE"]),
    Error,
  );
  assertStringIncludes(end.message, "SHUTDOWN was not replayed");
  await lost;
  while (server.running) await delay(10);
});

Deno.test("An urgent command ends with its signal and with the client", async () => {
  await using server = await startRedis();
  await using redis = new Redis(server.url, { retry: false });
  server.freeze();
  const reason = new Error("not so urgent");
  const aborted = await assertRejects(() =>
    redis.send(["SCRIPT", "KILL"], {
      signal: AbortSignal.abort(reason),
    })
  );
  assertEquals(aborted, reason);
  const controller = new AbortController();
  const call = redis.send(["SCRIPT", "KILL"], { signal: controller.signal });
  await delay(20);
  controller.abort(reason);
  assertEquals(await assertRejects(() => call), reason);
  const left = assertRejects(
    () => redis.send(["SCRIPT", "KILL"]),
    ClosedError,
  );
  await delay(20);
  await redis.close({ drainMs: 0 });
  await left;
  server.thaw();
});
