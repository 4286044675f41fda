// That a question of the client's own is answered in time, or fails for a reason that is said.

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
import { ConnectionClosedError, DialError } from "../../../mod.ts";
import {
  AskTimeoutError,
  askWithin,
} from "../../../client/servers/ask_within.ts";
import { startRedis } from "../../support/redis_server.ts";
import { runProgram } from "../../support/run_program.ts";
import { later, SOON_MS, until } from "../../support/wait.ts";
import { LEFT, OPTIONS, reasonOf, Setup } from "./server_setup.ts";

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
