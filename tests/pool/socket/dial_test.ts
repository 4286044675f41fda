// That a connection which cannot be opened says why, in time, and without the password.

import "../../support/strict.ts";
import {
  assert,
  assertEquals,
  assertFalse,
  assertInstanceOf,
  assertLess,
  assertMatch,
  assertRejects,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import { delay } from "@std/async/delay";
import {
  type CloseReport,
  DialError,
  fateOf,
  Redis,
  type RedisOptions,
  ReplyError,
  RetryError,
  type Socket,
  WebhookRecorder,
} from "../../../mod.ts";
import { dial } from "../../../pool/socket/dial.ts";
import { Endpoint } from "../../../pool/socket/endpoint.ts";
import { FakeServer } from "../../support/fake_server.ts";
import { startProxy } from "../../support/fault_proxy.ts";
import { startRedis } from "../../support/redis_server.ts";
import { certificate } from "../../support/certificate.ts";
import { SOON_MS, until } from "../../support/wait.ts";
import { freePort } from "../../support/free_port.ts";
import { runProgram } from "../../support/run_program.ts";

const PASSWORD = "s3cr3t:p@ss/wörd";
/** What a client that tries once is told, by a client that goes on working. */
async function refusal(
  url: string,
  options: RedisOptions = {},
): Promise<DialError> {
  const reports: CloseReport[] = [];
  await using redis = new Redis(url, {
    retry: false,
    connectTimeoutMs: 3000,
    onClose: (report) => reports.push(report),
    ...options,
  });
  const startedAt = performance.now();
  const error = await assertRejects(() => redis.send(["PING"]), DialError);
  assertLess(performance.now() - startedAt, SOON_MS);
  // Every way in is told the same.
  await assertRejects(() => redis.pipeline([["PING"]]), DialError);
  await assertRejects(() => redis.send(["BLPOP", "list", 1]), DialError);
  await assertRejects(() => redis.lease(), DialError);
  assertEquals(redis.stats().open, 0);
  assertEquals(redis.stats().waiting, 0);
  assertEquals(redis.stats().dialed, 0);
  assertEquals(fateOf(error), "unsent");
  assertMatch(error.message, /^Cannot connect to [^ ]+:\d+: .{10}/);
  assertNoSecret(error);
  assertNoSecret(redis);
  assertNoSecret(reports);
  return error;
}

/** Looks into everything that hangs on a value, shown or not. */
function assertNoSecret(value: unknown, secret: string = PASSWORD): void {
  const secrets = [secret, encodeURIComponent(secret)];
  const seen = new Set<unknown>();
  const search = (value: unknown, path: string): void => {
    if (typeof value === "string") {
      for (const s of secrets) assertFalse(value.includes(s), `${path}`);
    }
    if (value === null || !/object|function/.test(typeof value)) return;
    if (seen.has(value)) return;
    seen.add(value);
    const holder = value as object;
    for (const key of Reflect.ownKeys(holder)) {
      const property = Reflect.getOwnPropertyDescriptor(holder, key);
      search(property?.value, `${path}.${String(key)}`);
    }
  };
  search(value, "value");
  search(Deno.inspect(value, { depth: 50, showHidden: true }), "inspect");
  search(String(value), "text");
  search(JSON.stringify(value), "JSON");
}

const modUrl = new URL("../../../mod.ts", import.meta.url).href;

Deno.test("A host name that does not resolve is named as such", {
  // Before 2.9 Deno.connect keeps the handle of its signal when it finds no such host.
  sanitizeResources: !/^2\.[5-8]\./.test(Deno.version.deno),
}, async () => {
  const error = await refusal("redis://no-such-host.invalid:6379");
  assertEquals(error.phase, "connect");
  assertEquals(error.endpoint, "no-such-host.invalid:6379");
  assertStringIncludes(error.message, "no such host");
});

Deno.test("A closed port is named as such", async () => {
  const port = freePort();
  const error = await refusal(`redis://127.0.0.1:${port}`);
  assertEquals(error.phase, "connect");
  assert(error.isRetriable);
  assertStringIncludes(error.message, `127.0.0.1:${port}: connection refused`);
  assertEquals(
    (await refusal(`rediss://127.0.0.1:${port}`)).phase,
    "connect",
  );
});

Deno.test("A closed port is tried again until the attempts run out, and the client works when it opens", async () => {
  await using server = await startRedis();
  await using proxy = await startProxy({ target: server });
  await proxy.refuse();
  await using redis = new Redis(proxy.url);
  const error = await assertRejects(() => redis.send(["PING"]), RetryError);
  assertEquals(error.attempts, 4);
  assertInstanceOf(error.cause, DialError);
  assertEquals(fateOf(error), "unsent");

  const late = redis.send(["INCR", "counter"]);
  await delay(20);
  await proxy.accept();
  assertEquals(await late, 1);
  assertEquals(redis.stats().open, 1);
});

Deno.test("A wrong password is refused once, not tried again", async () => {
  await using server = await startRedis({ password: PASSWORD });
  await using proxy = await startProxy({ target: server });
  const error = await refusal(proxy.url, { password: "wr0ng-p@ss" });
  assertEquals(error.phase, "handshake");
  assertFalse(error.isRetriable);
  assertInstanceOf(error.cause, ReplyError);
  assertEquals(error.cause.code, "WRONGPASS");
  assertNoSecret(error, "wr0ng-p@ss");

  const before = proxy.connections;
  await using redis = new Redis(proxy.url, { password: "wr0ng-p@ss" });
  await assertRejects(() => redis.send(["PING"]), DialError, "WRONGPASS");
  assertEquals(proxy.connections, before + 1);
  await redis.close();

  await using right = new Redis(server.url);
  assertEquals(await right.send(["PING"]), "PONG");
  assertNoSecret(right);
});

Deno.test("A missing password is refused by the handshake", async () => {
  await using server = await startRedis({ password: PASSWORD });
  const error = await refusal(`redis://127.0.0.1:${server.port}`);
  assertEquals(error.phase, "handshake");
  assertFalse(error.isRetriable);
  assertStringIncludes(error.message, "NOAUTH");
  assertStringIncludes(error.message, "HELLO");
});

Deno.test("Percent-encoded passwords, ACL users and options all log in", async () => {
  await using server = await startRedis({ password: PASSWORD });
  await server.cli("ACL", "SETUSER", "app", "on", ">p%w", "~*", "+@all");
  const plain = `127.0.0.1:${server.port}`;
  const ways: [string, RedisOptions, string][] = [
    [server.url, {}, "default"],
    [`redis://${plain}`, { password: PASSWORD }, "default"],
    [`redis://app:p%25w@${plain}`, {}, "app"],
    [`redis://${plain}`, { username: "app", password: "p%w" }, "app"],
    [server.url, { username: "app", password: "p%w" }, "app"],
  ];
  for (const [url, options, user] of ways) {
    await using redis = new Redis(url, options);
    assertEquals(await redis.send(["ACL", "WHOAMI"]), user);
  }
});

Deno.test("A user without rights gets the server's refusal and keeps the connection", async () => {
  await using server = await startRedis();
  await server.cli("ACL", "SETUSER", "nobody", "on", ">pw", "-@all", "+ping");
  await using redis = new Redis(server.url, {
    username: "nobody",
    password: "pw",
  });
  const error = await assertRejects(
    () => redis.send(["GET", "key"]),
    ReplyError,
    "NOPERM",
  );
  assertEquals(fateOf(error), "unsent");
  assertEquals(await redis.send(["PING"]), "PONG");
  assertEquals(redis.stats().dialed, 1);
  assertEquals(redis.stats().retries, 0);

  const select = await refusal(`${server.url}/1`, {
    username: "nobody",
    password: "pw",
  });
  assertFalse(select.isRetriable);
  assertStringIncludes(select.message, "the server refused SELECT: NOPERM");
});

Deno.test("An unknown database number is refused once, not tried again", async () => {
  await using server = await startRedis();
  await using proxy = await startProxy({ target: server });
  const error = await refusal(`${proxy.url}/999`);
  assertEquals(error.phase, "handshake");
  assertFalse(error.isRetriable);
  assertMatch(error.message, /SELECT: ERR .*index is out of range/);

  const before = proxy.connections;
  await using redis = new Redis(proxy.url, { database: 999 });
  await assertRejects(() => redis.send(["PING"]), DialError);
  assertEquals(proxy.connections, before + 1);
});

Deno.test("A database number leads every connection to that database", async () => {
  await using server = await startRedis();
  await using redis = new Redis(`${server.url}/7`);
  await redis.send(["SET", "where", "seven"]);
  await using lease = await redis.lease();
  assertEquals(await lease.send(["GET", "where"]), "seven");
  assertStringIncludes(await server.cli("INFO", "keyspace"), "db7:keys=1");
});

Deno.test("TLS against a plain port ends in time", async () => {
  await using server = await startRedis();
  // Whether Redis answers, closes or waits for a line depends on random bytes.
  for (let i = 0; i < 3; i++) {
    const error = await refusal(`rediss://127.0.0.1:${server.port}`, {
      connectTimeoutMs: 200,
    });
    assert(error.phase !== "handshake", error.message);
  }
  await using redis = new Redis(server.url);
  assertEquals(await redis.send(["PING"]), "PONG");
});

Deno.test("TLS against a port that answers in plain text says so", async () => {
  await using server = new FakeServer(async (connection) => {
    await connection.read(new Uint8Array(4096));
    await connection.write(
      new TextEncoder().encode("-ERR unknown command\r\n"),
    );
  });
  const error = await refusal(`rediss://${server.address}`);
  assertEquals(error.phase, "tls");
  assertFalse(error.isRetriable);
  assertStringIncludes(error.message, "does not speak TLS");
});

Deno.test("Plain text against a TLS port is refused", async () => {
  await using server = await startRedis({ tls: true });
  const error = await refusal(`redis://127.0.0.1:${server.tlsPort}`);
  assertEquals(error.phase, "handshake");
});

Deno.test("A certificate of an unknown authority is refused once", async () => {
  await using server = await startRedis({ tls: true });
  await using proxy = await startProxy({
    target: { hostname: "127.0.0.1", port: server.tlsPort },
    tls: true,
  });
  const error = await refusal(proxy.url);
  assertEquals(error.phase, "tls");
  assertFalse(error.isRetriable);
  assertStringIncludes(error.message, "tls.caCerts");
  const other = await refusal(proxy.url, {
    tls: { caCerts: [certificate("unknown_ca.crt")] },
  });
  assertFalse(other.isRetriable);

  const before = proxy.connections;
  await using redis = new Redis(proxy.url);
  await assertRejects(() => redis.send(["PING"]), DialError);
  // The first of a client asks whether the peer answers TLS at all.
  assertEquals(proxy.connections, before + 2);

  await using known = new Redis(proxy.url, {
    tls: { caCerts: [server.caCert] },
  });
  assertEquals(await known.send(["PING"]), "PONG");
});

Deno.test("A server of an unknown authority is refused although another is trusted", async () => {
  await using server = await startRedis({
    tls: { certificate: "unknown_server" },
  });
  const error = await refusal(server.tlsUrl, {
    tls: {
      caCerts: [server.caCert],
      unsafelyDisableHostnameVerification: true,
    },
  });
  assertEquals(error.phase, "tls");
  assertFalse(error.isRetriable);
});

Deno.test("A certificate for another name is refused, unless that name or none is asked for", async () => {
  await using server = await startRedis({ tls: { certificate: "wrong_host" } });
  const caCerts = [server.caCert];
  const error = await refusal(server.tlsUrl, { tls: { caCerts } });
  assertEquals(error.phase, "tls");
  assertFalse(error.isRetriable);
  assertMatch(
    error.message,
    /to [^:]+:\d+: the server's certificate is not made out to \S+: give .* tls\.serverName, or .* tls\.unsafelyDisableHostnameVerification \(/,
  );

  for (
    const tls of [
      { caCerts, unsafelyDisableHostnameVerification: true },
      { caCerts, serverName: "elsewhere.test" },
    ]
  ) {
    await using redis = new Redis(server.tlsUrl, { tls });
    assertEquals(await redis.send(["PING"]), "PONG");
    // Another node of the same cluster, which is called by its IP address.
    const node = new Endpoint("rediss://elsewhere.test", { tls });
    const { port } = new URL(server.tlsUrl);
    const signal = AbortSignal.timeout(SOON_MS);
    const endpoint = node.at("127.0.0.1", Number(port));
    (await dial(endpoint, { signal })).close();
  }
  await refusal(server.tlsUrl, { tls: { caCerts, serverName: "redis.test" } });
});

Deno.test("A client certificate logs in where one is asked for", async () => {
  await using server = await startRedis({ tls: { clientCertificate: true } });
  await using redis = new Redis(server.tlsUrl, {
    tls: { caCerts: [server.caCert], ...server.clientCertificate },
  });
  assertEquals(await redis.send(["PING"]), "PONG");
  assertFalse(Deno.inspect(redis, { depth: 50 }).includes("PRIVATE KEY"));
});

Deno.test("A missing client certificate is refused", async () => {
  await using server = await startRedis({ tls: { clientCertificate: true } });
  const error = await refusal(server.tlsUrl, {
    tls: { caCerts: [server.caCert] },
  });
  assertMatch(error.message, /alert|certificate|ended before Redis/i);
});

Deno.test("A TLS alert about our certificate is a refusal, not tried again", async () => {
  await using server = await startRedis({ tls: { clientCertificate: true } });
  const error = await refusal(server.tlsUrl, {
    tls: { caCerts: [server.caCert] },
  });
  assertStringIncludes(error.message, "CertificateRequired");
  assertFalse(error.isRetriable);
});

Deno.test("A server name that is none is refused, not tried again", async () => {
  await using server = await startRedis({ tls: true });
  const error = await refusal(server.tlsUrl, {
    tls: { caCerts: [server.caCert], serverName: "not a name" },
  });
  assertFalse(error.isRetriable);
});

Deno.test("An unanswered TLS handshake is told from an unanswered TCP port", async () => {
  await using silent = new FakeServer(() => {});
  const error = await refusal(`rediss://${silent.address}`, {
    connectTimeoutMs: 100,
  });
  assertEquals(error.phase, "tls");
  assertMatch(error.message, /TLS/);
});

Deno.test("TLS options that are no PEM are refused without a leak", async () => {
  await using server = await startRedis({ tls: true });
  for (
    const tls of [
      {
        caCerts: ["-----BEGIN CERTIFICATE-----\n*\n-----END CERTIFICATE-----"],
      },
      { cert: "no certificate", key: "no key", caCerts: [server.caCert] },
      { caCerts: [server.caCert], serverName: "not a name" },
    ]
  ) {
    const error = await refusal(server.tlsUrl, { tls });
    assert(error.message.length > 40, error.message);
  }
});

Deno.test("A server that accepts and says nothing is given up after connectTimeoutMs", async () => {
  await using silent = new FakeServer(() => {});
  for (const scheme of ["redis", "rediss"]) {
    const startedAt = performance.now();
    await using redis = new Redis(`${scheme}://${silent.address}`, {
      connectTimeoutMs: 150,
      retry: false,
    });
    const error = await assertRejects(() => redis.send(["PING"]), DialError);
    const elapsed = performance.now() - startedAt;
    assert(elapsed >= 140 && elapsed < SOON_MS, `${elapsed} ms`);
    assertStringIncludes(error.message, "within 150 ms");
    assertFalse(Deno.inspect(error).includes("[cause]: undefined"));
    assert(error.isRetriable);
  }
  await using server = await startRedis({ tls: true });
  const error = await refusal(`rediss://${silent.address}`, {
    connectTimeoutMs: 100,
    tls: { caCerts: [server.caCert], ...server.clientCertificate },
  });
  assertStringIncludes(error.message, "within 100 ms");
});

Deno.test("A server that falls silent inside the handshake is given up after connectTimeoutMs", async () => {
  await using server = await startRedis();
  await using proxy = await startProxy({ target: server });
  proxy.split(1, { everyMs: 40 }); // moves, but never ends in time
  const error = await refusal(proxy.url, { connectTimeoutMs: 200 });
  assertEquals(error.phase, "handshake");
  proxy.pass();
  await using redis = new Redis(proxy.url);
  assertEquals(await redis.send(["PING"]), "PONG");
});

Deno.test("A web server is told from a Redis", async () => {
  await using web = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen: () => {} },
    () => new Response("hello"),
  );
  const error = await refusal(`redis://127.0.0.1:${web.addr.port}`);
  assertEquals(error.phase, "handshake");

  await using talkative = new FakeServer(async (connection) => {
    await connection.read(new Uint8Array(4096));
    await connection.write(
      new TextEncoder().encode("HTTP/1.1 400 Bad Request\r\n\r\n"),
    );
  });
  const other = await refusal(`redis://${talkative.address}`);
  assertEquals(other.phase, "handshake");
  assertFalse(other.isRetriable);
  assertStringIncludes(other.message, "does not speak the Redis protocol");
});

