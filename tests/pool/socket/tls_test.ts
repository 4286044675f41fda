// That TLS is begun only with a peer that answers it, that no socket is left behind, and that a certificate that cannot be used is named.

import "../../support/strict.ts";
import { type AddressInfo, createServer, Socket as NodeTcp } from "node:net";
import {
  assert,
  assertEquals,
  assertFalse,
  assertLess,
  assertMatch,
  assertRejects,
  assertStringIncludes,
} from "@std/assert";
import { delay } from "@std/async/delay";
import { DialError, Redis, type TlsOptions } from "../../../mod.ts";
import { dialTls } from "../../../pool/socket/deno_tls.ts";
import { dial } from "../../../pool/socket/dial.ts";
import { TlsFailure } from "../../../pool/socket/dial_error.ts";
import { Endpoint } from "../../../pool/socket/endpoint.ts";
import { explain } from "../../../pool/socket/explain.ts";
import { tlsHistoryOf } from "../../../pool/socket/tls_probe.ts";
import { FakeServer } from "../../support/fake_server.ts";
import { startProxy } from "../../support/fault_proxy.ts";
import { importFlags } from "../../support/imports.ts";
import { startRedis } from "../../support/redis_server.ts";
import { canCountSockets, socketsTo } from "../../support/sockets.ts";
import { refusal } from "../../support/refusal.ts";
import { certificate } from "../../support/certificate.ts";
import { pastDialPause, until } from "../../support/wait.ts";

const ignore = !canCountSockets;
const [major = 0, minor = 0] = Deno.version.deno.split(".").map(Number);
/** Before 2.7 Node's TLS in Deno says that it is secure before it is: what fails then is told by the Redis handshake. */
const nodeWaitsForTls = major > 2 || minor >= 7;
/** Before 2.8 Node's sockets in Deno have no keep-alive. */
const nodeKeepsAlive = major > 2 || minor >= 8;

/** Runs openssl in a directory of its own, and reads what it has made. */
async function openssl(
  script: string,
  ...files: string[]
): Promise<string[]> {
  const cwd = await Deno.makeTempDir();
  try {
    const { success, stderr } = await new Deno.Command("sh", {
      args: ["-ec", script],
      cwd,
    }).output();
    assert(success, new TextDecoder().decode(stderr));
    return files.map((file) => Deno.readTextFileSync(`${cwd}/${file}`));
  } finally {
    await Deno.remove(cwd, { recursive: true });
  }
}

Deno.test({
  name: "TLS dials that time out give their sockets back",
  ignore,
  async fn() {
    await using silent = new FakeServer(() => {});
    await using redis = new Redis(`rediss://${silent.address}`, {
      retry: false,
      connectTimeoutMs: 100,
    });
    for (let i = 0; i < 5; i++) {
      const error = await assertRejects(() => redis.send(["PING"]), DialError);
      assertEquals(error.phase, "tls");
      assertStringIncludes(error.message, "no TLS handshake within 100 ms");
      assertStringIncludes(error.message, "is this a plain port (redis://)?");
      await pastDialPause();
    }
    assertEquals(silent.accepted, 5);
    await until(() => socketsTo(silent.port).length === 0, "all closed");
  },
});

Deno.test({
  name:
    "A dial that is given up while it asks for TLS gives its socket back at once",
  ignore,
  async fn() {
    await using silent = new FakeServer(() => {});
    for (const cert of [false, true]) {
      await using server = await startRedis({ tls: true });
      const redis = new Redis(`rediss://${silent.address}`, {
        tls: cert ? server.clientCertificate : {},
      });
      const lost = assertRejects(() => redis.send(["PING"]));
      await until(() => socketsTo(silent.port).length === 1, "dialed");
      await redis.close({ drainMs: 0 });
      await lost;
      await until(() => socketsTo(silent.port).length === 0, "closed");
    }
  },
});

