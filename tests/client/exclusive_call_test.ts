// Blocking commands, each on a connection of its own.

import "../support/strict.ts";
import {
  assertEquals,
  assertGreaterOrEqual,
  assertLessOrEqual,
  assertRejects,
  assertStringIncludes,
} from "@std/assert";
import { delay } from "@std/async/delay";
import { Redis, Retry } from "../../mod.ts";
import { helloOf, ScriptedServer } from "../support/scripted_server.ts";
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

/** A server that ends what blocks, and once it has done that `unblocked` times pops at once. */
const unblocking = (version: string, unblocked = 1) =>
  new ScriptedServer(([name]) =>
    name === "HELLO"
      ? helloOf({ version })
      : unblocked-- > 0
      ? "-UNBLOCKED instance state changed (master -> replica?)\r\n"
      : "*-1\r\n"
  );

for (
  const { command, version, least, most } of [
    { command: ["BLPOP", "list", 5], version: "7.0.15", least: 4, most: 4.8 },
    { command: ["BLPOP", "list", 5], version: "5.0.14", least: 5, most: 5 },
    {
      command: ["XREAD", "BLOCK", 5000, "STREAMS", "s", "1-1"],
      version: "7.0.15",
      least: 4000,
      most: 4800,
    },
    {
      command: ["BLMPOP", "5", 1, "list", "LEFT"],
      version: "7.0.15",
      least: 4,
      most: 4.8,
    },
    {
      command: ["BLPOP", "list", 0.1],
      version: "7.0.15",
      least: 0.001,
      most: 0.001,
    },
  ] as const
) {
  Deno.test(`${command.join(" ")} that a server ${version} has unblocked goes on for the time that is left of its own`, async () => {
    await using server = unblocking(version);
    await using redis = new Redis(server.url, {
      retry: new Retry({ sleep: () => delay(210) }),
    });
    assertEquals(await redis.send(command), null);
    const heard = server.heard.flat().filter((text) =>
      /^(BL|XREAD)/.test(text)
    );
    assertEquals(heard[0], command.join(" "));
    const numbers = heard[1]!.split(" ").map(Number);
    const at = command.findIndex((word) => Number(word) >= 0);
    assertGreaterOrEqual(numbers[at]!, least);
    assertLessOrEqual(numbers[at]!, most);
    assertEquals(heard.length, 2);
  });
}
