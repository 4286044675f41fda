// That a server which stood still is named as such, and told apart from what lies between.

import "../../support/strict.ts";
import { assert, assertEquals, assertMatch } from "@std/assert";
import { delay } from "@std/async/delay";
import {
  type CloseReport,
  type Command,
  Redis,
  type Verdict,
} from "../../../mod.ts";
import { ask } from "../../../pool/connection/in_flight.ts";
import type { Connection } from "../../../pool/connection/connection.ts";
import { open } from "../../../pool/connection/open.ts";
import { dial } from "../../../pool/socket/dial.ts";
import { Endpoint } from "../../../pool/socket/endpoint.ts";
import { PostMortem } from "../../../pool/forensics/post_mortem.ts";
import { sourceOf } from "../../../pool/forensics/server_probe.ts";
import { Conversation } from "../../support/conversation.ts";
import { startProxy } from "../../support/fault_proxy.ts";
import { type RedisServer, startRedis } from "../../support/redis_server.ts";

/** Connections to one place, and their post-mortem. */
class Setup implements AsyncDisposable {
  readonly postMortem = new PostMortem({ minIntervalMs: 0 });
  /** How connections ended, in order. */
  readonly ended: { report: CloseReport; connection: Connection }[] = [];
  readonly #url: string;
  readonly #open: Connection[] = [];
  #count = 0;

  constructor(url: string) {
    this.#url = url;
  }

  async dial(connectTimeoutMs = 5000): Promise<Connection> {
    const connection = await open(new Endpoint(this.#url), {
      dial,
      connectTimeoutMs,
      replyTimeoutMs: 10_000,
      number: ++this.#count,
      signal: new AbortController().signal,
      observer: {
        onClose: (connection, report) => {
          this.ended.push({ report, connection });
          this.postMortem.noteEnd(report, connection);
        },
      },
    });
    this.#open.push(connection);
    return connection;
  }

  /** Opens connections one after the other and takes their baselines. */
  async openWithBaseline(count: number): Promise<Connection[]> {
    const connections = [];
    for (let i = 0; i < count; i++) {
      const connection = await this.dial();
      this.postMortem.takeBaseline(sourceOf(connection));
      await ask(connection, ["PING"]);
      connections.push(connection);
    }
    return connections;
  }

  /** Looks into the first end of a connection that was open. */
  async investigate(fresh: Connection): Promise<Verdict> {
    const { report, connection } = this.ended[0]!;
    const verdict = await this.postMortem
      .investigate(report, connection, sourceOf(fresh));
    assert(typeof verdict === "object");
    console.log(verdict.text);
    return verdict;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const connection of this.#open) connection.close();
    await delay(0);
  }
}

/** Sends a command, and gives the connection up as a reply timer would. */
async function loseReply(
  connection: Connection,
  command: Command = ["GET", "key"],
  patienceMs = 400,
): Promise<void> {
  const reply = ask(connection, command).catch(() => {});
  await delay(patienceMs);
  connection.timeOut("no byte came");
  await reply;
}

function assertStalled(verdict: Verdict, ...evidence: RegExp[]): void {
  assertEquals(
    [verdict.cause, verdict.confidence],
    ["server-stall", "likely"],
    verdict.text,
  );
  assertMatch(verdict.text, /was likely ended by a stalled server: /);
  for (const pattern of evidence) assertMatch(verdict.text, pattern);
}

/** A server that may be put to sleep. */
const startSleeper = () =>
  startRedis({ config: { "enable-debug-command": "yes" } });

/** Each holds a server up for `ms` milliseconds. */
const HOLDS: Record<
  string,
  (server: RedisServer, ms: number) => Promise<unknown>
