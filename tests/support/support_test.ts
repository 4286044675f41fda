// That the helpers of the tests do to a server and to bytes what they say.

import { CHECKS_RESOURCES } from "./strict.ts";
import { SOON_MS, until } from "./wait.ts";
import {
  assert,
  assertEquals,
  assertGreater,
  assertGreaterOrEqual,
  assertInstanceOf,
  assertLess,
  assertMatch,
  assertRejects,
} from "@std/assert";
import { delay } from "@std/async/delay";
import { startProxy } from "./fault_proxy.ts";
import { importFlags } from "./imports.ts";
import { startRedis } from "./redis_server.ts";

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** A socket and nothing else, so that no client of ours hides a fault. */
class RawClient implements Disposable {
  readonly #socket: Deno.Conn;

  private constructor(socket: Deno.Conn) {
    this.#socket = socket;
  }

  static async connect(port: number): Promise<RawClient> {
    return new RawClient(await Deno.connect({ hostname: "127.0.0.1", port }));
  }

  async send(text: string): Promise<void> {
    await this.#socket.write(encoder.encode(text));
  }

  /** The text of one read, or null at the end. */
  async read(): Promise<string | null> {
    const buffer = new Uint8Array(65_536);
    const count = await this.#socket.read(buffer);
    return count === null ? null : decoder.decode(buffer.subarray(0, count));
  }

  async readUntil(length: number): Promise<string> {
    let text = "";
    while (text.length < length) text += await this.read() ?? "<end>";
    return text;
  }

  async ask(text: string): Promise<string | null> {
    await this.send(text);
    return await this.read();
  }

  /** What comes within some milliseconds, "nothing" if that is nothing. */
  async readWithin(ms: number): Promise<string | null> {
    const pending = this.read();
    const first = await Promise.race([
      pending,
      delay(ms, { persistent: false }),
    ]);
    if (first !== undefined) return first;
    this.#socket.close();
    await pending.catch(() => {});
    return "nothing";
  }

  [Symbol.dispose](): void {
    try {
      this.#socket.close();
    } catch {
      // Closed by readWithin.
    }
  }
}

Deno.test("Server keeps its port and its data across a restart", async () => {
  await using server = await startRedis({ config: { appendonly: "yes" } });
  const { port, pid } = server;
  await server.cli("SET", "key", "value");
  await server.restart({ downMs: 20 });
  assertEquals(server.port, port);
  assert(server.pid !== pid);
  assertEquals(await server.cli("GET", "key"), "value");
});

Deno.test("Server takes any password and answers in text", async () => {
  await using server = await startRedis({ password: 'a "b\\c' });
  assertEquals(server.url, `redis://:a%20%22b%5Cc@127.0.0.1:${server.port}`);
  assertEquals(await server.cli("SET", "key", "žluť"), "OK");
  assertEquals(await server.cli("MGET", "key", "none"), "žluť\n");
  await assertRejects(() => server.cli("INCR", "key"), Error, "not an integer");
});

Deno.test("Server freezes, thaws, and can be stopped while frozen", async () => {
  await using server = await startRedis();
  using client = await RawClient.connect(server.port);
  server.freeze();
  await client.send("PING\r\n");
  await delay(50);
  server.thaw();
  assertEquals(await client.read(), "+PONG\r\n");
  server.freeze();
  await server.stop();
  assertEquals(server.running, false);
  assertEquals(await client.read(), null);
});

Deno.test("Server that is killed is noticed and can start again", async () => {
  await using server = await startRedis();
  await server.kill();
  await assertRejects(() => server.cli("PING"), Deno.errors.ConnectionRefused);
  await server.start();
  assertEquals(await server.cli("PING"), "PONG");
});

Deno.test("Server on a port in use says so", async () => {
  await using server = await startRedis();
  await assertRejects(
    () => startRedis({ port: server.port }),
    Error,
    `on port ${server.port}`,
  );
});

