// That everything that speaks Redis is greeted so that it answers, and that what refuses says why.

import "../../support/strict.ts";
import {
  assert,
  assertEquals,
  assertFalse,
  assertInstanceOf,
  assertMatch,
  assertRejects,
  assertStringIncludes,
} from "@std/assert";
import { delay } from "@std/async/delay";
import { DialError, Redis, ReplyError } from "../../../mod.ts";
import type { CloseReport } from "../../../pool/connection/close_report.ts";
import type { Connection } from "../../../pool/connection/connection.ts";
import { ask } from "../../../pool/connection/in_flight.ts";
import { open, type OpenOptions } from "../../../pool/connection/open.ts";
import { dial } from "../../../pool/socket/dial.ts";
import { Endpoint } from "../../../pool/socket/endpoint.ts";
import type { Dial, Socket } from "../../../pool/socket/socket.ts";
import {
  type GreetingHistory,
  greetingHistoryOf,
} from "../../../pool/connection/greetings.ts";
import { modeHint } from "../../../pool/connection/identity.ts";
import { FakeServer } from "../../support/fake_server.ts";
import { startRedis } from "../../support/redis_server.ts";
import {
  type Answer,
  CLOSE,
  helloOf,
  ScriptedServer,
} from "../../support/scripted_server.ts";
import { refusal } from "../../support/refusal.ts";
import { until } from "../../support/wait.ts";

const UNKNOWN = "-ERR unknown command\r\n";

/** The answers of a server that supports PING, CLIENT ID and little else. */
const simple = ([name]: string[]): string =>
  name === "PING" ? "+PONG\r\n" : name === "CLIENT" ? ":5\r\n" : "+OK\r\n";

const opened = (
  url: string,
  options = {},
): Promise<Connection> => openAt(new Endpoint(url, options));

const openAt = (
  endpoint: Endpoint,
  how: Dial = dial,
  options: Pick<OpenOptions, "isClusterNode"> = {},
): Promise<Connection> =>
  open(endpoint, {
    ...options,
    dial: how,
    connectTimeoutMs: 3000,
    replyTimeoutMs: 3000,
    number: 1,
    signal: new AbortController().signal,
  });

Deno.test("A refusal of HELLO in any words falls back to the older greeting", async (t) => {
  for (
    const words of [
      "unsupported command 'hello'",
      "ERR Unknown Redis command: 'HELLO'",
      "ERR command 'HELLO' is not allowed",
      "ERR Command is not available: 'HELLO'",
      "ERR wrong number of arguments for 'hello' command",
      "ERR syntax error",
      "ERR invalid password",
      "ERR",
      "NOAUTH Authentication required.",
      "NOAUTH HELLO must be called with the client already authenticated",
      "NOPERM this user has no permissions to run the 'hello' command",
      "NOPROTO unsupported protocol version",
      "ERR Protocol error",
      "FORBIDDEN",
    ]
  ) {
    await t.step(words, async () => {
      await using server = new ScriptedServer((command) =>
        command[0] === "HELLO" ? `-${words}\r\n` : simple(command)
      );
      const url = server.url.replace("//", "//app:pw@");
      await using redis = new Redis(`${url}/2?clientName=me`, { retry: false });
      assertEquals(await redis.send(["PING"]), "PONG");
      assertEquals(server.heard, [[
        "HELLO 2 AUTH app pw SETNAME me",
        "SELECT 2",
        "AUTH app pw",
        "CLIENT SETNAME me",
        "CLIENT ID",
        "PING",
        "SELECT 2",
        "PING",
      ]]);
    });
  }
});

Deno.test("A refusal of HELLO that is final, or that passes, is what it is", async () => {
  for (
    const [words, isRetriable] of [
      ["WRONGPASS invalid username-password pair or user is disabled.", false],
      ["DENIED Redis is running in protected mode", false],
      ["LOADING Redis is loading the dataset in memory", true],
      ["ERR max number of clients reached", true],
      ["ERR service is not available", true],
    ] as const
  ) {
    await using server = new ScriptedServer(() => `-${words}\r\n`);
    const error = await refusal(server.url);
    assertEquals([error.phase, error.isRetriable], ["handshake", isRetriable]);
    assertStringIncludes(error.message, `the server refused HELLO: ${words}`);
    assertInstanceOf(error.cause, ReplyError);
    assertEquals(server.heard, [["HELLO 2"]]);
  }
});

