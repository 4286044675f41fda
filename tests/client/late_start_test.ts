// Calls whose code is loaded when the first of them is made.

import "../support/strict.ts";
import { assertEquals, assertRejects } from "@std/assert";
import { ClosedError, Redis } from "../../mod.ts";
import { startRedis } from "../support/redis_server.ts";

Deno.test("A call whose code is being loaded is under way: close() waits for it, and nothing follows that is made later", async () => {
  await using server = await startRedis();
  const redis = new Redis(server.url);
  const calls = [
    redis.transaction([["SET", "key", "a"]]),
    redis.send(["BLPOP", "list", 0.1]),
    redis.lease().then((lease) => lease.release()),
  ];
  const closed = redis.close();
  await assertRejects(() => redis.lease(), ClosedError);
  assertEquals(await Promise.all(calls), [["OK"], null, undefined]);
  await closed;
});

Deno.test("A call whose code is loaded after the client was closed at once is rejected", async () => {
  const redis = new Redis("redis://127.0.0.1:1");
  const calls = [
    redis.transaction([["SET", "key", "a"]]),
    redis.send(["BLPOP", "list", 0.1]),
    redis.lease(),
  ];
  const closed = redis.close({ drainMs: 0 });
  for (const call of calls) {
    await assertRejects(() => call as Promise<unknown>, ClosedError);
  }
  await closed;
});