Deno.test("Server outlives neither its owner nor leaves its directory", async () => {
  const module = new URL("./redis_server.ts", import.meta.url).href;
  const script = `
    const { startRedis } = await import(${JSON.stringify(module)});
    const server = await startRedis();
    const directory = await server.cli("CONFIG", "GET", "dir");
    console.log(server.port + "\\n" + directory.split("\\n")[1]);
    await new Promise(() => setInterval(() => {}, 1000));
  `;
  const owner = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", ...importFlags, "-"],
    stdin: "piped",
    stdout: "piped",
  }).spawn();
  const writer = owner.stdin.getWriter();
  await writer.write(encoder.encode(script));
  await writer.close();
  const reader = owner.stdout.getReader();
  const output = decoder.decode((await reader.read()).value);
  const [port, directory] = output.trim().split("\n");
  assert(port !== undefined && directory !== undefined);
  using client = await RawClient.connect(Number(port));
  assertEquals(await client.ask("PING\r\n"), "+PONG\r\n");

  owner.kill("SIGKILL");
  await owner.status;
  await reader.cancel();
  assertEquals(await client.read(), null);
  const giveUpAt = Date.now() + 5_000;
  while (Date.now() < giveUpAt && await exists(directory)) await delay(20);
  assertEquals(await exists(directory), false);
});

async function exists(path: string): Promise<boolean> {
  return await Deno.stat(path).then(() => true, () => false);
}

async function pingOverTls(
  options: Deno.ConnectTlsOptions & Partial<Deno.TlsCertifiedKeyPem>,
): Promise<string> {
  using socket = await Deno.connectTls(options);
  await socket.write(encoder.encode("PING\r\n"));
  const buffer = new Uint8Array(100);
  const count = await socket.read(buffer) ?? 0;
  return decoder.decode(buffer.subarray(0, count));
}

Deno.test("TLS port shows a certificate that its authority vouches for", async () => {
  await using server = await startRedis({ tls: true });
  const caCerts = [server.caCert];
  const port = server.tlsPort;
  for (const hostname of ["127.0.0.1", "localhost"]) {
    assertEquals(await pingOverTls({ hostname, port, caCerts }), "+PONG\r\n");
  }
  await assertRejects(
    () => pingOverTls({ hostname: "127.0.0.1", port }),
    Error,
    "UnknownIssuer",
  );
});

Deno.test("TLS port can show a wrong name or an unknown authority", async () => {
  for (
    const [certificate, problem] of [
      ["wrong_host", "not valid for name"],
      ["unknown_server", "UnknownIssuer"],
    ] as const
  ) {
    await using server = await startRedis({ tls: { certificate } });
    const { caCert, tlsPort } = server;
    await assertRejects(
      () =>
        pingOverTls({
          hostname: "localhost",
          port: tlsPort,
          caCerts: [caCert],
        }),
      Error,
      problem,
    );
  }
});

Deno.test("TLS port can ask for the certificate of the client", async () => {
  await using server = await startRedis({ tls: { clientCertificate: true } });
  const options = {
    hostname: "localhost",
    port: server.tlsPort,
    caCerts: [server.caCert],
  };
  const { cert, key } = server.clientCertificate;
  assertEquals(await pingOverTls({ ...options, cert, key }), "+PONG\r\n");
  await assertRejects(() => pingOverTls(options), Error);
});

Deno.test("Proxy passes and counts bytes", async () => {
  await using server = await startRedis();
  await using proxy = await startProxy({ target: server });
  assertEquals(proxy.url, `redis://127.0.0.1:${proxy.port}`);
  {
    using client = await RawClient.connect(proxy.port);
    assertEquals(await client.ask("PING\r\n"), "+PONG\r\n");
    assertEquals(proxy.open, 1);
  }
  const { connections, bytesUp, bytesDown } = proxy;
  assertEquals([connections, bytesUp, bytesDown], [1, 6, 7]);
  await until(() => proxy.open === 0, "the proxy has no link");
});

Deno.test("Proxy passes a megabyte, also to a client that reads late", async () => {
  await using server = await startRedis();
  await using proxy = await startProxy({ target: server });
  using client = await RawClient.connect(proxy.port);
  await server.cli("SETRANGE", "big", 8_000_000, "!");
  await client.send("GET big\r\n");
  await delay(50);
  const reply = await client.readUntil("$8000001\r\n\r\n".length + 8_000_001);
  assertEquals(reply.length, "$8000001\r\n\r\n".length + 8_000_001);
});

