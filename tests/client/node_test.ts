// The servers of a client, each addressed by itself.

import "../support/strict.ts";
import {
  assertEquals,
  assertInstanceOf,
  assertRejects,
  assertStringIncludes,
} from "@std/assert";
import { Attempts } from "../../client/attempts.ts";
import { Drain } from "../../client/drain.ts";
import { RedisNode } from "../../client/node.ts";
import { publishedEvents } from "../../client/server_events.ts";
import { SingleServer } from "../../client/choose_directory.ts";
import type { Directory, ServerEntry } from "../../client/servers/directory.ts";
import { Server } from "../../client/servers/server.ts";
import { settingsOf } from "../../client/settings.ts";
import {
  ClosedError,
  CommandError,
  DepartedError,
  fateOf,
  Redis,
  Retry,
} from "../../mod.ts";
import { dial } from "../../pool/socket/dial.ts";
import { Endpoint } from "../../pool/socket/endpoint.ts";
import { startRedis } from "../support/redis_server.ts";

Deno.test("A single server is one node with all hash slots", async () => {
  await using server = await startRedis();
  await using redis = new Redis(`${server.url}/3`);
  const [node, ...more] = redis.nodes();
  assertInstanceOf(node, RedisNode);
  assertEquals(more, []);
  assertEquals([node.origin, node.hashSlots], [redis.origin, 16384]);
  assertEquals(node.origin, {
    hostname: server.hostname,
    port: server.port,
    database: 3,
  });
  assertEquals(await node.send(["SET", "key", "value"]), "OK");
  assertEquals(
    await node.pipeline([["GET", "key"], ["NOSUCH"]]).then((
      [value, error],
    ) => [value, error instanceof CommandError]),
    ["value", true],
  );
  {
    await using lease = await node.lease();
    assertEquals(await lease.send(["GET", "key"]), "value");
  }
  assertEquals(await redis.send(["GET", "key"]), "value");
  assertEquals(node.stats(), redis.nodes()[0]!.stats());
  assertEquals(node.stats().dialed, 1);
  assertEquals(
    Deno.inspect(node),
    `RedisNode ${server.hostname}:${server.port} (16384 hash slots)`,
  );
});

Deno.test("Every key of a single server is at that server", async () => {
  await using redis = new Redis("redis://user:s3cret@redis.example:7000/2");
  const origin = { hostname: "redis.example", port: 7000, database: 2 };
  assertEquals(redis.originOf("key"), origin);
  assertEquals(Object.keys(redis.originOf("key")), Object.keys(origin));
});

Deno.test("A call on a node is retried, drained and closed like one of its client", async () => {
  await using server = await startRedis();
  const retried: string[] = [];
  const redis = new Redis(server.url, {
    retry: new Retry({ sleep: () => Promise.resolve() }),
    onRetry: ({ command }) => retried.push(command),
  });
  const [node] = redis.nodes();
  await node!.send(["PING"]);
  await server.cli("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes");
  assertEquals(await node!.send(["ECHO", "a"]), "a");
  const before = retried.length;
  const busy = node!.send(["BLPOP", "list", 0.3]);
  const closed = redis.close();
  assertEquals(await busy, null);
  await closed;
  assertEquals(redis.stats().retryBudget, 100);
  const error = await assertRejects(() => node!.send(["PING"]), ClosedError);
  assertStringIncludes(error.message, "Cannot send PING: this client of ");
  assertEquals(retried.length, before);
});

Deno.test("What a node throws of a command that cannot be sent is what its client throws", async () => {
  await using redis = new Redis("redis://127.0.0.1:1");
  const [node] = redis.nodes();
  await assertRejects(() => node!.send(["SELECT", 1]), TypeError, "SELECT");
  await assertRejects(
    () => node!.pipeline([["BLPOP", "key", 0]]),
    TypeError,
    "BLPOP",
  );
});

/** A directory of servers that come and go. */
class Changing extends SingleServer implements Directory {
  servers: ServerEntry[] = [];
  override entries(): ServerEntry[] {
    return this.servers;
  }
}

Deno.test("A call on a node that has left rejects, also one that waits for its next attempt", async () => {
  await using server = await startRedis();
  const endpoint = new Endpoint(server.url);
  const options = { ...settingsOf({}), dial, limits: {}, postMortem: false };
  const there = new Server(endpoint, options, publishedEvents(endpoint, {}));
  const directory = new Changing(there);
  directory.servers = [{ server: there, hashSlots: 5461 }];
  const asleep = Promise.withResolvers<void>();
  const attempts = new Attempts(directory, {
    retry: new Retry({ sleep: () => asleep.promise }),
    onRetry: undefined,
    drain: new Drain(),
  });
  const node = new RedisNode(directory.servers[0]!, directory, attempts);
  assertEquals([node.hashSlots, await node.send(["PING"])], [5461, "PONG"]);

  await server.stop();
  const waiting = node.send(["PING"]);
  await assertRejects(() => node.send(["PING"], { retry: false }));
  directory.servers = [];
  asleep.resolve();
  for (const call of [waiting, node.send(["PING"]), node.lease()]) {
    const error = await assertRejects(() => call as Promise<unknown>);
    assertEquals(fateOf(error), "unsent");
    assertStringIncludes(
      `${error}`,
      `${endpoint} has left ${endpoint}: redis.nodes() has`,
    );
  }
  await assertRejects(() => node.send(["PING"]), DepartedError);
  await there.close("over");
});