Deno.test("A server that greets first is told from a Redis", async () => {
  await using ssh = new FakeServer((connection) =>
    connection.write(new TextEncoder().encode("SSH-2.0-OpenSSH_9.9\r\n"))
  );
  const error = await refusal(`redis://${ssh.address}`);
  assertEquals(error.phase, "handshake");
});

Deno.test("A server that closes at once is told, by FIN and by RST", async () => {
  await using server = await startRedis();
  await using proxy = await startProxy({ target: server });
  for (const way of ["fin", "rst"] as const) {
    await proxy.slam(way);
    const error = await refusal(proxy.url);
    assert(error.isRetriable);
    await proxy.accept();
  }
  await using redis = new Redis(proxy.url);
  assertEquals(await redis.send(["PING"]), "PONG");
});

Deno.test("A server that is full is tried again, and works when there is room", async () => {
  await using server = await startRedis({ config: { maxclients: 1 } });
  await using holder = new Redis(server.url);
  await holder.send(["PING"]);
  const error = await refusal(server.url);
  assert(error.isRetriable);
  assertMatch(error.message, /max number of clients|ended before/);

  await using redis = new Redis(server.url);
  const late = redis.send(["INCR", "counter"]);
  await delay(50);
  await holder.close();
  assertEquals(await late, 1);
});

