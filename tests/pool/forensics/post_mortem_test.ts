// That a post-mortem names what ended a connection, on real servers, and says so when it cannot.

import "../../support/strict.ts";
import {
  assert,
  assertEquals,
  assertMatch,
  assertStringIncludes,
} from "@std/assert";
import { delay } from "@std/async/delay";
import type { CloseReport, Command, Reply } from "../../../mod.ts";
import type { Cause, Verdict } from "../../../pool/forensics/verdict.ts";
import {
  infoCommand,
  type Source,
  sourceOf,
} from "../../../pool/forensics/server_probe.ts";
import { ask } from "../../../pool/connection/in_flight.ts";
import type { Connection } from "../../../pool/connection/connection.ts";
import { open } from "../../../pool/connection/open.ts";
import { dial } from "../../../pool/socket/dial.ts";
import { Endpoint } from "../../../pool/socket/endpoint.ts";
import { PostMortem } from "../../../pool/forensics/post_mortem.ts";
import { startProxy } from "../../support/fault_proxy.ts";
import { type RedisServer, startRedis } from "../../support/redis_server.ts";

/** A connection, and the report of its end. */
interface Subject {
  readonly connection: Connection;
  readonly ended: Promise<CloseReport>;
  /** Writes past the connection, as a proxy might. */
  smuggle(text: string): Promise<void>;
  /** Ends it for the client alone. */
  cutOff(): void;
}

/** Connections of one client to one endpoint, and their post-mortem. */
class Setup implements AsyncDisposable {
  readonly verdicts: Verdict[] = [];
  readonly postMortem: PostMortem;
  /** Connections that ended before they were open. */
  readonly failedDials: { connection: Connection; report: CloseReport }[] = [];
  readonly #connections: Connection[] = [];
  readonly #url: string;
  #count = 0;

  constructor(
    url: string,
    options: { minIntervalMs?: number; now?: () => number } = {},
  ) {
    this.#url = url;
    this.postMortem = new PostMortem({
      minIntervalMs: 0,
      ...options,
      onVerdict: (verdict) => this.verdicts.push(verdict),
    });
  }

  /** Opens a connection without a baseline. */
  async open(replyTimeoutMs = 5000): Promise<Subject> {
    const { promise: ended, resolve } = Promise.withResolvers<CloseReport>();
    const cut = Promise.withResolvers<null>();
    let smuggle = (_: string): Promise<void> => Promise.resolve();
    let isOpen = false;
    const connection = await open(new Endpoint(this.#url), {
      dial: async (endpoint, options) => {
        const socket = await dial(endpoint, options);
        smuggle = async (text) => {
          await socket.write(new TextEncoder().encode(text));
        };
        return {
          read: (buffer) => {
            const read = socket.read(buffer);
            read.catch(() => {});
            return Promise.race([read, cut.promise]);
          },
          write: (bytes) => socket.write(bytes),
          close: () => socket.close(),
        };
      },
      connectTimeoutMs: 5000,
      replyTimeoutMs,
      number: ++this.#count,
      signal: new AbortController().signal,
      observer: {
        onClose: (connection, report) => {
          if (!isOpen) this.failedDials.push({ connection, report });
          resolve(report);
        },
      },
    });
    isOpen = true;
    this.#connections.push(connection);
    return {
      connection,
      ended,
      smuggle: (text) => smuggle(text),
      cutOff: () => cut.resolve(null),
    };
  }

  /** Opens a connection and takes its baseline. */
  async openWithBaseline(replyTimeoutMs?: number): Promise<Subject> {
    const subject = await this.open(replyTimeoutMs);
    this.postMortem.takeBaseline(sourceOf(subject.connection));
    await settled(subject.connection);
    return subject;
  }

  /** Waits for the end, opens the next connection and asks why. */
  async investigate(subject: Subject): Promise<Verdict> {
    const report = await subject.ended;
    const { connection: fresh } = await this.open();
    await this.postMortem.investigate(
      report,
      subject.connection,
      sourceOf(fresh),
    );
    return this.verdicts.at(-1)!;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const connection of this.#connections) connection.close();
    await delay(0);
  }
}

/** Replies come in order, so this one comes after those of the probes. */
async function settled(connection: Connection): Promise<void> {
  await ask(connection, ["PING"]);
  await delay(0);
}

/** Sends what may be answered by the end of the connection. */
const provoke = (connection: Connection, command: Command): Promise<Reply> =>
  ask(connection, command).catch(() => null);