/** Answers with the beginning of a TLS record, and never goes on. */
const halfAnswer = async (connection: Deno.Conn): Promise<void> => {
  await connection.read(new Uint8Array(4096));
  await connection.write(new Uint8Array([22, 3, 3, 0, 122, 2]));
};

Deno.test({
  name:
    "A peer that begins TLS and never ends it holds three sockets, and then no dial is made",
  ignore,
  async fn() {
    await using server = new FakeServer(halfAnswer);
    const endpoint = new Endpoint(`rediss://${server.address}`);
    /** Gives up 50 ms after TLS has begun, or else after 5 s, however busy the machine is. */
    const attempt = () => {
      const begun = new AbortController();
      let timer: ReturnType<typeof setTimeout> | undefined;
      const onTls = (isAnswered = false) => {
        if (isAnswered) timer = setTimeout(() => begun.abort(), 50);
      };
      const late = AbortSignal.timeout(5000);
      const signal = AbortSignal.any([begun.signal, late]);
      return dial(endpoint, { signal, onTls }).then(
        () => new Error("open"),
        (error: Error) => error,
      ).finally(() => clearTimeout(timer));
    };
    const history = tlsHistoryOf(endpoint);
    for (const stranded of [1, 2, 3]) {
      assertEquals((await attempt()).name, "AbortError");
      assertEquals(history.stranded, stranded);
      assertFalse(history.answersTls);
    }
    const held = () => socketsTo(server.port).length;
    await until(() => held() === 3, "three held");
    const accepted = server.accepted;
    for (let i = 0; i < 3; i++) {
      const error = await attempt();
      assert(error instanceof DialError);
      assert(error.isRetriable);
      assertMatch(
        error.message,
        /3 TLS handshakes did not end .* Deno keeps their sockets .* begins in (29|30) s/,
      );
    }
    assertEquals(held(), 3);
    assertLess(server.accepted, accepted + 4);

    // Each further one doubles the pause, up to an hour.
    for (const seconds of [60, 120, 240, 480, 960, 1920, 3840, 3840]) {
      history.tlsNotBefore = 0;
      history.answersTls = true;
      await attempt();
      assertMatch((await attempt()).message, new RegExp(` ${seconds} s$`));
    }
  },
});

Deno.test("A handshake that the peer began and did not end is told from one that it never answered", async () => {
  await using server = new FakeServer(halfAnswer);
  for (const cert of [false, nodeWaitsForTls]) {
    const error = await refusal(`rediss://${server.address}`, {
      connectTimeoutMs: 200,
      ...(cert
        ? {
          tls: {
            cert: certificate("client.crt"),
            key: certificate("client.key"),
          },
        }
        : {}),
    });
    assertEquals(error.phase, "tls");
    assertStringIncludes(
      error.message,
      "the server answers TLS, but its handshake has not ended within 200 ms",
    );
  }
});

Deno.test("A peer that answers TLS once is not asked again before its next handshake", async () => {
  await using server = await startRedis({ tls: true });
  await using proxy = await startProxy({
    target: { hostname: "127.0.0.1", port: server.tlsPort },
    tls: true,
  });
  await using redis = new Redis(proxy.url, {
    tls: { caCerts: [server.caCert] },
  });
  await redis.send(["PING"]);
  assertEquals(proxy.connections, 2);
  await using _lease = await redis.lease();
  await redis.send(["PING"]);
  assertEquals(proxy.connections, 3);
});

Deno.test("TLS on the plain port of a Redis is named at once, with a password and without", async () => {
  for (const options of [{}, { password: "s3cret" }]) {
    await using server = await startRedis(options);
    for (const host of ["127.0.0.1", "localhost"]) {
      const startedAt = performance.now();
      const error = await refusal(`rediss://${host}:${server.port}`);
      assertLess(performance.now() - startedAt, 1000);
      assertEquals([error.phase, error.isRetriable], ["tls", false]);
      assertStringIncludes(error.message, "it does not speak TLS on this port");
      assertStringIncludes(error.message, "use redis://");
    }
    const [long] = [`${"a".repeat(60)}.`.repeat(4)];
    const tls = { serverName: `${long}example` };
    const error = await refusal(`rediss://127.0.0.1:${server.port}`, { tls });
    assertStringIncludes(error.message, "use redis://");
  }
});