Deno.test("What the older greeting ends with names the refusal of HELLO, too", async () => {
  for (const end of ["-NOAUTH Authentication required.\r\n", CLOSE] as const) {
    await using server = new ScriptedServer(([name]) =>
      name === "HELLO" ? "-ERR no HELLO here\r\n" : end
    );
    const error = await assertRejects(() => opened(server.url), DialError);
    assertStringIncludes(
      error.message,
      "HELLO was refused before: ERR no HELLO here",
    );
    assertEquals(error.isRetriable, end === CLOSE);
    if (end !== CLOSE) {
      assertStringIncludes(error.message, "the server refused PING: NOAUTH");
      assertInstanceOf(error.cause, ReplyError);
    }
  }
});

Deno.test("Of the older greeting only what was asked for must succeed", async () => {
  const greet = async (refused: string, url = "") => {
    await using server = new ScriptedServer((command) =>
      command[0] === "HELLO" || command.join(" ").startsWith(refused)
        ? UNKNOWN
        : simple(command)
    );
    return await refusal(server.url + url).catch(() => undefined);
  };
  for (const command of ["CLIENT ID", "CLIENT SETNAME"]) {
    assertEquals(await greet(command, "?clientName=me"), undefined);
  }
  const select = await greet("SELECT", "/1");
  assertStringIncludes(select!.message, "the server refused SELECT: ");
  assertFalse(select!.isRetriable);
});

Deno.test("Where there are credentials they are in the first command, whatever greeting", async () => {
  for (const hello of ["*0\r\n", UNKNOWN, CLOSE] as Answer[]) {
    await using server = new ScriptedServer((command) =>
      command[0] === "HELLO" ? hello : simple(command)
    );
    await using redis = new Redis(server.url, { password: "pw", database: 1 });
    assertEquals(await redis.send(["PING"]), "PONG");
    for (const [first] of server.heard) {
      assertMatch(first!, /^(AUTH|HELLO 2 AUTH)/);
    }
  }
});

Deno.test("No user and no password are none, however they are written", async () => {
  for (
    const [url, options] of [
      ["", {}],
      [":@", {}],
      ["", { username: "", password: "" }],
      ["", { username: undefined, password: undefined }],
    ] as const
  ) {
    await using server = new ScriptedServer(([name]) =>
      name === "HELLO" ? "*0\r\n" : "+PONG\r\n"
    );
    await using redis = new Redis(`redis://${url}${server.address}`, options);
    await redis.send(["PING"]);
    assertEquals(server.heard, [["HELLO 2", "PING"]]);
  }
});

Deno.test("A user without a password logs in where the server asks for none of it", async () => {
  await using server = await startRedis();
  await server.cli("ACL", "SETUSER", "guest", "on", "nopass", "~*", "+@all");
  await using redis = new Redis(server.url.replace("//", "//guest@"));
  assertEquals(await redis.send(["ACL", "WHOAMI"]), "guest");
  const error = await refusal(server.url.replace("//", "//nobody@"));
  assertFalse(error.isRetriable);
  assertStringIncludes(error.message, "WRONGPASS");
});

Deno.test("A server before 6 gets the password alone when it refuses two arguments", async () => {
  for (
    const words of [
      "ERR wrong number of arguments for 'auth' command",
      "ERR invalid number of arguments",
      "ERR syntax error",
    ]
  ) {
    await using server = new ScriptedServer((command) =>
      command[0] === "HELLO"
        ? UNKNOWN
        : command[0] === "AUTH"
        ? command.length === 3
          ? `-${words}\r\n`
          : command[1] === "right"
          ? "+OK\r\n"
          : "-ERR invalid password\r\n"
        : simple(command)
    );
    const connection = await opened(server.url, {
      username: "app",
      password: "right",
    });
    assertEquals(connection.identity, { clientId: 5 });
    connection.close();
    const error = await refusal(server.url, {
      username: "app",
      password: "wrong",
    });
    assertStringIncludes(error.message, "refused AUTH: ERR invalid password");
    assertFalse(error.isRetriable);
    assertEquals(
      server.heard.map((heard) => heard.filter((c) => c.startsWith("AUTH"))),
      [["AUTH app right", "AUTH right"], ["AUTH app wrong", "AUTH wrong"]],
    );
  }
});