const clientKill = (server: RedisServer, { connection }: Subject) =>
  server.cli("CLIENT", "KILL", "ID", connection.identity!.clientId!);

function assertVerdict(
  verdict: Verdict,
  cause: Cause | undefined,
  confidence: Verdict["confidence"],
  ...evidence: RegExp[]
): void {
  console.log(verdict.text);
  assertEquals(
    { cause: verdict.cause, confidence: verdict.confidence },
    { cause, confidence },
    verdict.text,
  );
  for (const pattern of evidence) {
    assertMatch(verdict.evidence.join("\n"), pattern);
  }
  for (const line of verdict.evidence) {
    assertStringIncludes(verdict.text, line);
  }
}

Deno.test("It names the idle timeout of the server and what to set", async () => {
  await using server = await startRedis({ config: { timeout: 1 } });
  await using setup = new Setup(server.url);
  const verdict = await setup.investigate(await setup.openWithBaseline());
  assertVerdict(verdict, "idle-timeout", "likely", /idle .*timeout is 1/);
  assertStringIncludes(verdict.advice!, "set idleTimeoutMs below 900");
});

Deno.test("It names an idle timeout that was set after the baseline", async () => {
  await using server = await startRedis();
  await using setup = new Setup(server.url);
  const subject = await setup.openWithBaseline();
  await server.cli("CONFIG", "SET", "timeout", "1");
  assertVerdict(await setup.investigate(subject), "idle-timeout", "likely");
});

Deno.test("It counts how often connections ended at the same idle age", async () => {
  await using server = await startRedis({ config: { timeout: 1 } });
  await using setup = new Setup(server.url);
  await setup.investigate(await setup.openWithBaseline());
  const verdict = await setup.investigate(await setup.openWithBaseline());
  assertVerdict(
    verdict,
    "idle-timeout",
    "likely",
    /2nd time at [12] to [23] s/,
  );
});

Deno.test("It names CLIENT KILL with the numbers of its counter", async () => {
  await using server = await startRedis();
  await using setup = new Setup(server.url);
  await server.cli("CLIENT", "KILL", "ID", 999);
  const subject = await setup.openWithBaseline();
  await clientKill(server, subject);
  assertVerdict(
    await setup.investigate(subject),
    "client-kill",
    "likely",
    /cmdstat_client\|kill calls 1 -> 2/,
  );
});

Deno.test("It names CLIENT KILL while a reply is awaited", async () => {
  await using server = await startRedis();
  await using setup = new Setup(server.url);
  const subject = await setup.openWithBaseline();
  const reply = provoke(subject.connection, ["BLPOP", "nothing", 0]);
  await delay(50);
  await clientKill(server, subject);
  await reply;
  assertVerdict(await setup.investigate(subject), "client-kill", "likely");
});

for (const end of ["stop", "kill"] as const) {
  Deno.test(`It names a restart after the server's ${end}`, async () => {
    await using server = await startRedis();
    await using setup = new Setup(server.url);
    const subject = await setup.openWithBaseline();
    await server[end]();
    await server.start();
    assertVerdict(
      await setup.investigate(subject),
      "restart",
      "likely",
      /run_id \w+ -> \w+/,
      /process_id \d+ -> \d+/,
      /uptime_in_seconds \d/,
    );
  });
}

Deno.test("It does not take a restart with saved data for a failover", async () => {
  await using server = await startRedis({
    config: { save: '"1 1"', "repl-diskless-sync-delay": 0 },
  });
  await using replica = await startRedis({
    config: { replicaof: `127.0.0.1 ${server.port}` },
  });
  await using setup = new Setup(server.url);
  await server.cli("SET", "key", "value");
  while (!/slave0:.*online/.test(await server.cli("INFO", "replication"))) {
    await delay(50);
  }
  const subject = await setup.openWithBaseline();
  await replica.stop();
  await server.restart();
  const verdict = await setup.investigate(subject);
  assertVerdict(verdict, "restart", "likely");
});

Deno.test("It names maxclients where the server refuses the connection", async () => {
  await using server = await startRedis();
  await using setup = new Setup(server.url);
  const { connection } = await setup.openWithBaseline();
  await ask(connection, ["CONFIG", "SET", "maxclients", 1]);
  await setup.open().catch(() => {});
  await ask(connection, ["CONFIG", "SET", "maxclients", 100]);
  const { connection: fresh } = await setup.open();
  const [refused] = setup.failedDials;
  assert(refused !== undefined);
  await setup.postMortem.investigate(
    refused.report,
    refused.connection,
    sourceOf(fresh),
  );
  assertVerdict(
    setup.verdicts[0]!,
    "max-clients",
    "likely",
    /rejected_connections 0 -> 1/,
  );
});