Deno.test("Proxy hands on a close by the server and one by the client", async () => {
  await using server = await startRedis();
  await using proxy = await startProxy({ target: server });
  using client = await RawClient.connect(proxy.port);
  assertEquals(await client.ask("PING\r\n"), "+PONG\r\n");
  await server.cli("CLIENT", "KILL", "TYPE", "normal");
  assertEquals(await client.read(), null);
  (await RawClient.connect(proxy.port))[Symbol.dispose]();
  await delay(20);
  assertEquals(
    (await server.cli("CLIENT", "LIST")).trim().split("\n").length,
    1,
  );
});

Deno.test("Proxy falls silent for open connections and new ones", async () => {
  await using server = await startRedis();
  await using proxy = await startProxy({ target: server });
  using open = await RawClient.connect(proxy.port);
  assertEquals(await open.ask("PING\r\n"), "+PONG\r\n");
  proxy.silence();
  await open.send("SET key value\r\n");
  assertEquals(await open.readWithin(50), "nothing");
  using fresh = await RawClient.connect(proxy.port);
  await fresh.send("PING\r\n");
  assertEquals(await fresh.readWithin(50), "nothing");
  assertEquals(await server.cli("EXISTS", "key"), "0");
});

Deno.test("Proxy that falls silent hides a close until it passes again", async () => {
  await using server = await startRedis();
  await using proxy = await startProxy({ target: server });
  using client = await RawClient.connect(proxy.port);
  assertEquals(await client.ask("PING\r\n"), "+PONG\r\n");
  proxy.silence();
  await server.cli("CLIENT", "KILL", "TYPE", "normal");
  let ended = false;
  const end = client.read().then((text) => {
    ended = true;
    return text;
  });
  await delay(50);
  assertEquals(ended, false);
  proxy.pass();
  assertEquals(await end, null);
});

Deno.test("Proxy can spare open connections, or new ones", async () => {
  await using server = await startRedis();
  await using proxy = await startProxy({ target: server });
  using first = await RawClient.connect(proxy.port);
  assertEquals(await first.ask("PING\r\n"), "+PONG\r\n");
  proxy.cut(1, { scope: "new" });
  using second = await RawClient.connect(proxy.port);
  assertEquals(await second.ask("PING\r\n"), "+");
  assertEquals(await second.read(), null);
  assertEquals(await first.ask("PING\r\n"), "+PONG\r\n");
  proxy.pass();
  proxy.cut(1, { scope: "open" });
  using third = await RawClient.connect(proxy.port);
  assertEquals(await third.ask("PING\r\n"), "+PONG\r\n");
  assertEquals(await first.ask("PING\r\n"), "+");
});

Deno.test("Proxy cuts a reply after each number of bytes", async () => {
  await using server = await startRedis();
  await using proxy = await startProxy({ target: server });
  const reply = "+PONG\r\n";
  for (const by of ["fin", "rst"] as const) {
    for (let bytes = 0; bytes <= reply.length; bytes++) {
      proxy.cut(bytes, { by });
      using client = await RawClient.connect(proxy.port);
      await client.send("PING\r\n");
      if (bytes > 0) {
        assertEquals(await client.readUntil(bytes), reply.slice(0, bytes));
      }
      if (by === "fin") assertEquals(await client.read(), null);
      else {
        await assertRejects(() => client.read(), Deno.errors.ConnectionReset);
      }
    }
  }
});

Deno.test("Proxy cut after no bytes loses the reply of a command that ran", async () => {
  await using server = await startRedis();
  await using proxy = await startProxy({ target: server });
  using client = await RawClient.connect(proxy.port);
  proxy.cut(0);
  assertEquals(await client.ask("INCR n\r\n"), null);
  assertEquals(await server.cli("GET", "n"), "1");
});

