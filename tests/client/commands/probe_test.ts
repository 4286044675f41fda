// Which read shows whether a lost command has run.

import "../../support/strict.ts";
import { assertEquals, assertNotEquals } from "@std/assert";
import { probeOf } from "../../../client/commands/probe.ts";
import type { Command } from "../../../resp/types.ts";
import { Conversation } from "../../support/conversation.ts";
import { startRedis } from "../../support/redis_server.ts";

/** A command as one types it. */
const typed = (line: string): Command => line.split(" ") as unknown as Command;

/** Commands that a read can tell of, and the read. */
const PROBES: readonly [line: string, read: string][] = [
  ["SET k v", "GET k"],
  ["SET k v NX", "GET k"],
  ["set k v nx", "GET k"],
  ["SETNX k v", "GET k"],
  ["GETSET k v", "GET k"],
  ["HSET k f v", "HGET k f"],
  ["HSETNX k f v", "HGET k f"],
  ["SADD k m", "SISMEMBER k m"],
  ["ZADD k 1 m", "ZSCORE k m"],
];

/** Commands of which no read can tell. */
const WITHOUT: readonly string[] = [
  "SET",
  "SET k",
  "SET k v XX",
  "SET k v GET",
  "SET k v EX 5",
  "SET k v NX EX 5",
  "SETNX k",
  "HSET k f v g w",
  "HSET k f",
  "SADD k m n",
  "ZADD k 1 m 2 n",
  "ZADD k XX 1 m",
  "INCR k",
  "DEL k",
  "GET k",
  "CLIENT ID",
  "NO-SUCH-COMMAND k v",
];

Deno.test("A read shows whether a command has run that writes one value", () => {
  for (const [line, read] of PROBES) {
    assertEquals(probeOf(typed(line))?.read, typed(read), line);
  }
});

Deno.test("No read shows whether a command has run that may write nothing, or several values", () => {
  for (const line of WITHOUT) {
    assertEquals(probeOf(typed(line)), undefined, line);
  }
});

Deno.test("On a real server the read answers that nothing is there until the command has run", async () => {
  await using server = await startRedis();
  using redis = await Conversation.open(server.port);
  for (const [line] of PROBES) {
    await redis.ask("FLUSHALL");
    const { read, absent } = probeOf(typed(line))!;
    assertEquals(await redis.ask(...read), absent, line);
    await redis.ask(...typed(line));
    assertNotEquals(await redis.ask(...read), absent, line);
  }
});

Deno.test("A read takes the arguments as they were given", () => {
  const key = new Uint8Array([0, 255]);
  assertEquals(probeOf(["ZADD", key, 1.5, 7n])?.read, ["ZSCORE", key, 7n]);
});