Deno.test("A user that is refused for another reason is not tried without its name", async () => {
  await using server = new ScriptedServer((command) =>
    command[0] === "HELLO"
      ? UNKNOWN
      : command[0] === "AUTH"
      ? "-WRONGPASS invalid username-password pair\r\n"
      : simple(command)
  );
  const error = await refusal(server.url, { username: "app", password: "pw" });
  assertStringIncludes(error.message, "the server refused AUTH: WRONGPASS");
  assertEquals(server.heard[0]!.slice(1), ["AUTH app pw"]);
});

Deno.test("The code of a refusal stays whole, whatever letters a password has in common with it", async () => {
  await using server = await startRedis({ password: "right" });
  for (const password of ["wrong", "wrongpass", "WRONGPASS", "pass"]) {
    const error = await refusal(server.url, { password });
    assertInstanceOf(error.cause, ReplyError);
    assertEquals(error.cause.code, "WRONGPASS");
    assertStringIncludes(error.message, "the server refused HELLO: WRONGPASS ");
  }
  await using strange = new ScriptedServer(() => "-ERR no such service\r\n");
  const refused = await refusal(strange.url, { password: "ERR" });
  assertStringIncludes(refused.message, ": ERR no such service");
  // A word in capitals that is no code may be an echo.
  await using echo = new ScriptedServer(([name]) =>
    name === "HELLO" ? UNKNOWN : "-HUNTER2 is no password\r\n"
  );
  const { message } = await refusal(echo.url, { password: "HUNTER2" });
  assertFalse(message.includes("HUNTER2"), message);
});

Deno.test("A password for a server that has none is a note, not an error", async () => {
  const scripted = (words: string) =>
    new ScriptedServer((command) =>
      command[0] === "HELLO"
        ? UNKNOWN
        : command[0] === "AUTH"
        ? `-${words}\r\n`
        : simple(command)
    );
  for (
    const words of [
      "ERR Client sent AUTH, but no password is set",
      "ERR AUTH <password> called without any password configured for the default user. Are you sure your configuration is correct?",
    ]
  ) {
    await using server = scripted(words);
    const connection = await opened(server.url, { password: "pw" });
    assertEquals(connection.identity, {
      clientId: 5,
      note: "a password was given, and the server asks for none",
    });
    connection.close();
  }
  // A real one.
  await using server = await startRedis({
    config: { "rename-command": 'HELLO ""' },
  });
  await using redis = new Redis(server.url, { password: "pw" });
  assertEquals(await redis.send(["PING"]), "PONG");
  assertStringIncludes(Deno.inspect(redis), "the server asks for none");
});

/** A proxy that closes on a command that it does not know. */
const closing = (known: string[]) =>
  new ScriptedServer((command) =>
    known.includes(command[0]!) ? simple(command) : CLOSE
  );

Deno.test("A peer that closes on HELLO gets AUTH and PING from the next dial on", async () => {
  await using server = closing(["AUTH", "PING", "SET"]);
  for (const retry of [undefined, false] as const) {
    server.heard.length = 0;
    await using redis = new Redis(server.url, {
      password: "pw",
      ...(retry === undefined ? {} : { retry }),
    });
    assertEquals(await redis.send(["SET", "key", "value"]), "OK");
    assertEquals(redis.stats().dialed, 1);
    assertEquals(redis.stats().dialFailures, 1);
    await using _lease = await redis.lease();
    await redis.send(["PING"]);
    assertEquals(server.heard, [
      ["HELLO 2 AUTH default pw"],
      ["AUTH pw", "PING", "SET key value"],
      ["AUTH pw", "PING", "PING"],
    ]);
  }
});