/** Whether the server counts a cause of an end: older ones do not count all. */
const counts = async (server: RedisServer, counter: string): Promise<boolean> =>
  (await server.cli("INFO", "stats")).includes(`${counter}:`);

Deno.test("It names an output buffer limit by its counter, and says that it is possible where there is none", async () => {
  await using server = await startRedis({
    config: { "client-output-buffer-limit": "normal 1mb 0 0" },
  });
  await using setup = new Setup(server.url);
  const subject = await setup.openWithBaseline();
  // A reply of many parts: a single string may be sent without a copy of it.
  for (let i = 0; i < 40; i++) {
    const elements = Array(1000).fill("x".repeat(100));
    await ask(subject.connection, ["RPUSH", "big", ...elements]);
  }
  await provoke(subject.connection, ["LRANGE", "big", 0, -1]);
  const isCounted = await counts(
    server,
    "client_output_buffer_limit_disconnections",
  );
  assertVerdict(
    await setup.investigate(subject),
    "output-buffer-limit",
    isCounted ? "likely" : "possible",
    isCounted
      ? /client_output_buffer_limit_disconnections 0 -> 1/
      : /LRANGE awaited its reply, client-output-buffer-limit normal 1048576 0 0/,
  );
});

Deno.test("It names a query buffer limit by its counter, and says that it is possible where there is none", async () => {
  await using server = await startRedis({
    config: { "client-query-buffer-limit": "1mb" },
  });
  await using setup = new Setup(server.url);
  const subject = await setup.openWithBaseline();
  await provoke(subject.connection, ["SET", "big", new Uint8Array(8_000_000)]);
  const isCounted = await counts(
    server,
    "client_query_buffer_limit_disconnections",
  );
  assertVerdict(
    await setup.investigate(subject),
    "query-buffer-limit",
    isCounted ? "likely" : "possible",
    isCounted
      ? /client_query_buffer_limit_disconnections 0 -> 1/
      : /\d{7} bytes out, client-query-buffer-limit 1048576/,
  );
});

Deno.test("It names client eviction", async () => {
  await using server = await startRedis();
  await using setup = new Setup(server.url);
  const subject = await setup.openWithBaseline();
  await ask(subject.connection, ["MULTI"]);
  await ask(subject.connection, ["SET", "big", new Uint8Array(4_000_000)]);
  await server.cli("CONFIG", "SET", "maxmemory-clients", "2mb");
  assertVerdict(
    await setup.investigate(subject),
    "client-eviction",
    "likely",
    /evicted_clients 0 -> 1/,
  );
});

Deno.test("It quotes the server's error reply on a protocol error", async () => {
  await using server = await startRedis();
  await using setup = new Setup(server.url);
  const subject = await setup.openWithBaseline();
  await subject.smuggle("*1\r\n+PING\r\n");
  assertVerdict(
    await setup.investigate(subject),
    "protocol-error",
    "likely",
    /ERR Protocol error: expected '\$'/,
    /errorstat_ERR 0 -> 1/,
  );
});

Deno.test("It names a change of the ACL", async () => {
  await using server = await startRedis();
  const setUser = ["ACL", "SETUSER", "app", "on", ">secret", "~*", "+@all"];
  await server.cli(...setUser);
  await using setup = new Setup(`redis://app:secret@127.0.0.1:${server.port}`);
  const subject = await setup.openWithBaseline();
  await server.cli("ACL", "DELUSER", "app");
  await server.cli(...setUser);
  assertVerdict(
    await setup.investigate(subject),
    "acl-change",
    "likely",
    /cmdstat_acl\|deluser calls 0 -> 1/,
  );
});

Deno.test("It names a demotion where writes were refused", async () => {
  await using server = await startRedis();
  await using setup = new Setup(server.url);
  const subject = await setup.openWithBaseline();
  await server.cli("REPLICAOF", "127.0.0.1", "1");
  const reply = await ask(subject.connection, ["SET", "key", "value"]);
  assertMatch(`${reply}`, /READONLY/);
  subject.connection.close("readonly"); // as the pool does
  assertVerdict(
    await setup.investigate(subject),
    "demotion",
    "likely",
    /role master -> slave of 127\.0\.0\.1:1/,
  );
});

