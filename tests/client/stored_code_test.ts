// That scripts and libraries are sent by name, loaded once where they are missing, and never run twice.

import "../support/strict.ts";
import {
  assert,
  assertEquals,
  assertInstanceOf,
  assertLessOrEqual,
  assertMatch,
  assertRejects,
  assertThrows,
} from "@std/assert";
import { delay } from "@std/async/delay";
import {
  ClosedError,
  CommandError,
  type CommandSender,
  ConnectionClosedError,
  DeadlineError,
  fateOf,
  FunctionLibrary,
  Redis,
  Script,
} from "../../mod.ts";
import { testWithFixture as test } from "../support/fixture.ts";
import { lossOf } from "../support/loss.ts";
import { assertAtRest } from "../support/pool_state.ts";
import { startCluster } from "../support/redis_cluster.ts";
import { helloOf, ScriptedServer } from "../support/scripted_server.ts";

/** Counts under KEYS[1], so that a second run shows. */
const COUNT = `return redis.call("INCRBY", KEYS[1], ARGV[1] or 1)`;

const library = (name: string, body = `redis.call("INCR", keys[1])`) =>
  new FunctionLibrary(`#!lua name=${name}
  redis.register_function("${name}_count", function(keys, args) return ${body} end)
  redis.register_function{
    function_name = "${name}_get",
    callback = function(keys, args) return redis.call("GET", keys[1]) end,
    flags = { "no-writes" },
  }`);

test("A script is sent whole once, and by its digest from then on", async (fixture) => {
  const redis = fixture.client({ maxConnections: 1 });
  const script = new Script<number>(COUNT);
  assertEquals(await script.run(redis, ["n"]), 1);
  assertEquals(await script.run(redis, ["n"], [5]), 6);
  assertEquals(await script.run(redis, ["n"]), 7);
  assertEquals(await fixture.calls("eval"), 1);
  assertEquals(await fixture.calls("evalsha"), 3);
  assertEquals(redis.stats().retries, 0);
  assertAtRest(redis);
});

for (const maxConnections of [1, 4]) {
  test(`Of a thousand calls that find a script missing one sends it, on the connection that has said so: ${maxConnections}`, async (fixture) => {
    const redis = fixture.client({ maxConnections });
    const script = new Script<number>(COUNT);
    assertEquals(await script.run(redis, ["n"]), 1);
    for (let round = 1; round <= 3; round++) {
      await fixture.server.cli("SCRIPT", "FLUSH");
      await fixture.server.cli("CONFIG", "RESETSTAT");
      const counts = await Promise.all(
        Array.from({ length: 1000 }, () => script.run(redis, ["n"])),
      );
      assertEquals(
        counts.sort((a, b) => a - b),
        Array.from({ length: 1000 }, (_, i) => (round - 1) * 1000 + i + 2),
      );
      assertEquals(await fixture.calls("eval"), 1);
      const calls = await fixture.calls("evalsha");
      // What another connection has written may come after the script has been sent.
      if (maxConnections === 1) assertEquals(calls, 1999);
      assertLessOrEqual(calls, 1999);
    }
    assertAtRest(redis);
  });
}

test("Where no call of a thousand has come through yet, one sends the script as well", async (fixture) => {
  const redis = fixture.client({ maxConnections: 4 });
  const script = new Script<number>(COUNT);
  const counts = await Promise.all(
    Array.from({ length: 1000 }, () => script.run(redis, ["n"])),
  );
  assertEquals(Math.max(...counts), 1000);
  assertEquals(await fixture.calls("eval"), 1);
  assertAtRest(redis);
});

test("A script that cannot be compiled rejects every call after one attempt to load it", async (fixture) => {
  const redis = fixture.client();
  const script = new Script("return (");
  const errors = await Promise.all(
    Array.from(
      { length: 100 },
      () => assertRejects(() => script.run(redis, ["n"]), CommandError),
    ),
  );
  for (const error of errors) {
    assertMatch(error.message, /^ERR Error compiling script/);
    assertEquals([error.command.slice(0, 4), error.fate], ["EVAL", "unsent"]);
  }
  assertEquals(await fixture.calls("eval"), 1);
  assertEquals(await fixture.calls("evalsha"), 100);
  assertAtRest(redis);
});