Deno.test("Proxy delays each reply and keeps their order", async () => {
  await using server = await startRedis();
  await using proxy = await startProxy({ target: server });
  using client = await RawClient.connect(proxy.port);
  proxy.delay(100);
  const start = performance.now();
  await client.send("ECHO 1\r\n");
  await delay(30);
  await client.send("ECHO 2\r\n");
  assertEquals(await client.readUntil(7), "$1\r\n1\r\n");
  const first = performance.now() - start;
  assertEquals(await client.readUntil(7), "$1\r\n2\r\n");
  const second = performance.now() - start;
  assertGreaterOrEqual(first, 99);
  assertGreaterOrEqual(second, 129);
  assertLess(second - first, 100);
});

Deno.test("Proxy splits replies into pieces", async () => {
  await using server = await startRedis();
  await using proxy = await startProxy({ target: server });
  using client = await RawClient.connect(proxy.port);
  proxy.split(2, { everyMs: 20 });
  await client.send("PING\r\n");
  const pieces: (string | null)[] = [];
  while (pieces.join("").length < 7) pieces.push(await client.read());
  assertEquals(pieces.join(""), "+PONG\r\n");
  // A busy machine may hand two pieces to one read, hardly all four.
  assertGreater(pieces.length, 1);
});

Deno.test("Proxy kills every connection in either way", async () => {
  await using server = await startRedis();
  await using proxy = await startProxy({ target: server });
  for (const by of ["fin", "rst"] as const) {
    using one = await RawClient.connect(proxy.port);
    using other = await RawClient.connect(proxy.port);
    await one.ask("PING\r\n");
    await other.ask("PING\r\n");
    // One may have ended before the other is looked at.
    const ends = Promise.allSettled([one.read(), other.read()]);
    await proxy.killAll(by);
    for (const end of await ends) {
      if (end.status === "fulfilled") {
        assertEquals([by, end.value], ["fin", null]);
      } else {
        assertEquals(by, "rst");
        assertInstanceOf(end.reason, Deno.errors.ConnectionReset);
      }
    }
    assertEquals(proxy.open, 0);
  }
});

Deno.test("Proxy refuses connections and accepts them again", async () => {
  await using server = await startRedis();
  await using proxy = await startProxy({ target: server });
  const { port } = proxy;
  using open = await RawClient.connect(port);
  await open.ask("PING\r\n");
  await proxy.refuse();
  await assertRejects(
    () => RawClient.connect(port),
    Deno.errors.ConnectionRefused,
  );
  assertEquals(await open.ask("PING\r\n"), "+PONG\r\n");
  await proxy.accept();
  assertEquals(proxy.port, port);
  using fresh = await RawClient.connect(port);
  assertEquals(await fresh.ask("PING\r\n"), "+PONG\r\n");
});

Deno.test("Proxy slams the door in either way", async () => {
  await using server = await startRedis();
  await using proxy = await startProxy({ target: server });
  await proxy.slam("fin");
  using one = await RawClient.connect(proxy.port);
  assertEquals(await one.read(), null);
  await proxy.slam("rst");
  await assertRejects(async () => {
    using other = await RawClient.connect(proxy.port);
    await other.read();
  }, Deno.errors.ConnectionReset);
  await proxy.accept();
  using fresh = await RawClient.connect(proxy.port);
  assertEquals(await fresh.ask("PING\r\n"), "+PONG\r\n");
});

Deno.test("Proxy leads new connections to another server", async () => {
  await using first = await startRedis();
  await using second = await startRedis();
  await using proxy = await startProxy({ target: first });
  await first.cli("SET", "name", "first");
  await second.cli("SET", "name", "second");
  using old = await RawClient.connect(proxy.port);
  assertEquals(await old.ask("GET name\r\n"), "$5\r\nfirst\r\n");
  proxy.retarget({ port: second.port });
  using fresh = await RawClient.connect(proxy.port);
  assertEquals(await fresh.ask("GET name\r\n"), "$6\r\nsecond\r\n");
  assertEquals(await old.ask("GET name\r\n"), "$5\r\nfirst\r\n");
});

Deno.test("Proxy resets a client when its target is down", async () => {
  await using server = await startRedis();
  await using proxy = await startProxy({ target: server });
  await server.stop();
  await assertRejects(async () => {
    using client = await RawClient.connect(proxy.port);
    await client.read();
  }, Deno.errors.ConnectionReset);
});