Deno.test("It names a failover to a promoted replica", async () => {
  await using primary = await startRedis({
    config: { "repl-diskless-sync-delay": 0 },
  });
  await using replica = await startRedis({
    config: { replicaof: `127.0.0.1 ${primary.port}` },
  });
  await using proxy = await startProxy({ target: primary });
  await using setup = new Setup(proxy.url);
  while (!/link_status:up/.test(await replica.cli("INFO", "replication"))) {
    await delay(50);
  }
  const subject = await setup.openWithBaseline();
  await primary.kill();
  await replica.cli("REPLICAOF", "NO", "ONE");
  proxy.retarget(replica);
  assertVerdict(
    await setup.investigate(subject),
    "failover",
    "likely",
    /master_replid2 is the old master_replid/,
  );
});

Deno.test("It finds that the server never closed a connection that fell silent on the network", async () => {
  await using server = await startRedis();
  await using proxy = await startProxy({ target: server });
  await using setup = new Setup(proxy.url);
  const subject = await setup.openWithBaseline(300);
  proxy.silence({ scope: "open" });
  await provoke(subject.connection, ["PING"]);
  // A CLIENT KILL for another client meanwhile: a coincidence.
  await server.cli("CLIENT", "KILL", "ID", 999);
  assertVerdict(
    await setup.investigate(subject),
    "middlebox",
    "likely",
    /CLIENT LIST has id=\d+ age=\d+ idle=\d+: the server never closed it/,
  );
});

Deno.test("It finds that the server never closed what a middlebox closed", async () => {
  await using server = await startRedis();
  await using proxy = await startProxy({ target: server });
  await using setup = new Setup(proxy.url);
  const subject = await setup.openWithBaseline();
  proxy.silence({ scope: "open" }); // the server shall not hear of it
  subject.cutOff();
  const verdict = await setup.investigate(subject);
  assertEquals(verdict.report.by, "server"); // as it seemed
  assertVerdict(verdict, "middlebox", "likely");
});

Deno.test("Where both sides were cut it says that it cannot tell, and where it looked", async () => {
  await using server = await startRedis();
  await using proxy = await startProxy({ target: server });
  await using setup = new Setup(proxy.url);
  const subject = await setup.openWithBaseline();
  await proxy.killAll("rst");
  const verdict = await setup.investigate(subject);
  assertVerdict(verdict, undefined, "none");
  assertEquals(verdict.lookedAt.slice(0, 4), [
    "the close report",
    "INFO before",
    "INFO after",
    "timeout 0",
  ]);
  assert(verdict.lookedAt.includes("CLIENT LIST"));
  assertMatch(verdict.text, /^Cannot tell why connection 1 to .* ended: no/);
});

Deno.test("It names no cause where the client closed the connection itself", async () => {
  await using server = await startRedis();
  await using setup = new Setup(server.url);
  const subject = await setup.openWithBaseline();
  await server.cli("CLIENT", "KILL", "ID", 999);
  subject.connection.close("idle-timeout");
  const verdict = await setup.investigate(subject);
  assertVerdict(verdict, undefined, "none");
  assertMatch(verdict.text, /^This client closed connection 1 .*idle-timeout$/);
});

Deno.test("Two at once: an idle timeout while another connection is killed is only possible", async () => {
  await using server = await startRedis({ config: { timeout: 1 } });
  await using setup = new Setup(server.url);
  const subject = await setup.openWithBaseline();
  await server.cli("CLIENT", "KILL", "ID", 999);
  const verdict = await setup.investigate(subject);
  assertVerdict(
    verdict,
    "idle-timeout",
    "possible",
    /fits idle-timeout and client-kill/,
    /cmdstat_client\|kill calls 0 -> 1/,
  );
});

Deno.test("Two at once: a kill and a change of the ACL are only possible", async () => {
  await using server = await startRedis();
  await using setup = new Setup(server.url);
  const subject = await setup.openWithBaseline();
  await server.cli("ACL", "SETUSER", "other", "on");
  await server.cli("ACL", "DELUSER", "other");
  await clientKill(server, subject);
  assertVerdict(
    await setup.investigate(subject),
    "client-kill",
    "possible",
    /fits client-kill and acl-change/,
    /cmdstat_acl\|deluser/,
  );
});