test("What a script ends with reaches its caller alone, whether it was loaded by that call or not", async (fixture) => {
  const redis = fixture.client();
  const script = new Script<string>(
    `if ARGV[1] == "fail" then return redis.error_reply("MINE it is") end
     return ARGV[1]`,
  );
  for (let round = 0; round < 2; round++) {
    const results = await Promise.allSettled(
      ["fail", "a", "b", "fail"].map((arg) => script.run(redis, ["k"], [arg])),
    );
    assertEquals(
      results.map((one) => one.status === "fulfilled" ? one.value : "error"),
      ["error", "a", "b", "error"],
    );
    const [first] = results;
    assert(first?.status === "rejected");
    assertInstanceOf(first.reason, CommandError);
    assertEquals([first.reason.code, fateOf(first.reason)], [
      "MINE",
      "executed",
    ]);
    assertMatch(first.reason.stack!, /stored_code_test/);
    await fixture.server.cli("SCRIPT", "FLUSH");
  }
});

test("A script takes bytes, gives bytes, and is sent as it was when it was run", async (fixture) => {
  const redis = fixture.client();
  const script = new Script<Uint8Array[]>("return { KEYS[1], ARGV[1] }");
  const bytes = new Uint8Array([0, 255, 13, 10]);
  for (let round = 0; round < 2; round++) {
    const given = bytes.slice();
    const running = script.run(redis, [given], [given], { binary: true });
    given.fill(1);
    assertEquals(await running, [bytes, bytes]);
  }
});

test("A script that may have run is not run again, unless it is read-only", async (fixture) => {
  const redis = fixture.client();
  const count = new Script<number>(COUNT);
  const get = new Script<string>(`return redis.call("GET", KEYS[1])`, {
    readOnly: true,
  });
  const missing = await assertRejects(
    () => redis.send(["EVALSHA", "0".repeat(40), 0]),
    CommandError,
  );
  // Loaded or not, the reply that is lost is that of the script.
  for (const isLoaded of [false, true]) {
    await redis.send(["SET", "n", 0]);
    if (!isLoaded) await redis.send(["SCRIPT", "FLUSH"]).catch(() => {});
    else await count.run(redis, ["n"], [0]);
    const skipped = isLoaded ? 0 : `-${missing.message}\r\n`.length + 1;
    fixture.proxy.cut(skipped, { scope: "open" });
    const error = await lossOf(count.run(redis, ["n"]));
    assertEquals(error.fate, "unknown");
    assertMatch(error.message, /EVAL(SHA)? was not replayed/);
    assertEquals(await redis.send(["GET", "n"]), "1", `${isLoaded}`);
    fixture.proxy.cut(0, { scope: "open" });
    assertEquals(await get.run(redis, ["n"]), "1");
    assert(fixture.retried.at(-1)?.isReplay);
    fixture.proxy.cut(0, { scope: "open" });
    assertEquals(
      await count.run(redis, ["n"], [1], { replay: "always" }),
      3,
    );
    await fixture.server.cli("SCRIPT", "FLUSH");
  }
  assertAtRest(redis);
});

test("A read-only script cannot write", async (fixture) => {
  const redis = fixture.client();
  const script = new Script(COUNT, { readOnly: true });
  const error = await assertRejects(
    () => script.run(redis, ["n"]),
    CommandError,
  );
  assertMatch(error.message, /Write commands are not allowed from read-only/);
  assertEquals(await redis.send(["EXISTS", "n"]), 0);
});

test("If the call that loads a script loses its connection, one of those that wait loads it", async (fixture) => {
  const redis = fixture.client({ maxConnections: 4 });
  const script = new Script<number>(
    `if ARGV[1] == "slow" then
       redis.call("SET", "slow", 1)
       local sum = 0
       for i = 1, 2e7 do sum = sum + i end
     end
     return redis.call("INCR", KEYS[1])`,
  );
  await script.run(redis, ["warm"]);
  await redis.send(["SCRIPT", "FLUSH"]).catch(() => {});
  await fixture.server.cli("SCRIPT", "FLUSH");
  const slow = lossOf(script.run(redis, ["n"], ["slow"]));
  const others = Array.from(
    { length: 20 },
    () => script.run(redis, ["n"], ["fast"], { replay: "never" }),
  );
  const outcomes = Promise.allSettled(others);
  await delay(100);
  await fixture.proxy.killAll("rst");
  assertEquals((await slow).fate, "unknown");
  const ran = (await outcomes).filter(({ status }) => status === "fulfilled");
  assertEquals(ran.length, 20);
  assertEquals(await redis.send(["GET", "n"]), "21");
  assertAtRest(redis);
});