Deno.test("A peer that refuses HELLO and closes on CLIENT gets AUTH and PING from the next dial on", async () => {
  await using server = new ScriptedServer((command) =>
    command[0] === "HELLO"
      ? UNKNOWN
      : command[0] === "CLIENT"
      ? CLOSE
      : simple(command)
  );
  await using redis = new Redis(`${server.url}/3`);
  assertEquals(await redis.send(["PING"]), "PONG");
  assertEquals(server.heard[1], ["PING", "SELECT 3", "PING"]);
});

Deno.test("A peer that closes on everything is asked by HELLO again", async () => {
  await using server = closing([]);
  const endpoint = new Endpoint(server.url);
  for (const first of ["HELLO 2", "PING", "HELLO 2", "PING"]) {
    const error = await assertRejects(() => openAt(endpoint), DialError);
    assertEquals(server.heard.at(-1), [first]);
    assertEquals([error.phase, error.isRetriable], ["handshake", true]);
  }
});

Deno.test("A peer that has answered HELLO once is greeted by HELLO after any close", async () => {
  let closes = false;
  await using server = new ScriptedServer(([name]) =>
    closes ? CLOSE : name === "HELLO" ? "*0\r\n" : "+PONG\r\n"
  );
  const endpoint = new Endpoint(server.url);
  (await openAt(endpoint)).close();
  closes = true;
  for (let i = 0; i < 3; i++) {
    await assertRejects(() => openAt(endpoint), DialError);
    assertEquals(server.heard.at(-1), ["HELLO 2"]);
  }
});

Deno.test("What was a close for another reason is forgotten: HELLO is tried again after a minute, and ever later", async () => {
  await using server = closing(["PING"]);
  const endpoint = new Endpoint(server.url);
  const history: GreetingHistory = greetingHistoryOf(endpoint);
  for (const minutes of [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 1024]) {
    const now = performance.now();
    await assertRejects(() => openAt(endpoint), DialError);
    const spared = history.bareUntil - now;
    assert(Math.abs(spared / 60_000 - minutes) < 0.1, `${spared} ms`);
    (await openAt(endpoint)).close();
    assertEquals(server.heard.at(-1), ["PING"]);
    history.bareUntil = performance.now() - 1;
  }
});

Deno.test("A dial that ends by silence or nonsense changes no greeting", async () => {
  for (const answer of ["?\r\n", undefined]) {
    await using server = new ScriptedServer(() => answer);
    const endpoint = new Endpoint(server.url);
    for (let i = 0; i < 2; i++) {
      await assertRejects(() =>
        open(endpoint, {
          dial,
          connectTimeoutMs: 100,
          replyTimeoutMs: 3000,
          number: 1,
          signal: new AbortController().signal,
        }), DialError);
      assertEquals(server.heard.at(-1), ["HELLO 2"]);
    }
  }
});

Deno.test("A connection that ends before any answer is asked for TLS where there is none", async () => {
  await using server = closing([]);
  const error = await refusal(server.url);
  assertStringIncludes(error.message, "is this a TLS port (rediss://)?");
  await using late = new FakeServer(async (connection) => {
    await connection.read(new Uint8Array(100));
    await connection.write(new TextEncoder().encode("*"));
    connection.close();
  });
  const cut = await refusal(`redis://${late.address}`);
  assertFalse(cut.message.includes("TLS"), cut.message);

  const certificate = (name: string) =>
    Deno.readTextFileSync(
      new URL(`../../support/certificates/${name}`, import.meta.url),
    );
  const listener = Deno.listenTls({
    hostname: "127.0.0.1",
    port: 0,
    cert: certificate("server.crt"),
    key: certificate("server.key"),
  });
  const serving = (async () => {
    for await (const connection of listener) {
      await connection.read(new Uint8Array(100)).catch(() => {});
      connection.close();
    }
  })();
  const secure = await refusal(`rediss://127.0.0.1:${listener.addr.port}`, {
    tls: { caCerts: [certificate("ca.crt")] },
  });
  listener.close();
  await serving;
  assertEquals(secure.phase, "handshake");
  assertFalse(secure.message.includes("TLS port"), secure.message);

  await using real = await startRedis({ tls: true });
  const plain = await refusal(`redis://127.0.0.1:${real.tlsPort}`);
  assertMatch(plain.message, /TLS/);
});

