// That a connection answers the n-th command with the n-th reply, over TCP and TLS, until it dies once.

import "../../support/strict.ts";
import {
  assert,
  assertEquals,
  assertFalse,
  assertGreater,
  assertGreaterOrEqual,
  assertInstanceOf,
  assertLess,
  assertLessOrEqual,
  assertMatch,
  assertRejects,
  assertStrictEquals,
  assertStringIncludes,
} from "@std/assert";
import { delay } from "@std/async/delay";
import {
  type CloseReport,
  type Command,
  ConnectionClosedError,
  Redis,
  type RedisOptions,
  type Reply,
  ReplyError,
} from "../../../mod.ts";
import {
  Connection,
  type ConnectionOptions,
} from "../../../pool/connection/connection.ts";
import { dial } from "../../../pool/socket/dial.ts";
import { Endpoint } from "../../../pool/socket/endpoint.ts";
import type { Socket } from "../../../pool/socket/socket.ts";
import type { Slot } from "../../../pool/connection/in_flight.ts";
import { encodeCommand } from "../../../resp/encode.ts";
import { startProxy } from "../../support/fault_proxy.ts";
import { searchLength } from "../../support/random.ts";
import { type RedisServer, startRedis } from "../../support/redis_server.ts";
import { type Fixture, testWithFixture } from "../../support/fixture.ts";
import { later, SOON_MS, until } from "../../support/wait.ts";
import { runProgram } from "../../support/run_program.ts";

const bytesOf = (text: string): Uint8Array<ArrayBuffer> =>
  new TextEncoder().encode(text);

/** Dials as usual, and lets a test watch and hold what is written. */
class WatchedDial {
  readonly writes: number[] = [];
  /** How many of the writes began while a read was armed. */
  besideRead = 0;
  #isReading = false;
  reads = 0;
  closes = 0;
  /** While set, writes wait for it. */
  gate: Promise<void> | undefined;