Deno.test("IPv6 addresses are dialed and printed with brackets", async () => {
  await using server = await startRedis({
    config: { bind: "127.0.0.1 ::1" },
    tls: true,
  });
  await using redis = new Redis(`redis://[::1]:${server.port}`);
  assertEquals(await redis.send(["PING"]), "PONG");
  assertStringIncludes(Deno.inspect(redis), `[::1]:${server.port}`);
  await using secure = new Redis(`rediss://[::1]:${server.tlsPort}`, {
    tls: { caCerts: [server.caCert] },
  });
  assertEquals(await secure.send(["PING"]), "PONG");
  const port = freePort();
  const error = await refusal(`redis://[::1]:${port}`);
  assertEquals(error.endpoint, `[::1]:${port}`);
});

Deno.test("A server that does not know HELLO is greeted the older way", async () => {
  for (const password of [undefined, PASSWORD]) {
    await using server = await startRedis({
      config: { "rename-command": 'HELLO ""' },
      ...(password === undefined ? {} : { password }),
    });
    await using redis = new Redis(`${server.url}/3?clientName=old-way`);
    assertEquals(await redis.send(["CLIENT", "GETNAME"]), "old-way");
    assertMatch(String(await redis.send(["CLIENT", "INFO"])), / db=3 /);
    if (password === undefined) continue;

    const wrong = await refusal(server.url, { password: "wr0ng-p@ss" });
    assertFalse(wrong.isRetriable);
    assertStringIncludes(wrong.message, "WRONGPASS");
    assertNoSecret(wrong, "wr0ng-p@ss");
    const missing = await refusal(`redis://127.0.0.1:${server.port}`);
    assertFalse(missing.isRetriable);
    assertStringIncludes(missing.message, "NOAUTH");
  }
});

