// That a server which has left takes nothing more and loses nothing, and that its silence is measured and ended.

import "../../support/strict.ts";
import {
  assert,
  assertEquals,
  assertGreaterOrEqual,
  assertLess,
  assertRejects,
  assertStrictEquals,
} from "@std/assert";
import { delay } from "@std/async/delay";
import { ConnectionClosedError, type Verdict } from "../../../mod.ts";
import { ask } from "../../../pool/connection/in_flight.ts";
import type { Reply } from "../../../resp/types.ts";
import { later, SOON_MS, until } from "../../support/wait.ts";
import { LEFT, reasonOf, Setup } from "./server_setup.ts";

/** Whether a promise has settled by now. */
async function isSettled(promise: Promise<unknown>): Promise<boolean> {
  let settled = false;
  const note = () => void (settled = true);
  promise.then(note, note);
  await delay(0);
  return settled;
}

Deno.test("A server that leaves fails the calls that wait at once, and later ones, with the reason", async () => {
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
    // After a silence a connection is dialed, and the others must answer a PING.
    await until(() =>
      server.stats().dialing === 0 && server.silentMs(performance.now()) === 0
    );
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
  server.replaceOlder(performance.now());
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
  server.replaceOlder(performance.now());
  assertEquals(server.stats().open, 1);
  const { connection } = server.shared()!;
  await delay(260);
  server.replaceOlder(connection.openedAt); // it is not older than itself
  assertEquals(server.stats().open, 1);
  server.replaceOlder(connection.openedAt + 0.001);
  assertEquals(server.stats().open, 0);
});
