// That a server which has left takes nothing more and loses nothing, and that its silence is measured and ended.

import "../../support/strict.ts";
import {
  assert,
  assertEquals,
  assertGreaterOrEqual,
  assertInstanceOf,
  assertLess,
  assertRejects,
  assertStrictEquals,
} from "@std/assert";
import { delay } from "@std/async/delay";
import {
  ConnectionClosedError,
  DialError,
  type Verdict,
} from "../../../mod.ts";
import {
  AskTimeoutError,
  askWithin,
} from "../../../client/servers/ask_within.ts";
import {
  type ConnectionNeed,
  Server,
  type ServerEvents,
  type ServerOptions,
} from "../../../client/servers/server.ts";
import { ask } from "../../../pool/connection/in_flight.ts";
import type { CloseReport } from "../../../pool/connection/close_report.ts";
import type { PushRight } from "../../../pool/connection/push_right.ts";
import { dial } from "../../../pool/socket/dial.ts";
import { Endpoint } from "../../../pool/socket/endpoint.ts";
import type { Command, Reply } from "../../../resp/types.ts";
import { type FaultProxy, startProxy } from "../../support/fault_proxy.ts";
import { type RedisServer, startRedis } from "../../support/redis_server.ts";
import {
  CLOSE,
  helloOf,
  ScriptedServer,
} from "../../support/scripted_server.ts";
import { runProgram } from "../../support/run_program.ts";
import { later, SOON_MS, until } from "../../support/wait.ts";

const OPTIONS: ServerOptions = {
  maxConnections: 4,
  checkoutTimeoutMs: 5000,
  maxWaiting: 100,
  idleTimeoutMs: 60_000,
  maxAgeMs: 600_000,
  validateAfterIdleMs: 60_000,
  connectTimeoutMs: 5000,
  replyTimeoutMs: 5000,
  dial,
  limits: {},
  postMortem: false,
};
const IGNORED: ServerEvents = {
  onDialFailed: () => {},
  onEvict: () => {},
  onWait: () => {},
  onOpen: () => {},
  onClose: () => {},
  onVerdict: () => {},
};
const LEFT = new Error("its hash slots went elsewhere");

/** A server behind a proxy, with what it says of its connections. */
class Setup implements AsyncDisposable {
  readonly redis: RedisServer;
  readonly proxy: FaultProxy;
  readonly server: Server;
  readonly reports: CloseReport[] = [];
  readonly evicted: string[] = [];
  readonly verdicts: Verdict[] = [];

  private constructor(
    redis: RedisServer,
    proxy: FaultProxy,
    options: Partial<ServerOptions>,
  ) {
    this.redis = redis;
    this.proxy = proxy;
    this.server = new Server(new Endpoint(proxy.url), {
      ...OPTIONS,
      ...options,
    }, {
      ...IGNORED,
      onEvict: (reason) => this.evicted.push(reason),
      onClose: (report) => this.reports.push(report),
      onVerdict: (verdict) => this.verdicts.push(verdict),
    });
  }

  static async start(options: Partial<ServerOptions> = {}): Promise<Setup> {
    const redis = await startRedis();
    const proxy = await startProxy({ target: redis });
    return new Setup(redis, proxy, options);
  }

  connect(need: ConnectionNeed): Promise<PushRight> {
    return new Promise((take, fail) =>
      this.server.connect(need, { take, fail })
    );
  }

