// That a transaction runs whole or not at all, on a connection that others share.

import "../support/strict.ts";
import {
  assert,
  assertEquals,
  assertInstanceOf,
  assertMatch,
  assertRejects,
} from "@std/assert";
import {
  type Command,
  CommandError,
  ConnectionClosedError,
  fateOf,
  Redis,
  type ReplyError,
  Retry,
  RetryError,
} from "../../mod.ts";
import { testWithFixture as test } from "../support/fixture.ts";
import { NotedWaits } from "../support/policies.ts";
import { startRedis } from "../support/redis_server.ts";
import { helloOf, ScriptedServer } from "../support/scripted_server.ts";
import { lossOf } from "../support/loss.ts";
import { assertAtRest } from "../support/pool_state.ts";

test("A transaction is answered in order, with error replies as values", async (fixture) => {
  const redis = fixture.client();
  const replies = await redis.transaction([
    ["SET", "text", "value"],
    ["INCR", "text"],
    ["GET", "text"],
    ["INCR", "n"],
  ]);
  const typed: [
    "OK" | string | null | ReplyError,
    number | bigint | ReplyError,
    string | null | ReplyError,
    number | bigint | ReplyError,
  ] = replies;
  const [set, wrong, get, incr] = typed;
  assertEquals([set, get, incr], ["OK", "value", 1]);
  assertInstanceOf(wrong, CommandError);
  assertEquals([wrong.command, wrong.fate], ["INCR", "executed"]);
  assertMatch(wrong.stack ?? "", /transaction_test/);
  const [bytes] = await redis.transaction([["GET", "text"]], { binary: true });
  assertInstanceOf(bytes, Uint8Array);
  assertEquals(await redis.transaction([]), []);
  assertAtRest(redis);
});

test("No command of another caller comes into a transaction, or behind its WATCH", async (fixture) => {
  const redis = fixture.client({ maxConnections: 1 });
  const rounds = Array.from({ length: 200 }, async (_, i) => {
    const plain = redis.send(["INCR", "plain"]);
    const [first, echo, second] = await redis.transaction([
      ["INCR", "n"],
      ["ECHO", `${i}`],
      ["INCR", "n"],
    ]);
    assertEquals(echo, `${i}`);
    assertEquals(Number(second) - Number(first), 1);
    assert(Number.isInteger(await plain));
  });
  await Promise.all(rounds);
  assertEquals(await redis.send(["GET", "n"]), "400");
  assertEquals(await redis.send(["GET", "plain"]), "200");
  assertEquals(redis.stats().dialed, 1);
});

test("A command that is refused discards the transaction, and is named", async (fixture) => {
  const redis = fixture.client();
  const error = await assertRejects(
    () => redis.transaction([["INCR", "n"], ["GET"], ["INCR", "n"]]),
    CommandError,
  );
  assertEquals(
    [error.code, error.command, error.fate],
    ["EXECABORT", "GET", "unsent"],
  );
  assertMatch(
    error.message,
    /^EXECABORT Transaction discarded, since GET was refused: ERR wrong number/,
  );
  assertEquals(await redis.send(["EXISTS", "n"]), 0);
  await fixture.server.cli("CONFIG", "SET", "maxmemory", "1");
  const full = await assertRejects(
    () => redis.transaction([["DEL", "n"], ["SET", "k", "v"]]),
    CommandError,
  );
  assertMatch(full.message, /was refused: OOM /);
  assertAtRest(redis);
});

test("What has no place in a transaction is refused before anything is sent", async (fixture) => {
  const redis = fixture.client();
  for (
    const command of [
      ["WATCH", "k"],
      ["MULTI"],
      ["EXEC"],
      ["SUBSCRIBE", "c"],
      ["SCRIPT", "KILL"],
      ["SELECT", 1],
      [],
    ] as unknown as Command[]
  ) {
    const error = await assertRejects(
      () => redis.transaction([["SET", "k", 1], command]),
      TypeError,
    );
    assertEquals(fateOf(error), "unsent");
  }
  assertEquals(redis.stats().dialed, 0);
  // It does not block between MULTI and EXEC.
  const [popped] = await redis.transaction([["BLPOP", "none", 0]]);
  assertEquals(popped, null);
});