> = {
  SIGSTOP: async (server, ms) => {
    server.freeze();
    await delay(ms);
    server.thaw();
  },
  "DEBUG SLEEP": (server, ms) => server.cli("DEBUG", "SLEEP", ms / 1000),
  "CLIENT PAUSE": (server, ms) => server.cli("CLIENT", "PAUSE", ms, "ALL"),
  "a slow script": (server, ms) =>
    server.cli(
      "EVAL",
      // TIME stands still in a script since Redis 7.2; before, there is no os.
      `local hasOs, clock = pcall(function() return os.clock end)
       local function now()
         if hasOs then return clock() * 1000 end
         local t = redis.call("TIME")
         return t[1] * 1000 + t[2] / 1000
       end
       local till = now() + ARGV[1]
       repeat until now() >= till`,
      0,
      ms,
    ),
};
const EVIDENCE: Record<string, RegExp[]> = {
  SIGSTOP: [
    /3 connections fell silent at once/,
    /no other connection was answered meanwhile/,
    /a new connection took [\d.]+ m?s to open, usually \d+ ms/,
    /look for slow commands/,
  ],
  "DEBUG SLEEP": [/SLOWLOG GET: DEBUG took 1\.[2-5] s/],
  "CLIENT PAUSE": [/cmdstat_client\|pause calls 0 -> 1/],
  "a slow script": [/SLOWLOG GET: EVAL took \d\.\d s/],
};

/** Holds a server up. Resolves when it has stopped answering, to what resolves when it is over. */
async function begin(
  what: string,
  server: RedisServer,
  ms: number,
): Promise<{ over: Promise<unknown> }> {
  const bystander = await Conversation.open(server.port);
  const held = HOLDS[what]!(server, ms);
  while (true) {
    const answer = bystander.ask("PING");
    const isAnswered = await Promise.race([answer, delay(50)]) !== undefined;
    if (isAnswered) continue;
    const over = Promise.all([held, answer])
      .finally(() => bystander[Symbol.dispose]());
    return { over };
  }
}

for (const what of Object.keys(HOLDS)) {
  Deno.test(`A stall by ${what} is named, with what the server says of it`, async () => {
    await using server = await startSleeper();
    await using setup = new Setup(server.url);
    const connections = await setup.openWithBaseline(3);
    const { over } = await begin(what, server, 1200);
    await Promise.all(connections.map((connection) => loseReply(connection)));
    const fresh = await setup.dial();
    await over;
    assertStalled(await setup.investigate(fresh), ...EVIDENCE[what]!);
  });
}

Deno.test("A stall that is over before the next dial is found in what the server reports", async () => {
  await using server = await startSleeper();
  await using setup = new Setup(server.url);
  const [connection] = await setup.openWithBaseline(1);
  const { over } = await begin("DEBUG SLEEP", server, 800);
  await loseReply(connection!);
  await over;
  await delay(500);
  assertStalled(
    await setup.investigate(await setup.dial()),
    /SLOWLOG GET: DEBUG took 8\d\d ms/,
  );
});

Deno.test("A connection has the time of its dial, including that before its socket was open", async () => {
  await using server = await startRedis();
  const connection = await open(new Endpoint(server.url), {
    dial: async (endpoint, options) => {
      await delay(150);
      return await dial(endpoint, options);
    },
    connectTimeoutMs: 5000,
    replyTimeoutMs: 5000,
    number: 1,
    signal: new AbortController().signal,
  });
  const { dialMs } = connection;
  connection.close();
  assert(dialMs >= 149 && dialMs < 2000, `${dialMs}`);
});

Deno.test("A stall that left no trace but the silence is possible, not likely", async () => {
  await using server = await startRedis();
  await using setup = new Setup(server.url);
  const [connection] = await setup.openWithBaseline(1);
  const held = HOLDS.SIGSTOP!(server, 600);
  await loseReply(connection!);
  await held;
  await delay(100);
  const verdict = await setup.investigate(await setup.dial());
  assertEquals(
    [verdict.cause, verdict.confidence],
    ["server-stall", "possible"],
    verdict.text,
  );
  assertMatch(verdict.text, /the server no longer lists it/);
});

Deno.test("The latency monitor names what stalled the server, where SLOWLOG is not allowed", async () => {
  await using server = await startRedis({
    config: {
      "enable-debug-command": "yes",
      "latency-monitor-threshold": 100,
      "rename-command SLOWLOG": '""',
    },
  });
  await using setup = new Setup(server.url);
  const [connection] = await setup.openWithBaseline(1);
  const { over } = await begin("DEBUG SLEEP", server, 900);
  await loseReply(connection!);
  await over;
  await delay(300);
  const verdict = await setup.investigate(await setup.dial());
  assertStalled(verdict, /LATENCY LATEST: command took 9\d\d ms/);
  assert(verdict.lookedAt.includes("SLOWLOG GET (refused)"));
});