  /** The reply on a shared connection: what is sent must be pushed before `take` returns. */
  ask(command: Command, extraReplyTimeoutMs = 0): Promise<Reply> {
    return new Promise((resolve, reject) =>
      this.server.connect("shared", {
        take: (right) =>
          void ask(right, command, false, extraReplyTimeoutMs)
            .then(resolve, reject),
        fail: reject,
      })
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.server.close("the test is over");
    await this.proxy[Symbol.asyncDispose]();
    await this.redis[Symbol.asyncDispose]();
  }
}

/** Whether a promise has settled by now. */
async function isSettled(promise: Promise<unknown>): Promise<boolean> {
  let settled = false;
  const note = () => void (settled = true);
  promise.then(note, note);
  await delay(0);
  return settled;
}

/** What a wait fails with. */
const reasonOf = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then((value) => ({ value }), (reason) => reason);

Deno.test("A server that leaves fails those who wait at once, and those who come later, with the reason", async () => {
  await using setup = await Setup.start({ maxConnections: 1 });
  const { server, proxy } = setup;
  const lease = await setup.connect("lease");
  const waits = (["shared", "lease", "blocking"] as const).map((need) =>
    later(setup.connect(need))
  );
  const dialed = proxy.connections;
  const left = server.leave(LEFT);
  for (const wait of waits) assertStrictEquals(await reasonOf(wait), LEFT);
  for (const need of ["shared", "lease", "blocking", "beside"] as const) {
    assertStrictEquals(await reasonOf(setup.connect(need)), LEFT, need);
  }
  assertEquals(server.shared(), undefined);
  assertStrictEquals(await reasonOf(setup.ask(["PING"])), LEFT);
  assertEquals(server.stats().waiting, 0);
  server.release(lease, true);
  await left;
  await delay(50);
  assertEquals(proxy.connections, dialed);
});

Deno.test("A server that leaves ends the dials under way, and reports none of them as a failure", async () => {
  await using setup = await Setup.start();
  const { server, proxy } = setup;
  proxy.silence();
  const waits = (["shared", "lease", "beside"] as const).map((need) =>
    later(setup.connect(need))
  );
  await until(() => proxy.open === 3, "dials are under way");
  assert(!server.isEmpty);
  const startedAt = performance.now();
  const left = server.leave(LEFT);
  for (const wait of waits) assertStrictEquals(await reasonOf(wait), LEFT);
  await left;
  assertLess(performance.now() - startedAt, 2000); // not the time of a dial
  assert(server.isEmpty);
  const { awaySince, lastDialError, dialing } = server.stats();
  assertEquals([awaySince, lastDialError, dialing], [undefined, undefined, 0]);
});

Deno.test("Connections to a server that leaves close as soon as they are free: idle, answered or released", async () => {
  await using setup = await Setup.start();
  const { server, proxy } = setup;
  const [lease, busyLease, other] = await Promise.all([
    setup.connect("lease"),
    setup.connect("blocking"),
    setup.connect("lease"),
  ]);
  server.release(other, true); // is shared from now on, and busy
  const shared = later(setup.ask(["BLPOP", "shared", 0], 10_000));
  const blocked = later(ask(busyLease, ["BLPOP", "leased", 0], false, 10_000));
  const fourth = await setup.connect("lease"); // while that one is busy
  server.release(fourth, true); // idle
  await until(() => server.stats().open === 4);
  const left = server.leave(LEFT);

  assertEquals(server.stats().open, 3); // the idle one has gone
  assertEquals(setup.evicted, ["moved"]);
  assertEquals(await isSettled(left), false);
  await setup.redis.cli("RPUSH", "shared", "a");
  assertEquals(await shared, ["shared", "a"]);
  await until(() => server.stats().open === 2);
  // A lease goes on until it is released, whatever its state is by then.
  assertEquals(await ask(lease, ["ECHO", "still here"]), "still here");
  await setup.redis.cli("RPUSH", "leased", "b");
  assertEquals(await blocked, ["leased", "b"]);
  assertEquals(server.stats().open, 2);
  server.release(busyLease, true);
  assertEquals(server.stats().open, 1);
  assertEquals([server.isEmpty, await isSettled(left)], [false, false]);
  server.release(lease, false);
  assertEquals([server.isEmpty, await isSettled(left)], [true, true]);
  assertEquals(setup.evicted, ["moved", "moved", "moved", "moved"]);
  assertEquals(setup.reports.map(({ how }) => how), Array(4).fill("requested"));
  assertEquals(server.stats().evicted, { moved: 4 });
  await until(() => proxy.open === 0, "no connection is left");
  assertEquals(proxy.connections, 4);
});

Deno.test("A connection to a server that leaves closes when it was a suspect or reserved, too", async () => {
  for (const state of ["suspect", "reserved"]) {
    await using setup = await Setup.start({
      maxConnections: 1,
      ...(state === "suspect" ? { validateAfterIdleMs: 0 } : {}),
    });
    const { server } = setup;
    await setup.ask(["PING"]);
    setup.proxy.delay(60); // less than a suspect has for its PING
    await delay(2); // it is idle for longer than 0 ms
    let answered: Promise<Reply> | undefined;
    if (state === "reserved") {
      answered = later(setup.ask(["ECHO", "x"]));
      await delay(0);
    }
    const wait = later(setup.connect("lease"));
    await until(() => server.stats().waiting === 1);
    if (state === "suspect") assertEquals(server.stats().suspect, 1);
    const left = server.leave(LEFT);
    assertStrictEquals(await reasonOf(wait), LEFT);
    assertEquals(server.stats().open, 1, state); // its reply is owed
    await left;
    assertEquals(await answered, answered && "x");
    assertEquals(server.stats().evicted, { moved: 1 }, state);
  }
});

Deno.test("Nothing waits any more once a server that has left is empty", async () => {
  await using setup = await Setup.start();
  const { waitAsync } = Atomics;
  let waits = 0;
  Atomics.waitAsync = ((...args: Parameters<typeof waitAsync>) => {
    const wait = waitAsync(...args);
    waits++;
    if (wait.async) wait.value.then(() => waits--);
    return wait;
  }) as typeof waitAsync;
  try {
    const lease = await setup.connect("lease");
    assertEquals(waits, 1);
    const left = setup.server.leave(LEFT);
    await delay(5);
    assertEquals(waits, 1);
    setup.server.release(lease, true);
    await left;
    await delay(5);
    assertEquals(waits, 0);
  } finally {
    Atomics.waitAsync = waitAsync;
  }
});

Deno.test("A server that has left is not empty while a command runs beside its pool", async () => {
  await using setup = await Setup.start();
  const { server } = setup;
  const right = await setup.connect("beside");
  const left = server.leave(LEFT);
  assertEquals([server.isEmpty, await isSettled(left)], [false, false]);
  assertEquals(await ask(right, ["ECHO", "x"]), "x");
  server.release(right, true);
  assertEquals([server.isEmpty, await isSettled(left)], [true, true]);
});

Deno.test("A server leaves once, and can be closed before it is empty", async () => {
  await using setup = await Setup.start();
  const { server } = setup;
  const lease = await setup.connect("lease");
  const left = server.leave(LEFT);
  server.leave(new Error("another reason"));
  assertStrictEquals(await reasonOf(setup.connect("shared")), LEFT);
  const lost = later(ask(lease, ["BLPOP", "k", 0], false, 10_000));
  await delay(5);
  await server.close(new Error("closed"));
  const error = await assertRejects(() => lost, ConnectionClosedError);
  assertEquals(error.report.how, "requested");
  await left;
  assert(server.isEmpty);
  await server.leave(LEFT); // after it was closed: there is nothing to wait for
});

Deno.test("Its connections have ended: a server that leaves gets its verdict without another connection", async () => {
  await using setup = await Setup.start({ postMortem: true });
  const { server, proxy } = setup;
  await setup.ask(["PING"]);
  await proxy.killAll("rst");
  await until(() => setup.reports.length === 1);
  const dialed = proxy.connections;
  await server.leave(LEFT, "hash slots 0-5460 went to h:7004");
  await until(() => setup.verdicts.length === 1, "there is a verdict");
  const [{ cause, evidence }] = setup.verdicts as [Verdict];
  assertEquals(cause, "failover");
  assert(evidence[0]!.startsWith("hash slots 0-5460 went to h:7004"));
  assertEquals(server.tally().lastVerdict?.cause, "failover");
  assertEquals(proxy.connections, dialed);
});

Deno.test("A server is silent for as long as a reply has been owed without a byte", async () => {
  await using setup = await Setup.start();
  const { server, proxy } = setup;
  const silentMs = () => server.silentMs(performance.now());
  assertEquals([server.heardAt, silentMs()], [-Infinity, 0]);
  await setup.ask(["PING"]);
  const heardAt = server.heardAt;
  assertLess(performance.now() - heardAt, SOON_MS);
  await delay(60);
  assertEquals([server.heardAt, silentMs()], [heardAt, 0]); // idle is not silent

  // A dial that is answered nothing is in no count.
  proxy.silence({ scope: "new" });
  const dialing = later(setup.connect("lease"));
  later(setup.connect("lease"));
  await until(() => proxy.open === 2);
  await delay(60);
  assertEquals(silentMs(), 0);

  // What may take long by itself is silent only after that.
  const lease = await dialing;
  const blocked = later(ask(lease, ["BLPOP", "k", 0], false, 500));
  await delay(60);
  assertEquals(silentMs(), 0);
  await until(() => silentMs() > 30);
  await setup.redis.cli("RPUSH", "k", "v");
  await blocked;
  assertEquals(silentMs(), 0);
  assert(server.heardAt > heardAt);
  server.release(lease, true);
});

Deno.test("The longest silence of a server is that of its connection that has been silent longest, leased or beside it, too", async () => {
  for (const need of ["lease", "blocking", "beside"] as const) {
    await using setup = await Setup.start();
    const { server } = setup;
    const right = await setup.connect(need);
    await setup.ask(["PING"]);
    setup.proxy.silence({ scope: "open" });
    const first = later(ask(right, ["GET", "a"]));
    await delay(100);
    const second = later(setup.ask(["GET", "b"]));
    await delay(50);
    const silentMs = server.silentMs(performance.now());
    assertGreaterOrEqual(silentMs, 120, need);
    assertLess(silentMs, 150 + SOON_MS);
    // The other one has been silent for less.
    server.closeSilent(silentMs - 20, "the topology has changed");
    assertEquals(await isSettled(first), true, need);
    assertEquals(await isSettled(second), false, need);
    server.closeSilent(1, "the topology has changed");
    for (const lost of [first, second]) {
      const error = await assertRejects(() => lost, ConnectionClosedError);
      const { how, by, cause } = error.report;
      assertEquals(
        [how, by, cause],
        ["silence", "network", "the topology has changed"],
      );
      assertEquals(error.fate, "unknown"); // it was written
    }
    server.release(right, false);
    await until(() => server.stats().dialing === 0); // after a silence
    assertEquals(server.silentMs(performance.now()), 0);
  }
});

Deno.test("A reply that comes after its connection was closed for silence settles nothing", async () => {
  await using setup = await Setup.start();
  const { server, proxy } = setup;
  await setup.ask(["SET", "key", "old"]);
  proxy.delay(200);
  let answers = 0;
  const lost = later(setup.ask(["GET", "key"]));
  lost.then(() => answers++, () => {});
  await delay(50);
  const { heardAt } = server;
  server.closeSilent(20, "replaced");
  assertEquals([server.stats().open, server.heardAt], [0, heardAt]);
  await assertRejects(() => lost, ConnectionClosedError);
  proxy.pass();
  assertEquals(await setup.ask(["ECHO", "mine"]), "mine");
  await delay(250);
  assertEquals(answers, 0);
  assertEquals(server.stats().evicted, { silence: 1 });
});

Deno.test("What is idle, or blocks for as long as it may, outlives those that are closed for silence", async () => {
  await using setup = await Setup.start();
  const { server } = setup;
  const blocking = await setup.connect("blocking");
  const idle = await setup.connect("lease");
  const blocked = later(ask(blocking, ["BLPOP", "k", 0], false, 10_000));
  await delay(50);
  server.closeSilent(Number.MIN_VALUE, "replaced");
  assertEquals(server.stats().open, 2);
  await setup.redis.cli("RPUSH", "k", "v");
  assertEquals(await blocked, ["k", "v"]);
  assertEquals(await ask(idle, ["ECHO", "x"]), "x");
  server.release(idle, true);
  server.release(blocking, true);
});

Deno.test("Connections older than a moment get nothing more, close when they are free, and the next call dials", async () => {
  await using setup = await Setup.start();
  const { server, proxy } = setup;
  const [lease, other] = await Promise.all([
    setup.connect("lease"),
    setup.connect("lease"),
  ]);
  server.release(other, true);
  const busy = later(setup.ask(["BLPOP", "k", 0], 10_000));
  const third = await setup.connect("lease");
  server.release(third, true); // idle
  assertEquals(server.stats().open, 3);
  server.retireOlder(performance.now(), "moved");
  assertEquals(server.stats().open, 2);
  assert(!server.hasOpen);

  // A lease and a busy one go on, and no other call gets them.
  assertEquals(await setup.ask(["ECHO", "x"]), "x");
  assertEquals(proxy.connections, 4);
  assertEquals(await ask(lease, ["ECHO", "y"]), "y");
  await setup.redis.cli("RPUSH", "k", "v");
  assertEquals(await busy, ["k", "v"]);
  server.release(lease, true);
  await until(() => server.stats().open === 1);
  assertEquals(server.stats().evicted, { moved: 3 });

  // All calls together replace the new one once, not one after the other.
  server.retireOlder(performance.now(), "moved");
  assertEquals(server.stats().open, 1);
  const { connection } = server.shared()!;
  await delay(260);
  server.retireOlder(connection.openedAt, "moved"); // it is not older than itself
  assertEquals(server.stats().open, 1);
  server.retireOlder(connection.openedAt + 0.001, "moved");
  assertEquals(server.stats().open, 0);
});

Deno.test("A server is asked on a connection that is open, without a dial, and else on a new one of its pool", async () => {
  await using setup = await Setup.start();
  const { server, proxy } = setup;
  assert(!server.hasOpen);
  const options = { deadlineMs: 2000 };
  assertEquals(await askWithin(server, ["ECHO", "a"], options), "a");
  assertEquals([server.stats().dialed, proxy.connections], [1, 1]);
  assert(server.hasOpen);
  const replies = Array.from(
    { length: 5 },
    (_, i) => askWithin(server, ["ECHO", `${i}`], options),
  );
  assertEquals(await Promise.all(replies), ["0", "1", "2", "3", "4"]);
  assertEquals(proxy.connections, 1);
  const refused = await askWithin(server, ["CLUSTER", "SLOTS"], options);
  assertInstanceOf(refused, Error); // an error reply is a value
  assertEquals(
    refused.message,
    "ERR This instance has cluster support disabled",
  );
});

Deno.test("A question that is not answered in time is over, and its late reply settles nothing", async () => {
  await using setup = await Setup.start({ maxConnections: 1 });
  const { server, proxy } = setup;
  await setup.ask(["PING"]);
  proxy.delay(150);
  const startedAt = performance.now();
  const error = await assertRejects(
    () => askWithin(server, ["CLUSTER", "SLOTS"], { deadlineMs: 50 }),
    AskTimeoutError,
    `${server.endpoint} has not answered CLUSTER SLOTS within 50 ms`,
  );
  assertEquals(error.name, "AskTimeoutError");
  assertGreaterOrEqual(performance.now() - startedAt, 49);
  const over = new AbortController();
  const aborted = later(
    askWithin(server, ["ECHO", "late"], {
      deadlineMs: 5000,
      signal: over.signal,
    }),
  );
  const mine = setup.ask(["ECHO", "mine"]);
  over.abort("no longer needed");
  assertEquals(await reasonOf(aborted), "no longer needed");
  assertEquals(await mine, "mine");
  assertEquals(proxy.connections, 1); // the connection has taken no harm
  assertEquals(server.stats().inFlight, 0);
  const { signal } = over;
  assertEquals(
    await reasonOf(askWithin(server, ["PING"], { deadlineMs: 50, signal })),
    "no longer needed",
  );
});

Deno.test("A question that was answered keeps no process alive", async () => {
  await using redis = await startRedis();
  const source = (path: string) =>
    JSON.stringify(new URL(`../../../${path}`, import.meta.url).href);
  const { code, stdout, stderr, ms } = await runProgram(
    ["-A"],
    `
    import { askWithin } from ${source("client/servers/ask_within.ts")};
    import { dial } from ${source("pool/socket/dial.ts")};
    import { Endpoint } from ${source("pool/socket/endpoint.ts")};
    import { Server } from ${source("client/servers/server.ts")};
    const none = () => {};
    const server = new Server(
      new Endpoint(${JSON.stringify(redis.url)}),
      { ...${JSON.stringify(OPTIONS)}, dial },
      { onDialFailed: none, onEvict: none, onWait: none, onOpen: none, onClose: none, onVerdict: none },
    );
    console.log(await askWithin(server, ["ECHO", "x"], { deadlineMs: 60_000 }));
  `,
  );
  assertEquals([code, stdout], [0, "x\n"], stderr);
  assertLess(ms, SOON_MS);
});

Deno.test("A question fails by the dial that fails, the connection that ends, and the server that has left", async () => {
  await using setup = await Setup.start();
  const { server, proxy } = setup;
  const options = { deadlineMs: 5000 };
  await proxy.refuse();
  await assertRejects(() => askWithin(server, ["PING"], options), DialError);
  await proxy.accept();
  await until(() => setup.ask(["PING"]).then(() => true, () => false));
  proxy.cut(0);
  await assertRejects(
    () => askWithin(server, ["PING"], options),
    ConnectionClosedError,
  );
  // Its wait for a connection ends in time, too.
  proxy.silence();
  await assertRejects(
    () => askWithin(server, ["PING"], { deadlineMs: 50 }),
    AskTimeoutError,
  );
  assertEquals(server.stats().waiting, 0);
  const asked = later(askWithin(server, ["PING"], options));
  const left = server.leave(LEFT);
  assertStrictEquals(await reasonOf(asked), LEFT);
  assertStrictEquals(
    await reasonOf(askWithin(server, ["PING"], options)),
    LEFT,
  );
  await left;
});

Deno.test("A dial to a replica fails where a primary is expected, and succeeds once it is one", async () => {
  await using primary = await startRedis();
  await using setup = await Setup.start({ expects: "primary" });
  const { redis, server } = setup;
  assertEquals(await setup.ask(["ECHO", "x"]), "x");
  server.retireOlder(performance.now(), "moved");
  await redis.cli("REPLICAOF", "127.0.0.1", `${primary.port}`);
  const error = await assertRejects(() => setup.ask(["ECHO", "x"]), DialError);
  assertEquals(
    error.message,
    `Cannot connect to ${server.endpoint}: the server is a replica, expected the primary`,
  );
  assertEquals([error.phase, error.isRetriable, error.fate], [
    "handshake",
    true,
    "unsent",
  ]);
  assertEquals(server.stats().open, 0);
  await redis.cli("REPLICAOF", "NO", "ONE");
  await until(() => setup.ask(["PING"]).then(() => true, () => false));
});

/** What a server answers in the handshake, and what a dial that expects a primary says of it. */
const ROLES: readonly [string, Record<string, string>, string | undefined][] = [
  ["Redis 6", { HELLO: helloOf({ role: "master" }) }, undefined],
  ["Redis 6", { HELLO: helloOf({ role: "replica" }) }, "a replica"],
  ["a fork", { HELLO: helloOf({ role: "slave" }) }, "a replica"],
  ["Sentinel", { HELLO: helloOf({ mode: "sentinel" }) }, "a Sentinel"],
  ["a proxy", { HELLO: helloOf({ mode: "standalone" }) }, undefined],
  ["Redis 5", { ROLE: "*3\r\n$6\r\nmaster\r\n:0\r\n*0\r\n" }, undefined],
  [
    "Redis 5",
    { ROLE: "*5\r\n$5\r\nslave\r\n$1\r\nh\r\n:1\r\n$4\r\nsync\r\n:-1\r\n" },
    "a replica",
  ],
  ["Sentinel 5", { ROLE: "*2\r\n$8\r\nsentinel\r\n*0\r\n" }, "a Sentinel"],
  ["without ROLE", { ROLE: "-ERR unknown command\r\n" }, undefined],
];

Deno.test("The role of a server is that of HELLO, else that of ROLE, which is asked only where it matters", async () => {
  for (const [what, answers, found] of ROLES) {
    await using scripted = new ScriptedServer(([name]) =>
      answers[name!] ??
        (name === "PING" ? "+PONG\r\n" : "-ERR unknown command\r\n")
    );
    for (const expects of ["primary", undefined] as const) {
      const server = new Server(new Endpoint(scripted.url), {
        ...OPTIONS,
        ...(expects === undefined ? {} : { expects }),
      }, IGNORED);
      const outcome = await askWithin(server, ["PING"], { deadlineMs: 5000 })
        .catch((error: Error) => error.message);
      assertEquals(
        outcome,
        expects === undefined || found === undefined
          ? "PONG"
          : `Cannot connect to ${scripted.address}: the server is ${found}, expected the primary`,
        what,
      );
      const [heard] = scripted.heard.slice(-1);
      assertEquals(
        heard!.includes("ROLE"),
        expects !== undefined && answers.HELLO === undefined,
        what,
      );
      await server.close("the test is over");
    }
  }
});

Deno.test("A peer that closes on HELLO is asked for its role, too", async () => {
  await using scripted = new ScriptedServer(([name]) =>
    name === "PING" ? "+PONG\r\n" : name === "ROLE" ? ROLES[6]![1].ROLE : CLOSE
  );
  const options = { ...OPTIONS, expects: "primary" } as const;
  const server = new Server(new Endpoint(scripted.url), options, IGNORED);
  await assertRejects(
    () => askWithin(server, ["PING"], { deadlineMs: 5000 }),
    DialError,
    "the server is a replica, expected the primary",
  );
  await server.close("the test is over");
});

Deno.test("The mode of a server is a surprise only where it is not known to be a node of a cluster", async () => {
  await using scripted = new ScriptedServer(([name]) =>
    name === "HELLO" ? helloOf({ mode: "cluster" }) : "+PONG\r\n"
  );
  for (const isClusterNode of [true, false]) {
    const endpoint = new Endpoint(scripted.url);
    const options = { ...OPTIONS, isClusterNode };
    const server = new Server(endpoint, options, IGNORED);
    await askWithin(server, ["PING"], { deadlineMs: 5000 });
    assertEquals(server.note === undefined, isClusterNode);
    await server.close("the test is over");
  }
});