Deno.test("A server that knows neither HELLO nor AUTH does not make us print the password", async () => {
  await using server = await startRedis({
    config: { "rename-command": 'HELLO ""\nrename-command AUTH ""' },
  });
  const error = await refusal(server.url, { password: PASSWORD });
  assertFalse(error.isRetriable);
  assertStringIncludes(error.message, "AUTH");
});

Deno.test("Client and library name are in CLIENT LIST", async () => {
  await using server = await startRedis();
  for (
    const [url, options] of [
      [server.url, { clientName: "webhooks-1" }],
      [`${server.url}?clientName=webhooks-1`, {}],
      [`${server.url}?clientName=other`, { clientName: "webhooks-1" }],
    ] as const
  ) {
    await using redis = new Redis(url, options);
    await redis.send(["PING"]);
    assertMatch(await server.cli("CLIENT", "LIST"), / name=webhooks-1 /);
  }
});

Deno.test("A dial of the user's own is used, with the endpoint and a signal", async () => {
  await using server = await startRedis();
  const seen: string[] = [];
  await using redis = new Redis("redis://nowhere.invalid:1", {
    dial: (endpoint, { signal }) => {
      seen.push(`${endpoint}`);
      assertInstanceOf(signal, AbortSignal);
      return Deno.connect({ hostname: "127.0.0.1", port: server.port, signal });
    },
  });
  assertEquals(await redis.send(["PING"]), "PONG");
  assertEquals(seen, ["nowhere.invalid:1"]);
});