test("A transaction of which a byte was lost is sent again only if all of it may run twice", async (fixture) => {
  const redis = fixture.client();
  const queued = "+OK\r\n+QUEUED\r\n+QUEUED\r\n".length;
  for (const bytes of [0, 3, queued - 1, queued, queued + 3]) {
    await redis.send(["DEL", "n"]);
    fixture.proxy.cut(bytes, { scope: "open" });
    const error = await lossOf(
      redis.transaction([["SET", "a", 1], ["INCR", "n"]]),
    );
    assertEquals(error.fate, "unknown");
    assertMatch(error.message, /INCR was not replayed/);
    assertEquals(await redis.send(["GET", "n"]), "1", `${bytes} bytes`);
    fixture.proxy.cut(bytes, { scope: "open" });
    assertEquals(
      await redis.transaction([["SET", "a", 1], ["DEL", "b"]]),
      ["OK", 0],
    );
    assert(fixture.retried.at(-1)?.isReplay);
  }
});

Deno.test("A transaction whose EXEC was never written has not run, and is sent again", async () => {
  await using server = await startRedis();
  let connections = 0;
  const dial = async () => {
    const socket = await Deno.connect({ port: server.port });
    const isFirst = ++connections === 1;
    let written = 0;
    return {
      read: (buffer: Uint8Array) => socket.read(buffer),
      write: async (bytes: Uint8Array) => {
        // HELLO and the first 64 KiB arrive, then the socket ends.
        if (isFirst && (written += bytes.length) > 2_000_000) {
          await socket.write(bytes.subarray(0, 64 * 1024));
          socket.close();
          throw new Deno.errors.BrokenPipe("cut");
        }
        return await socket.write(bytes);
      },
      close: () => socket.close(),
    };
  };
  // Where there may be two, a busy one that is slow to answer has another dialed.
  await using redis = new Redis("redis://nowhere", { dial, maxConnections: 1 });
  const big = "x".repeat(1_500_000);
  const commands: Command[] = [
    ["INCR", "n"],
    ["SET", "a", big],
    ["SET", "b", big],
    ["SET", "c", big],
  ];
  assertEquals(await redis.transaction(commands), [1, "OK", "OK", "OK"]);
  assertEquals([connections, redis.stats().replays], [2, 0]);
});

test("A transaction waits for a server that takes no writes", async (fixture) => {
  const noted = new NotedWaits();
  await using replica = await startRedis();
  await replica.cli("REPLICAOF", "127.0.0.1", "1");
  const redis = fixture.client({
    retry: new Retry({
      sleep: () => Promise.resolve(fixture.proxy.retarget(fixture.server)),
    }),
  });
  await redis.send(["PING"]);
  fixture.proxy.retarget(replica);
  fixture.proxy.cut(0, { scope: "open" });
  const replies = await redis.transaction([["SET", "a", 1], ["INCR", "n"]], {
    replay: "always",
  });
  assertEquals(replies, ["OK", 2]);
  fixture.proxy.retarget(replica);
  await fixture.kill();
  const error = await assertRejects(
    () =>
      redis.transaction([["GET", "a"], ["INCR", "n"]], {
        retry: noted.policy(1),
      }),
    RetryError,
  );
  assertInstanceOf(error.cause, CommandError);
  assertEquals([error.cause.code, error.cause.command], ["READONLY", "INCR"]);
  assertEquals(fateOf(error), "unsent");
});

test("Without the right to MULTI the commands run one by one, and the error says so", async (fixture) => {
  const user = ["default", "on", "nopass", "~*", "+@all", "-multi"];
  await fixture.server.cli("ACL", "SETUSER", ...user);
  const redis = fixture.client();
  const error = await assertRejects(
    () => redis.transaction([["INCR", "n"], ["GET", "n"]]),
    CommandError,
  );
  assertEquals([error.command, error.fate], ["MULTI", "unknown"]);
  assertMatch(error.message, /^NOPERM .*the commands behind it ran one by one/);
  assertEquals(await fixture.server.cli("GET", "n"), "1");
  await fixture.server.cli("ACL", "SETUSER", "default", "-incr", "-get");
  const nothing = await assertRejects(
    () => redis.transaction([["INCR", "n"], ["GET", "n"]]),
    CommandError,
  );
  assertEquals([nothing.command, nothing.fate], ["MULTI", "unsent"]);
});

Deno.test("EXEC that is answered with no list is an error", async () => {
  await using server = new ScriptedServer(([name]) =>
    name === "HELLO"
      ? helloOf({ version: "7.0.15" })
      : name === "EXEC"
      ? "*-1\r\n"
      : name === "MULTI"
      ? "+OK\r\n"
      : "+QUEUED\r\n"
  );
  await using redis = new Redis(server.url);
  const error = await assertRejects(
    () => redis.transaction([["SET", "a", 1]]),
    CommandError,
  );
  assertEquals([error.message, error.fate], [
    "ERR EXEC answered null",
    "unsent",
  ]);
});

