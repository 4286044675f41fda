// Fence, look, decide: what becomes of commands that must not be replayed.

import "../support/strict.ts";
import {
  assert,
  assertEquals,
  assertMatch,
  assertNotEquals,
  assertRejects,
  assertStringIncludes,
} from "@std/assert";
import { delay } from "@std/async/delay";
import {
  type Command,
  ConnectionClosedError,
  type Dial,
  type Fate,
  fateOf,
  Redis,
  type RedisOptions,
  Retry,
  RetryError,
  type SendOptions,
  type Verdict,
} from "../../mod.ts";
import { dial } from "../../pool/socket/dial.ts";
import { type FaultProxy, startProxy } from "../support/fault_proxy.ts";
import { type RedisServer, startRedis } from "../support/redis_server.ts";

const RESOLVE: SendOptions = { resolveFate: true, replay: "never" };

/** A server, a proxy, and a client whose connection has been asked which server it leads to. */
class ResolveFixture implements AsyncDisposable {
  private constructor(
    readonly server: RedisServer,
    readonly proxy: FaultProxy,
    readonly redis: Redis,
  ) {}

  static async start(
    config: Record<string, string> = {},
    options: RedisOptions = {},
  ): Promise<ResolveFixture> {
    const server = await startRedis({ config });
    const proxy = await startProxy({ target: server });
    const redis = new Redis(proxy.url, { replyTimeoutMs: 300, ...options });
    await redis.send(["PING"], { resolveFate: true });
    return new ResolveFixture(server, proxy, redis);
  }

  async killAll(): Promise<void> {
    await this.proxy.killAll("fin");
    while (this.redis.stats().open > 0) await delay(5);
  }