Deno.test("A dial of the user's own that throws is a DialError", async () => {
  const error = await refusal("redis://127.0.0.1:1", {
    dial: () => Promise.reject(new Error("the tunnel is down")),
  });
  assertStringIncludes(error.message, "the tunnel is down");
  await refusal("redis://127.0.0.1:1", {
    dial: () => {
      throw new Error("the tunnel is down");
    },
  });
});

Deno.test("A socket that comes after the timeout is closed", async () => {
  await using server = await startRedis();
  let opened = 0;
  let closed = 0;
  const slow = async (): Promise<Socket> => {
    await delay(150);
    const connection = await Deno.connect({
      hostname: "127.0.0.1",
      port: server.port,
    });
    opened++;
    return {
      read: (buffer) => connection.read(buffer),
      write: (bytes) => connection.write(bytes),
      close: () => {
        closed++;
        connection.close();
      },
    };
  };
  await using redis = new Redis(server.url, {
    dial: slow,
    connectTimeoutMs: 30,
    retry: false,
  });
  const error = await assertRejects(() => redis.send(["PING"]), DialError);
  assertStringIncludes(error.message, "no connection within 30 ms");
  await until(() => opened === 1 && closed === 1, "the late socket is closed");
});

Deno.test("A socket that comes after close() is closed", async () => {
  await using server = await startRedis();
  const arrived = Promise.withResolvers<void>();
  let closed = 0;
  const redis = new Redis(server.url, {
    dial: async () => {
      await delay(80);
      const connection = await Deno.connect({
        hostname: "127.0.0.1",
        port: server.port,
      });
      arrived.resolve();
      return {
        read: (buffer) => connection.read(buffer),
        write: (bytes) => connection.write(bytes),
        close: () => {
          closed++;
          connection.close();
        },
      };
    },
  });
  const sent = assertRejects(() => redis.send(["PING"]), Error, "closed");
  await redis.close({ drainMs: 0 });
  await sent;
  await arrived.promise;
  await until(() => closed === 1, "the late socket is closed");
});