test("A transaction that is aborted runs to its end, and its connection goes on", async (fixture) => {
  const redis = fixture.client({ maxConnections: 1 });
  await redis.transaction([["DEL", "n"]]);
  fixture.server.freeze();
  const caller = new AbortController();
  const call = redis.transaction([["INCR", "n"], ["INCR", "n"]], {
    signal: caller.signal,
  });
  const reason = new Error("the caller has left");
  caller.abort(reason);
  assertEquals(await assertRejects(() => call), reason);
  assertEquals(fateOf(reason), "unknown");
  fixture.server.thaw();
  assertEquals(await redis.send(["GET", "n"]), "2");
  assertEquals(redis.stats().dialed, 1);
});

test("A watched transaction is tried again while another client writes its keys", async (fixture) => {
  const redis = fixture.client({ maxConnections: 1 });
  await redis.send(["SET", "n", 1]);
  let rounds = 0;
  const replies = await redis.watch(["n"], async (lease) => {
    const n = Number(await lease.send(["GET", "n"]));
    if (++rounds < 4) await fixture.server.cli("SET", "n", `${10 * rounds}`);
    return [["SET", "n", n + 1], ["GET", "n"]];
  });
  const typed:
    | [string | null | ReplyError, string | null | ReplyError]
    | undefined = replies;
  assertEquals(typed, ["OK", "31"]);
  assertEquals(rounds, 4);
  assertAtRest(redis);
  assertEquals(redis.stats().dialed, 1); // the connection was clean each time
});

test("A watched transaction gives up after its attempts, and nothing has run", async (fixture) => {
  const redis = fixture.client();
  let rounds = 0;
  const error = await assertRejects(
    () =>
      redis.watch(["n"], async () => {
        await fixture.server.cli("SET", "n", `${++rounds}`);
        return [["SET", "other", 1]];
      }, { attempts: 3 }),
    RetryError,
  );
  assertEquals([rounds, error.attempts, fateOf(error)], [3, 3, "unsent"]);
  assertMatch(error.message, /a watched key was written$/);
  assertEquals(await redis.send(["EXISTS", "other"]), 0);
  for (const attempts of [0, 1.5, "1"]) {
    await assertRejects(
      () =>
        redis.watch(["n"], () => Promise.resolve([]), {
          attempts: attempts as number,
        }),
      TypeError,
      "attempts",
    );
  }
  await assertRejects(
    () => redis.watch([], () => Promise.resolve([])),
    TypeError,
    "at least one key",
  );
});

test("No WATCH is left behind, whatever the plan does", async (fixture) => {
  const redis = fixture.client({ maxConnections: 1 });
  const none = await redis.watch(["n"], () => Promise.resolve(undefined));
  assertEquals(none, undefined);
  assertEquals(await redis.watch(["n"], () => Promise.resolve([])), []);
  const thrown = new Error("the plan has a fault");
  const error = await assertRejects(() =>
    redis.watch(["n"], () => Promise.reject(thrown))
  );
  assertEquals(error, thrown);
  await assertRejects(
    () => redis.watch(["n"], () => Promise.resolve([["SUBSCRIBE", "c"]])),
    TypeError,
  );
  await assertRejects(
    () => redis.watch(["n"], () => Promise.resolve([["SET", "n", NaN]])),
    TypeError,
  );
  assertEquals(redis.stats().dialed, 1); // it was clean each time
  const refused = await assertRejects(
    () => redis.watch(["n"], () => Promise.resolve([["INCR", "n"], ["GET"]])),
    CommandError,
  );
  assertEquals([refused.code, refused.command], ["EXECABORT", "GET"]);
  assertEquals(await redis.send(["EXISTS", "n"]), 0);
  const mixed = await redis.watch(
    ["n"],
    () => Promise.resolve([["SET", "n", "x"], ["INCR", "n"]] as const),
  );
  assertInstanceOf(mixed?.[1], CommandError);
  assertEquals(mixed[1].command, "INCR");
  assertAtRest(redis);
});

test("A watched transaction whose connection is gone before it reads takes another one", async (fixture) => {
  const redis = fixture.client({ maxConnections: 1 });
  await redis.send(["PING"]);
  fixture.proxy.cut(0, { scope: "open" });
  assertEquals(
    await redis.watch(["n"], () => Promise.resolve([["INCR", "n"]])),
    [1],
  );
  const lost = await assertRejects(
    () =>
      redis.watch(["n"], () => {
        fixture.proxy.cut(0, { scope: "open" });
        return Promise.resolve([["INCR", "n"]]);
      }),
    ConnectionClosedError,
  );
  assertEquals(lost.fate, "unknown");
  assertEquals(await redis.send(["GET", "n"]), "2");
});