Deno.test("Two at once: an idle timeout before a restart is only possible", async () => {
  await using server = await startRedis({ config: { timeout: 1 } });
  await using setup = new Setup(server.url);
  const subject = await setup.openWithBaseline();
  await subject.ended;
  await server.restart();
  assertVerdict(
    await setup.investigate(subject),
    "idle-timeout",
    "possible",
    /fits idle-timeout and restart/,
  );
});

Deno.test("Two at once: a kill before a restart that others survived until is not called a restart", async () => {
  await using server = await startRedis();
  await using setup = new Setup(server.url);
  await setup.openWithBaseline();
  const subject = await setup.openWithBaseline();
  await clientKill(server, subject);
  await subject.ended;
  await delay(1100);
  await server.restart();
  assertVerdict(
    await setup.investigate(subject),
    "restart",
    "possible",
    /outlived by 1 of its siblings/,
  );
});

Deno.test("It compares with the newest snapshot from before the end", async () => {
  await using server = await startRedis();
  await using setup = new Setup(server.url);
  const subject = await setup.openWithBaseline();
  await server.cli("ACL", "SETUSER", "other", "on");
  await server.cli("ACL", "DELUSER", "other");
  await setup.openWithBaseline();
  await delay(1100);
  await clientKill(server, subject);
  assertVerdict(await setup.investigate(subject), "client-kill", "likely");
});

Deno.test("The client's own CLIENT KILL is not taken for the cause", async () => {
  await using server = await startRedis();
  await using proxy = await startProxy({ target: server });
  await using setup = new Setup(proxy.url);
  const subject = await setup.openWithBaseline();
  await proxy.killAll("rst");
  await subject.ended;
  const { connection } = await setup.open();
  setup.postMortem.noteFence(subject.connection);
  const { clientId } = subject.connection.identity!;
  await ask(connection, ["CLIENT", "KILL", "ID", clientId!]);
  const verdict = await setup.investigate(subject);
  assertVerdict(verdict, undefined, "none");
  assert(!verdict.lookedAt.includes("CLIENT LIST"));
});

Deno.test("Probes that the server refuses are not tried again, and the verdict says so", async () => {
  await using server = await startRedis();
  const rules = "on >secret ~* +@all -config -client".split(" ");
  await server.cli("ACL", "SETUSER", "app", ...rules);
  await using proxy = await startProxy({ target: server });
  await using setup = new Setup(proxy.url.replace("//", "//app:secret@"));
  const refusals = async () => {
    const statistics = await server.cli("INFO", "commandstats");
    return ["config|get", "client|list"].map((name) =>
      new RegExp(`cmdstat_${name.replace("|", "\\|")}:.*rejected_calls=(\\d+)`)
        .exec(statistics)?.[1]
    );
  };
  for (let i = 0; i < 3; i++) {
    const subject = await setup.openWithBaseline();
    await proxy.killAll("fin");
    const verdict = await setup.investigate(subject);
    assertVerdict(verdict, undefined, "none");
    assertEquals(verdict.lookedAt.slice(3), [
      "CONFIG GET (refused)",
      "CLIENT LIST (refused)",
    ]);
    // Two settings were asked for at once.
    assertEquals(await refusals(), ["2", "1"]);
  }
});

Deno.test("Without INFO it still has the close report", async () => {
  await using server = await startRedis();
  await server.cli(
    "ACL",
    "SETUSER",
    "app",
    "on",
    ">secret",
    "~*",
    "+@all",
    "-info",
  );
  await using setup = new Setup(`redis://app:secret@127.0.0.1:${server.port}`);
  const subject = await setup.openWithBaseline();
  await subject.smuggle("*1\r\n+PING\r\n");
  const verdict = await setup.investigate(subject);
  assertVerdict(verdict, "protocol-error", "likely");
  assert(verdict.lookedAt.includes("INFO (refused)"));
});

Deno.test("It investigates once in a while, and one at a time", async () => {
  let now = Date.now();
  await using server = await startRedis();
  await using setup = new Setup(server.url, {
    minIntervalMs: 5000,
    now: () => now,
  });
  const subjects = [
    await setup.openWithBaseline(),
    await setup.openWithBaseline(),
    await setup.openWithBaseline(),
  ];
  for (const subject of subjects) await clientKill(server, subject);
  await Promise.all(subjects.map((subject) => setup.investigate(subject)));
  assertEquals(setup.verdicts.length, 1);
  now += 4999;
  await setup.investigate(subjects[0]!);
  assertEquals(setup.verdicts.length, 1);
  now += 1;
  await setup.investigate(subjects[0]!);
  assertEquals(setup.verdicts.length, 2);
});