Deno.test("connectTimeoutMs of Infinity, or beyond what a timer can hold, does not end a dial", async () => {
  await using server = await startRedis();
  for (const connectTimeoutMs of [Infinity, 2 ** 40]) {
    await using redis = new Redis(server.url, {
      connectTimeoutMs,
      checkoutTimeoutMs: connectTimeoutMs,
      retry: false,
      dial: async (endpoint, options) => {
        await delay(40);
        return dial(endpoint, options);
      },
    });
    assertEquals(await redis.send(["PING"]), "PONG");
  }
});

Deno.test("The password is in no error, report or print of a client that loses its connection", async () => {
  await using server = await startRedis({ password: PASSWORD, tls: true });
  await using proxy = await startProxy({ target: server });
  const reports: CloseReport[] = [];
  const retries: unknown[] = [];
  await using redis = new Redis(
    `redis://:${encodeURIComponent(PASSWORD)}@127.0.0.1:${proxy.port}`,
    {
      onClose: (report) => reports.push(report),
      onRetry: (info) => retries.push(info),
    },
  );
  await redis.send(["PING"]);
  proxy.cut(0);
  const lost = await assertRejects(() => redis.send(["INCR", "key"]));
  const worn = await assertRejects(() => redis.send(["GET", "key"]));
  await proxy.refuse();
  const refused = await assertRejects(() => redis.send(["GET", "key"]));
  for (const thing of [lost, worn, refused, reports, retries, redis]) {
    assertNoSecret(thing);
  }
  assert(reports.length > 0 && retries.length > 0);
  await redis.close();
  assertNoSecret(await assertRejects(() => redis.send(["PING"])));
});