Deno.test("Proxy goes away with connections open, silent and delayed", async () => {
  await using server = await startRedis();
  const proxy = await startProxy({ target: server });
  using client = await RawClient.connect(proxy.port);
  await client.ask("PING\r\n");
  proxy.delay(60_000);
  await client.send("PING\r\n");
  await delay(20);
  using silent = await RawClient.connect(proxy.port);
  proxy.silence();
  await silent.send("PING\r\n");
  const start = performance.now();
  await proxy[Symbol.asyncDispose]();
  assertLess(performance.now() - start, SOON_MS); // the delay is a minute
  await assertRejects(() => client.read(), Deno.errors.ConnectionReset);
});

const STRICT = new URL("./strict.ts", import.meta.url).href;

/** Runs a test file as by hand, and returns what Deno printed. */
async function runTests(source: string): Promise<string> {
  const directory = await Deno.makeTempDir();
  try {
    const path = `${directory}/tried_test.ts`;
    await Deno.writeTextFile(path, source);
    const { stdout, stderr } = await new Deno.Command(Deno.execPath(), {
      args: ["test", "--no-check", "--no-lock", "--allow-net=127.0.0.1", path],
      cwd: directory,
      env: { NO_COLOR: "1" },
    }).output();
    return decoder.decode(stdout) + decoder.decode(stderr);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

Deno.test("A test that hangs fails with its name when its time is up, and the others go on", async () => {
  const output = await runTests(`
    import "${STRICT}";
    const forever = () => new Promise(() => setInterval(() => {}, 100));
    Deno.test("in time", { timeout: 60_000 }, () => {});
    Deno.test("hangs by name", { timeout: 100 }, forever);
    Deno.test({ name: "hangs by definition", timeout: 110, fn: forever });
    Deno.test({ name: "hangs in a step", timeout: 120 }, async (t) => {
      await t.step("for ever", forever);
    });
    Deno.test(function named() {});
    Deno.test.ignore("left out", forever);
  `);
  const lines = [
    /^in time \.\.\. ok/m,
    /"hangs by name" did not end within 100 ms/,
    /"hangs by definition" did not end within 110 ms/,
    /"hangs in a step" did not end within 120 ms/,
    /^named \.\.\. ok/m,
    /^left out \.\.\. ignored/m,
    /^FAILED \| 2 passed \| 3 failed/m,
  ];
  for (const line of lines) assertMatch(output, line);
});

Deno.test("A test without a limit of its own has one of a minute, and the timer of it goes with the test", async () => {
  const output = await runTests(`
    const armed = new Map();
    const { setTimeout, clearTimeout } = globalThis;
    globalThis.setTimeout = (fn, ms) => {
      const timer = setTimeout(fn, ms);
      armed.set(timer, ms);
      return timer;
    };
    globalThis.clearTimeout = (timer) => {
      armed.delete(timer);
      clearTimeout(timer);
    };
    await import("${STRICT}");
    const limits = (expected) => {
      const found = [...armed.values()].join();
      if (found !== expected) throw new Error(found);
    };
    Deno.test("a minute", () => limits("60000"));
    Deno.test("another", { timeout: 70_000 }, () => limits("70000"));
  `);
  assertMatch(output, /^ok \| 2 passed/m);
});

Deno.test("A test that leaves a timer behind fails, and so does one that leaves a socket, since Deno 2.7", async () => {
  const output = await runTests(`
    import "${STRICT}";
    Deno.test("a timer", () => { setTimeout(() => {}, 60_000); });
    Deno.test("a socket", () => { Deno.listen({ hostname: "127.0.0.1", port: 0 }); });
    Deno.test("not checked", { sanitizeOps: false, sanitizeResources: false }, () => { setTimeout(() => {}, 60_000); });
  `);
  assertMatch(output, /^a timer \.\.\. FAILED/m);
  assertMatch(
    output,
    CHECKS_RESOURCES ? /^a socket \.\.\. FAILED/m : /^a socket \.\.\. ok/m,
  );
  assertMatch(output, /^not checked \.\.\. ok/m);
});