test("A signal and a deadline end one call of several that wait for a script", async (fixture) => {
  const redis = fixture.client({ maxConnections: 1, replyTimeoutMs: 1000 });
  const script = new Script<number>(COUNT);
  await redis.send(["PING"]);
  fixture.proxy.silence();
  const aborted = new AbortController();
  const calls = [
    script.run(redis, ["n"]),
    script.run(redis, ["n"], [], { signal: aborted.signal }),
    script.run(redis, ["n"], [], { deadlineMs: 50 }),
  ].map((call) => call.catch((error: unknown) => error));
  await delay(20);
  aborted.abort(new Error("enough"));
  assertEquals(await calls[1], aborted.signal.reason);
  assertInstanceOf(await calls[2], DeadlineError);
  assertInstanceOf(await calls[0], ConnectionClosedError);
});

test("close() waits for a script that is being loaded, and no call begins afterwards", async (fixture) => {
  const redis = fixture.client();
  const script = new Script<number>(COUNT);
  const running = script.run(redis, ["n"]);
  const closing = redis.close();
  const error = await assertRejects(
    () => script.run(redis, ["n"]),
    ClosedError,
  );
  assertEquals(fateOf(error), "unsent");
  assertEquals(await running, 1);
  await closing;
});

test("A script runs on a lease and on one server as on a client, and on whatever else has send", async (fixture) => {
  const redis = fixture.client();
  const script = new Script<number>(COUNT);
  {
    await using lease = await redis.lease();
    assertEquals(await script.run(lease, ["n"]), 1);
    assertEquals(await script.run(lease, ["n"]), 2);
  }
  await fixture.server.cli("SCRIPT", "FLUSH");
  const [node] = redis.nodes();
  assertEquals(await script.run(node!, ["n"]), 3);
  const sent: unknown[] = [];
  const double: CommandSender = {
    send: (command) => Promise.resolve(sent.push(command)),
  };
  assertEquals(await script.run(double, ["n"], ["a"]), 1);
  const digest = "4c0a7ec0ff3d1a5ce06cd51f8b7b3e3fd77ac6d8";
  assertEquals((sent[0] as string[])[1]!.length, digest.length);
});

test("What a library cannot call is refused with a rejection that says so", async (fixture) => {
  const redis = fixture.client();
  const library = new FunctionLibrary("#!lua name=unused");
  const call = library.call.bind(library) as (
    ...args: unknown[]
  ) => Promise<unknown>;
  await assertRejects(
    () => call(redis, "take", "key"),
    TypeError,
    'Cannot call a function: keys is "key", expected an array',
  );
  await assertRejects(() => call(redis, "take", [], [], null), TypeError);
  await redis.close();
  await assertRejects(
    () => call(redis, "take", []),
    ClosedError,
    "Cannot call a function",
  );
});

test("What cannot be run is refused before anything is sent", async (fixture) => {
  const redis = fixture.client();
  for (const source of ["", 1, undefined, null]) {
    assertThrows(
      () => new Script(source as string),
      TypeError,
      "expected a string",
    );
    assertThrows(() => new FunctionLibrary(source as string), TypeError);
  }
  const script = new Script(COUNT);
  const run = script.run.bind(script) as (
    ...args: unknown[]
  ) => Promise<unknown>;
  for (
    const args of [
      [redis, "key"],
      [redis],
      [redis, ["k"], "arg"],
      [redis, ["k"], [undefined]],
      [redis, ["k"], [], { signals: 1 }],
    ]
  ) {
    const error = await assertRejects(() => run(...args), TypeError);
    assertEquals(fateOf(error), "unsent");
  }
  assertEquals(await fixture.calls("eval"), 0);
  assertAtRest(redis);
});

