// A client that is asked to looks into how its connections died, and costs its callers nothing by it.

import "./support/strict.ts";
import { assertEquals, assertStringIncludes } from "@std/assert";
import { delay } from "@std/async/delay";
import { Redis, type Verdict } from "../mod.ts";
import { startRedis } from "./support/redis_server.ts";

Deno.test("Redis names CLIENT KILL as the likely cause of a death, with its numbers", async () => {
  await using server = await startRedis();
  const { promise, resolve } = Promise.withResolvers<Verdict>();
  await using redis = new Redis(server.url, {
    postMortem: true,
    onVerdict: resolve,
  });
  await redis.send(["SET", "key", "value"]);
  await delay(1200); // the baseline must be older than the death
  await server.cli("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes");
  assertEquals(await redis.send(["GET", "key"]), "value");
  const verdict = await promise;
  assertEquals([verdict.cause, verdict.confidence], ["client-kill", "likely"]);
  assertStringIncludes(verdict.text, "CLIENT KILL");
});

Deno.test("Redis without postMortem asks the server nothing on its own", async () => {
  await using server = await startRedis();
  const settingsAsked = async () => {
    const statistics = await server.cli("INFO", "commandstats");
    return /cmdstat_config\|get:calls=(\d+)/.exec(statistics)?.[1] ?? "0";
  };
  // Valkey 9 asks itself when it starts.
  const before = await settingsAsked();
  await using redis = new Redis(server.url);
  await redis.send(["PING"]);
  await server.cli("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes");
  await redis.send(["PING"]);
  assertEquals(await settingsAsked(), before);
});