Deno.test("It asks nothing while it is not time", async () => {
  await using server = await startRedis();
  await using setup = new Setup(server.url, { minIntervalMs: 60_000 });
  const subject = await setup.openWithBaseline();
  await clientKill(server, subject);
  await setup.investigate(subject);
  const { connection: fresh } = await setup.open();
  await setup.postMortem.investigate(
    await subject.ended,
    subject.connection,
    sourceOf(fresh),
  );
  assertEquals(fresh.served, 0);
});

Deno.test("It never throws: the new connection ends in the middle", async () => {
  await using server = await startRedis();
  await using setup = new Setup(server.url);
  const subject = await setup.openWithBaseline();
  await clientKill(server, subject);
  const report = await subject.ended;
  for (const how of ["before", "during"] as const) {
    const { connection: fresh } = await setup.open();
    if (how === "before") fresh.close();
    setup.postMortem.takeBaseline(sourceOf(fresh));
    const done = setup.postMortem.investigate(
      report,
      subject.connection,
      sourceOf(fresh),
    );
    if (how === "during") fresh.close();
    await done;
    assertVerdict(setup.verdicts.at(-1)!, undefined, "none");
  }
  // Nothing of it sticks.
  assertVerdict(await setup.investigate(subject), "client-kill", "likely");
});

Deno.test("It never throws: onVerdict does", async () => {
  await using server = await startRedis();
  await using setup = new Setup(server.url);
  const subject = await setup.openWithBaseline();
  await clientKill(server, subject);
  const { connection: fresh } = await setup.open();
  let calls = 0;
  const postMortem = new PostMortem({
    minIntervalMs: 0,
    onVerdict: () => {
      calls++;
      throw new Error("oops");
    },
  });
  const report = await subject.ended;
  await postMortem.investigate(report, subject.connection, sourceOf(fresh));
  await postMortem.investigate(report, subject.connection, sourceOf(fresh));
  assertEquals(calls, 2);
});

Deno.test("A command that was pushed before the baseline is answered before it", async () => {
  await using server = await startRedis();
  await using setup = new Setup(server.url);
  const { connection } = await setup.open();
  let served = 0;
  connection.push({
    command: ["PING"],
    binary: false,
    extraReplyTimeoutMs: 0,
    resolve: () => served = connection.served,
    lose: () => {},
  });
  setup.postMortem.takeBaseline(sourceOf(connection));
  await settled(connection);
  assertEquals(served, 1);
});

Deno.test("Where the connection has changed hands nothing is asked, and the next one is asked instead", async () => {
  await using server = await startRedis();
  await using setup = new Setup(server.url, { minIntervalMs: 60_000 });
  const subject = await setup.openWithBaseline();
  await clientKill(server, subject);
  const report = await subject.ended;
  const { connection: leased } = await setup.open();
  const revoked: Source = { connection: leased, ask: () => undefined };
  setup.postMortem.takeBaseline(revoked);
  assertEquals(
    await setup.postMortem.investigate(report, subject.connection, revoked),
    "not-asked",
  );
  assertEquals([leased.served, setup.verdicts], [0, []]);
  assertVerdict(await setup.investigate(subject), "client-kill", "likely");
});

Deno.test("All that is asked is pushed before baseline and investigate return", async () => {
  await using server = await startRedis();
  await using setup = new Setup(server.url);
  const subject = await setup.openWithBaseline();
  await clientKill(server, subject);
  const report = await subject.ended;
  const { connection } = await setup.open();
  const asked: string[] = [];
  const source: Source = {
    connection,
    ask: (command) => {
      asked.push(`${command[0]}`);
      return ask(connection, command);
    },
  };
  new PostMortem().takeBaseline(source);
  assertEquals(asked.splice(0), ["CONFIG", "CONFIG", "INFO"]);
  const found = setup.postMortem
    .investigate(report, subject.connection, source);
  assertEquals(asked.splice(0), ["CLIENT", "CONFIG", "CONFIG", "INFO"]);
  await found;
  assertEquals(asked, []);
});

Deno.test("A probe costs a few kilobytes", async () => {
  await using server = await startRedis();
  const command = infoCommand("7.0.15").map(String);
  const text = await server.cli(...command);
  console.log(`${text.length} bytes`);
  assert(text.length < 8192);
});
