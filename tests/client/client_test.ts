// That a command runs once or says that it may not have, however its connection ends.

import "../support/strict.ts";
import {
  assert,
  assertEquals,
  assertGreater,
  assertGreaterOrEqual,
  assertInstanceOf,
  assertLess,
  assertLessOrEqual,
  assertMatch,
  assertNotEquals,
  assertRejects,
  assertStrictEquals,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import { delay } from "@std/async/delay";
import {
  CheckoutTimeoutError,
  type CloseReport,
  type Command,
  ConnectionClosedError,
  DialError,
  ExponentialBackoff,
  type Fate,
  fateOf,
  Redis,
  type RedisOptions,
  type Reply,
  ReplyError,
  Retry,
  RetryError,
  type SendOptions,
} from "../../mod.ts";
import { dial } from "../../pool/socket/dial.ts";
import type { Dial } from "../../pool/socket/socket.ts";
import { startRedis } from "../support/redis_server.ts";
import { Fixture, testWithFixture as test } from "../support/fixture.ts";
import { later, pastDialPause, SOON_MS, until } from "../support/wait.ts";
import { LateSockets } from "../../cli/proof/late_socket.ts";

/** Dials as usual; while `hold` is set, writes wait for it. */
class GatedDial {
  hold: Promise<void> | undefined;

  readonly dial: Dial = async (endpoint, options) => {
    const socket = await dial(endpoint, options);
    return {
      read: (buffer) => socket.read(buffer),
      write: async (bytes) => {
        await this.hold;
        return await socket.write(bytes);
      },
      close: () => socket.close(),
      unref: () => socket.unref?.(),
    };
  };
}

/** A policy that notes its waits instead of waiting. */
class NotedWaits {
  readonly waits: number[] = [];

  policy(retries = 3): Retry {
    return new Retry({
      retries,
      sleep: (ms) => {
        this.waits.push(ms);
        return Promise.resolve();
      },
    });
  }
}

/** A patient policy for servers that come back. */
const patient = (): Retry =>
  new Retry({
    retries: 60,
    backoff: new ExponentialBackoff({ baseMs: 5, capMs: 100 }),
  });

const lossOf = (promise: Promise<unknown>): Promise<ConnectionClosedError> =>
  assertRejects(() => promise, ConnectionClosedError);

Deno.test("A command on a zombie is replayed at once, on a fresh connection, where that is harmless", async () => {
  const harmless: [Command, Reply][] = [
    [["SET", "key", "value"], "OK"],
    [["GET", "key"], "value"],
    [["ZADD", "set", 1700000000, "member"], 1],
    [["ZADD", "set", 1700000000, "member"], 0],
    [["ZRANGE", "set", 0, -1], ["member"]],
    [["DEL", "key"], 1],
    [["PING"], "PONG"],
  ];
  await using fixture = await Fixture.start();
  const noted = new NotedWaits();
  for (const [command, expected] of harmless) {
    fixture.retried.length = 0;
    const redis = fixture.client({
      dial: new LateSockets().dial,
      retry: noted.policy(),
    });
    await redis.send(["PING"]);
    await fixture.kill();
    assertEquals(await redis.send(command), expected, command.join(" "));
    assertEquals(noted.waits, []);
    const { dialed, retries, replays, evicted } = redis.stats();
    assertEquals({ dialed, retries, replays, evicted }, {
      dialed: 2,
      retries: 0,
      replays: 1,
      evicted: { fin: 1 },
    });
    const [info] = fixture.retried;
    assertEquals(
      [info?.command, info?.attempt, info?.delayMs, info?.isReplay],
      [command[0], 1, 0, true],
    );
    assertInstanceOf(info?.error, ConnectionClosedError);
    await redis.close();
  }
});

test("The free replay is free by the clock", async (fixture) => {
  const redis = fixture.client({
    dial: new LateSockets().dial,
    retry: new Retry({
      backoff: new ExponentialBackoff({ baseMs: 3000, capMs: 3000 }),
    }),
  });
  await redis.send(["PING"]);
  await fixture.kill();
  const startedAt = performance.now();
  assertEquals(await redis.send(["GET", "key"]), null);
  assertLess(performance.now() - startedAt, 1500);
});

test("A pipeline on a zombie is replayed at once", async (fixture) => {
  const noted = new NotedWaits();
  const redis = fixture.client({
    dial: new LateSockets().dial,
    retry: noted.policy(),
  });
  await redis.send(["PING"]);
  await fixture.kill();
  const replies = await redis.pipeline([["SET", "a", 1], ["GET", "a"]]);
  assertEquals(replies, ["OK", "1"]);
  assertEquals(noted.waits, []);
});

test("The free replay does not land on the next zombie", async (fixture) => {
  const noted = new NotedWaits();
  const redis = fixture.client({
    dial: new LateSockets().dial,
    retry: noted.policy(),
  });
  const leases = await Promise.all(
    Array.from({ length: 6 }, () => redis.lease()),
  );
  for (const lease of leases) {
    await lease.send(["PING"]);
    lease.release();
  }
  assertEquals(redis.stats().idle, 6);
  await fixture.kill();
  assertEquals(await redis.send(["GET", "key"]), null);
  assertEquals(noted.waits, []);
});

test("INCR on a zombie is not replayed, and the error says why", async (fixture) => {
  const redis = fixture.client({ dial: new LateSockets().dial });
  await redis.send(["PING"]);
  await fixture.kill();
  const error = await lossOf(redis.send(["INCR", "counter"]));
  assertEquals(error.fate, "unknown");
  assertEquals(fateOf(error), "unknown");
  assertMatch(error.message, /^Connection closed by server: /);
  assertStringIncludes(
    error.message,
    "the command may have run, INCR was not replayed: a second run would add again",
  );
  assertEquals(await fixture.server.cli("EXISTS", "counter"), "0");
  assertEquals(fixture.retried, []);
  const pipelined = fixture.client({ dial: new LateSockets().dial });
  await pipelined.send(["PING"]);
  await fixture.kill();
  const loss = await lossOf(
    pipelined.pipeline([["GET", "a"], ["INCR", "counter"], ["LPUSH", "l", 1]]),
  );
  assertEquals(loss.fate, "unknown");
  assertStringIncludes(loss.message, "INCR was not replayed");
});

test("A lost reply counts once: INCR that ran is not run again", async (fixture) => {
  const redis = fixture.client();
  await redis.send(["PING"]);
  fixture.proxy.cut(0, { scope: "open" });
  const error = await lossOf(redis.send(["INCR", "counter"]));
  assertEquals(error.fate, "unknown");
  assertEquals(await redis.send(["GET", "counter"]), "1");
});

test("A lost reply of a harmless command is fetched by running it again", async (fixture) => {
  const redis = fixture.client();
  await redis.send(["PING"]);
  fixture.proxy.cut(0, { scope: "open" });
  assertEquals(await redis.send(["SET", "key", "value"]), "OK");
  assertEquals(await fixture.calls("set"), 2);
  assertEquals(redis.stats().replays, 1);
});

test('replay "reads" sends what only reads again, and no write', async (fixture) => {
  const redis = fixture.client();
  const reads = { replay: "reads" } as const;
  await redis.send(["PING"]);
  fixture.proxy.cut(0, { scope: "open" });
  assertEquals(await redis.pipeline([["GET", "k"], ["LLEN", "l"]], reads), [
    null,
    0,
  ]);
  assertEquals(redis.stats().replays, 1);
  await redis.send(["PING"]);
  fixture.proxy.cut(0, { scope: "open" });
  const error = await lossOf(redis.send(["SET", "k", "v"], reads));
  assertEquals(error.fate, "unknown");
  assertStringIncludes(
    error.message,
    'SET was not replayed: replay is "reads", and it is not known to write nothing',
  );
  assertEquals(await fixture.calls("set"), 1);
});

test("A pipeline of reads, and one of writes that expire, is sent again", async (fixture) => {
  const redis = fixture.client();
  const cached: Command = ["SET", "k", "v", "EX", 60];
  for (
    const [pipeline, replies] of [
      [[["LLEN", "l"], ["LLEN", "l"]], [0, 0]],
      [[["HLEN", "h"], ["DBSIZE"], ["TYPE", "k"]], [0, 0, "none"]],
      [[cached, cached], ["OK", "OK"]],
    ] as [Command[], Reply[]][]
  ) {
    await redis.send(["PING"]);
    fixture.proxy.cut(0, { scope: "open" });
    assertEquals(await redis.pipeline(pipeline), replies);
  }
  assertEquals(redis.stats().replays, 3);
});

test('replay "always" runs INCR again, replay "never" not even GET', async (fixture) => {
  const redis = fixture.client();
  await redis.send(["PING"]);
  fixture.proxy.cut(0, { scope: "open" });
  assertEquals(await redis.send(["INCR", "counter"], { replay: "always" }), 2);
  assertEquals(redis.stats().replays, 1);

  fixture.proxy.cut(0, { scope: "open" });
  const never = { replay: "never" } as const;
  const error = await lossOf(redis.send(["GET", "counter"], never));
  assertEquals(error.fate, "unknown");
  assertStringIncludes(error.message, 'it was not replayed: replay is "never"');
  await redis.send(["PING"]);
  fixture.proxy.cut(0, { scope: "open" });
  await lossOf(redis.pipeline([["GET", "counter"]], never));
  await redis.send(["PING"]);
  fixture.proxy.cut(0, { scope: "open" });
  assertEquals(
    await redis.pipeline([["INCR", "counter"], ["GET", "counter"]], {
      replay: "always",
    }),
    [4, "4"],
  );
});

test("A command that was never written is sent again, even INCR", async (fixture) => {
  const gated = new GatedDial();
  const redis = fixture.client({ dial: gated.dial, maxConnections: 1 });
  await redis.send(["PING"]);
  const gate = Promise.withResolvers<void>();
  gated.hold = gate.promise;
  const written = later(redis.send(["GET", "key"]));
  await delay(0);
  const unsent = [
    later(redis.send(["INCR", "counter"])),
    later(redis.send(["INCR", "counter"], { replay: "never" })),
  ];
  const piped = later(
    redis.pipeline([["INCR", "counter"], ["INCR", "counter"]]),
  );
  await delay(0);
  gated.hold = undefined;
  await fixture.proxy.killAll("fin");
  await until(() => redis.stats().evicted.fin === 1, "the eviction");
  gate.resolve();
  assertEquals(await written, null);
  assertEquals(await Promise.all(unsent), [1, 2]);
  assertEquals(await piped, [3, 4]);
  // Only GET may have run before.
  assertEquals(redis.stats().replays, 1);
  assertEquals(
    fixture.retried.filter(({ isReplay }) => isReplay).map((i) => i.command),
    ["GET"],
  );
});

test("retry: false makes exactly one attempt", async (fixture) => {
  for (
    const [options, sendOptions] of [
      [{ retry: false }, {}],
      [{}, { retry: false }],
    ] as const
  ) {
    const redis = fixture.client({ dial: new LateSockets().dial, ...options });
    const kill = async () => {
      await redis.send(["PING"], { retry: new Retry() });
      await fixture.kill();
    };
    await redis.send(["PING"]);
    await fixture.kill();
    await lossOf(redis.send(["GET", "key"], sendOptions));
    await kill();
    await lossOf(redis.pipeline([["GET", "key"]], sendOptions));
    await fixture.proxy.refuse();
    await pastDialPause();
    const dials = redis.stats().dialFailures;
    await assertRejects(
      () => redis.send(["GET", "key"], sendOptions),
      DialError,
    );
    assertEquals(redis.stats().dialFailures, dials + 1);
    assertEquals(redis.stats().retries, 0);
    await fixture.proxy.accept();
    await redis.close();
  }
  assertEquals(fixture.retried.filter(({ command }) => command !== "PING"), []);
});

test("A policy of one call overrides that of the client", async (fixture) => {
  await fixture.proxy.refuse();
  const noted = new NotedWaits();
  const redis = fixture.client({ retry: false });
  const error = await assertRejects(
    () => redis.send(["GET", "key"], { retry: noted.policy(5) }),
    RetryError,
  );
  assertEquals(error.attempts, 6);
  assertEquals(noted.waits, [100, 200, 400, 800, 1000]);
  assertEquals(redis.stats().retries, 5);
});

test("When the attempts run out the error holds all of them", async (fixture) => {
  const noted = new NotedWaits();
  const redis = fixture.client({ retry: noted.policy(2) });
  await redis.send(["PING"]);
  fixture.server.freeze(); // no reply can come before the kill
  const failing = later(redis.send(["GET", "key"]));
  await delay(0);
  await fixture.proxy.slam("fin");
  await fixture.proxy.killAll("fin");
  const error = await assertRejects(() => failing, RetryError);
  fixture.server.thaw();
  assertEquals(error.attempts, 4);
  const [lost, ...dials] = error.errors;
  assertInstanceOf(lost, ConnectionClosedError);
  assertEquals(lost.fate, "unknown");
  assertEquals(dials.length, 3);
  for (const dial of dials) assertInstanceOf(dial, DialError);
  assertStrictEquals(error.cause, error.errors[3]);
  assertMatch(
    error.message,
    /^Gave up after 4 attempts \(2 retries, 1 replay\): Cannot connect to /,
  );
  assertEquals(fateOf(error), "unknown");
  assertEquals(
    fixture.retried.map((info) => [info.attempt, info.delayMs, info.isReplay]),
    [[1, 0, true], [2, 100, false], [3, 200, false]],
  );
  assertEquals(redis.stats().waiting, 0);
});

test("A deadline ends the attempts before a wait would overrun it", async (fixture) => {
  await fixture.proxy.refuse();
  const redis = fixture.client({
    retry: new Retry({
      retries: 50,
      deadlineMs: 300,
      backoff: new ExponentialBackoff({ baseMs: 100, capMs: 100 }),
    }),
  });
  const startedAt = performance.now();
  const error = await assertRejects(
    () => redis.send(["GET", "key"]),
    RetryError,
  );
  assertLess(performance.now() - startedAt, SOON_MS);
  assertLessOrEqual(error.attempts, 3);
});

test("An isRetriable that says no is obeyed", async (fixture) => {
  await fixture.proxy.refuse();
  const redis = fixture.client({
    retry: new Retry({ isRetriable: () => false }),
  });
  await assertRejects(() => redis.send(["GET", "key"]), DialError);
  assertEquals(fixture.retried, []);
});

Deno.test("fateOf speaks for all attempts", () => {
  const report: CloseReport = {
    by: "server",
    how: "fin",
    during: "idle",
    cause: undefined,
    endpoint: "redis.example:6379",
    connection: 1,
    clientId: undefined,
    closedAt: 0,
    ageMs: 0,
    idleMs: 0,
    silentMs: 0,
    owedMs: 0,
    commandsServed: 0,
    bytesIn: 0,
    bytesOut: 0,
    inFlight: 0,
    firstInFlight: undefined,
    replyBytes: 0,
  };
  const unsent = new ConnectionClosedError(report, "unsent");
  const unknown = new ConnectionClosedError(report, "unknown");
  const executed = new ConnectionClosedError(report, "executed");
  const dialed = new DialError("redis.example:6379", "connect", "no");
  const waited = new CheckoutTimeoutError("no");
  const cases: [unknown, Fate][] = [
    [unsent, "unsent"],
    [unknown, "unknown"],
    [executed, "executed"],
    [dialed, "unsent"],
    [waited, "unsent"],
    [new TypeError("a mistake of the caller's own"), "unknown"],
    [new ReplyError("WRONGTYPE no"), "executed"],
    [new DOMException("gone", "AbortError"), "unknown"],
    ["anything", "unknown"],
    [undefined, "unknown"],
    [new RetryError([unsent, dialed, waited]), "unsent"],
    [new RetryError([unknown, dialed]), "unknown"],
    [new RetryError([dialed, unknown, unsent]), "unknown"],
    [new RetryError([new RetryError([unknown]), dialed]), "unknown"],
  ];
  for (const [error, fate] of cases) {
    assertEquals(fateOf(error), fate, Deno.inspect(error));
  }
});

Deno.test("fateOf does not call executed what the server refused to run", () => {
  const loading = new ReplyError(
    "LOADING Redis is loading the dataset in memory",
  );
  const readonly = new ReplyError(
    "READONLY You can't write against a read only replica.",
  );
  for (const error of [loading, readonly]) {
    assertNotEquals(fateOf(error), "executed");
    assertNotEquals(fateOf(new RetryError([error, error])), "executed");
  }
});

Deno.test("Further attempts of a lease and of a blocking command are told and counted", async () => {
  const told: [string, number, boolean][] = [];
  await using redis = new Redis("redis://127.0.0.1:1", {
    retry: new Retry({ retries: 2, sleep: () => Promise.resolve() }),
    onRetry: ({ command, attempt, isReplay }) =>
      told.push([command, attempt, isReplay]),
  });
  await assertRejects(() => redis.lease(), RetryError);
  await assertRejects(() => redis.send(["BLPOP", "key", 1]), RetryError);
  assertEquals(told, [
    ["lease", 1, false],
    ["lease", 2, false],
    ["BLPOP", 1, false],
    ["BLPOP", 2, false],
  ]);
  assertEquals(redis.stats().retries, 4);
});

Deno.test("A pipeline that was answered in part was not unsent", async () => {
  const server = new TextEncoder();
  const { promise: ended, resolve: end } = Promise.withResolvers<null>();
  const answers = ["*0\r\n", ":1\r\n+OK\r\n"];
  let written = Promise.withResolvers<void>();
  const dial = () =>
    Promise.resolve({
      async read(buffer: Uint8Array): Promise<number | null> {
        await written.promise;
        written = Promise.withResolvers<void>();
        const answer = answers.shift();
        if (answer === undefined) return await ended;
        return server.encodeInto(answer, buffer).written;
      },
      async write(bytes: Uint8Array): Promise<number> {
        written.resolve();
        // The write of the first commands is not over when their answer comes.
        if (bytes.length > 1000) setTimeout(() => end(null), 20), await ended;
        return bytes.length;
      },
      close: () => end(null),
    });
  await using redis = new Redis("redis://nowhere", { retry: false, dial });
  const error = await assertRejects(
    () =>
      redis.pipeline([
        ["INCR", "n"],
        ["SET", "k", "x".repeat(100_000)],
        ["GET", "k"],
      ]),
    ConnectionClosedError,
  );
  assertEquals(fateOf(error), "unknown");
  assertMatch(error.message, /2 of 3 were answered/);
});

test("fateOf does not believe a script that says it did not run", async (fixture) => {
  const redis = fixture.client();
  const script =
    "redis.call('INCR', KEYS[1]); return redis.error_reply('LOADING later')";
  const error = await assertRejects(
    () => redis.send(["EVAL", script, 1, "key"]),
    ReplyError,
  );
  assertEquals(error.code, "LOADING");
  assertEquals(fateOf(error), "unknown");
  assertEquals(await redis.send(["GET", "key"]), "1");
});

test("fateOf stays unknown when one attempt was lost and another refused", async (fixture) => {
  const redis = fixture.client({ retry: new NotedWaits().policy(1) });
  await fixture.server.cli("REPLICAOF", "127.0.0.1", 1);
  const refused = await assertRejects(
    () => redis.send(["SET", "key", "value"], { retry: false }),
    ReplyError,
  );
  await fixture.server.cli("REPLICAOF", "NO", "ONE");
  await redis.send(["PING"]);
  fixture.proxy.cut(0, { scope: "open" });
  const lost = await lossOf(redis.send(["INCR", "counter"]));
  assertEquals(fateOf(new RetryError([lost, refused])), "unknown");
  assertEquals(fateOf(new RetryError([refused, lost])), "unknown");
});

test("READONLY is tried again, on another connection, until the server is a primary", async (fixture) => {
  const redis = fixture.client({ retry: patient() });
  await redis.send(["PING"]);
  await fixture.server.cli("REPLICAOF", "127.0.0.1", 1);
  const counted = later(redis.send(["INCR", "counter"]));
  const piped = later(
    redis.pipeline([["INCR", "counter"], ["SET", "key", "value"]]),
  );
  await until(() => fixture.retried.length >= 4, "some attempts");
  await fixture.server.cli("REPLICAOF", "NO", "ONE");
  const replies = [await counted, ...await piped];
  assert(replies.includes("OK"));
  assertEquals(await redis.send(["GET", "counter"]), "2");
  const { retries, replays, evicted } = redis.stats();
  assertGreaterOrEqual(retries, 4);
  assertEquals(replays, 0);
  assertGreaterOrEqual(evicted.readonly ?? 0, 1);
  assert(fixture.retried.every(({ isReplay }) => !isReplay));
  assertEquals(
    new Set(fixture.retried.map(({ error }) => (error as ReplyError).code)),
    new Set(["READONLY"]),
  );
});

test("A pipeline of which the server ran a part is answered as it is", async (fixture) => {
  const redis = fixture.client();
  await fixture.server.cli("SET", "key", "value");
  await fixture.server.cli("REPLICAOF", "127.0.0.1", 1);
  const [got, set] = await redis.pipeline([["GET", "key"], ["SET", "key", 2]]);
  assertEquals(got, "value");
  assertInstanceOf(set, ReplyError);
  assertEquals(set.code, "READONLY");
  assertEquals(fixture.retried, []);
});

test("READONLY that lasts ends in a RetryError, or at once without retry", async (fixture) => {
  const noted = new NotedWaits();
  const redis = fixture.client({ retry: noted.policy() });
  await fixture.server.cli("REPLICAOF", "127.0.0.1", 1);
  const error = await assertRejects(
    () => redis.send(["SET", "k", 1]),
    RetryError,
  );
  assertEquals(error.attempts, 4);
  assertInstanceOf(error.cause, ReplyError);
  assertEquals(noted.waits, [100, 200, 400]);
  await assertRejects(
    () => redis.send(["SET", "k", 1], { retry: false }),
    ReplyError,
    "READONLY",
  );
});

test("A blocking command that a replica refuses is tried again like any other", async (fixture) => {
  await fixture.server.cli("RPUSH", "list", "element");
  await fixture.server.cli("REPLICAOF", "127.0.0.1", 1);
  const redis = fixture.client({ retry: patient() });
  const popped = later(redis.send(["BLPOP", "list", 1]));
  await delay(60);
  await fixture.server.cli("REPLICAOF", "NO", "ONE");
  assertEquals(await popped, ["list", "element"]);
});

test("A blocking command comes before those who ask for a connection after it", async (fixture) => {
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

Deno.test("BUSY is tried again until the script is killed", async () => {
  await using fixture = await Fixture.start({
    config: { "lua-time-limit": 5 },
  });
  const script = fixture.server.cli("EVAL", "while true do end", 0)
    .catch((error: Error) => error.message);
  await delay(50);
  const redis = fixture.client({ retry: patient() });
  const counted = later(redis.send(["INCR", "counter"]));
  await until(() => fixture.retried.length > 0, "an attempt");
  await fixture.server.cli("SCRIPT", "KILL");
  assertEquals(await counted, 1);
  assertStringIncludes(await script, "killed");
  assert(
    fixture.retried.some(({ error }) =>
      error instanceof ReplyError && error.code === "BUSY"
    ),
  );
});

Deno.test("LOADING is tried again until the data are there", async () => {
  await using fixture = await Fixture.start({
    config: { appendonly: "yes", "key-load-delay": 300 },
  });
  const filler = fixture.client();
  await filler.pipeline(
    Array.from({ length: 4000 }, (_, i): Command => ["SET", `key${i}`, i]),
  );
  await filler.close();
  await fixture.server.stop();
  const started = later(fixture.server.start());
  const redis = fixture.client({ retry: patient() });
  assertEquals(await redis.send(["GET", "key3999"]), "3999");
  await started;
  assert(
    fixture.retried.some(({ error }) =>
      // Refused itself, or in the handshake of its connection.
      [error, error.cause].some((e) =>
        e instanceof ReplyError && e.code === "LOADING"
      )
    ),
    `only ${fixture.retried.map(({ error }) => error.message).join("; ")}`,
  );
});

test("An error that is an answer is not tried again", async (fixture) => {
  const redis = fixture.client();
  await redis.send(["SET", "text", "value"]);
  const wrong: [Command, string][] = [
    [["LPUSH", "text", "x"], "WRONGTYPE"],
    [["NOSUCHCOMMAND"], "ERR"],
    [["GET"], "ERR"],
    [["EVAL", "return redis.error_reply('NOPE not this')", 0], "NOPE"],
  ];
  for (const [command, code] of wrong) {
    const error = await assertRejects(() => redis.send(command), ReplyError);
    assertEquals(error.code, code);
  }
  assertEquals(await fixture.calls("lpush"), 1);
  assertEquals(fixture.retried, []);
  const { retries, dialed, evicted } = redis.stats();
  assertEquals({ retries, dialed, evicted }, {
    retries: 0,
    dialed: 1,
    evicted: {},
  });
});

test("A wrong password costs one connection, however many ask", async (fixture) => {
  await fixture.server.cli("CONFIG", "SET", "requirepass", "right");
  const redis = fixture.client({ password: "mist@ken" });
  await Promise.all(
    Array.from(
      { length: 50 },
      () => assertRejects(() => redis.send(["PING"]), DialError, "WRONGPASS"),
    ),
  );
  assertEquals(fixture.proxy.connections, 1);
  assertEquals(fixture.retried, []);
  // The server's owner must be able to stop it.
  const owner = new Redis(fixture.server.url, { password: "right" });
  await owner.send(["CONFIG", "SET", "requirepass", ""]);
  await owner.close();
});

test("A pipeline answers in order, with error replies as values", async (fixture) => {
  const redis = fixture.client();
  const commands: Command[] = [];
  for (let i = 0; i < 3000; i++) commands.push(["ECHO", `${i}`]);
  assertEquals(
    await redis.pipeline(commands),
    Array.from({ length: 3000 }, (_, i) => `${i}`),
  );
  const [set, wrong, incr, nothing] = await redis.pipeline([
    ["SET", "text", "value"],
    ["INCR", "text"],
    ["INCR", "counter"],
    ["GET", "none"],
  ]);
  assertEquals([set, incr, nothing], ["OK", 1, null]);
  assertInstanceOf(wrong, ReplyError);
  assertMatch(wrong.message, /^ERR value is not an integer/);
  const errors = await redis.pipeline([["NOSUCH"], ["GET"]]);
  assert(errors.every((reply) => reply instanceof ReplyError));
  assertEquals(redis.stats().retries, 0);
});

test("Pipelines and sends of one turn do not mix up their replies", async (fixture) => {
  const redis = fixture.client({ maxConnections: 1 });
  const replies = await Promise.all(
    Array.from(
      { length: 300 },
      (_, i) =>
        i % 3 === 0
          ? redis.send(["ECHO", `${i}`])
          : redis.pipeline([["ECHO", `${i}a`], ["ECHO", `${i}b`]]),
    ),
  );
  replies.forEach((reply, i) =>
    assertEquals(reply, i % 3 === 0 ? `${i}` : [`${i}a`, `${i}b`])
  );
});

test("An empty pipeline is answered without a connection", async (fixture) => {
  const redis = fixture.client();
  assertEquals(await redis.pipeline([]), []);
  assertEquals(redis.stats().dialed, 0);
  await redis.close();
});

test("A pipeline with a bad argument in the middle sends nothing", async (fixture) => {
  const redis = fixture.client();
  await redis.send(["PING"]);
  for (const bad of [NaN, undefined, null, {}, [], true]) {
    const broken = ["SET", "b", bad] as unknown as Command;
    const error = await assertRejects(
      () => redis.pipeline([["SET", "a", 1], broken, ["SET", "c", 1]]),
      TypeError,
    );
    assertEquals(fateOf(error), "unsent");
    await assertRejects(() => redis.send(broken), TypeError);
  }
  for (const none of [[], undefined, null, "PING", 7, [7]]) {
    const broken = none as unknown as Command;
    await assertRejects(() => redis.send(broken), TypeError);
    await assertRejects(
      () => redis.pipeline([["SET", "a", 1], broken]),
      TypeError,
    );
  }
  assertEquals(await redis.send(["EXISTS", "a", "b", "c"]), 0);
  assertEquals(redis.stats().dialed, 1);
  assertEquals(redis.stats().inFlight, 0);
  await redis.close(); // and does not wait for any of them
});

test("A pipeline that lost its connection goes on where its replies ended", async (fixture) => {
  const noted = new NotedWaits();
  const redis = fixture.client({ retry: noted.policy() });
  const commands: Command[] = [["INCR", "first"]];
  for (let i = 0; i < 50; i++) commands.push(["SET", `key${i}`, i]);
  const expected = [1, ...Array(50).fill("OK")];
  // ":1\r\n" and "+OK\r\n" for the handful that get through.
  for (
    const [bytes, answered] of [[4, 1], [6, 1], [9, 2], [4 + 5 * 30 + 2, 31], [
      4 + 5 * 49,
      50,
    ]] as const
  ) {
    await redis.send(["DEL", "first"]);
    await fixture.server.cli("CONFIG", "RESETSTAT");
    fixture.retried.length = 0;
    fixture.proxy.cut(bytes, { scope: "open" });
    assertEquals(await redis.pipeline(commands), expected, `${bytes} bytes`);
    assertEquals(await fixture.calls("incr"), 1);
    assertEquals(await fixture.calls("set"), 50 + 51 - answered);
    assertEquals(fixture.retried.map(({ command }) => command), ["SET"]);
    assert(fixture.retried[0]?.isReplay);
  }
});

test("A pipeline never repeats an unsafe command that may have run", async (fixture) => {
  const redis = fixture.client();
  for (const bytes of [0, 2, 5, 7]) {
    await redis.send(["DEL", "counter"]);
    fixture.proxy.cut(bytes, { scope: "open" });
    const error = await lossOf(
      redis.pipeline([["SET", "a", 1], ["INCR", "counter"], ["SET", "b", 1]]),
    );
    assertEquals(error.fate, "unknown");
    assertStringIncludes(error.message, "INCR was not replayed");
    assertEquals(await redis.send(["GET", "counter"]), "1", `${bytes} bytes`);
  }
});

test("A signal that was aborted before sends nothing", async (fixture) => {
  const redis = fixture.client();
  const signal = AbortSignal.abort(new Error("too late"));
  await assertRejects(
    () => redis.send(["INCR", "n"], { signal }),
    Error,
    "too late",
  );
  await assertRejects(
    () => redis.pipeline([["INCR", "n"]], { signal }),
    Error,
    "too late",
  );
  await assertRejects(
    () => redis.send(["BLPOP", "l", 0], { signal }),
    Error,
    "too late",
  );
  await assertRejects(() => redis.lease({ signal }), Error, "too late");
  assertEquals(await redis.send(["EXISTS", "n"]), 0);
});

test("An abort while waiting for a connection sends nothing", async (fixture) => {
  const redis = fixture.client({
    dial: async (endpoint, options) => {
      await delay(100);
      return dial(endpoint, options);
    },
  });
  const leaver = new AbortController();
  const { signal } = leaver;
  const left = Promise.all([
    assertRejects(() => redis.send(["INCR", "n"], { signal }), Error, "enough"),
    assertRejects(
      () => redis.pipeline([["INCR", "n"]], { signal }),
      Error,
      "enough",
    ),
    assertRejects(() => redis.lease({ signal }), Error, "enough"),
  ]);
  const stays = later(redis.send(["EXISTS", "n"]));
  await delay(10);
  const startedAt = performance.now();
  leaver.abort(new Error("enough"));
  await left;
  assertLess(performance.now() - startedAt, 2000);
  assertEquals(await stays, 0);
  assertEquals(await redis.send(["EXISTS", "n"]), 0);
  assertEquals(redis.stats().waiting, 0);
});

test("After an abort in flight the slot swallows its reply, and later replies stay right", async (fixture) => {
  const redis = fixture.client({ maxConnections: 1 });
  await redis.send(["PING"]);
  fixture.proxy.delay(150);
  const leaver = new AbortController();
  const { signal } = leaver;
  const replies: Promise<Reply>[] = [];
  const left: Promise<Error>[] = [];
  for (let i = 0; i < 50; i++) {
    if (i % 3 === 0) {
      left.push(
        assertRejects(
          () => redis.send(["ECHO", `left${i}`], { signal }),
          Error,
        ),
      );
    } else if (i % 3 === 1) {
      left.push(assertRejects(
        () => redis.pipeline([["ECHO", `l${i}`], ["INCR", "n"]], { signal }),
        Error,
      ));
    } else replies.push(redis.send(["ECHO", `${i}`]));
  }
  await delay(20);
  const startedAt = performance.now();
  leaver.abort(new Error("enough"));
  for (const error of await Promise.all(left)) {
    assertEquals(error.message, "enough");
    assertEquals(fateOf(error), "unknown");
  }
  assertLess(performance.now() - startedAt, 2000);
  for (let i = 100; i < 120; i++) replies.push(redis.send(["ECHO", `${i}`]));
  assertEquals(await Promise.all(replies), [
    ...Array.from({ length: 16 }, (_, i) => `${3 * i + 2}`),
    ...Array.from({ length: 20 }, (_, i) => `${i + 100}`),
  ]);
  assertEquals(redis.stats().dialed, 1);
  assertEquals(redis.stats().inFlight, 0);
  // What was written runs all the same.
  assertEquals(await redis.send(["GET", "n"]), "17");
});

test("Replies that the slots of aborted commands swallow do not count as done: close() waits for the others", async (fixture) => {
  const redis = fixture.client({ maxConnections: 1 });
  await redis.send(["PING"]);
  fixture.proxy.delay(80);
  const leaver = new AbortController();
  const { signal } = leaver;
  const left = Promise.all(Array.from(
    { length: 5 },
    () => assertRejects(() => redis.send(["GET", "key"], { signal })),
  ));
  await delay(30);
  const stays = later(redis.send(["ECHO", "last"]));
  leaver.abort();
  await left;
  await redis.close();
  assertEquals(await stays, "last");
});

test("An aborted command is not replayed when its connection dies", async (fixture) => {
  const redis = fixture.client({ maxConnections: 1 });
  await redis.send(["PING"]);
  fixture.proxy.silence({ scope: "open" });
  const leaver = new AbortController();
  const left = assertRejects(() =>
    redis.send(["SET", "key", "value"], { signal: leaver.signal })
  );
  await delay(10);
  leaver.abort();
  await left;
  await fixture.proxy.killAll("rst");
  await until(() => redis.stats().open === 0, "the end");
  assertEquals(await redis.send(["EXISTS", "key"]), 0);
  assertEquals(fixture.retried, []);
});

test("An abort ends the wait between two attempts", async (fixture) => {
  await fixture.proxy.refuse();
  const redis = fixture.client({
    retry: new Retry({
      backoff: new ExponentialBackoff({ baseMs: 60_000, capMs: 60_000 }),
    }),
  });
  const leaver = new AbortController();
  const { signal } = leaver;
  const left = Promise.all([
    assertRejects(() => redis.send(["GET", "n"], { signal }), Error, "enough"),
    assertRejects(
      () => redis.pipeline([["GET", "n"]], { signal }),
      Error,
      "enough",
    ),
  ]);
  await until(() => fixture.retried.length === 2, "they sleep");
  await delay(20);
  const startedAt = performance.now();
  leaver.abort(new Error("enough"));
  await left;
  assertLess(performance.now() - startedAt, 2000);
  await redis.close(); // at once: nothing is under way
  assertLess(performance.now() - startedAt, 4000);
});

test("An abort ends the wait of a lease and of a blocking command between two attempts", async (fixture) => {
  await fixture.proxy.refuse();
  for (const isLease of [true, false]) {
    const sleeping = Promise.withResolvers<void>();
    const redis = fixture.client({
      retry: new Retry({
        sleep: async (_, signal) => {
          sleeping.resolve();
          await delay(60_000, signal === undefined ? {} : { signal });
        },
      }),
    });
    const leaver = new AbortController();
    const { signal } = leaver;
    const left = assertRejects(
      () =>
        isLease
          ? redis.lease({ signal })
          : redis.send(["BLPOP", "n", 1], { signal }),
      Error,
      "enough",
    );
    await sleeping.promise;
    const startedAt = performance.now();
    leaver.abort(new Error("enough"));
    await left;
    await redis.close();
    assertLess(performance.now() - startedAt, 4000);
  }
});

test("close() waits for what is under way, and refuses what comes", async (fixture) => {
  const redis = fixture.client();
  await redis.send(["PING"]);
  fixture.proxy.delay(120);
  const replies = Promise.all([
    redis.send(["INCR", "n"]),
    redis.pipeline([["INCR", "n"], ["INCR", "n"]]),
    redis.send(["BLPOP", "list", 0.05]),
  ]);
  const closed = redis.close();
  assert(redis.isClosed);
  for (
    const refused of [
      () => redis.send(["INCR", "n"]),
      () => redis.pipeline([["INCR", "n"]]),
      () => redis.send(["BLPOP", "list", 1]),
      () => redis.lease(),
    ]
  ) {
    const error = await assertRejects(refused, Error);
    assertMatch(error.message, /^Cannot .*: this client of .* is closed$/);
  }
  assertEquals(await replies, [1, [2, 3], null]);
  await closed;
  assertEquals(redis.stats().open, 0);
  await until(() => fixture.proxy.open === 0, "every socket is closed");
  assertEquals(await fixture.server.cli("GET", "n"), "3");
});

test("close() rejects after drainMs what is not done by then", async (fixture) => {
  const redis = fixture.client({ maxConnections: 1 });
  await redis.send(["PING"]);
  fixture.proxy.silence({ scope: "open" });
  const startedAt = performance.now();
  const lost = Promise.all([
    assertRejects(() => redis.send(["INCR", "n"]), Error),
    assertRejects(() => redis.send(["GET", "n"]), Error),
    assertRejects(() => redis.pipeline([["GET", "n"], ["INCR", "n"]]), Error),
    assertRejects(() => redis.lease(), Error),
  ]);
  await redis.close({ drainMs: 100 });
  const elapsed = performance.now() - startedAt;
  assertGreaterOrEqual(elapsed, 95);
  assertLess(elapsed, 4000);
  for (const error of (await lost).slice(0, 3)) {
    assertEquals(fateOf(error), "unknown");
    assertMatch(error.message, /closed/);
  }
  assertEquals(redis.stats().open, 0);
  assertEquals(redis.stats().waiting, 0);
});

test("close() waits for a lease to be released, up to drainMs", async (fixture) => {
  const redis = fixture.client();
  const lease = await redis.lease();
  const closed = redis.close();
  assertEquals(await lease.send(["PING"]), "PONG");
  lease.release();
  await closed;
  assertEquals(redis.stats().open, 0);

  const other = fixture.client();
  const kept = await other.lease();
  await other.close({ drainMs: 30 });
  await assertRejects(() => kept.send(["PING"]), ConnectionClosedError);
  kept.release();
});

test("close() during a dial ends the dial and rejects who waits", async (fixture) => {
  const redis = fixture.client({
    dial: (_, { signal }) =>
      new Promise((_resolve, reject) =>
        signal.addEventListener("abort", () => reject(signal.reason))
      ),
  });
  const left = Promise.all([
    assertRejects(() => redis.send(["GET", "n"]), Error, "closed"),
    assertRejects(() => redis.lease(), Error, "closed"),
  ]);
  const startedAt = performance.now();
  await redis.close({ drainMs: 20 });
  await left;
  assertLess(performance.now() - startedAt, 4000);
  assertEquals(fixture.proxy.connections, 0);
});

test("close() during the wait between two attempts rejects at once after drainMs", async (fixture) => {
  await fixture.proxy.refuse();
  const redis = fixture.client({
    retry: new Retry({
      backoff: new ExponentialBackoff({ baseMs: 60_000, capMs: 60_000 }),
    }),
  });
  const left = assertRejects(() => redis.send(["GET", "n"]), Error, "closed");
  await until(() => fixture.retried.length === 1, "it sleeps");
  await redis.close({ drainMs: 20 });
  await left;
});

test("close() twice is close() once, and an unused client closes at once", async (fixture) => {
  const redis = fixture.client();
  await redis.send(["PING"]);
  assertStrictEquals(redis.close(), redis.close());
  await redis.close();
  await redis[Symbol.asyncDispose]();
  assertEquals(fixture.reports.length, 1);
  assertEquals(
    [fixture.reports[0]?.by, fixture.reports[0]?.how],
    ["client", "requested"],
  );
  await fixture.client().close();

  let held: Redis;
  {
    await using used = fixture.client();
    await used.send(["PING"]);
    held = used;
  }
  assert(held.isClosed);
  assertEquals(held.stats().open, 0);
});

test("What is sent again is what was sent, whatever became of the array", async (fixture) => {
  const redis = fixture.client({ dial: new LateSockets().dial });
  const cold: [string, ...string[]] = ["SET", "cold", "right"];
  const coldSent = redis.send(cold);
  cold[2] = "wrong";
  cold.push("NX");
  await coldSent;

  await fixture.kill();
  const late: [string, ...string[]] = ["SET", "late", "right"];
  const lateSent = redis.send(late);
  late[0] = "DEL";
  late[2] = "wrong";
  assertEquals(await lateSent, "OK");

  await fixture.kill();
  const first: [string, ...string[]] = ["SET", "piped", "right"];
  const pipeline: Command[] = [first];
  const piped = later(redis.pipeline(pipeline));
  first[2] = "wrong";
  pipeline.push(["DEL", "cold"]);
  assertEquals(await piped, ["OK"]);
  assertEquals(redis.stats().replays, 2);
  assertEquals(await redis.send(["MGET", "cold", "late", "piped"]), [
    "right",
    "right",
    "right",
  ]);
});

test("onRetry tells of each attempt that another follows, onClose of each connection once", async (fixture) => {
  const noted = new NotedWaits();
  const redis = fixture.client({ retry: noted.policy() });
  await redis.send(["PING"]);
  await fixture.proxy.refuse();
  await fixture.proxy.killAll("fin");
  await until(() => redis.stats().open === 0, "the end");
  await assertRejects(() => redis.send(["GET", "key"]), RetryError);
  assertEquals(
    fixture.retried.map(({ command, attempt, delayMs, isReplay }) => ({
      command,
      attempt,
      delayMs,
      isReplay,
    })),
    [100, 200, 400].map((delayMs, i) => ({
      command: "GET",
      attempt: i + 1,
      delayMs,
      isReplay: false,
    })),
  );
  assert(fixture.retried.every(({ error }) => error instanceof DialError));
  assertEquals(fixture.reports.length, 1);
  assertEquals(redis.stats().retries, 3);
  assertEquals(redis.stats().replays, 0);
  await fixture.proxy.accept();
  await pastDialPause();
  await redis.send(["PING"]);
  await redis.close();
  assertEquals(fixture.reports.length, 2);
  assertNotEquals(
    fixture.reports[0]?.connection,
    fixture.reports[1]?.connection,
  );
});

Deno.test("In a storm of kills INCR runs once for each success, and at most once for each unknown fate", async () => {
  await using fixture = await Fixture.start();
  const redis = fixture.client({ retry: patient(), maxConnections: 4 });
  let isOver = false;
  const storm = (async () => {
    for (let i = 0; !isOver; i++) {
      if (i % 3 === 0) await fixture.proxy.killAll("rst");
      else if (i % 3 === 1) await fixture.proxy.killAll("fin");
      else {
        await fixture.server.cli(
          "CLIENT",
          "KILL",
          "TYPE",
          "normal",
          "SKIPME",
          "yes",
        );
      }
      await delay(4 + i % 9);
    }
  })();
  const replies: Reply[] = [];
  const fates: Record<Fate, number> = { unsent: 0, unknown: 0, executed: 0 };
  const work = async (worker: number) => {
    for (let i = 0; i < 200; i++) {
      try {
        const isPipeline = (i + worker) % 5 === 0;
        if (isPipeline) {
          const [reply] = await redis.pipeline([["INCR", "n"], ["GET", "n"]]);
          replies.push(reply ?? null);
        } else replies.push(await redis.send(["INCR", "n"]));
      } catch (error) {
        fates[fateOf(error)]++;
      }
      if (i % 5 === 0) await delay(1);
    }
  };
  await Promise.all(Array.from({ length: 20 }, (_, worker) => work(worker)));
  isOver = true;
  await storm;
  const counter = Number(await fixture.server.cli("GET", "n"));
  const clue = JSON.stringify({ counter, successes: replies.length, ...fates });
  assertEquals(replies.length + fates.unknown + fates.unsent, 4000, clue);
  assertGreaterOrEqual(counter, replies.length, clue);
  assertLessOrEqual(counter, replies.length + fates.unknown, clue);
  // Each success has a number of its own: no reply reached two callers.
  assertEquals(new Set(replies).size, replies.length, clue);
  assert(
    replies.every((reply) => typeof reply === "number" && reply <= counter),
    clue,
  );
  assertGreater(fixture.reports.length, 5, clue);
  const { open, idle, inFlight, waiting } = redis.stats();
  assertEquals([inFlight, waiting, idle], [0, 0, open], clue);
});

Deno.test("In a storm of kills every ZADD succeeds, and every member is there once", async () => {
  await using fixture = await Fixture.start();
  const redis = fixture.client({ retry: patient(), maxConnections: 4 });
  let isOver = false;
  const storm = (async () => {
    for (let i = 0; !isOver; i++) {
      await fixture.proxy.killAll(i % 2 ? "rst" : "fin");
      await delay(5 + i % 7);
    }
  })();
  const work = async (worker: number) => {
    for (let i = 0; i < 100; i++) {
      const reply = await redis.send(["ZADD", "set", i, `${worker}-${i}`]);
      assert(reply === 0 || reply === 1);
    }
  };
  await Promise.all(Array.from({ length: 20 }, (_, worker) => work(worker)));
  isOver = true;
  await storm;
  assertEquals(await fixture.server.cli("ZCARD", "set"), "2000");
});

Deno.test("Options of the wrong type are refused by name, before anything is sent", async () => {
  const make = (options: unknown) => () =>
    new Redis("rediss://127.0.0.1:1", options as RedisOptions);
  for (
    const [options, says] of [
      [{ retry: { retries: 3 } }, /retry of type object: .*new Retry/],
      [{ limits: { maxBulk: 1 } }, /limits of type object: .*maxBulkLength/],
      [{ limits: { maxDepth: 0 } }, /limits of type object: .*1 or more/],
      [{ limits: { maxDepth: "9" } }, /limits of type object: .*numbers/],
      [{ retry: 3 }, /retry 3: .*a Retry/],
      [{ maxConnections: "3" }, /maxConnections "3"/],
      [{ dial: "x" }, /dial "x": expected a function/],
      [{ onClose: 1 }, /onClose 1: expected a function/],
      [{ postMortem: "yes" }, /postMortem "yes": expected true or false/],
      [
        { tls: { caCert: "x" } },
        /tls\.?\s?caCert: expected .*caCerts/,
      ],
      [
        { tls: { caCerts: "x" } },
        /tls\.caCerts: expected a list/,
      ],
      [{ settle: true }, /option "settle": expected one of maxConnections/],
      [{ toString: () => "x" }, /option "toString": expected one of/],
      [null, /options null/],
    ] as const
  ) {
    assertMatch(assertThrows(make(options), Error).message, says);
  }
  await using redis = new Redis("redis://127.0.0.1:1");
  for (
    const [options, says] of [
      [
        { setle: true },
        /option "setle": expected one of signal, .*resolveFate/,
      ],
      [{ settle: true }, /option "settle": it is called resolveFate now/],
      [{ constructor: 1 }, /option "constructor": expected one of/],
      [{ resolveFate: 1 }, /resolveFate 1: expected true or false/],
      [{ replay: "sometimes" }, /replay "sometimes": expected "auto"/],
      [{ signal: 5 }, /signal 5: expected an AbortSignal/],
      [{ retry: { retries: 3 } }, /retry of type object/],
      [null, /options null/],
    ] as const
  ) {
    const given = options as unknown as SendOptions;
    for (
      const call of [
        () => redis.send(["GET", "key"], given),
        () => redis.send(["BLPOP", "key", 1], given),
        () => redis.pipeline([["GET", "key"]], given),
      ]
    ) assertMatch((await assertRejects(call, TypeError)).message, says);
  }
  const misspelled = { sgnal: AbortSignal.abort() } as object;
  await assertRejects(() => redis.lease(misspelled), TypeError, '"sgnal"');
  assertEquals(redis.stats().dialFailures, 0);
});

test("A policy that throws costs its own caller the call, and nobody else", async (fixture) => {
  const redis = fixture.client({ maxConnections: 1 });
  await redis.send(["SET", "key", "0123456789"]);
  fixture.proxy.cut(5, { scope: "open" });
  const retry = new Retry({
    isRetriable: () => {
      throw new TypeError("a mistake");
    },
  });
  const [own, stranger, single] = await Promise.allSettled([
    redis.send(["GET", "key"], { retry }),
    redis.send(["GET", "key"]),
    redis.send(["GET", "key"], { retry: false }),
  ]);
  assert(own.status === "rejected" && single.status === "rejected");
  assertMatch(own.reason.message, /a mistake/);
  assertEquals(fateOf(own.reason), "unknown");
  assertInstanceOf(single.reason, ConnectionClosedError);
  assertEquals(stranger, { status: "fulfilled", value: "0123456789" });
});

test("fateOf remembers the attempt before a refusal", async (fixture) => {
  await using replica = await startRedis();
  await replica.cli("REPLICAOF", "127.0.0.1", "1");
  const retry = new Retry({ isRetriable: (e) => !(e instanceof ReplyError) });
  const redis = fixture.client({ retry, maxConnections: 1 });
  await redis.send(["PING"]);
  fixture.proxy.retarget(replica);
  fixture.proxy.cut(0, { scope: "open" });
  const error = await assertRejects(() => redis.send(["SET", "key", "v"]));
  assertMatch(`${error}`, /READONLY/);
  assertEquals(fateOf(error), "unknown");
  assertEquals(await fixture.server.cli("GET", "key"), "v");
});

test("fateOf does not believe what an abort gives as its reason", async (fixture) => {
  const redis = fixture.client();
  await redis.send(["PING"]);
  fixture.server.freeze();
  const group = new AbortController();
  const call = redis.send(["INCR", "n"], { signal: group.signal });
  await delay(20);
  group.abort(new DialError("elsewhere:1", "connect", "refused"));
  const error = await assertRejects(() => call, DialError);
  fixture.server.thaw();
  assertEquals(fateOf(error), "unknown");
});

test("A socket whose write throws ends its connection, not the process", async (fixture) => {
  let fails = false;
  const closed: number[] = [];
  let dials = 0;
  const redis = fixture.client({
    dial: async (endpoint, options) => {
      const socket = await dial(endpoint, options);
      const number = ++dials;
      return {
        read: (buffer) => socket.read(buffer),
        write: (bytes) => {
          if (fails && number === 1) throw new Error("write after end");
          return socket.write(bytes);
        },
        close: () => {
          closed.push(number);
          socket.close();
        },
        unref: () => socket.unref?.(),
      };
    },
  });
  assertEquals(await redis.send(["PING"]), "PONG");
  fails = true;
  assertEquals(await redis.send(["INCR", "n"], { replay: "always" }), 1);
  assertEquals(closed, [1]);
  assertEquals(dials, 2);
  const [report] = fixture.reports;
  assertEquals(fixture.reports.length, 1);
  assertEquals(report?.connection, 1);
  assertStringIncludes(report?.cause ?? "", "write after end");
  await until(() => fixture.proxy.open === 1, "the first socket is closed");
});

test("Leases with a signal leave nothing on it, dead ones neither", async (fixture) => {
  const redis = fixture.client();
  const { signal } = new AbortController();
  const listeners = new Set<unknown>();
  const { addEventListener, removeEventListener } = signal;
  signal.addEventListener = (...args: Parameters<typeof addEventListener>) => {
    listeners.add(args[1]);
    addEventListener.apply(signal, args);
  };
  signal.removeEventListener = (
    ...args: Parameters<typeof removeEventListener>
  ) => {
    listeners.delete(args[1]);
    removeEventListener.apply(signal, args);
  };
  const lease = await redis.lease({ signal });
  await lease.send(["PING"], { signal });
  await fixture.server.cli("CLIENT", "KILL", "TYPE", "normal");
  for (let i = 0; i < 3; i++) {
    await assertRejects(() => lease.send(["PING"], { signal }));
  }
  lease.release();
  assertEquals(listeners.size, 0);
});