Deno.test("What asks for TLS is a message that TLS understands", async () => {
  await using server = await startRedis({ tls: true });
  for (const version of ["TLSv1.2", "TLSv1.3"]) {
    await server.cli("CONFIG", "SET", "tls-protocols", version);
    for (const serverName of ["localhost", "redis.test"]) {
      const hello = Promise.withResolvers<Uint8Array>();
      await using tap = new FakeServer(async (connection) => {
        const bytes = new Uint8Array(4096);
        hello.resolve(bytes.subarray(0, await connection.read(bytes) ?? 0));
        connection.close();
      });
      await refusal(`rediss://${tap.address}`, { tls: { serverName } });
      const bytes = await hello.promise;
      assertStringIncludes(
        new TextDecoder("latin1").decode(bytes),
        serverName,
      );
      assertEquals(bytes.indexOf(10), 4);
      assertLess(4, bytes.indexOf(0, 5));
      const tcp = await Deno.connect({ port: server.tlsPort });
      await tcp.write(bytes.slice());
      const answer = new Uint8Array(16);
      await tcp.read(answer);
      // A handshake record with server_hello: an alert would be 21.
      assertEquals([answer[0], answer[5]], [22, 2]);
      tcp.close();
    }
  }
});

Deno.test({
  name: "A server name that is none leaves no socket behind",
  ignore,
  async fn() {
    await using server = await startRedis({ tls: true });
    await using redis = new Redis(server.tlsUrl, {
      retry: false,
      tls: { serverName: "not a name" },
    });
    for (let i = 0; i < 5; i++) {
      const error = await assertRejects(() => redis.send(["PING"]), DialError);
      assertFalse(error.isRetriable);
      assertStringIncludes(error.message, "Invalid hostname");
      await pastDialPause();
    }
    assertEquals(socketsTo(server.tlsPort).length, 0);
  },
});

Deno.test("An authority that cannot be read is named, and not tried again", async () => {
  await using server = await startRedis({ tls: true });
  for (const body of ["*", "AAAA"]) {
    const error = await refusal(server.tlsUrl, {
      tls: {
        caCerts: [
          `-----BEGIN CERTIFICATE-----\n${body}\n-----END CERTIFICATE-----\n`,
        ],
      },
    });
    assertEquals([error.phase, error.isRetriable], ["tls", false]);
    assertStringIncludes(error.message, "cannot use tls.caCerts: ");
    assertFalse(error.message.includes("peer"), error.message);
  }
});

Deno.test("A self-signed certificate as its own authority is refused with the two ways out, and both work", async () => {
  const make = (name: string, more: string) =>
    `openssl req -x509 -newkey rsa:2048 -nodes -days 2 -keyout ${name}.key -out ${name}.crt \
     -subj /CN=localhost -addext subjectAltName=DNS:localhost ${more}`;
  const [ca, caKey, end, endKey] = await openssl(
    `${make("ca", "")}; ${make("end", "-addext basicConstraints=CA:FALSE")}`,
    "ca.crt",
    "ca.key",
    "end.crt",
    "end.key",
  );
  const attempt = async (cert: string, key: string): Promise<DialError> => {
    const listener = Deno.listenTls({
      hostname: "127.0.0.1",
      port: 0,
      cert,
      key,
    });
    const serving = (async () => {
      for await (const connection of listener) {
        connection.handshake().then(
          () => connection.close(),
          () => connection.close(),
        );
      }
    })();
    const error = await refusal(`rediss://localhost:${listener.addr.port}`, {
      tls: { caCerts: [cert] },
    });
    listener.close();
    await serving;
    return error;
  };
  const refused = await attempt(ca!, caKey!);
  assertEquals([refused.phase, refused.isRetriable], ["tls", false]);
  assertStringIncludes(refused.message, "basicConstraints=CA:FALSE");
  assertStringIncludes(refused.message, "with an authority of its own");
  assertEquals((await attempt(end!, endKey!)).phase, "handshake");
});