  readonly dial = async (
    endpoint: Endpoint,
    options: { signal: AbortSignal },
  ): Promise<Socket> => {
    const socket = await dial(endpoint, options);
    return {
      read: (buffer) => {
        this.reads++;
        this.#isReading = true;
        return socket.read(buffer).finally(() => this.#isReading = false);
      },
      write: async (bytes) => {
        this.writes.push(bytes.length);
        if (this.#isReading) this.besideRead++;
        await this.gate;
        return await socket.write(bytes);
      },
      close: () => {
        this.closes++;
        socket.close();
      },
      unref: () => socket.unref?.(),
    };
  };
}

/** A server that answers each command with what `answer` says, byte for byte. */
class FakeRedis implements AsyncDisposable {
  readonly #listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  readonly #connections: Deno.Conn[] = [];
  readonly #over: Promise<void>;
  readonly commands: string[] = [];

  constructor(
    answer: (
      name: string,
      connection: Deno.Conn,
    ) => string | undefined | Promise<string | undefined>,
  ) {
    this.#over = this.#listen(answer);
  }

  get url(): string {
    return `redis://127.0.0.1:${this.#listener.addr.port}`;
  }

  get accepted(): number {
    return this.#connections.length;
  }

  async #listen(
    answer: ConstructorParameters<typeof FakeRedis>[0],
  ): Promise<void> {
    const served: Promise<void>[] = [];
    for await (const connection of this.#listener) {
      this.#connections.push(connection);
      // The test closes connections under our hands.
      served.push(this.#serve(connection, answer).catch(() => {}));
    }
    await Promise.all(served);
  }

  async #serve(
    connection: Deno.Conn,
    answer: ConstructorParameters<typeof FakeRedis>[0],
  ): Promise<void> {
    let text = "";
    const chunk = new Uint8Array(65536);
    while (true) {
      const count = await connection.read(chunk);
      if (count === null) return;
      text += new TextDecoder().decode(chunk.subarray(0, count));
      for (
        let command = firstCommand(text);
        command !== undefined;
        command = firstCommand(text)
      ) {
        text = text.slice(command.length);
        this.commands.push(command.name);
        const reply = command.name === "HELLO"
          ? "*2\r\n$2\r\nid\r\n:7\r\n"
          : await answer(command.name, connection);
        if (reply !== undefined) await connection.write(bytesOf(reply));
      }
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#listener.close();
    for (const connection of this.#connections) {
      try {
        connection.close();
      } catch {
        // Closed by the test.
      }
    }
    await this.#over;
  }
}

/** The name of the first whole command of `text`, and how long it is. */
function firstCommand(
  text: string,
): { name: string; length: number } | undefined {
  const words: string[] = [];
  let at = text.indexOf("\r\n") + 2;
  if (at < 2) return undefined;
  for (let left = Number(text.slice(1, at - 2)); left > 0; left--) {
    const end = text.indexOf("\r\n", at);
    if (end < 0) return undefined;
    const length = Number(text.slice(at + 1, end));
    at = end + 2 + length + 2;
    if (text.length < at) return undefined;
    words.push(text.slice(end + 2, end + 2 + length));
  }
  return { name: words[0] ?? "", length: at };
}

/** What a promise rejects with. */
const lossOf = (promise: Promise<unknown>): Promise<ConnectionClosedError> =>
  assertRejects(() => promise, ConnectionClosedError);

/** A generator of whole numbers in `[0, below)` that its seed repeats. */
function dice(seed: number): (below: number) => number {
  let state = seed >>> 0;
  return (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor(state / 2 ** 32 * below);
  };
}

const modUrl = new URL("../../../mod.ts", import.meta.url).href;

for (const transport of ["TCP", "TLS"] as const) {
  const test = (name: string, fn: (fixture: Fixture) => Promise<void>): void =>
    testWithFixture(`${transport}: ${name}`, fn, {
      transport,
      clientOptions: { maxConnections: 1, retry: false }, // one attempt
    });

  test("Connection evicts itself when the server closes it while idle", async (fixture) => {
    const redis = fixture.client();
    const clientId = await redis.send(["CLIENT", "ID"]);
    await redis.send(["PING"]);
    await fixture.server.cli("CLIENT", "KILL", "ID", Number(clientId));
    await until(() => redis.stats().open === 0, "the eviction");
    assertEquals(redis.stats().evicted, { fin: 1 });
    const [report] = fixture.reports;
    assert(report !== undefined);
    assertEquals(
      [report.by, report.how, report.during],
      ["server", "fin", "idle"],
    );
    assertEquals([report.inFlight, report.replyBytes], [0, 0]);
    assertEquals(report.firstInFlight, undefined);
    assertEquals(report.clientId, clientId);
    assertEquals(report.commandsServed, 2);
    assertEquals(report.endpoint, `127.0.0.1:${fixture.proxy.port}`);
    assertEquals(report.connection, 1);

    assertEquals(await redis.send(["INCR", "counter"]), 1);
    const { dialed, retries, replays } = redis.stats();
    assertEquals({ dialed, retries, replays }, {
      dialed: 2,
      retries: 0,
      replays: 0,
    });
    assertEquals(fixture.reports.length, 1);
  });

  test("Connection evicts itself when it is reset while idle", async (fixture) => {
    const redis = fixture.client();
    await redis.send(["PING"]);
    await fixture.proxy.killAll("rst");
    await until(() => redis.stats().open === 0, "the eviction");
    assertEquals(redis.stats().evicted, { rst: 1 });
    const [report] = fixture.reports;
    assertEquals(
      [report?.by, report?.how, report?.during],
      ["network", "rst", "idle"],
    );
    assertEquals(await redis.send(["INCR", "counter"]), 1);
  });

  test("What is asked upon a reply is written before the next read is armed", async (fixture) => {
    const watched = new WatchedDial();
    const redis = fixture.client({ dial: watched.dial });
    const ask = async () => await redis.send(["PING"]); // a wrapper, as callers have
    await ask();
    watched.besideRead = 0;
    for (let n = 0; n < 10; n++) await ask();
    assertEquals(watched.besideRead, 0);
    await delay(0); // the read is armed by then
    await ask();
    assertEquals(watched.besideRead, 1);
  });

  test("Commands of one turn go out in one write, or in two halves", async (fixture) => {
    const watched = new WatchedDial();
    const redis = fixture.client({ dial: watched.dial });
    await redis.send(["PING"]);
    /** How many commands each write of a turn with `count` of them has. */
    const writesFor = async (count: number): Promise<number[]> => {
      watched.writes.length = 0;
      const expected = Array.from({ length: count }, (_, i) => `${1000 + i}`);
      const sent = expected.slice(2).map((text) =>
        later(redis.send(["ECHO", text]))
      );
      const piped = later(
        redis.pipeline([["ECHO", "1000"], ["ECHO", "1001"]]),
      );
      assertEquals([...await piped, ...await Promise.all(sent)], expected);
      const { length } = encodeCommand(["ECHO", "1000"]);
      return watched.writes.map((bytes) => bytes / length);
    };
    assertEquals(await writesFor(7), [7]);
    assertEquals(await writesFor(200), [8, 192]); // the turn before was small
    assertEquals(await writesFor(200), [100, 100]);
    assertEquals(await writesFor(7), [7]);
    assertEquals(await writesFor(200), [50, 150]);
  });

  test("Commands that come while a write is pending go out together after it", async (fixture) => {
    const watched = new WatchedDial();
    const redis = fixture.client({ dial: watched.dial });
    await redis.send(["PING"]);
    watched.writes.length = 0;
    const gate = Promise.withResolvers<void>();
    watched.gate = gate.promise;
    const replies = [later(redis.send(["ECHO", "0"]))];
    for (let i = 1; i <= 20; i++) {
      await delay(0);
      replies.push(later(redis.send(["ECHO", `${i}`])));
    }
    assertEquals(watched.writes.length, 1);
    watched.gate = undefined;
    gate.resolve();
    assertEquals(
      await Promise.all(replies),
      Array.from({ length: 21 }, (_, i) => `${i}`),
    );
    assertEquals(watched.writes.length, 2);
  });

  test("The n-th reply answers the n-th of thousands of random commands", async (fixture) => {
    const seed = Math.floor(Math.random() * 2 ** 32);
    const roll = dice(seed);
    const redis = fixture.client();
    await redis.send(["RPUSH", "list", ...Array(50).keys()]);
    await redis.send(["SET", "text", "x".repeat(12345)]);
    const list = Array.from({ length: 50 }, (_, i) => `${i}`);
    const text = "räksmörgås\r\n:12\r\n$3\r\n+OK\r\n-ERR\r\n*2\r\n\0\u{1f600}";
    const kinds: (() => [Command, Reply | RegExp])[] = [
      () => {
        const said = text.repeat(roll(20)).slice(roll(40));
        // Half a surrogate pair is no text.
        const sound = new TextDecoder().decode(bytesOf(said));
        return [["ECHO", sound], sound];
      },
      () => [["ECHO", ""], ""],
      () => [["PING"], "PONG"],
      () => {
        const n = BigInt(roll(2 ** 31)) * 2n ** 30n;
        const reply = n < 2n ** 53n ? Number(n) : n;
        return [
          [
            "BITFIELD",
            "bits",
            "GET",
            "u8",
            99,
            "INCRBY",
            "i64",
            128,
            n,
            "INCRBY",
            "i64",
            128,
            -n,
          ],
          [0, reply, 0],
        ];
      },
      () => [["STRLEN", "text"], 12345],
      () => [["GETRANGE", "text", 0, 4999], "x".repeat(5000)],
      () => [["GET", "no such key"], null],
      () => [["HGET", "text", "field"], /^WRONGTYPE/],
      () => [["NOSUCH", `${roll(1e9)}`], /^ERR unknown command/],
      () => {
        const end = roll(50);
        return [["LRANGE", "list", 0, end], list.slice(0, end + 1)];
      },
      () => [["LRANGE", "none", 0, -1], []],
      () => {
        const n = roll(1e9);
        return [
          [
            "EVAL",
            "return {ARGV[1], {1, false, {}}, redis.status_reply('S'), redis.error_reply('E ' .. ARGV[1])}",
            0,
            n,
          ],
          [`${n}`, [1, null, []], "S", new ReplyError(`E ${n}`)],
        ];
      },
    ];
    fixture.proxy.split(16_381);
    const asked: {
      clue: string;
      expected: Reply | RegExp;
      reply: Promise<Reply>;
    }[] = [];
    for (let i = 0; i < searchLength(3000); i++) {
      const [command, expected] = kinds[roll(kinds.length)]!();
      const reply = redis.send(command, { binary: roll(4) === 0 }).catch(
        (error) => error,
      );
      const clue = `seed ${seed}, command ${i}: ${command[0]}`;
      asked.push({ clue, expected, reply });
      if (roll(100) === 0) await delay(0);
    }
    await Promise.all(asked.map(({ reply }) => reply));
    for (const { clue, expected, reply: promise } of asked) {
      const reply = await promise;
      if (expected instanceof RegExp) {
        assertInstanceOf(reply, ReplyError, clue);
        assertMatch(reply.message, expected, clue);
      } else {
        assertEquals(textOf(reply), textOf(expected), clue);
      }
    }
    assertEquals(redis.stats().dialed, 1, `seed ${seed}`);
  });

  test("Binary and text replies mix on one connection", async (fixture) => {
    const redis = fixture.client();
    const bytes = Uint8Array.from({ length: 512 }, (_, i) => i);
    await redis.send(["SET", "bytes", bytes]);
    await redis.send(["SET", "text", "täxt"]);
    const replies = await Promise.all([
      redis.send(["GET", "bytes"], { binary: true }),
      redis.send(["GET", "text"]),
      redis.send(["GET", "text"], { binary: true }),
      redis.pipeline([["GET", "bytes"], ["PING"], ["GET", "none"], [
        "MGET",
        "text",
        "none",
      ]], { binary: true }),
      redis.send(["GET", "text"]),
    ]);
    assertEquals(replies, [
      bytes,
      "täxt",
      bytesOf("täxt"),
      [bytes, "PONG", null, [bytesOf("täxt"), null]],
      "täxt",
    ]);
    assertEquals(redis.stats().dialed, 1);
  });

  test("Silence closes the connection and loses every command in flight", async (fixture) => {
    const redis = fixture.client({ replyTimeoutMs: 200 });
    await redis.send(["PING"]);
    fixture.proxy.silence({ scope: "open" });
    const startedAt = performance.now();
    const losses = await Promise.all([
      lossOf(redis.send(["GET", "a"])),
      lossOf(redis.send(["SET", "b", "secret value"])),
      lossOf(redis.pipeline([["GET", "c"], ["GET", "d"]])),
    ]);
    const elapsed = performance.now() - startedAt;
    assertGreaterOrEqual(elapsed, 190);
    assertLess(elapsed, SOON_MS);
    for (const { report, fate } of losses) {
      assertEquals(fate, "unknown");
      assertStrictEquals(report, losses[0]!.report);
    }
    const [report] = fixture.reports;
    assertStrictEquals(report, losses[0]!.report);
    assertEquals(
      [report?.by, report?.how, report?.during],
      ["network", "silence", "awaiting-reply"],
    );
    assertEquals(report?.inFlight, 4);
    assertEquals(report?.firstInFlight, { name: "GET", args: 1 });
    assertGreaterOrEqual(report!.idleMs, 190);
    assertFalse(Deno.inspect(losses, { depth: 9 }).includes("secret value"));
    assertEquals(redis.stats().open, 0);
    assertEquals(redis.stats().evicted, { silence: 1 });
    assertEquals(await redis.send(["PING"]), "PONG");
  });

  test("A late reply reaches no caller", async (fixture) => {
    const redis = fixture.client({ replyTimeoutMs: 120 });
    await redis.send(["PING"]);
    fixture.proxy.delay(250, { scope: "open" });
    await lossOf(redis.send(["ECHO", "late"]));
    const giveUpAt = performance.now() + 350;
    for (let i = 0; performance.now() < giveUpAt; i++) {
      assertEquals(await redis.send(["ECHO", `${i}`]), `${i}`);
      await delay(10);
    }
    assertEquals(redis.stats().dialed, 2);
  });

  test("Progress moves the timer: slow is not silent", async (fixture) => {
    const redis = fixture.client({ replyTimeoutMs: 450 });
    const value = "v".repeat(100_000);
    await redis.send(["SET", "key", value]);
    fixture.proxy.split(4000, { everyMs: 25 });
    const startedAt = performance.now();
    assertEquals(await redis.send(["GET", "key"]), value);
    assertGreater(performance.now() - startedAt, 550);
    assertEquals(redis.stats().dialed, 1);
  });

  test("A dribble that stops is silence, inside the reply", async (fixture) => {
    const redis = fixture.client({ replyTimeoutMs: 250 });
    await redis.send(["SET", "key", "v".repeat(100_000)]);
    fixture.proxy.split(20_000, { everyMs: 50 });
    const lost = lossOf(redis.send(["GET", "key"]));
    await delay(75);
    fixture.proxy.silence();
    const { report } = await lost;
    assertEquals([report.how, report.during], ["silence", "inside-reply"]);
    assertGreater(report.replyBytes, 0);
    assertLess(report.replyBytes, 100_000);
  });

  test("A reply cut short by a close is never a value, wherever it is cut", async (fixture) => {
    const program = "return {'hello', 12345, false, {'x'}}";
    const whole = ["hello", 12345, null, ["x"]];
    const wire = "*4\r\n$5\r\nhello\r\n:12345\r\n$-1\r\n*1\r\n$1\r\nx\r\n";
    // TLS wraps the reply in a record of some 22 bytes more.
    const last = wire.length + (transport === "TLS" ? 40 : 0);
    const step = transport === "TLS" ? 5 : 1;
    let values = 0;
    for (let n = 0; n <= last; n += step) {
      const redis = fixture.client();
      await redis.send(["PING"]);
      fixture.proxy.cut(n, { by: n % 2 ? "rst" : "fin", scope: "open" });
      const outcome = await redis.send(["EVAL", program, 0]).catch((e) => e);
      if (outcome instanceof ConnectionClosedError) {
        const { report, fate } = outcome;
        assertEquals(fate, "unknown");
        assertEquals(report.inFlight, 1);
        assertEquals(report.firstInFlight, { name: "EVAL", args: 2 });
        // A reset may overtake the bytes before it.
        if (transport === "TCP" && report.how === "fin") {
          assertEquals(report.replyBytes, n);
          assertEquals(
            report.during,
            n === 0 ? "awaiting-reply" : "inside-reply",
          );
          assertEquals(report.by, "server");
          assertMatch(outcome.message, /^Connection closed by server: /);
        }
      } else {
        assertEquals(outcome, whole);
        values++;
      }
      if (transport === "TCP") {
        assertEquals(
          outcome instanceof Error || n === wire.length,
          true,
          `a value after ${n} bytes`,
        );
      }
      await redis.close({ drainMs: 0 });
    }
    assertLessOrEqual(values, transport === "TLS" ? 8 : 1);
  });

  test("A reset in flight is told as such", async (fixture) => {
    const redis = fixture.client();
    await redis.send(["PING"]);
    fixture.proxy.cut(0, { by: "rst" });
    const { report, fate } = await lossOf(redis.send(["INCR", "counter"]));
    assertEquals(fate, "unknown");
    assertEquals(
      [report.by, report.how, report.during],
      ["network", "rst", "awaiting-reply"],
    );
    assertEquals(await fixture.server.cli("GET", "counter"), "1");
  });

  test("The report counts what was served, received and in flight", async (fixture) => {
    const redis = fixture.client();
    const clientId = await redis.send(["CLIENT", "ID"]);
    for (let i = 0; i < 5; i++) await redis.send(["ECHO", "12345678"]);
    fixture.proxy.cut(0);
    const before = Date.now();
    const [first, second] = await Promise.all([
      lossOf(redis.send(["HSET", "h", "field", "private"])),
      lossOf(redis.send(["GET", "key"])),
    ]);
    const { report } = first;
    assertStrictEquals(second.report, report);
    assertEquals(report.commandsServed, 6);
    assertEquals(report.inFlight, 2);
    assertEquals(report.firstInFlight, { name: "HSET", args: 3 });
    assertEquals(report.clientId, clientId);
    assertEquals(report.replyBytes, 0);
    assertGreaterOrEqual(report.bytesIn, 5 * "$8\r\n12345678\r\n".length);
    assertGreater(report.bytesOut, 5 * 30);
    assertGreaterOrEqual(report.ageMs, report.idleMs);
    assertGreaterOrEqual(report.idleMs, 0);
    assertGreaterOrEqual(report.closedAt, before);
    assertLessOrEqual(report.closedAt, Date.now());
    assertMatch(
      first.message,
      /^Connection closed by server: connection 1 to 127\.0\.0\.1:\d+ ended \(FIN\) awaiting a reply, .*, 6 commands served, 2 in flight \(first: HSET with 3 arguments\)/,
    );
    assertStringIncludes(first.message, "the command may have run");
    assertFalse(first.message.includes("private"));
    assertEquals(fixture.reports, [report]);

    fixture.proxy.pass();
    await redis.send(["PING"]);
    fixture.proxy.cut(0);
    const again = await lossOf(redis.send(["GET", "key"]));
    assertEquals(again.report.connection, 2);
    assertEquals(again.report.commandsServed, 1);
  });

  test("What was not written when the connection ended is unsent", async (fixture) => {
    const watched = new WatchedDial();
    const redis = fixture.client({ dial: watched.dial });
    await redis.send(["PING"]);
    const gate = Promise.withResolvers<void>();
    watched.gate = gate.promise;
    const written = lossOf(redis.send(["INCR", "written"]));
    await delay(0);
    const unwritten = lossOf(redis.send(["INCR", "unwritten"]));
    const unwrittenPipeline = lossOf(redis.pipeline([["INCR", "unwritten"]]));
    await delay(0);
    await fixture.proxy.killAll("fin");
    assertEquals((await written).fate, "unknown");
    assertEquals((await unwritten).fate, "unsent");
    assertEquals((await unwrittenPipeline).fate, "unsent");
    assertStringIncludes((await unwritten).message, "did not run");
    gate.resolve();
    watched.gate = undefined;
    await redis.send(["PING"]);
    assertEquals(await fixture.server.cli("EXISTS", "unwritten"), "0");
    assertEquals(fixture.reports.length, 1);
  });

  test("Values of 1 MB and 20 MB go both ways, and small commands around them", async (fixture) => {
    const { server } = fixture;
    const redis = new Redis(
      transport === "TLS" ? server.tlsUrl : server.url,
      {
        maxConnections: 1,
        retry: false,
        ...(transport === "TLS" ? { tls: { caCerts: [server.caCert] } } : {}),
      },
    );
    for (const megabytes of [1, 20]) {
      const value = new Uint8Array(megabytes * 2 ** 20);
      for (let i = 0; i < value.length; i++) {
        value[i] = (i * 31 + (i >> 8)) & 255;
      }
      const replies = await Promise.all([
        redis.send(["ECHO", "before"]),
        redis.send(["SET", "key", value]),
        redis.send(["ECHO", "between"]),
        redis.send(["GET", "key"], { binary: true }),
        redis.send(["STRLEN", "key"]),
      ]);
      const got = replies[3];
      assertInstanceOf(got, Uint8Array);
      assertEquals(got.length, value.length);
      assert(got.every((byte, i) => byte === value[i]));
      assertEquals(
        [replies[0], replies[1], replies[2], replies[4]],
        ["before", "OK", "between", value.length],
      );
    }
    assertEquals(redis.stats().dialed, 1);
    await redis.close();
  });

  Deno.test(`${transport}: A process with only idle connections exits by itself`, async () => {
    await using server = await startRedis({ tls: transport === "TLS" });
    const { url, options } = addressOf(server, transport);
    const { code, stdout, stderr, ms } = await runProgram(
      ["-A"],
      `
      import { Redis } from ${JSON.stringify(modUrl)};
      const redis = new Redis(${JSON.stringify(url)}, ${options});
      console.log(await redis.send(["PING"]));
      const lease = await redis.lease();
      console.log(await lease.send(["PING"]));
      console.log(await redis.send(["BLPOP", "list", 0.05]));
    `,
    );
    assertEquals([code, stdout], [0, "PONG\nPONG\nnull\n"], stderr);
    assertLess(ms, SOON_MS);
  });

  test("A process that is owed a reply waits for it", async (fixture) => {
    const { url, options } = addressOf(fixture.server, transport);
    const port = transport === "TLS"
      ? fixture.server.tlsPort
      : fixture.server.port;
    fixture.proxy.delay(250);
    const { code, stdout, stderr } = await runProgram(
      ["-A"],
      `
      import { Redis } from ${JSON.stringify(modUrl)};
      const url = ${
        JSON.stringify(url.replace(`:${port}`, `:${fixture.proxy.port}`))
      };
      const redis = new Redis(url, ${options});
      redis.send(["ECHO", "first"]).then((reply) => {
        console.log(reply);
        redis.send(["ECHO", "late"]).then(console.log);
        redis.send(["BLPOP", "list", 0.1]).then(console.log);
      });
    `,
    );
    assertEquals(code, 0, stderr);
    assertEquals(stdout.trim().split("\n").toSorted(), [
      "first",
      "late",
      "null",
    ]);
  });
}

function addressOf(
  server: RedisServer,
  transport: "TCP" | "TLS",
): { url: string; options: string } {
  return transport === "TCP" ? { url: server.url, options: "{}" } : {
    url: server.tlsUrl,
    options: JSON.stringify({ tls: { caCerts: [server.caCert] } }),
  };
}

/** Binary and error replies as text, at any depth. */
function textOf(reply: Reply): Reply {
  if (reply instanceof Uint8Array) return new TextDecoder().decode(reply);
  if (reply instanceof ReplyError) return `error: ${reply.message}`;
  return Array.isArray(reply) ? reply.map(textOf) : reply;
}

const once = (url: string, options: RedisOptions = {}): Redis =>
  new Redis(url, { retry: false, maxConnections: 1, ...options });

Deno.test("An integer cut before its line end is not that integer", async () => {
  await using fake = new FakeRedis(async (name, connection) => {
    if (name === "PING") return "+PONG\r\n";
    await connection.write(bytesOf(":12"));
    connection.close();
    return undefined;
  });
  await using redis = once(fake.url);
  await redis.send(["PING"]);
  const { report, fate } = await lossOf(redis.send(["GET", "key"]));
  assertEquals(fate, "unknown");
  assertEquals([report.during, report.replyBytes], ["inside-reply", 3]);
});

Deno.test("An unasked reply destroys the connection", async () => {
  for (
    const surplus of [
      ":1\r\n",
      "+OK\r\n",
      "$3\r\nabc\r\n",
      "$-1\r\n",
      "*0\r\n",
      "\r\n",
      "x",
      "-ERR Protocol error: too big mbulk count string\r\n",
    ]
  ) {
    const reports: CloseReport[] = [];
    await using fake = new FakeRedis((name) =>
      name === "PING" ? `+PONG\r\n${surplus}` : ":42\r\n"
    );
    await using redis = once(fake.url, { onClose: (r) => reports.push(r) });
    assertEquals(await redis.send(["PING"]), "PONG");
    await until(() => redis.stats().open === 0, JSON.stringify(surplus));
    assertEquals(reports.length, 1);
    assertEquals(
      [reports[0]?.how, reports[0]?.during === "handshake"],
      ["protocol-error", false],
    );
    assert(reports[0]?.cause, "a cause");
    if (surplus.startsWith("-")) {
      assertStringIncludes(reports[0].cause, surplus.slice(1).trim());
    }
    assertEquals<Reply>(await redis.send(["GET", "key"]), 42);
    assertEquals(fake.accepted, 2);
  }
});

Deno.test("Half an unasked reply does not become the start of the next one", async () => {
  for (const surplus of [":4", "$2\r\n4", "+4", "*1\r\n", ":"]) {
    await using fake = new FakeRedis((name) =>
      name === "PING" ? `+PONG\r\n${surplus}` : "2\r\n"
    );
    await using redis = once(fake.url, { replyTimeoutMs: 300 });
    assertEquals(await redis.send(["PING"]), "PONG");
    await delay(50);
    // A connection with a stranger's bytes in it must not answer anybody.
    const outcome = await redis.send(["GET", "key"]).catch((error) => error);
    assertInstanceOf(
      outcome,
      Error,
      `${JSON.stringify(surplus)} became ${Deno.inspect(outcome)}`,
    );
  }
});

Deno.test("A reply that comes before its command was written answers no command", async () => {
  await using fake = new FakeRedis((name) =>
    name === "PING" ? "+PONG\r\n:1\r\n:2\r\n:3\r\n" : ":42\r\n"
  );
  await using redis = once(fake.url);
  // The reply and the surplus come in one read, and the next commands in the same turn.
  const first = redis.send(["PING"]).then(() =>
    redis.send(["GET", "key"]).catch((error) => error)
  );
  const outcome = await first;
  assert(outcome === 42 || outcome instanceof ConnectionClosedError);
});

Deno.test("Bytes that are no reply destroy the connection and tell everyone in flight", async () => {
  await using fake = new FakeRedis((name) =>
    name === "PING"
      ? "+PONG\r\n"
      : name === "GET"
      ? ":1\r\n?what\r\n"
      : ":3\r\n"
  );
  await using redis = once(fake.url);
  await redis.send(["PING"]);
  const [one, two, three] = await Promise.all([
    redis.send(["GET", "key"]),
    lossOf(redis.send(["STRLEN", "key"])),
    lossOf(redis.send(["STRLEN", "key"])),
  ]);
  assertEquals<Reply>(one, 1);
  assertEquals(two.report.how, "protocol-error");
  assertStrictEquals(two.report, three.report);
  assertStringIncludes(two.report.cause ?? "", "?what");
});

Deno.test("A reply over the limits destroys the connection", async () => {
  await using server = await startRedis();
  const reports: CloseReport[] = [];
  await using redis = once(server.url, {
    limits: { maxBulkLength: 1000 },
    onClose: (report) => reports.push(report),
  });
  await redis.send(["SET", "key", "v".repeat(2000)]);
  const { report } = await lossOf(redis.send(["GET", "key"]));
  assertEquals(report.how, "protocol-error");
  assertStringIncludes(report.cause ?? "", "1000");
  assertEquals(await redis.send(["GETRANGE", "key", 0, 2]), "vvv");
  assertEquals(reports.length, 1);
});

Deno.test("A socket of the user's own may keep the bytes that it was given", async () => {
  await using server = await startRedis();
  const kept: Uint8Array[] = [];
  const copies: Uint8Array[] = [];
  await using redis = once(server.url, {
    dial: async (endpoint, options) => {
      const socket = await dial(endpoint, options);
      return {
        read: (buffer) => socket.read(buffer),
        write: (bytes) => {
          kept.push(bytes);
          copies.push(bytes.slice());
          return socket.write(bytes);
        },
        close: () => socket.close(),
      };
    },
  });
  for (let n = 0; n < 20; n++) await redis.send(["ECHO", `text ${n}`]);
  assertEquals(kept, copies);
});

Deno.test("A socket of the user's own that says that it read what cannot be answers no command", async () => {
  await using server = await startRedis();
  for (const count of [1e9, -1, 1.5, NaN, 0]) {
    let isHonest = true;
    let lie: Promise<void> | undefined;
    await using redis = once(server.url, {
      replyTimeoutMs: 200,
      dial: async (endpoint, options) => {
        const socket = await dial(endpoint, options);
        return {
          read: async (buffer) => {
            const read = isHonest
              ? await socket.read(buffer)
              : await (lie = delay(5));
            return isHonest ? read ?? null : count;
          },
          write: (bytes) => socket.write(bytes),
          close: () => socket.close(),
        };
      },
    });
    await redis.send(["ECHO", "a reply that is still in the buffer"]);
    isHonest = false;
    const { fate } = await lossOf(redis.send(["INCR", "key"]));
    assertEquals(fate, "unknown", `${count}`);
    await lie;
  }
});

Deno.test("Further commands do not make a silent server look alive", async () => {
  const stuck = Promise.withResolvers<undefined>();
  await using fake = new FakeRedis((name) =>
    name === "GET" ? stuck.promise : "+OK\r\n"
  );
  await using redis = once(fake.url, { replyTimeoutMs: 300 });
  await redis.send(["PING"]);
  const first = lossOf(redis.send(["GET", "key"])); // it reads no more
  await delay(0);
  // More than the sockets hold: the write does not end.
  const asked = [later(redis.send(["SET", "key", "x".repeat(15_000_000)]))];
  let isOver = false;
  first.finally(() => isOver = true);
  while (!isOver) {
    asked.push(later(redis.send(["PING"])));
    await delay(10);
  }
  const { report } = await first;
  assertEquals(report.how, "silence");
  assertGreaterOrEqual(report.idleMs, 250);
  await Promise.allSettled(asked);
  stuck.resolve(undefined);
});

Deno.test("A command pushed from within onRoom has a timer of its own", async () => {
  const ended = Promise.withResolvers<CloseReport>();
  const answer = Promise.withResolvers<void>();
  let answered = false;
  const connection = new Connection({
    read: async (buffer) => {
      await answer.promise;
      if (answered) return await new Promise(() => {}); // silent from now on
      answered = true;
      return new TextEncoder().encodeInto("+\r\n".repeat(MANY), buffer).written;
    },
    write: (bytes) => Promise.resolve(bytes.length),
    close: () => {},
  }, {
    endpoint: "nowhere:6379",
    number: 1,
    replyTimeoutMs: 100,
    observer: {
      onRoom: (connection) => connection.push(slot(0)),
      onClose: (_, report) => ended.resolve(report),
    },
  });
  const slot = (extraReplyTimeoutMs: number) => ({
    command: ["PING"] as const,
    binary: false,
    extraReplyTimeoutMs,
    resolve: () => {},
    lose: () => {},
  });
  const MANY = 16 * 1024; // as many as make it full
  for (let n = 0; n < MANY; n++) connection.push(slot(60_000));
  assert(connection.isFull);
  answer.resolve();
  const startedAt = performance.now();
  const { how } = await ended.promise;
  assertEquals(how, "silence");
  assertLess(performance.now() - startedAt, 5000);
});

Deno.test("After a patient command the timer is as short again as the next one allows", async () => {
  await using fake = new FakeRedis((name) =>
    name === "BLPOP" ? "*-1\r\n" : undefined
  );
  await using redis = once(fake.url, { replyTimeoutMs: 200 });
  const lease = await redis.lease();
  const startedAt = performance.now();
  const [, lost] = await Promise.all([
    lease.send(["BLPOP", "list", 7]),
    lossOf(lease.send(["GET", "key"])),
  ]);
  assertLess(performance.now() - startedAt, 5000);
  assertEquals(lost.report.how, "silence");
  lease.release();
});

Deno.test("A connection that is pushed to after its end loses the slot at once, unsent", async () => {
  await using server = await startRedis();
  const endpoint = new Endpoint(server.url);
  const socket = await dial(endpoint, { signal: AbortSignal.timeout(SOON_MS) });
  const closed: CloseReport[] = [];
  const connection = new Connection(socket, {
    endpoint: `${endpoint}`,
    number: 9,
    replyTimeoutMs: 1000,
    observer: { onClose: (_, report) => closed.push(report) },
  });
  const fates: string[] = [];
  const slot = () => ({
    command: ["PING"] as const,
    binary: false,
    extraReplyTimeoutMs: 0,
    resolve: () => fates.push("settled"),
    lose: ({ fate }: { fate: string }) => fates.push(fate),
  });
  connection.push(slot());
  connection.close("the test is over");
  connection.close("a second cause");
  connection.timeOut("a third cause");
  connection.push(slot());
  await delay(20);
  assertEquals(fates, ["unsent", "unsent"]);
  assertEquals(connection.inFlight, 0);
  assertEquals(closed.length, 1);
  assertStrictEquals(connection.report, closed[0]);
  assertEquals(
    [closed[0]?.by, closed[0]?.how, closed[0]?.cause],
    ["client", "requested", "the test is over"],
  );
});

Deno.test("A socket is closed exactly once, however its connection ends", async () => {
  await using server = await startRedis();
  await using proxy = await startProxy({ target: server });
  for (const way of ["fin", "rst", "close"] as const) {
    const watched = new WatchedDial();
    const redis = once(proxy.url, { dial: watched.dial });
    await redis.send(["PING"]);
    if (way !== "close") {
      await proxy.killAll(way);
      await until(() => redis.stats().open === 0, "the end");
    }
    await redis.close();
    assertEquals(watched.closes, 1);
  }
});

Deno.test("A process whose caller gave up waiting for a connection exits by itself", async () => {
  await using server = await startRedis();
  const { code, stdout, stderr, ms } = await runProgram(
    ["-A"],
    `
    import { Redis } from ${JSON.stringify(modUrl)};
    const redis = new Redis(${
      JSON.stringify(server.url)
    }, { maxConnections: 1, checkoutTimeoutMs: 12_000 });
    const lease = await redis.lease();
    const giveUp = new AbortController();
    const waiting = redis.lease({ signal: giveUp.signal }).catch((error) => console.log(error.name));
    giveUp.abort();
    await waiting;
  `,
  );
  assertEquals([code, stdout], [0, "AbortError\n"], stderr);
  assertLess(ms, 10_000);
});

/** A connection whose peer says what a test tells it to, and which notes how it ends. */
function scripted(options: Partial<ConnectionOptions> = {}) {
  const said = new TransformStream<Uint8Array, Uint8Array>();
  const peer = said.writable.getWriter();
  const ear = said.readable.getReader();
  const ended = Promise.withResolvers<CloseReport>();
  const connection = new Connection({
    read: async (buffer) => {
      const { value } = await ear.read();
      if (value === undefined) return null;
      buffer.set(value);
      return value.length;
    },
    write: (bytes) => Promise.resolve(bytes.length),
    close: () => peer.close().catch(() => {}),
  }, {
    endpoint: "nowhere:6379",
    number: 1,
    replyTimeoutMs: 100,
    ...options,
    observer: {
      ...options.observer,
      onClose: (connection, report) => {
        ended.resolve(report);
        options.observer?.onClose?.(connection, report);
      },
    },
  });
  return {
    connection,
    ended: ended.promise,
    say: (text: string) => peer.write(bytesOf(text)),
  };
}

/** A slot that notes what became of it. */
function noted(notes: unknown[], over: Partial<Slot> = {}): Slot {
  return {
    command: ["PING"],
    binary: false,
    extraReplyTimeoutMs: 0,
    resolve: (reply) => notes.push(reply),
    lose: ({ fate }) => notes.push(fate),
    ...over,
  };
}

/** Runs `fn` and returns what it printed as errors. */
async function complaints(fn: () => Promise<void>): Promise<string[]> {
  const printed: string[] = [];
  const { error } = console;
  console.error = (...words) => printed.push(words.join(" "));
  try {
    await fn();
  } finally {
    console.error = error;
  }
  return printed;
}

function fail(): never {
  throw new RangeError("a bug in a receiver");
}

Deno.test("A slot that throws strands no other slot", async () => {
  const notes: unknown[] = [];
  const { connection, ended, say } = scripted();
  const printed = await complaints(async () => {
    connection.push(noted(notes));
    connection.push(noted(notes, { resolve: fail }));
    connection.push(noted(notes));
    connection.push(noted(notes, { lose: fail }));
    connection.push(noted(notes));
    await delay(0);
    await say("+a\r\n+b\r\n+c\r\n");
    await delay(0);
    assertEquals(notes, ["a", "c"]);
    connection.close();
    await ended;
  });
  assertEquals(notes, ["a", "c", "unknown"]);
  assertEquals(printed.length, 2);
});

Deno.test("An observer that throws costs no slot, and no connection", async () => {
  const notes: unknown[] = [];
  const { connection, say } = scripted({
    observer: { onIdle: fail, onClose: fail },
  });
  const printed = await complaints(async () => {
    connection.push(noted(notes));
    await delay(0);
    await say("+a\r\n");
    await delay(5);
    assertEquals(connection.report, undefined);
    connection.push(noted(notes));
    await delay(0);
    connection.close();
  });
  assertEquals(notes, ["a", "unknown"]);
  assertEquals(printed.length, 2);
});

Deno.test("A reply that drips for ever ends its connection, one that takes long does not", async () => {
  const notes: unknown[] = [];
  const { connection, ended, say } = scripted({ replyTimeoutMs: 50 });
  // For ten times as long as a reply may be owed: no single silence is that long.
  connection.push(noted(notes));
  await delay(0);
  await say("$40000\r\n");
  for (let i = 0; i < 20; i++) {
    await delay(25);
    await say("x".repeat(2000));
  }
  await say("\r\n");
  await delay(5);
  assertEquals(notes, ["x".repeat(40_000)]);
  notes.length = 0;

  connection.push(noted(notes));
  connection.push(noted(notes));
  await delay(0);
  const startedAt = performance.now();
  await say("$40000\r\n");
  const dripping = setInterval(() => say("x"), 10);
  const report = await ended;
  clearInterval(dripping);
  assertGreaterOrEqual(performance.now() - startedAt, 300);
  assertLess(performance.now() - startedAt, 1000);
  assertEquals(report.how, "silence");
  assertGreater(report.replyBytes, 0);
  assertMatch(report.cause!, /^only \d+ bytes came of a reply/);
  assertEquals(notes, ["unknown", "unknown"]);
});

Deno.test("A name in a report is cut", async () => {
  const notes: unknown[] = [];
  const { connection, ended } = scripted();
  connection.push(noted(notes, { command: ["x".repeat(1_000_000)] }));
  connection.close();
  assertEquals((await ended).firstInFlight?.name, "x".repeat(64));
});

Deno.test("A reply has the time that its command allows, and the next one no more than its own", async () => {
  const notes: unknown[] = [];
  const { connection, ended, say } = scripted();
  connection.push(noted(notes, { extraReplyTimeoutMs: 60_000 }));
  connection.push(noted(notes));
  await delay(300); // longer than replyTimeoutMs
  assertEquals(connection.report, undefined);
  await say("+a\r\n");
  const startedAt = performance.now();
  assertEquals((await ended).how, "silence");
  assertLess(performance.now() - startedAt, 1500);
  assertEquals(notes, ["a", "unknown"]);
});

Deno.test("After a reply that dripped the next one has its time", async () => {
  const notes: unknown[] = [];
  const { connection, say } = scripted({ replyTimeoutMs: 200 });
  connection.push(noted(notes));
  connection.push(noted(notes));
  await delay(0);
  const startedAt = performance.now();
  await say("+");
  while (performance.now() - startedAt < 1320) {
    await say("x");
    await delay(20);
  }
  await say("\r\n");
  await delay(130);
  await say("+b\r\n");
  await delay(5);
  assertEquals(notes.at(-1), "b");
  connection.close();
});