Deno.test("A slow command of another day is no evidence of a stall", async () => {
  await using server = await startSleeper();
  await using proxy = await startProxy({ target: server });
  await using setup = new Setup(proxy.url);
  await HOLDS["DEBUG SLEEP"]!(server, 500);
  await delay(2500); // times are whole seconds
  const [connection] = await setup.openWithBaseline(1);
  proxy.silence({ scope: "open" });
  await loseReply(connection!);
  const verdict = await setup.investigate(await setup.dial());
  assertEquals(
    [verdict.cause, verdict.confidence],
    ["middlebox", "likely"],
    verdict.text,
  );
  assert(verdict.lookedAt.includes("SLOWLOG GET"));
});

for (const isListed of [true, false]) {
  Deno.test(`One connection that is swallowed while others are answered is no stall${isListed ? "" : ", CLIENT LIST refused"}`, async () => {
    await using server = await startRedis(
      isListed ? {} : { config: { "rename-command CLIENT": '""' } },
    );
    await using proxy = await startProxy({ target: server });
    await using setup = new Setup(proxy.url);
    const [connection] = await setup.openWithBaseline(1);
    proxy.silence({ scope: "open" });
    proxy.pass({ scope: "new" });
    const [other] = await setup.openWithBaseline(1);
    const lost = loseReply(connection!);
    for (let i = 0; i < 5; i++) {
      await ask(other!, ["PING"]);
      await delay(100);
    }
    await lost;
    const verdict = await setup.investigate(await setup.dial());
    assertEquals(
      [verdict.cause, verdict.confidence],
      ["middlebox", isListed ? "likely" : "possible"],
      verdict.text,
    );
    if (!isListed) assertMatch(verdict.text, /1 other answered meanwhile/);
  });
}

Deno.test("A proxy that drops everything for a while is recognized: nothing that was sent reached the server", async () => {
  await using server = await startRedis();
  await using proxy = await startProxy({ target: server });
  await using setup = new Setup(proxy.url);
  const connections = await setup.openWithBaseline(2);
  proxy.silence();
  await Promise.all(connections.map((connection) => loseReply(connection)));
  await setup.dial(300).catch(() => {});
  proxy.pass();
  await delay(50);
  const verdict = await setup.investigate(await setup.dial());
  assertEquals(
    [verdict.cause, verdict.confidence],
    ["middlebox", "likely"],
    verdict.text,
  );
  assertMatch(verdict.text, /2 connections fell silent at once/);
  assertMatch(
    verdict.text,
    /1 new connection got no answer, what they sent never reached the server: cmdstat_hello calls \d+ -> \d+/,
  );
});

Deno.test("A server that was stalled for longer than dials wait has run their commands afterwards", async () => {
  await using server = await startRedis();
  await using setup = new Setup(server.url);
  const connections = await setup.openWithBaseline(2);
  server.freeze();
  await Promise.all(connections.map((connection) => loseReply(connection)));
  await setup.dial(200).catch(() => {});
  await setup.dial(200).catch(() => {});
  server.thaw();
  await delay(100);
  const verdict = await setup.investigate(await setup.dial());
  assertEquals(
    [verdict.causes, verdict.confidence],
    [["server-stall"], "possible"],
    verdict.text,
  );
  assertMatch(
    verdict.text,
    /2 new connections got no answer, the server ran their/,
  );
});

for (const what of ["SIGSTOP", "DEBUG SLEEP", "CLIENT PAUSE"]) {
  Deno.test(`Redis says that its server was stalled by ${what}`, async () => {
    await using server = await startSleeper();
    const { promise, resolve } = Promise.withResolvers<Verdict>();
    await using redis = new Redis(server.url, {
      replyTimeoutMs: 400,
      postMortem: true,
      onVerdict: resolve,
    });
    await redis.send(["SET", "key", "value"]);
    await delay(200); // the baseline
    const { over } = await begin(what, server, 1200);
    assertEquals(await redis.send(["GET", "key"]), "value");
    await over;
    assertStalled(await promise);
  });
}
