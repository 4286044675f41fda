// What a server says of its role and mode, and which dials fail by that.

import "../../support/strict.ts";
import { assertEquals, assertRejects } from "@std/assert";
import { DialError } from "../../../mod.ts";
import { askWithin } from "../../../client/servers/ask_within.ts";
import { Server } from "../../../client/servers/server.ts";
import { Endpoint } from "../../../pool/socket/endpoint.ts";
import { startRedis } from "../../support/redis_server.ts";
import {
  CLOSE,
  helloOf,
  ScriptedServer,
} from "../../support/scripted_server.ts";
import { until } from "../../support/wait.ts";
import { IGNORED, OPTIONS, Setup } from "./server_setup.ts";

Deno.test("A dial to a replica fails where a primary is expected, and succeeds once it is one", async () => {
  await using primary = await startRedis();
  await using setup = await Setup.start({ expects: "primary" });
  const { redis, server } = setup;
  assertEquals(await setup.ask(["ECHO", "x"]), "x");
  server.replaceOlder(performance.now());
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
