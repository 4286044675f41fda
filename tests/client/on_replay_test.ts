// When a caller is told that its commands are sent again.
import "../support/strict.ts";
import { assertEquals, assertStringIncludes } from "@std/assert";
import type { Command } from "../../mod.ts";
import { testWithFixture as test } from "../support/fixture.ts";
import { later, until } from "../support/wait.ts";
import { patient } from "../support/policies.ts";

/** Options that count the calls of onReplay. */
function counting() {
  const counted = { calls: 0 };
  const options = { onReplay: () => void counted.calls++ };
  return { counted, options };
}

test("onReplay is called when a reused connection proves dead under a command", async (fixture) => {
  const redis = fixture.client();
  const { counted, options } = counting();
  await redis.send(["PING"], options);
  assertEquals(counted.calls, 0);
  fixture.proxy.cut(0, { scope: "open" });
  assertEquals(await redis.send(["SET", "key", "value"], options), "OK");
  assertEquals(await fixture.calls("set"), 2);
  assertEquals(counted.calls, 1);
});

test("onReplay is called before each retry of what may have run", async (fixture) => {
  const redis = fixture.client({ retry: patient(), replyTimeoutMs: 100 });
  const { counted, options } = counting();
  await redis.send(["PING"]);
  fixture.proxy.silence({ scope: "open" });
  const commands: Command[] = [["ZADD", "z", 1, "a"], ["ZCOUNT", "z", 0, 9]];
  const replies = redis.pipeline(commands, options);
  assertEquals(await replies, [1, 1]);
  assertEquals(counted.calls, redis.stats().replays);
  assertEquals(counted.calls, 1);
});

test("onReplay is called when a transaction is sent again", async (fixture) => {
  const redis = fixture.client();
  const { counted, options } = counting();
  await redis.send(["PING"]);
  fixture.proxy.cut(0, { scope: "open" });
  assertEquals(await redis.transaction([["SET", "k", "v"]], options), ["OK"]);
  assertEquals(counted.calls, 1);
});

test("onReplay is not called for what the server has refused to run, nor where nothing is sent again", async (fixture) => {
  const redis = fixture.client({ retry: patient() });
  const { counted, options } = counting();
  await redis.send(["PING"]);
  await fixture.server.cli("REPLICAOF", "127.0.0.1", 1);
  const reply = later(redis.send(["SET", "key", "value"], options));
  await until(() => fixture.retried.length >= 1, "an attempt");
  await fixture.server.cli("REPLICAOF", "NO", "ONE");
  assertEquals(await reply, "OK");
  fixture.proxy.cut(0, { scope: "open" });
  await redis.send(["INCR", "n"], options).catch(() => {});
  assertEquals(counted.calls, 0);
});

test("What onReplay throws does not touch the command", async (fixture) => {
  const redis = fixture.client();
  await redis.send(["PING"]);
  fixture.proxy.cut(0, { scope: "open" });
  const onReplay = () => {
    throw new Error("by onReplay");
  };
  const { error } = console;
  const printed: unknown[] = [];
  console.error = (...what) => printed.push(...what);
  try {
    assertEquals(await redis.send(["SET", "k", "v"], { onReplay }), "OK");
  } finally {
    console.error = error;
  }
  assertStringIncludes(`${printed}`, "onReplay");
});
