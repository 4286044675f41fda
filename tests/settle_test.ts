// Fence, look, decide: what becomes of commands that must not be replayed.

import "./support/strict.ts";
import { assert, assertEquals, assertRejects } from "@std/assert";
import {
  type Command,
  ConnectionClosedError,
  type Fate,
  Redis,
} from "../mod.ts";
import { dial } from "../pool/mod.ts";
import { startProxy } from "./support/fault_proxy.ts";
import { startRedis } from "./support/redis_server.ts";

/** Sends `command` so that it runs and its reply is lost; returns what the caller is told. */
async function loseReply(
  command: Command,
  before: Command[] = [],
  config: Record<string, string> = {},
): Promise<{ fate: Fate; value: unknown }> {
  await using server = await startRedis({ config });
  await using proxy = await startProxy({ target: server });
  await using redis = new Redis(proxy.url);
  for (const earlier of before) await redis.send(earlier);
  // The first look at the server's run id is made with the first such call.
  await redis.send(["PING"], { settle: true });
  proxy.cut(0, { scope: "open" });
  const error = await assertRejects(
    () => redis.send(command, { settle: true, replay: "never" }),
    ConnectionClosedError,
  );
  return { fate: error.fate, value: await redis.send(["DBSIZE"]) };
}

const EXECUTED: readonly Command[] = [
  ["SET", "key", "value"],
  ["SET", "key", "välue", "NX"],
  ["SET", "key", new Uint8Array([0, 255, 13, 10])],
  ["SETNX", "key", "value"],
  ["HSET", "key", "field", 12],
  ["HSETNX", "key", "field", "value"],
  ["SADD", "key", "member"],
  ["ZADD", "key", 1.5, "member"],
  ["ZADD", "key", Infinity, "member"],
];

for (const command of EXECUTED) {
  Deno.test(`settle finds that ${command.join(" ")} was executed`, async () => {
    assertEquals(await loseReply(command), { fate: "executed", value: 1 });
  });
}

Deno.test("settle says unknown for what no read can tell", async () => {
  const commands: Command[] = [
    ["INCR", "key"],
    ["ZADD", "key", "INCR", 1, "m"],
    ["SET", "key", "value", "EX", 10],
    ["SET", "key", "value", "NX", "PX", 10],
    ["SET", "key", "value", "XX"],
  ];
  for (const command of commands) {
    assertEquals((await loseReply(command)).fate, "unknown", `${command}`);
  }
});

Deno.test("settle says unknown where somebody else's value is there", async () => {
  const { fate } = await loseReply(["SETNX", "key", "mine"], [
    ["SET", "key", "theirs"],
  ]);
  assertEquals(fate, "unknown");
});

Deno.test("settle says unknown where the server refuses CLIENT", async () => {
  const { fate } = await loseReply(["SETNX", "key", "value"], [], {
    "rename-command": 'CLIENT ""',
  });
  assertEquals(fate, "unknown");
});

Deno.test("settle says unknown when the server was restarted in between", async () => {
  await using server = await startRedis();
  await using redis = new Redis(server.url);
  await redis.send(["PING"], { settle: true });
  server.freeze();
  const lost = assertRejects(
    () => redis.send(["SETNX", "key", "value"], { settle: true }),
    ConnectionClosedError,
  );
  await new Promise((resolve) => setTimeout(resolve, 50));
  await server.kill();
  await server.start();
  assertEquals((await lost).fate, "unknown");
});

Deno.test("settle knows the server before the first command that it may have to settle", async () => {
  await using server = await startRedis();
  let isLost = false;
  await using redis = new Redis(server.url, {
    dial: async (endpoint, options) => {
      const socket = await dial(endpoint, options);
      return {
        read: async (buffer) => {
          const count = await socket.read(buffer);
          return isLost ? null : count;
        },
        write: (bytes) => {
          isLost = new TextDecoder().decode(bytes).includes("SETNX");
          return socket.write(bytes);
        },
        close: () => socket.close(),
        unref: () => socket.unref?.(),
      };
    },
  });
  const error = await assertRejects(
    () => redis.send(["SETNX", "key", "value"], { settle: true }),
    ConnectionClosedError,
  );
  assertEquals(error.fate, "executed");
});

Deno.test("settle sends a command again that it has proved not to have run", async () => {
  await using server = await startRedis();
  await using proxy = await startProxy({ target: server });
  await using redis = new Redis(proxy.url, { replyTimeoutMs: 300 });
  await redis.send(["PING"], { settle: true });
  proxy.silence({ scope: "open" }); // swallows the command on its way
  const reply = await redis.send(["SETNX", "key", "value"], { settle: true });
  assertEquals(reply, 1);
  const { evicted } = redis.stats();
  assert((evicted.silence ?? 0) >= 1, "the silent connection was not evicted");
});