  /** Sends a command that is lost. */
  lose(
    command: Command,
    options: SendOptions = {},
  ): Promise<ConnectionClosedError> {
    return assertRejects(
      () => this.redis.send(command, { ...RESOLVE, ...options }),
      ConnectionClosedError,
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.redis.close({ drainMs: 0 });
    await this.proxy[Symbol.asyncDispose]();
    await this.server[Symbol.asyncDispose]();
  }
}

/** Sends `command` so that it runs and its reply is lost; returns what the caller is told. */
async function loseReply(
  command: Command,
  before: Command[] = [],
): Promise<{ fate: Fate; value: unknown }> {
  await using fixture = await ResolveFixture.start();
  for (const earlier of before) await fixture.redis.send(earlier);
  fixture.proxy.cut(0, { scope: "open" });
  const { fate } = await fixture.lose(command);
  return { fate, value: await fixture.redis.send(["DBSIZE"]) };
}

/** Commands that leave something behind, and one that leaves the same behind before. */
const WRITES: readonly [command: Command, before: Command][] = [
  [["SET", "key", "value"], ["SET", "key", "value"]],
  [["SET", "key", "välue", "NX"], ["SET", "key", "välue"]],
  [["SET", "key", new Uint8Array([0, 255, 13, 10])], ["SET", "key", "other"]],
  [["SETNX", "key", "value"], ["SET", "key", "value"]],
  [["GETSET", "key", "value"], ["SET", "key", "value"]],
  [["HSET", "key", "field", 12], ["HSET", "key", "field", 12]],
  [["HSETNX", "key", "field", "value"], ["HSET", "key", "field", "value"]],
  [["SADD", "key", "member"], ["SADD", "key", "member"]],
  [["ZADD", "key", 1.5, "member"], ["ZADD", "key", 1.5, "member"]],
  [["ZADD", "key", Infinity, "member"], ["ZADD", "key", "inf", "member"]],
];

for (const [command, before] of WRITES) {
  const text = command.join(" ");
  Deno.test(`resolveFate does not take what is there for the work of ${text}`, async () => {
    await using fixture = await ResolveFixture.start();
    await fixture.redis.send(before);
    fixture.proxy.silence({ scope: "open" }); // swallows the command on its way
    const error = await fixture.lose(command);
    assertEquals(error.fate, "unknown");
    assertStringIncludes(error.message, "the command may have run");
  });

  Deno.test(`resolveFate sends ${text} again if it has not run`, async () => {
    await using fixture = await ResolveFixture.start();
    const expected = await fixture.redis.send(command);
    await fixture.redis.send(["DEL", "key"]);
    fixture.proxy.silence({ scope: "open" });
    assertEquals(await fixture.redis.send(command, RESOLVE), expected);
    assert((fixture.redis.stats().evicted.silence ?? 0) >= 1);
    assertEquals(await fixture.redis.send(["DBSIZE"]), 1);
  });

  Deno.test(`resolveFate does not send ${text} again if it has run`, async () => {
    assertEquals(await loseReply(command), { fate: "unknown", value: 1 });
  });
}

Deno.test("resolveFate says unsent of what has not run and is not tried again", async () => {
  await using fixture = await ResolveFixture.start();
  fixture.proxy.silence({ scope: "open" });
  const error = await fixture.lose(["SETNX", "key", "value"], { retry: false });
  assertEquals(error.fate, "unsent");
  assertStringIncludes(
    error.message,
    "; the command did not run, as a look at its key has shown",
  );
});

Deno.test("What resolveFate has found is a failure like others to the policy and its callers", async () => {
  await using fixture = await ResolveFixture.start();
  fixture.proxy.silence({ scope: "open" });
  const retry = new Retry({
    isRetriable: () => {
      throw new TypeError("a mistake");
    },
  });
  const error = await assertRejects(
    () => fixture.redis.send(["SETNX", "key", "value"], { ...RESOLVE, retry }),
    RetryError,
    "a mistake",
  );
  assertEquals([fateOf(error), error.attempts], ["unsent", 1]);
});

Deno.test("resolveFate says unknown for what no read can tell", async () => {
  const commands: Command[] = [
    ["INCR", "key"],
    ["ZADD", "key", "INCR", 1, "m"],
    ["SET", "key", "value", "EX", 10],
    ["SET", "key", "value", "NX", "PX", 10],
    ["SET", "key", "value", "XX"],
    ["HSET", "key", "a", 1, "b", 2],
    ["SADD", "key", "a", "b"],
    ["ZADD", "key", "XX", 1, "m"],
    ["ZADD", "key", 1, "a", 2, "b"],
  ];
  for (const command of commands) {
    await using fixture = await ResolveFixture.start();
    fixture.proxy.silence({ scope: "open" });
    const error = await fixture.lose(command);
    assertEquals(error.fate, "unknown", `${command}`);
  }
});

Deno.test("resolveFate says unknown where another client's value is there", async () => {
  const { fate } = await loseReply(["SETNX", "key", "mine"], [
    ["SET", "key", "theirs"],
  ]);
  assertEquals(fate, "unknown");
});

Deno.test("resolveFate says unknown where the server refuses CLIENT KILL: the command may still arrive", async () => {
  await using fixture = await ResolveFixture.start();
  await fixture.server.cli("ACL", "SETUSER", "default", "-client|kill");
  fixture.proxy.silence({ scope: "open" });
  assertEquals((await fixture.lose(["SETNX", "key", "value"])).fate, "unknown");
});

Deno.test("resolveFate says unknown when the server was restarted in between", async () => {
  await using server = await startRedis();
  await using redis = new Redis(server.url);
  await redis.send(["PING"], { resolveFate: true });
  server.freeze();
  const lost = assertRejects(
    () => redis.send(["SETNX", "key", "value"], { resolveFate: true }),
    ConnectionClosedError,
  );
  await new Promise((resolve) => setTimeout(resolve, 50));
  await server.kill();
  await server.start();
  assertEquals((await lost).fate, "unknown");
});

Deno.test("resolveFate says unknown where INFO is refused, and sends the command all the same", async () => {
  await using fixture = await ResolveFixture.start();
  await fixture.server.cli("ACL", "SETUSER", "default", "-info");
  await fixture.killAll();
  assertEquals(
    await fixture.redis.send(["SET", "key", "value"], RESOLVE),
    "OK",
  );
  fixture.proxy.silence({ scope: "open" });
  assertEquals((await fixture.lose(["SETNX", "new", "value"])).fate, "unknown");
});

/** Notes what is written, from the greeting on. */
function notedDial(written: string[]): Dial {
  return async (endpoint, options) => {
    const socket = await dial(endpoint, options);
    return {
      read: (buffer) => socket.read(buffer),
      write: (bytes) => {
        written.push(new TextDecoder().decode(bytes));
        return socket.write(bytes);
      },
      close: () => socket.close(),
      unref: () => socket.unref?.(),
    };
  };
}

Deno.test("resolveFate asks each connection once, in the turn in which it was picked", async () => {
  await using server = await startRedis();
  const written: string[] = [];
  await using redis = new Redis(server.url, { dial: notedDial(written) });
  await redis.send(["PING"]);
  written.length = 0;
  const sent = redis.send(["SET", "key", "value"], RESOLVE);
  redis.send(["ECHO", "after"]);
  await sent;
  await redis.send(["SET", "key", "value"], RESOLVE);
  assertMatch(written[0]!, /INFO[^]*ECHO/);
  assertEquals(written.join("").match(/INFO/g)?.length, 1);
  assertEquals(written.join("").match(/SET/g)?.length, 2);
});

Deno.test("A lease in the turn of the first resolveFate keeps its connection to itself", async () => {
  await using server = await startRedis();
  await using redis = new Redis(server.url, { maxConnections: 1 });
  await redis.send(["PING"]);
  const resolved = redis.send(["SET", "key", "value"], RESOLVE);
  const lease = await redis.lease();
  await lease.send(["MULTI"]);
  const queued = Array.from(
    { length: 50 },
    () => lease.send(["INCR", "n"]),
  );
  await Promise.all(queued);
  assertEquals(
    await lease.send(["EXEC"]),
    Array.from({ length: 50 }, (_, i) => i + 1),
  );
  lease.release();
  assertEquals(await resolved, "OK");
});

Deno.test("A connection that ends before it has said where it leads costs a command nothing", async () => {
  await using fixture = await ResolveFixture.start({}, { maxConnections: 1 });
  await fixture.killAll();
  await fixture.redis.send(["PING"]);
  fixture.proxy.cut(0, { scope: "open" }); // the reply to INFO
  assertEquals(await fixture.redis.send(["INCR", "n"], RESOLVE), 1);
  const { retries, replays } = fixture.redis.stats();
  assertEquals([retries, replays], [0, 0]);
});

Deno.test("The post-mortem is told of the CLIENT KILL of resolveFate", async () => {
  const verdicts: Verdict[] = [];
  await using fixture = await ResolveFixture.start({}, {
    postMortem: true,
    onVerdict: (verdict) => verdicts.push(verdict),
  });
  fixture.proxy.silence({ scope: "open" });
  assertEquals(await fixture.redis.send(["SETNX", "key", "value"], RESOLVE), 1);
  // The first connection that is shared from its start is asked.
  const lease = await fixture.redis.lease();
  await fixture.redis.send(["PING"]);
  lease.release();
  while (verdicts.length === 0) await delay(10);
  assertNotEquals(verdicts[0]!.cause, "client-kill");
});
