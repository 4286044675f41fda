// That a lease has its connection to itself, and leaves nothing behind on it.

import "../support/strict.ts";
import { assertEquals, assertMatch, assertRejects } from "@std/assert";
import { delay } from "@std/async/delay";
import {
  type Command,
  ConnectionClosedError,
  fateOf,
  type Lease,
} from "../../mod.ts";
import type { Reply } from "../../resp/types.ts";
import { testWithFixture as test } from "../support/fixture.ts";
import { assertAtRest } from "../support/pool_state.ts";
import { until } from "../support/wait.ts";

test("A transaction on a lease and 1000 sends do not mix", async (fixture) => {
  const redis = fixture.client({ maxConnections: 3 });
  const transactions = async (name: string) => {
    for (let i = 1; i <= 10; i++) {
      await using lease = await redis.lease();
      assertEquals(await lease.send(["MULTI"]), "OK");
      assertEquals<Reply>(await lease.send(["INCR", name]), "QUEUED");
      await delay(1);
      assertEquals(await lease.send(["ECHO", `${name}${i}`]), "QUEUED");
      assertEquals(await lease.send(["EXEC"]), [i, `${name}${i}`]);
    }
  };
  const sends = async () => {
    for (let i = 0; i < 1000; i += 20) {
      const replies = Array.from(
        { length: 20 },
        (_, j) => redis.send(["ECHO", `${i + j}`]),
      );
      assertEquals(
        await Promise.all(replies),
        Array.from({ length: 20 }, (_, j) => `${i + j}`),
      );
      await redis.send(["INCR", "sends"]);
      if (i % 100 === 0) await delay(1);
    }
  };
  await Promise.all([transactions("a"), sends(), transactions("b"), sends()]);
  assertEquals(await redis.send(["MGET", "a", "b", "sends"]), [
    "10",
    "10",
    "100",
  ]);
  assertAtRest(redis);
});

test("An unclean lease is closed, a clean one goes back", async (fixture) => {
  const unclean: Command[][] = [
    [["MULTI"]],
    [["MULTI"], ["SET", "a", 1]],
    [["multi"]],
    [["SELECT", 3]],
    [["WATCH", "key"]],
    [["WATCH", "key"], ["MULTI"], ["UNWATCH"]],
    [["CLIENT", "REPLY", "OFF"]],
    [["CLIENT", "REPLY", "SKIP"]],
    [["client", "reply", "off"], ["SET", "a", 1]],
    [["CLIENT", "REPLY", "SKIP"], ["SET", "a", 1]],
    [["CLIENT", "REPLY", "OFF"], ["SET", "a", 1], ["CLIENT", "REPLY", "ON"]],
    [["CLIENT", "SETNAME", "other"]],
    [["CLIENT", "NO-EVICT", "ON"]],
    [["CLIENT", "TRACKING", "ON"]],
    [["HELLO", "2", "SETNAME", "other"]],
    [["RESET"]],
    [["READONLY"]],
  ];
  const clean: Command[][] = [
    [],
    [["PING"]],
    [["MULTI"], ["SET", "a", 1], ["EXEC"]],
    [["MULTI"], ["SET", "a", 1], ["DISCARD"]],
    [["WATCH", "key"], ["UNWATCH"]],
    [["WATCH", "key"], ["MULTI"], ["EXEC"]],
    [["BLPOP", "list", 0.01]],
    [["NOSUCHCOMMAND"]],
  ];
  const redis = fixture.client({ maxConnections: 1 });
  for (
    const [isClean, sequences] of [[false, unclean], [true, clean]] as const
  ) {
    for (const commands of sequences) {
      const clue = JSON.stringify(commands);
      await redis.send(["PING"]);
      const before = redis.stats();
      const lease = await redis.lease();
      for (const command of commands) {
        await lease.send(command).catch((error: Error) =>
          assertEquals(error.name, "CommandError", clue)
        );
      }
      lease.release();
      const closed = (redis.stats().evicted["unclean-lease"] ?? 0) -
        (before.evicted["unclean-lease"] ?? 0);
      assertEquals(closed, isClean ? 0 : 1, clue);
      assertEquals(await redis.send(["ECHO", "next"]), "next", clue);
      assertMatch(
        String(await redis.send(["CLIENT", "INFO"])),
        // Valkey 9 counts the commands of no transaction as 0.
        / name= .* db=0 .* multi=(?:-1|0) .*\bresp=2\b/,
        clue,
      );
      assertEquals(redis.stats().dialed - before.dialed, closed, clue);
    }
  }
  assertAtRest(redis);
});