Deno.test("A server's mode and role are kept, and a mode that is not plain is explained", async () => {
  await using server = await startRedis();
  const plain = await opened(server.url);
  assertEquals(plain.identity?.mode, "standalone");
  assertEquals(plain.identity?.role, "master");
  assertMatch(plain.identity?.version ?? "", /^\d+\.\d+\.\d+$/);
  assert(plain.identity!.clientId! > 0);
  plain.close();
  assertEquals(modeHint({ mode: "standalone" }), undefined);
  assertEquals(modeHint({}), undefined);

  for (
    const [mode, words] of [
      ["cluster", "add ?cluster=true to the URL"],
      ["sentinel", "add ?sentinel=name to the URL"],
    ] as const
  ) {
    await using other = new ScriptedServer(([name]) =>
      name === "HELLO"
        ? helloOf({ version: "7.0.0", mode, role: "replica" })
        : UNKNOWN
    );
    const connection = await opened(other.url);
    assertEquals(connection.identity, {
      clientId: 7,
      version: "7.0.0",
      mode,
      role: "replica",
    });
    connection.close();
    const error = await refusal(`${other.url}/1`);
    assertStringIncludes(error.message, "the server refused SELECT: ");
    assertStringIncludes(error.message, words);
    assertStringIncludes(modeHint({ mode })!, words);
  }
});

Deno.test("A node of a cluster is no surprise to a client of the whole cluster", async () => {
  await using node = new ScriptedServer(([name]) =>
    name === "HELLO" ? helloOf({ version: "7.0.0", mode: "cluster" }) : UNKNOWN
  );
  const endpoint = new Endpoint(node.url);
  const connection = await openAt(endpoint, dial, { isClusterNode: true });
  assertEquals(connection.identity?.isOfCluster, true);
  assertEquals(modeHint(connection.identity!), undefined);
  connection.close();
});

Deno.test("Of a database that a server of a cluster refuses the error says to leave it out", async () => {
  const hint = "; a cluster has database 0 alone: remove the database";
  for (const mode of ["cluster", "standalone", undefined]) {
    await using node = new ScriptedServer(([name]) =>
      name === "HELLO"
        ? mode === undefined ? UNKNOWN : helloOf({ version: "7.0.0", mode })
        : name === "SELECT"
        ? "-ERR SELECT is not allowed in cluster mode\r\n"
        : "+PONG\r\n"
    );
    const endpoint = new Endpoint(`${node.url}/1?cluster=true`);
    const { message } = await assertRejects(
      () => openAt(endpoint, dial, { isClusterNode: true }),
      DialError,
      "the server refused SELECT: ERR SELECT is not allowed in cluster mode",
    );
    assertEquals(message.includes(hint), mode !== "standalone", message);
    assert(!message.includes("?cluster=true"), message);
  }
});

/** A server of 7.2, on which CLIENT SETINFO is answered like that. */
const newer = (setInfo: Answer = "+OK\r\n", version = "7.2.0") =>
  new ScriptedServer((command) =>
    command[0] === "HELLO"
      ? helloOf({ version, mode: "standalone" })
      : command[1] === "SETINFO"
      ? setInfo
      : command[0] === "BLPOP"
      ? "*-1\r\n"
      : simple(command)
  );

const INTRODUCTION = [
  "CLIENT SETINFO LIB-NAME unzombie",
  "CLIENT SETINFO LIB-VER 0.1.0",
];

Deno.test("The library's name goes before the first command, and nothing waits for it", async () => {
  await using server = newer();
  const connection = await opened(server.url);
  assertEquals(connection.inFlight, 0);
  await delay(30);
  assertEquals(server.heard, [["HELLO 2"]]);
  const { promise, resolve } = Promise.withResolvers<unknown>();
  connection.push({
    command: ["PING"],
    binary: false,
    extraReplyTimeoutMs: 0,
    resolve,
    lose: resolve,
  });
  assertEquals(connection.inFlight, 1);
  assertEquals(await promise, "PONG");
  assertEquals([connection.inFlight, connection.served], [0, 1]);
  assertEquals(await ask(connection, ["PING"]), "PONG");
  assertEquals(server.heard, [["HELLO 2", ...INTRODUCTION, "PING", "PING"]]);
  assertEquals([connection.inFlight, connection.served], [0, 2]);
  connection.close();
  assertEquals(connection.report?.commandsServed, 2);
});