Deno.test("A server without read-only scripts or functions is said to be too old", async () => {
  await using server = new ScriptedServer(([name = ""]) =>
    name === "HELLO"
      ? helloOf({ server: "redis", version: "6.2.0", mode: "standalone" })
      : name === "CLIENT"
      ? "+OK\r\n"
      : `-ERR unknown command \`${name}\`, with args beginning with: \`secret\`\r\n`
  );
  await using redis = new Redis(server.url, { retry: false });
  const script = new Script("return 1", { readOnly: true });
  const old = await assertRejects(() => script.run(redis, []), CommandError);
  assertEquals(
    old.message,
    "ERR unknown command `EVALSHA_RO`; a read-only script needs Redis 7 or later",
  );
  assertEquals(old.fate, "unsent");
  const older = await assertRejects(
    () => library("l").call(redis, "l_count", ["n"]),
    CommandError,
  );
  assertMatch(older.message, /`FCALL`; functions need Redis 7 or later$/);
});

test("A library is loaded by the first call that misses a function, once for all that miss it", async (fixture) => {
  const redis = fixture.client();
  const stock = library("stock");
  const counts = await Promise.all(
    Array.from(
      { length: 500 },
      () => stock.call<number>(redis, "stock_count", ["n"]),
    ),
  );
  assertEquals(Math.max(...counts), 500);
  assertEquals(await redis.send(["GET", "n"]), "500");
  const stats = await fixture.server.cli("INFO", "commandstats");
  assertMatch(stats, /cmdstat_function\|load:calls=1,/);
  assertEquals(
    await stock.call(redis, "stock_get", ["n"], [], { readOnly: true }),
    "500",
  );
  {
    await fixture.server.cli("FUNCTION", "FLUSH");
    await using lease = await redis.lease();
    assertEquals(await stock.call(lease, "stock_count", ["n"]), 501);
  }
  assertAtRest(redis);
});

test("A library that is refused, and a function that it has not, are named as what they are", async (fixture) => {
  const redis = fixture.client();
  const missing = await assertRejects(
    () => library("stock").call(redis, "stock_sell", ["n"]),
    CommandError,
  );
  assertEquals(missing.fate, "unsent");
  assertEquals(
    missing.message,
    "ERR Function not found; the library has no function of this name",
  );
  const broken = library("broken", "(");
  const errors = await Promise.all(
    Array.from(
      { length: 50 },
      () =>
        assertRejects(
          () => broken.call(redis, "broken_count", ["n"]),
          CommandError,
        ),
    ),
  );
  for (const error of errors) {
    assertMatch(error.message, /^ERR Error compiling function/);
    assertEquals(error.fate, "unsent");
  }
  assertAtRest(redis);
});

test("A function whose reply is lost is called again only if it is read-only", async (fixture) => {
  const redis = fixture.client();
  const stock = library("stock");
  await stock.load(redis);
  await stock.load(redis); // in place of itself
  fixture.proxy.cut(0, { scope: "open" });
  const error = await lossOf(stock.call(redis, "stock_count", ["n"]));
  assertEquals(error.fate, "unknown");
  fixture.proxy.cut(0, { scope: "open" });
  assertEquals(
    await stock.call(redis, "stock_get", ["n"], [], { readOnly: true }),
    "1",
  );
});

Deno.test("Scripts and libraries work on a cluster, where each server is sent them by itself", async () => {
  await using cluster = await startCluster({ replicasPerPrimary: 0 });
  await using redis = new Redis(cluster.url);
  const script = new Script<number>(COUNT);
  const keys = Array.from({ length: 300 }, (_, i) => `key:${i}`);
  const counts = await Promise.all(keys.map((key) => script.run(redis, [key])));
  assertEquals(counts, keys.map(() => 1));
  const calls = async (name: string) => {
    const stats = await Promise.all(
      cluster.nodes.map(({ server }) => server.cli("INFO", "commandstats")),
    );
    return stats.map((text) =>
      Number(new RegExp(`cmdstat_${name}:calls=(\\d+)`).exec(text)?.[1] ?? 0)
    );
  };
  assertEquals(await calls("eval"), [1, 1, 1]);
  const anywhere = new Script<number>("return 1");
  assertEquals(
    await Promise.all(keys.map(() => anywhere.run(redis, []))),
    keys.map(() => 1),
  );
  const stock = library("stock");
  await Promise.all(keys.map((key) => stock.call(redis, "stock_count", [key])));
  assertEquals(await calls("function\\|load"), [1, 1, 1]);
  const other = library("other");
  await other.load(redis);
  assertEquals(await calls("function\\|load"), [2, 2, 2]);
  const crossed = await assertRejects(
    () => script.run(redis, ["a", "b"]),
    CommandError,
  );
  assertEquals(crossed.code, "CROSSSLOT");
});