const certified = (server: {
  caCert: string;
  clientCertificate: { cert: string; key: string };
}): TlsOptions => ({
  caCerts: [server.caCert],
  ...server.clientCertificate,
});

Deno.test({
  name:
    "Every TCP socket has no-delay and keep-alive, with a client's certificate, too",
  ignore,
  async fn() {
    await using server = await startRedis({ tls: { clientCertificate: true } });
    const socketOf = async (url: string, tls?: TlsOptions) => {
      await using redis = new Redis(url, tls === undefined ? {} : { tls });
      await redis.send(["PING"]);
      await delay(300); // the timers of what was sent are over
      return socketsTo(Number(new URL(url).port)).map((s) =>
        s.keepAliveSeconds
      );
    };
    assertEquals((await socketOf(server.url)).map((s) => s! > 0), [true]);
    const [seconds] = await socketOf(server.tlsUrl, certified(server));
    if (nodeKeepsAlive) assert(seconds! <= 30, `${seconds}`);
  },
});

Deno.test("A dial asks for no-delay and keep-alive, with TLS and without", async () => {
  await using server = await startRedis({ tls: true });
  const { connect } = Deno;
  const asked: string[] = [];
  Deno.connect = (async (options: Deno.ConnectOptions) => {
    const tcp = await connect(options);
    for (const name of ["setNoDelay", "setKeepAlive"] as const) {
      const set = tcp[name].bind(tcp);
      tcp[name] = (on?: boolean) => {
        asked.push(`${name} ${on}`);
        set(on);
      };
    }
    return tcp;
  }) as typeof Deno.connect;
  try {
    for (const url of [server.url, server.tlsUrl]) {
      const endpoint = new Endpoint(
        url,
        url === server.url ? {} : { tls: { caCerts: [server.caCert] } },
      );
      tlsHistoryOf(endpoint).answersTls = true;
      asked.length = 0;
      const socket = await dial(endpoint, {
        signal: AbortSignal.timeout(5000),
      });
      socket.close();
      assertEquals(asked, ["setNoDelay true", "setKeepAlive true"]);
    }
  } finally {
    Deno.connect = connect;
  }
});

Deno.test("A client's certificate does not weaken the check of the server's name or authority", async () => {
  await using server = await startRedis({ tls: { certificate: "wrong_host" } });
  const tls = certified(server);
  const wrong = await refusal(server.tlsUrl, { tls });
  assertFalse(wrong.isRetriable);
  assertMatch(wrong.message, /tls\.serverName, or .*Disable.*Verification/);
  for (
    const more of [
      { serverName: "elsewhere.test" },
      { unsafelyDisableHostnameVerification: true },
    ]
  ) {
    await using redis = new Redis(server.tlsUrl, { tls: { ...tls, ...more } });
    assertEquals(await redis.send(["PING"]), "PONG");
  }
  for (
    const more of [
      { serverName: "redis.test" },
      {
        caCerts: [certificate("unknown_ca.crt")],
        unsafelyDisableHostnameVerification: true,
      },
    ]
  ) {
    const error = await refusal(server.tlsUrl, { tls: { ...tls, ...more } });
    assertFalse(error.isRetriable, error.message);
  }
  const unknown = await refusal(server.tlsUrl, {
    tls: server.clientCertificate,
  });
  assertStringIncludes(
    unknown.message,
    nodeWaitsForTls ? "pass it in tls.caCerts" : "UnknownIssuer",
  );
});