Deno.test("The library's name goes before a command that turns replies off", async () => {
  await using server = newer();
  const connection = await opened(server.url);
  connection.pushUnanswered(["CLIENT", "REPLY", "OFF"]);
  await until(() => server.heard[0]!.length === 4);
  assertEquals(server.heard, [
    ["HELLO 2", ...INTRODUCTION, "CLIENT REPLY OFF"],
  ]);
  connection.close();
});

Deno.test("A connection that ends before its name is answered has nothing in flight", async () => {
  await using server = newer(undefined);
  const connection = await opened(server.url);
  const lost = assertRejects(() => ask(connection, ["BLPOP", "key", 0]));
  await until(() => server.heard[0]!.length === 4);
  connection.close();
  await lost;
  assertEquals(connection.inFlight, 0);
  assertEquals(connection.report?.inFlight, 1);
});

Deno.test("A server before 7.2, or of no version, is not told the library's name", async () => {
  for (const version of ["7.1.9", "7.0.15", "6.9.9", "x", ""]) {
    await using server = newer("+OK\r\n", version);
    await using redis = new Redis(server.url);
    await redis.send(["PING"]);
    assertEquals(server.heard, [["HELLO 2", "PING"]]);
  }
  for (const version of ["7.2.0", "7.10.1", "8.0.6", "9.1.2", "10.0.0"]) {
    await using server = newer("+OK\r\n", version);
    await using redis = new Redis(server.url);
    await redis.send(["PING"]);
    assertEquals(server.heard, [["HELLO 2", ...INTRODUCTION, "PING"]]);
  }
});

Deno.test("The library's name is in no count of what was lost", async () => {
  await using server = new ScriptedServer(([name]) =>
    name === "HELLO" ? helloOf({ version: "7.2.0" }) : undefined
  );
  const reports: CloseReport[] = [];
  await using redis = new Redis(server.url, {
    retry: false,
    replyTimeoutMs: 100,
    onClose: (report) => reports.push(report),
  });
  await assertRejects(() => redis.send(["GET", "key"]));
  const [report] = reports;
  assertEquals(report?.inFlight, 1);
  assertEquals(report?.firstInFlight, { name: "GET", args: 1 });
  assertEquals(report?.commandsServed, 0);
  assertEquals(redis.stats().inFlight, 0);
});

Deno.test("Where the library's name is refused, or closed upon, it is not sent again", async () => {
  for (
    const answer of [
      "-NOPERM this user has no permissions to run the 'client|setinfo' command\r\n",
      UNKNOWN,
      CLOSE,
    ] as const
  ) {
    await using server = newer(answer);
    await using redis = new Redis(server.url);
    assertEquals(await redis.send(["PING"]), "PONG");
    await using _lease = await redis.lease();
    await redis.send(["PING"]);
    const told = server.heard.flat().filter((c) => c.includes("SETINFO"));
    assertEquals(told.length, answer === CLOSE ? 1 : 2);
  }
});

Deno.test("Ten leases dial ten connections, and one command that blocks dials one, on any version", async () => {
  const scripted = newer();
  const real = await startRedis();
  for (const { url } of [scripted, real]) {
    {
      await using redis = new Redis(url, { maxConnections: 20 });
      const leases = await Promise.all(
        Array.from({ length: 10 }, () => redis.lease()),
      );
      assertEquals(redis.stats().dialed, 10);
      for (const lease of leases) lease.release();
    }
    await using redis = new Redis(url);
    await redis.send(["BLPOP", "no-such-key", 0.05]);
    assertEquals(redis.stats().dialed, 1);
  }
  await scripted[Symbol.asyncDispose]();
  await real[Symbol.asyncDispose]();
});