Deno.test("The password is in no error about a URL or an option", () => {
  const secret = encodeURIComponent(PASSWORD);
  for (
    const [url, options] of [
      [`redis://:${secret}@`, {}],
      [`http://:${secret}@host`, {}],
      [`redis://:${secret}@host/x`, {}],
      [`redis://:${secret}@host:99999`, {}],
      [`redis://:${secret}@host?password=${secret}`, {}],
      [`redis://:%zz${secret}@host`, {}],
      [`redis://host`, { username: "u", passwort: PASSWORD }],
      [`redis://:${secret}@host`, { clientName: "two words" }],
      [`redis://:${secret}@host`, { maxConnections: 0 }],
      [`redis://:${secret}@host#x`, {}],
    ] as const
  ) {
    const error = assertThrows(
      () => new Redis(url, options as RedisOptions),
      Error,
    );
    assertNoSecret(error);
    assert(/^Cannot use /.test(error.message), error.message);
  }
});

Deno.test("Without permission the error names the flag, and nothing is tried again", async () => {
  await using server = await startRedis();
  const { code, stdout, stderr } = await runProgram(
    [],
    `
    import { Redis } from ${JSON.stringify(modUrl)};
    const retries = [];
    const redis = new Redis(${
      JSON.stringify(server.url)
    }, { onRetry: (r) => retries.push(r) });
    try {
      await redis.send(["PING"]);
    } catch ({ name, message, isRetriable }) {
      console.log(JSON.stringify({ name, message, isRetriable, retries: retries.length }));
    }
    await redis.close();
  `,
  );
  assertEquals(code, 0, stderr);
  const { name, message, isRetriable, retries } = JSON.parse(stdout);
  assertEquals([name, isRetriable, retries], ["DialError", false, 0]);
  assertStringIncludes(message, `--allow-net=127.0.0.1:${server.port}`);
});

Deno.test("Importing the module asks for no permission", async () => {
  const { code, stdout, stderr } = await runProgram(
    [],
    `
    import * as mod from ${JSON.stringify(modUrl)};
    new mod.Redis();
    console.log(Object.keys(mod).includes("Redis"));
  `,
  );
  assertEquals([code, stdout], [0, "true\n"], stderr);
});

Deno.test("Recording asks for the network of its host alone, and the process ends by itself", async () => {
  await using server = await startRedis();
  const { code, stdout, stderr } = await runProgram(
    [`--allow-net=127.0.0.1:${server.port}`],
    `
    import { Redis, WebhookRecorder } from ${JSON.stringify(modUrl)};
    const redis = new Redis(${JSON.stringify(server.url)});
    const recorder = new WebhookRecorder(redis, { retentionSeconds: 60 });
    const event = { mallId: "mall", shopNo: 1, eventType: "orders" };
    const { status } = await recorder.record(event);
    console.log(status, await recorder.frequency(event, { windowSeconds: 60 }));
  `,
  );
  assertEquals([code, stdout], [0, "recorded 1\n"], stderr);
  assertEquals(
    await server.cli("ZCARD", "webhook_frequency_mall_1_orders"),
    "1",
  );
});

Deno.test("A recorder on a refused connection drops, and prints no password", async () => {
  await using server = await startRedis({ password: PASSWORD });
  const errors: unknown[] = [];
  await using redis = new Redis(server.url, { password: "wr0ng-p@ss" });
  await using recorder = new WebhookRecorder(redis, {
    onError: (error, info) => errors.push(error, info),
  });
  const outcome = await recorder.record({
    mallId: "mall",
    shopNo: 1,
    eventType: "orders",
  });
  assertEquals(outcome.status, "dropped");
  assertNoSecret([outcome, errors], "wr0ng-p@ss");
  assert(errors.length > 0);
  await redis.close(); // the recorder has nothing left to wait for
});