Deno.test("A key or certificate that cannot be used is named at once, and nothing is dialed", async () => {
  await using silent = new FakeServer(() => {});
  const cert = certificate("client.crt");
  const key = certificate("client.key");
  const pem = (label: string) =>
    `-----BEGIN ${label}-----\nAAAA\n-----END ${label}-----\n`;
  for (
    const [tls, name, why] of [
      [{ cert, key: certificate("server.key") }, "tls.key", "not the key of"],
      [{ cert, key: key.replaceAll("\n", "\\n") }, "tls.key", "characters \\n"],
      [{ cert, key: "x" }, "tls.key", "not PEM"],
      [{ cert, key: "" }, "tls.key", "empty"],
      [{ cert, key: "/run/client.key" }, "tls.key", "path of a file"],
      [{ cert, key: pem("PRIVATE KEY") }, "tls.key", "cannot be read"],
      [{ cert: "x", key }, "tls.cert", "not PEM"],
      [{ cert: key, key }, "tls.cert", "not PEM"],
      [{ cert: "client.crt", key }, "tls.cert", "path of a file"],
      [{ cert: pem("CERTIFICATE"), key }, "tls.cert", "cannot be read"],
      [{ cert, key: pem("ENCRYPTED PRIVATE KEY") }, "tls.key", "encrypted"],
      [
        { cert, key: key.replace("\n", "\nProc-Type: 4,ENCRYPTED\n\n") },
        "tls.key",
        "encrypted",
      ],
      [
        { cert, key, caCerts: [cert, pem("CERTIFICATE")] },
        "tls.caCerts[1]",
        "cannot be read",
      ],
      [
        { cert, key, caCerts: [cert + cert.slice(0, 300)] },
        "tls.caCerts[0]",
        "cannot be read",
      ],
      [
        { cert, key, serverName: "no name" },
        "tls.serverName",
        "not a host name",
      ],
      [{ cert, key, serverName: ".." }, "tls.serverName", "not a host name"],
    ] as [TlsOptions, string, string][]
  ) {
    await using redis = new Redis(`rediss://${silent.address}`, { tls });
    const startedAt = performance.now();
    const error = await assertRejects(() => redis.send(["PING"]), DialError);
    assertLess(performance.now() - startedAt, 2000);
    assertFalse(error.isRetriable);
    assertStringIncludes(error.message, `cannot use ${name}: `);
    assertStringIncludes(error.message, why);
    assertFalse(Deno.inspect(error, { depth: 9 }).includes(key.slice(40, 80)));
  }
  assertEquals(silent.accepted, 0);
});

Deno.test("A key of any kind that belongs to its certificate is used", async () => {
  await using server = await startRedis({ tls: true });
  const [rsa, rsaKey, oldKey, ec, ecKey] = await openssl(
    `openssl req -x509 -newkey rsa:2048 -nodes -days 2 -keyout r.key -out r.crt -subj /CN=me
     openssl rsa -in r.key -traditional -out old.key
     openssl ecparam -name prime256v1 -genkey -noout -out e.key
     openssl req -x509 -key e.key -days 2 -out e.crt -subj /CN=me`,
    "r.crt",
    "r.key",
    "old.key",
    "e.crt",
    "e.key",
  );
  for (const [cert, key] of [[rsa, rsaKey], [rsa, oldKey], [ec, ecKey]]) {
    await using redis = new Redis(server.tlsUrl, {
      tls: { caCerts: [server.caCert], cert: cert!, key: key! },
    });
    assertEquals(await redis.send(["PING"]), "PONG");
  }
});

Deno.test("With a client's certificate large values travel whole, and an end is told as such", async () => {
  await using server = await startRedis({ tls: { clientCertificate: true } });
  await using redis = new Redis(server.tlsUrl, {
    tls: certified(server),
    maxConnections: 1,
  });
  const value = "0123456789".repeat(300_000);
  const replies = await Promise.all([
    redis.send(["SET", "key", value]),
    redis.send(["GET", "key"]),
    redis.send(["ECHO", "after"]),
  ]);
  assert(replies[1] === value && replies[2] === "after");
  const id = await redis.send(["CLIENT", "ID"]);
  await server.cli("CLIENT", "KILL", "ID", `${id}`);
  await until(() => redis.stats().open === 0, "seen while idle");
  assertEquals(redis.stats().lastClose?.how, "fin");
});