Deno.test("A command that a Sentinel does not know says what the URL lacks, however it is sent", async () => {
  const sentinel = (mode: string) =>
    new ScriptedServer(([name]) =>
      name === "HELLO"
        ? helloOf({ version: "7.0.0", mode })
        : name === "PING"
        ? "+PONG\r\n"
        : "-ERR unknown command 'GET', with args beginning with: 'key' \r\n"
    );
  const get = ["GET", "key"] as const;
  await using server = sentinel("sentinel");
  await using redis = new Redis(server.url);
  await using lease = await redis.lease();
  const errors = [
    await redis.send(get).catch((error: Error) => error),
    (await redis.pipeline([["PING"], get]))[1],
    await lease.send(get).catch((error: Error) => error),
  ];
  for (const error of errors) {
    assertInstanceOf(error, ReplyError);
    assertStringIncludes(error.message, "ERR unknown command 'GET' (");
    assertStringIncludes(error.message, modeHint({ mode: "sentinel" })!);
  }
  assertStringIncludes(Deno.inspect(redis), "this server is a Sentinel");

  await using plain = sentinel("standalone");
  await using other = new Redis(plain.url);
  const error = await assertRejects(() => other.send(get), ReplyError);
  assertFalse(error.message.includes("Sentinel"));
});

/** A socket that answers once, by text or by an error, and notes that it is closed. */
function socketOf(answer: string | Error): Socket & { isClosed: boolean } {
  let reads = 0;
  const written = Promise.withResolvers<void>();
  return {
    isClosed: false,
    async read(buffer) {
      await written.promise;
      if (answer instanceof Error) throw answer;
      if (reads++ > 0) return await new Promise(() => {});
      return new TextEncoder().encodeInto(answer, buffer).written;
    },
    write(bytes) {
      written.resolve();
      return Promise.resolve(bytes.length);
    },
    close() {
      this.isClosed = true;
    },
  };
}

Deno.test("A peer that resets the connection upon HELLO gets AUTH and PING next, too", async () => {
  const endpoint = new Endpoint("redis://h");
  const socket = socketOf(new Deno.errors.ConnectionReset("reset"));
  const error = await assertRejects(
    () => openAt(endpoint, () => Promise.resolve(socket)),
    DialError,
  );
  assertMatch(error.message, /reset/);
  assert(greetingHistoryOf(endpoint).bareUntil > performance.now());
});

Deno.test("A connection that is refused in its handshake is closed", async () => {
  const socket = socketOf("-WRONGPASS invalid username-password pair\r\n");
  await assertRejects(
    () => openAt(new Endpoint("redis://h"), () => Promise.resolve(socket)),
    DialError,
    "WRONGPASS",
  );
  assert(socket.isClosed);
});

Deno.test("A refusal is told without the arguments that the server repeats", async () => {
  await using server = new ScriptedServer(([name]) =>
    name === "HELLO"
      ? UNKNOWN
      : "-ERR unknown command 'AUTH', with args beginning with: 'pw' \r\n"
  );
  const error = await refusal(server.url, { password: "pw" });
  assertMatch(
    error.message,
    /the server refused AUTH: ERR unknown command 'AUTH'; HELLO was/,
  );
});

Deno.test("What HELLO answers in another form is no identity", async () => {
  for (
    const answer of [
      "+OK\r\n",
      "$4\r\nabcd\r\n",
      ":1\r\n",
      "*0\r\n",
      "*8\r\n$7\r\nversion\r\n:7\r\n$4\r\nmode\r\n*0\r\n$4\r\nrole\r\n$-1\r\n$2\r\nid\r\n$1\r\n7\r\n",
    ]
  ) {
    await using server = new ScriptedServer(([name]) =>
      name === "HELLO" ? answer : "+PONG\r\n"
    );
    const connection = await opened(server.url);
    assertEquals(connection.identity, {});
    assertEquals(await ask(connection, ["PING"]), "PONG");
    connection.close();
  }
});

Deno.test("A connection that is open leaves nothing on the signal of its dial", async () => {
  await using server = new ScriptedServer(() => "*0\r\n");
  const abort = new AbortController();
  const connection = await open(new Endpoint(server.url), {
    dial,
    connectTimeoutMs: 3000,
    replyTimeoutMs: 3000,
    number: 1,
    signal: abort.signal,
  });
  abort.abort();
  assertEquals(connection.report, undefined);
  connection.close();
});