test("A lease released with a command in flight is closed", async (fixture) => {
  const redis = fixture.client({ maxConnections: 1 });
  const lease = await redis.lease();
  const lost = assertRejects(
    () => lease.send(["BLPOP", "list", 0]),
    ConnectionClosedError,
  );
  lease.release();
  await lost;
  assertEquals(redis.stats().evicted, { "unclean-lease": 1 });
  assertEquals(await redis.send(["PING"]), "PONG");
});

test("A lease refuses to send after its release, and a second release does nothing", async (fixture) => {
  const redis = fixture.client({ maxConnections: 2 });
  const lease = await redis.lease();
  lease.release();
  lease.release();
  await lease[Symbol.asyncDispose]();
  await assertRejects(() => lease.send(["PING"]), TypeError, "released");
  const others = await Promise.all([redis.lease(), redis.lease()]);
  assertEquals(
    await Promise.all(others.map((other, i) => other.send(["ECHO", `${i}`]))),
    ["0", "1"],
  );
  for (const other of others) other.release();
  assertAtRest(redis);
});

test("A lease whose connection dies says so, and its release does no harm", async (fixture) => {
  const redis = fixture.client({ maxConnections: 1 });
  const lease = await redis.lease();
  await lease.send(["MULTI"]);
  await fixture.proxy.killAll("fin");
  await until(() => redis.stats().open === 0, "the eviction");
  const lost = await assertRejects(
    () => lease.send(["INCR", "counter"]),
    ConnectionClosedError,
  );
  assertEquals(lost.fate, "unsent");
  lease.release();
  assertEquals(redis.stats().evicted, { fin: 1 });
  assertEquals(await redis.send(["PING"]), "PONG");
});

test("CLIENT REPLY keeps replies and commands together", async (fixture) => {
  const redis = fixture.client({ maxConnections: 1, replyTimeoutMs: 1000 });
  const reply = (mode: string): Command => ["CLIENT", "REPLY", mode];
  const echo = (i: number): Command => ["ECHO", `${i}`];
  const sequences: [Command, unknown][][] = [
    [[reply("SKIP"), null], [echo(1), null], [echo(2), "2"]],
    [[reply("SKIP"), null], [reply("SKIP"), null], [echo(1), null], [
      echo(2),
      "2",
    ]],
    [[reply("SKIP"), null], [reply("ON"), "OK"], [echo(1), "1"]],
    [[reply("OFF"), null], [echo(1), null], [echo(2), null], [
      reply("ON"),
      "OK",
    ], [echo(3), "3"]],
    [
      [reply("OFF"), null],
      [reply("SKIP"), null],
      [echo(1), null],
      [echo(2), null],
      [reply("ON"), "OK"],
      [echo(3), "3"],
    ],
    [[echo(0), "0"], [reply("OFF"), null], [["SET", "key", "value"], null], [
      reply("ON"),
      "OK",
    ], [["GET", "key"], "value"]],
  ];
  for (const together of [true, false]) {
    for (const sequence of sequences) {
      const clue = JSON.stringify([together, sequence]);
      await using lease: Lease = await redis.lease();
      const replies: unknown[] = [];
      if (together) {
        replies.push(
          ...await Promise.all(
            sequence.map(([command]) => lease.send(command)),
          ),
        );
      } else {
        for (const [command] of sequence) {
          replies.push(await lease.send(command));
        }
      }
      assertEquals(replies, sequence.map(([, expected]) => expected), clue);
    }
  }
  assertEquals(await redis.send(["ECHO", "after"]), "after");
  await using lease = await redis.lease();
  await assertRejects(() => lease.send(reply("MAYBE")), TypeError, "MAYBE");
});