Deno.test({
  name:
    "With a client's certificate a dial into a black hole ends with close(), and does not keep the process",
  ignore,
  async fn() {
    // A full queue of connections: the system answers no further one.
    using listener = Deno.listen({
      hostname: "127.0.0.1",
      port: 0,
      tcpBacklog: 1,
    } as Deno.TcpListenOptions);
    const { port } = listener.addr;
    const filling = new AbortController();
    const filled: Promise<Deno.Conn | undefined>[] = [];
    for (let i = 0; i < 4; i++) {
      filled.push(
        Deno.connect({ port, signal: filling.signal } as Deno.ConnectOptions)
          .catch(() => undefined),
      );
    }
    await delay(50);
    const program = `
    import { Redis } from ${
      JSON.stringify(new URL("../../../mod.ts", import.meta.url).href)
    };
    const redis = new Redis("rediss://127.0.0.1:${port}", { tls: {
      cert: ${JSON.stringify(certificate("client.crt"))},
      key: ${JSON.stringify(certificate("client.key"))},
    } });
    const lost = redis.send(["PING"]).catch((error) => error.name);
    await new Promise((resolve) => setTimeout(resolve, 300));
    await redis.close({ drainMs: 0 });
    console.log(await lost);
  `;
    const startedAt = performance.now();
    const process = new Deno.Command(Deno.execPath(), {
      args: ["eval", ...importFlags, program],
      cwd: new URL("../../..", import.meta.url),
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    const limit = setTimeout(() => process.kill("SIGKILL"), 10_000);
    const { code, stdout, stderr } = await process.output();
    clearTimeout(limit);

    // A peer that has answered once is not asked before: Node dials by itself.
    const endpoint = new Endpoint(`rediss://127.0.0.1:${port}`, {
      tls: {
        cert: certificate("client.crt"),
        key: certificate("client.key"),
      },
    });
    tlsHistoryOf(endpoint).answersTls = true;
    const before = socketsTo(port).length;
    await assertRejects(
      () => dial(endpoint, { signal: AbortSignal.timeout(200) }),
      DOMException,
    );
    if (nodeWaitsForTls) assertFalse(tlsHistoryOf(endpoint).answersTls);
    await until(() => socketsTo(port).length === before, "given back");
    filling.abort();
    for (const connection of await Promise.all(filled)) connection?.close();
    const text = new TextDecoder();
    assertEquals(
      [code, text.decode(stdout)],
      [0, "ClosedError\n"],
      text.decode(stderr),
    );
    assertLess(performance.now() - startedAt, 9000);
  },
});

Deno.test("With a client's certificate the network of its host is all that is asked for", async () => {
  await using server = await startRedis({ tls: { clientCertificate: true } });
  const program = `
    import { Redis } from ${
    JSON.stringify(new URL("../../../mod.ts", import.meta.url).href)
  };
    await using redis = new Redis("${server.tlsUrl}", {
      tls: ${JSON.stringify(certified(server))},
    });
    console.log(await redis.send(["PING"]));
  `;
  const file = await Deno.makeTempFile({ suffix: ".ts" });
  await Deno.writeTextFile(file, program);
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "--no-prompt",
      ...importFlags,
      `--allow-net=127.0.0.1:${server.tlsPort}`,
      file,
    ],
    cwd: new URL("../../..", import.meta.url),
  }).output();
  await Deno.remove(file);
  const text = new TextDecoder();
  assertEquals([code, text.decode(stdout)], [0, "PONG\n"], text.decode(stderr));
});