test("A command that cannot be encoded does not use up a CLIENT REPLY SKIP", async (fixture) => {
  const redis = fixture.client({ replyTimeoutMs: 500 });
  await using lease = await redis.lease();
  await lease.send(["CLIENT", "REPLY", "SKIP"]);
  await assertRejects(() => lease.send(["ECHO", NaN]), TypeError);
  // The server still skips the next one.
  assertEquals(await lease.send(["ECHO", "1"]), null);
  assertEquals(await lease.send(["ECHO", "2"]), "2");
});

test("CLIENT REPLY is refused inside a transaction, which goes on without it", async (fixture) => {
  const redis = fixture.client({ replyTimeoutMs: 500 });
  for (const [i, mode] of ["SKIP", "OFF"].entries()) {
    await using lease = await redis.lease();
    const commands: Command[] = [
      ["MULTI"],
      ["INCR", "a"],
      ["CLIENT", "REPLY", mode],
      ["INCR", "b"],
      ["EXEC"],
    ];
    const replies = await Promise.all(
      commands.map((command) =>
        lease.send(command).catch((error: Error) => error.message)
      ),
    );
    // The server would queue it like any other, and answer EXEC or not.
    assertEquals(replies, [
      "OK",
      "QUEUED",
      "Cannot send CLIENT REPLY: a transaction is open, send it before MULTI or after EXEC",
      "QUEUED",
      [i + 1, i + 1],
    ]);
    assertEquals(await lease.send(["ECHO", "next"]), "next");
  }
});

test("SUBSCRIBE, MONITOR and SYNC are refused on a lease", async (fixture) => {
  const redis = fixture.client();
  await using lease = await redis.lease();
  for (const name of ["SUBSCRIBE", "psubscribe", "MONITOR", "SYNC"]) {
    await assertRejects(
      () => lease.send([name, "x"]),
      TypeError,
      "not support",
    );
  }
  assertEquals(await lease.send(["PING"]), "PONG");
});

test("Commands that change a shared connection are refused by send and pipeline", async (fixture) => {
  const redis = fixture.client();
  const refused: Command[] = [
    ["MULTI"],
    ["exec"],
    ["WATCH", "key"],
    ["SELECT", 1],
    ["AUTH", "pw"],
    ["HELLO", 3],
    ["RESET"],
    ["QUIT"],
    ["SUBSCRIBE", "channel"],
    ["MONITOR"],
    ["CLIENT", "REPLY", "OFF"],
    ["CLIENT", "TRACKING", "ON"],
    ["Client", "SetName", "x"],
    ["SCRIPT", "DEBUG", "YES"],
    ["READONLY"],
  ];
  for (const command of refused) {
    for (
      const attempt of [
        () => redis.send(command),
        () => redis.pipeline([["SET", "written", 1], command]),
      ]
    ) {
      const error = await assertRejects(attempt, TypeError);
      assertMatch(error.message, /redis\.lease\(\)|does not support/);
      assertEquals(fateOf(error), "unsent");
    }
  }
  await assertRejects(
    () => redis.pipeline([["BLPOP", "list", 1]]),
    TypeError,
    "block",
  );
  assertEquals(redis.stats().dialed, 0);
  assertEquals(await redis.send(["EXISTS", "written"]), 0);
});

test("An aborted send on a lease closes the lease's connection", async (fixture) => {
  const redis = fixture.client({ maxConnections: 1 });
  const lease = await redis.lease();
  const leaver = new AbortController();
  const left = assertRejects(() =>
    lease.send(["BLPOP", "list", 0], { signal: leaver.signal })
  );
  await delay(10);
  leaver.abort();
  await left;
  await assertRejects(() => lease.send(["PING"]), ConnectionClosedError);
  lease.release();
  assertEquals(await redis.send(["PING"]), "PONG");
  assertEquals(redis.stats().dialed, 2);
});