Deno.test("A connection refused with a client's certificate reads like any other", async () => {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr;
  listener.close();
  const tls = {
    cert: certificate("client.crt"),
    key: certificate("client.key"),
  };
  for (const answersTls of [false, true]) {
    const endpoint = new Endpoint(`rediss://127.0.0.1:${port}`, { tls });
    tlsHistoryOf(endpoint).answersTls = answersTls;
    const error = await assertRejects(
      () => dial(endpoint, { signal: AbortSignal.timeout(3000) }),
      DialError,
    );
    assertEquals([error.phase, error.isRetriable], ["connect", true]);
    assertStringIncludes(error.message, "connection refused");
  }
});

Deno.test("A server name of no characters is none: the URL's host is verified", async () => {
  await using server = await startRedis({ tls: true });
  const { startTls } = Deno;
  const verified: (string | undefined)[] = [];
  Deno.startTls = (tcp, options) => {
    verified.push(options?.hostname);
    return startTls(tcp, options);
  };
  try {
    for (const serverName of ["", "redis.test"]) {
      const endpoint = new Endpoint(server.tlsUrl, {
        tls: { caCerts: [server.caCert], serverName },
      });
      const signal = AbortSignal.timeout(5000);
      (await dial(endpoint, { signal })).close();
    }
  } finally {
    Deno.startTls = startTls;
  }
  assertEquals(verified, [new URL(server.tlsUrl).hostname, "redis.test"]);
});

/** Ends the connection by FIN. */
const hangUp = async (connection: Deno.Conn): Promise<void> => {
  await connection.read(new Uint8Array(4096));
  connection.close();
};

Deno.test("A peer that ends the connection upon TLS may be on its way down: another attempt may succeed", async () => {
  const own = {
    cert: certificate("client.crt"),
    key: certificate("client.key"),
  };
  await using polite = new FakeServer(hangUp);
  const rude = createServer((socket) => {
    socket.on("error", () => {});
    socket.once("data", () => socket.resetAndDestroy());
  });
  await new Promise<void>((resolve) => rude.listen(0, "127.0.0.1", resolve));
  const { port } = rude.address() as AddressInfo;
  const canReset = "resetAndDestroy" in NodeTcp.prototype; // since Deno 2.7
  const addresses = [polite.address, `127.0.0.1:${port}`];
  for (const address of canReset ? addresses : addresses.slice(0, 1)) {
    for (const tls of nodeWaitsForTls ? [{}, own] : [{}]) {
      for (const answersTls of [false, true]) {
        const endpoint = new Endpoint(`rediss://${address}`, { tls });
        tlsHistoryOf(endpoint).answersTls = answersTls;
        const error = await assertRejects(
          () => dial(endpoint, { signal: AbortSignal.timeout(5000) }),
          DialError,
        );
        assertEquals([error.phase, error.isRetriable], ["tls", true]);
        assertStringIncludes(error.message, "TLS handshake was cut short");
      }
    }
  }
  await new Promise((resolve) => rude.close(resolve));
});

Deno.test("A dial leaves nothing on its signal, and a later abort does not touch the socket", async () => {
  await using server = await startRedis({ tls: true });
  for (const tls of [{ caCerts: [server.caCert] }, certified(server)]) {
    const endpoint = new Endpoint(server.tlsUrl, { tls });
    const abort = new AbortController();
    const { signal } = abort;
    let listeners = 0;
    const add = signal.addEventListener.bind(signal);
    const remove = signal.removeEventListener.bind(signal);
    signal.addEventListener = ((...args: Parameters<typeof add>) => {
      listeners++;
      add(...args);
    }) as typeof signal.addEventListener;
    signal.removeEventListener = ((...args: Parameters<typeof remove>) => {
      listeners--;
      remove(...args);
    }) as typeof signal.removeEventListener;
    const socket = await dial(endpoint, { signal });
    assertEquals(listeners, 0);
    abort.abort();
    assertEquals(tlsHistoryOf(endpoint).stranded, 0);
    await socket.write(new TextEncoder().encode("PING\r\n"));
    assertEquals(await socket.read(new Uint8Array(64)), 7);
    socket.close();
  }
});

Deno.test("A signal that ends the dial while TLS is begun ends it", async () => {
  await using server = await startRedis({ tls: true });
  const endpoint = new Endpoint(server.tlsUrl, {
    tls: { caCerts: [server.caCert] },
  });
  tlsHistoryOf(endpoint).answersTls = true;
  const abort = new AbortController();
  const { startTls } = Deno;
  Deno.startTls = async (tcp, options) => {
    const conn = await startTls(tcp, options);
    abort.abort(new Error("enough"));
    return conn;
  };
  try {
    await assertRejects(
      () => dial(endpoint, { signal: abort.signal }),
      Error,
      "enough",
    );
  } finally {
    Deno.startTls = startTls;
  }
  assertEquals(tlsHistoryOf(endpoint).stranded, 1);
});

Deno.test("What asks for TLS names no server where the URL has an address", async () => {
  for (const host of ["127.0.0.1", "localhost"]) {
    const hello = Promise.withResolvers<string>();
    await using tap = new FakeServer(async (connection) => {
      const bytes = new Uint8Array(4096);
      const count = await connection.read(bytes) ?? 0;
      hello.resolve(new TextDecoder("latin1").decode(bytes.subarray(0, count)));
      connection.close();
    });
    await refusal(`rediss://${host}:${tap.port}`);
    assertEquals((await hello.promise).includes(host), host === "localhost");
  }
});

Deno.test("With a client's certificate Node is asked for no-delay", async () => {
  await using server = await startRedis({ tls: { clientCertificate: true } });
  const { setNoDelay } = NodeTcp.prototype;
  const asked: (boolean | undefined)[] = [];
  NodeTcp.prototype.setNoDelay = function (on) {
    asked.push(on);
    return setNoDelay.call(this, on);
  };
  try {
    const endpoint = new Endpoint(server.tlsUrl, { tls: certified(server) });
    const signal = AbortSignal.timeout(5000);
    (await dial(endpoint, { signal })).close();
  } finally {
    NodeTcp.prototype.setNoDelay = setNoDelay;
  }
  assert(asked.includes(true));
});

Deno.test("A signal that has ended already dials nothing", async () => {
  await using silent = new FakeServer(() => {});
  for (
    const tls of [undefined, {}, {
      cert: certificate("client.crt"),
      key: certificate("client.key"),
    }]
  ) {
    for (const answersTls of [false, true]) {
      const endpoint = new Endpoint(
        `redis${tls === undefined ? "" : "s"}://${silent.address}`,
        tls === undefined ? {} : { tls },
      );
      tlsHistoryOf(endpoint).answersTls = answersTls;
      await assertRejects(
        () => dial(endpoint, { signal: AbortSignal.abort(new Error("late")) }),
        Error,
        "late",
      );
    }
  }
  await delay(20);
  assertEquals(silent.accepted, 0);
});

Deno.test("A peer that resets between TCP and TLS is tried again, and no certificate is blamed", async () => {
  await using server = await startRedis({ tls: true });
  await using proxy = await startProxy({
    target: { hostname: "127.0.0.1", port: server.tlsPort },
    tls: true,
  });
  const endpoint = new Endpoint(proxy.url, {
    tls: { caCerts: [server.caCert] },
  });
  const { signal } = new AbortController();
  tlsHistoryOf(endpoint).answersTls = true; // no probe comes first
  const error = await assertRejects(
    () =>
      dialTls(endpoint, { signal }, async () => {
        const tcp = await Deno.connect(endpoint);
        await until(() => proxy.connections === 1);
        await proxy.killAll("rst");
        await delay(50); // until the reset has come
        return tcp;
      }),
    TlsFailure,
  );
  const explained = explain(endpoint, error);
  assert(explained.isRetriable);
  assertMatch(explained.message, /the TLS handshake was cut short/);
});
