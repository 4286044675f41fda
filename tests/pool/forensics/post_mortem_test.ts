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
import { infoCommand } from "../../../pool/forensics/server_snapshot.ts";
import { ask } from "../../../pool/connection/ask.ts";
import type { Connection } from "../../../pool/connection/connection.ts";
import { open } from "../../../pool/connection/open.ts";
import { dial } from "../../../pool/socket/dial.ts";
import { Endpoint } from "../../../pool/socket/endpoint.ts";
import { PostMortem } from "../../../pool/forensics/post_mortem.ts";
import { type Source, sourceOf } from "../../../pool/forensics/server_probe.ts";
import { startProxy } from "../../support/fault_proxy.ts";
import { type RedisServer, startRedis } from "../../support/redis_server.ts";

/** A connection that tells how it ended. */
interface Patient {
  readonly connection: Connection;
  readonly ended: Promise<CloseReport>;
  /** Writes past the connection, as something on the way might. */
  smuggle(text: string): Promise<void>;
  /** Ends it for the client alone. */
  cutOff(): void;
}

/** A client's connections to one place, and their post-mortem. */
class Ward implements AsyncDisposable {
  readonly verdicts: Verdict[] = [];
  readonly postMortem: PostMortem;
  /** Connections that ended before they were open. */
  readonly stillborn: { connection: Connection; report: CloseReport }[] = [];
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
  async visit(replyTimeoutMs = 5000): Promise<Patient> {
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
          if (!isOpen) this.stillborn.push({ connection, report });
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
  async admit(replyTimeoutMs?: number): Promise<Patient> {
    const patient = await this.visit(replyTimeoutMs);
    this.postMortem.takeBaseline(sourceOf(patient.connection));
    await settled(patient.connection);
    return patient;
  }

  /** Waits for the end, opens the next connection and asks why. */
  async examine(patient: Patient): Promise<Verdict> {
    const report = await patient.ended;
    const { connection: fresh } = await this.visit();
    await this.postMortem.investigate(
      report,
      patient.connection,
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

const clientKill = (server: RedisServer, { connection }: Patient) =>
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
  await using ward = new Ward(server.url);
  const verdict = await ward.examine(await ward.admit());
  assertVerdict(verdict, "idle-timeout", "likely", /idle .*timeout is 1/);
  assertStringIncludes(verdict.advice!, "set idleTimeoutMs below 900");
});

Deno.test("It names an idle timeout that was set after the baseline", async () => {
  await using server = await startRedis();
  await using ward = new Ward(server.url);
  const patient = await ward.admit();
  await server.cli("CONFIG", "SET", "timeout", "1");
  assertVerdict(await ward.examine(patient), "idle-timeout", "likely");
});

Deno.test("It counts how often connections ended at the same idle age", async () => {
  await using server = await startRedis({ config: { timeout: 1 } });
  await using ward = new Ward(server.url);
  await ward.examine(await ward.admit());
  const verdict = await ward.examine(await ward.admit());
  assertVerdict(
    verdict,
    "idle-timeout",
    "likely",
    /2nd time at [12] to [23] s/,
  );
});

Deno.test("It names CLIENT KILL with the numbers of its counter", async () => {
  await using server = await startRedis();
  await using ward = new Ward(server.url);
  await server.cli("CLIENT", "KILL", "ID", 999);
  const patient = await ward.admit();
  await clientKill(server, patient);
  assertVerdict(
    await ward.examine(patient),
    "client-kill",
    "likely",
    /cmdstat_client\|kill calls 1 -> 2/,
  );
});

Deno.test("It names CLIENT KILL while a reply is awaited", async () => {
  await using server = await startRedis();
  await using ward = new Ward(server.url);
  const patient = await ward.admit();
  const reply = provoke(patient.connection, ["BLPOP", "nothing", 0]);
  await delay(50);
  await clientKill(server, patient);
  await reply;
  assertVerdict(await ward.examine(patient), "client-kill", "likely");
});

for (const end of ["stop", "kill"] as const) {
  Deno.test(`It names a restart after the server's ${end}`, async () => {
    await using server = await startRedis();
    await using ward = new Ward(server.url);
    const patient = await ward.admit();
    await server[end]();
    await server.start();
    assertVerdict(
      await ward.examine(patient),
      "restart",
      "likely",
      /run_id \w+ -> \w+/,
      /process_id \d+ -> \d+/,
      /uptime_in_seconds \d/,
    );
  });
}

Deno.test("It takes a restart with saved data for no failover", async () => {
  await using server = await startRedis({
    config: { save: '"1 1"', "repl-diskless-sync-delay": 0 },
  });
  await using replica = await startRedis({
    config: { replicaof: `127.0.0.1 ${server.port}` },
  });
  await using ward = new Ward(server.url);
  await server.cli("SET", "key", "value");
  while (!/slave0:.*online/.test(await server.cli("INFO", "replication"))) {
    await delay(50);
  }
  const patient = await ward.admit();
  await replica.stop();
  await server.restart();
  const verdict = await ward.examine(patient);
  assertVerdict(verdict, "restart", "likely");
});

Deno.test("It names the limit of clients where the server shuts the door", async () => {
  await using server = await startRedis();
  await using ward = new Ward(server.url);
  const { connection } = await ward.admit();
  await ask(connection, ["CONFIG", "SET", "maxclients", 1]);
  await ward.visit().catch(() => {});
  await ask(connection, ["CONFIG", "SET", "maxclients", 100]);
  const { connection: fresh } = await ward.visit();
  const [refused] = ward.stillborn;
  assert(refused !== undefined);
  await ward.postMortem.investigate(
    refused.report,
    refused.connection,
    sourceOf(fresh),
  );
  assertVerdict(
    ward.verdicts[0]!,
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
  await using ward = new Ward(server.url);
  const patient = await ward.admit();
  // A reply of many parts: a single string may be sent without a copy of it.
  for (let i = 0; i < 40; i++) {
    const elements = Array(1000).fill("x".repeat(100));
    await ask(patient.connection, ["RPUSH", "big", ...elements]);
  }
  await provoke(patient.connection, ["LRANGE", "big", 0, -1]);
  const isCounted = await counts(
    server,
    "client_output_buffer_limit_disconnections",
  );
  assertVerdict(
    await ward.examine(patient),
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
  await using ward = new Ward(server.url);
  const patient = await ward.admit();
  await provoke(patient.connection, ["SET", "big", new Uint8Array(8_000_000)]);
  const isCounted = await counts(
    server,
    "client_query_buffer_limit_disconnections",
  );
  assertVerdict(
    await ward.examine(patient),
    "query-buffer-limit",
    isCounted ? "likely" : "possible",
    isCounted
      ? /client_query_buffer_limit_disconnections 0 -> 1/
      : /\d{7} bytes out, client-query-buffer-limit 1048576/,
  );
});

Deno.test("It names client eviction", async () => {
  await using server = await startRedis();
  await using ward = new Ward(server.url);
  const patient = await ward.admit();
  await ask(patient.connection, ["MULTI"]);
  await ask(patient.connection, ["SET", "big", new Uint8Array(4_000_000)]);
  await server.cli("CONFIG", "SET", "maxmemory-clients", "2mb");
  assertVerdict(
    await ward.examine(patient),
    "client-eviction",
    "likely",
    /evicted_clients 0 -> 1/,
  );
});

Deno.test("It names a protocol error by the server's own words", async () => {
  await using server = await startRedis();
  await using ward = new Ward(server.url);
  const patient = await ward.admit();
  await patient.smuggle("*1\r\n+PING\r\n");
  assertVerdict(
    await ward.examine(patient),
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
  await using ward = new Ward(`redis://app:secret@127.0.0.1:${server.port}`);
  const patient = await ward.admit();
  await server.cli("ACL", "DELUSER", "app");
  await server.cli(...setUser);
  assertVerdict(
    await ward.examine(patient),
    "acl-change",
    "likely",
    /cmdstat_acl\|deluser calls 0 -> 1/,
  );
});

Deno.test("It names a demotion where writes were refused", async () => {
  await using server = await startRedis();
  await using ward = new Ward(server.url);
  const patient = await ward.admit();
  await server.cli("REPLICAOF", "127.0.0.1", "1");
  const reply = await ask(patient.connection, ["SET", "key", "value"]);
  assertMatch(`${reply}`, /READONLY/);
  patient.connection.close("readonly"); // as the pool does
  assertVerdict(
    await ward.examine(patient),
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
  await using ward = new Ward(proxy.url);
  while (!/link_status:up/.test(await replica.cli("INFO", "replication"))) {
    await delay(50);
  }
  const patient = await ward.admit();
  await primary.kill();
  await replica.cli("REPLICAOF", "NO", "ONE");
  proxy.retarget(replica);
  assertVerdict(
    await ward.examine(patient),
    "failover",
    "likely",
    /master_replid2 is the old master_replid/,
  );
});

Deno.test("It finds that the server never closed what fell silent on the way", async () => {
  await using server = await startRedis();
  await using proxy = await startProxy({ target: server });
  await using ward = new Ward(proxy.url);
  const patient = await ward.admit(300);
  proxy.silence({ scope: "open" });
  await provoke(patient.connection, ["PING"]);
  // Somebody else is killed meanwhile: a coincidence.
  await server.cli("CLIENT", "KILL", "ID", 999);
  assertVerdict(
    await ward.examine(patient),
    "middlebox",
    "likely",
    /CLIENT LIST has id=\d+ age=\d+ idle=\d+: the server never closed it/,
  );
});

Deno.test("It finds that the server never closed what a middlebox closed", async () => {
  await using server = await startRedis();
  await using proxy = await startProxy({ target: server });
  await using ward = new Ward(proxy.url);
  const patient = await ward.admit();
  proxy.silence({ scope: "open" }); // the server shall not hear of it
  patient.cutOff();
  const verdict = await ward.examine(patient);
  assertEquals(verdict.report.by, "server"); // as it seemed
  assertVerdict(verdict, "middlebox", "likely");
});

Deno.test("It says that it does not know where both sides were cut, and where it looked", async () => {
  await using server = await startRedis();
  await using proxy = await startProxy({ target: server });
  await using ward = new Ward(proxy.url);
  const patient = await ward.admit();
  await proxy.killAll("rst");
  const verdict = await ward.examine(patient);
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

Deno.test("It says nothing of causes where the client closed the connection itself", async () => {
  await using server = await startRedis();
  await using ward = new Ward(server.url);
  const patient = await ward.admit();
  await server.cli("CLIENT", "KILL", "ID", 999);
  patient.connection.close("idle-timeout");
  const verdict = await ward.examine(patient);
  assertVerdict(verdict, undefined, "none");
  assertMatch(verdict.text, /^This client closed connection 1 .*idle-timeout$/);
});

Deno.test("Two at once: an idle timeout while somebody else is killed is only possible", async () => {
  await using server = await startRedis({ config: { timeout: 1 } });
  await using ward = new Ward(server.url);
  const patient = await ward.admit();
  await server.cli("CLIENT", "KILL", "ID", 999);
  const verdict = await ward.examine(patient);
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
  await using ward = new Ward(server.url);
  const patient = await ward.admit();
  await server.cli("ACL", "SETUSER", "other", "on");
  await server.cli("ACL", "DELUSER", "other");
  await clientKill(server, patient);
  assertVerdict(
    await ward.examine(patient),
    "client-kill",
    "possible",
    /fits client-kill and acl-change/,
    /cmdstat_acl\|deluser/,
  );
});

Deno.test("Two at once: an idle timeout before a restart is only possible", async () => {
  await using server = await startRedis({ config: { timeout: 1 } });
  await using ward = new Ward(server.url);
  const patient = await ward.admit();
  await patient.ended;
  await server.restart();
  assertVerdict(
    await ward.examine(patient),
    "idle-timeout",
    "possible",
    /fits idle-timeout and restart/,
  );
});

Deno.test("Two at once: a kill before a restart that others lived to see is not called a restart", async () => {
  await using server = await startRedis();
  await using ward = new Ward(server.url);
  await ward.admit();
  const patient = await ward.admit();
  await clientKill(server, patient);
  await patient.ended;
  await delay(1100);
  await server.restart();
  assertVerdict(
    await ward.examine(patient),
    "restart",
    "possible",
    /outlived by 1 of its siblings/,
  );
});

Deno.test("It compares with the newest evidence from before the end", async () => {
  await using server = await startRedis();
  await using ward = new Ward(server.url);
  const patient = await ward.admit();
  await server.cli("ACL", "SETUSER", "other", "on");
  await server.cli("ACL", "DELUSER", "other");
  await ward.admit();
  await delay(1100);
  await clientKill(server, patient);
  assertVerdict(await ward.examine(patient), "client-kill", "likely");
});

Deno.test("The client's own CLIENT KILL is not taken for the cause", async () => {
  await using server = await startRedis();
  await using proxy = await startProxy({ target: server });
  await using ward = new Ward(proxy.url);
  const patient = await ward.admit();
  await proxy.killAll("rst");
  await patient.ended;
  const { connection } = await ward.visit();
  ward.postMortem.noteFence(patient.connection);
  const { clientId } = patient.connection.identity!;
  await ask(connection, ["CLIENT", "KILL", "ID", clientId!]);
  const verdict = await ward.examine(patient);
  assertVerdict(verdict, undefined, "none");
  assert(!verdict.lookedAt.includes("CLIENT LIST"));
});

Deno.test("Probes that the server refuses are not tried again, and the verdict says so", async () => {
  await using server = await startRedis();
  const rules = "on >secret ~* +@all -config -client".split(" ");
  await server.cli("ACL", "SETUSER", "app", ...rules);
  await using proxy = await startProxy({ target: server });
  await using ward = new Ward(proxy.url.replace("//", "//app:secret@"));
  const refusals = async () => {
    const statistics = await server.cli("INFO", "commandstats");
    return ["config|get", "client|list"].map((name) =>
      new RegExp(`cmdstat_${name.replace("|", "\\|")}:.*rejected_calls=(\\d+)`)
        .exec(statistics)?.[1]
    );
  };
  for (let i = 0; i < 3; i++) {
    const patient = await ward.admit();
    await proxy.killAll("fin");
    const verdict = await ward.examine(patient);
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
  await using ward = new Ward(`redis://app:secret@127.0.0.1:${server.port}`);
  const patient = await ward.admit();
  await patient.smuggle("*1\r\n+PING\r\n");
  const verdict = await ward.examine(patient);
  assertVerdict(verdict, "protocol-error", "likely");
  assert(verdict.lookedAt.includes("INFO (refused)"));
});

Deno.test("It investigates once in a while, and one at a time", async () => {
  let now = Date.now();
  await using server = await startRedis();
  await using ward = new Ward(server.url, {
    minIntervalMs: 5000,
    now: () => now,
  });
  const patients = [await ward.admit(), await ward.admit(), await ward.admit()];
  for (const patient of patients) await clientKill(server, patient);
  await Promise.all(patients.map((patient) => ward.examine(patient)));
  assertEquals(ward.verdicts.length, 1);
  now += 4999;
  await ward.examine(patients[0]!);
  assertEquals(ward.verdicts.length, 1);
  now += 1;
  await ward.examine(patients[0]!);
  assertEquals(ward.verdicts.length, 2);
});

Deno.test("It asks nothing while it is not time", async () => {
  await using server = await startRedis();
  await using ward = new Ward(server.url, { minIntervalMs: 60_000 });
  const patient = await ward.admit();
  await clientKill(server, patient);
  await ward.examine(patient);
  const { connection: fresh } = await ward.visit();
  await ward.postMortem.investigate(
    await patient.ended,
    patient.connection,
    sourceOf(fresh),
  );
  assertEquals(fresh.served, 0);
});

Deno.test("It never throws: the new connection ends in the middle", async () => {
  await using server = await startRedis();
  await using ward = new Ward(server.url);
  const patient = await ward.admit();
  await clientKill(server, patient);
  const report = await patient.ended;
  for (const how of ["before", "during"] as const) {
    const { connection: fresh } = await ward.visit();
    if (how === "before") fresh.close();
    ward.postMortem.takeBaseline(sourceOf(fresh));
    const done = ward.postMortem.investigate(
      report,
      patient.connection,
      sourceOf(fresh),
    );
    if (how === "during") fresh.close();
    await done;
    assertVerdict(ward.verdicts.at(-1)!, undefined, "none");
  }
  // Nothing of it sticks.
  assertVerdict(await ward.examine(patient), "client-kill", "likely");
});

Deno.test("It never throws: onVerdict does", async () => {
  await using server = await startRedis();
  await using ward = new Ward(server.url);
  const patient = await ward.admit();
  await clientKill(server, patient);
  const { connection: fresh } = await ward.visit();
  let calls = 0;
  const postMortem = new PostMortem({
    minIntervalMs: 0,
    onVerdict: () => {
      calls++;
      throw new Error("oops");
    },
  });
  const report = await patient.ended;
  await postMortem.investigate(report, patient.connection, sourceOf(fresh));
  await postMortem.investigate(report, patient.connection, sourceOf(fresh));
  assertEquals(calls, 2);
});

Deno.test("A command that was pushed before the baseline is answered before it", async () => {
  await using server = await startRedis();
  await using ward = new Ward(server.url);
  const { connection } = await ward.visit();
  let served = 0;
  connection.push({
    command: ["PING"],
    binary: false,
    extraReplyTimeoutMs: 0,
    resolve: () => served = connection.served,
    lose: () => {},
  });
  ward.postMortem.takeBaseline(sourceOf(connection));
  await settled(connection);
  assertEquals(served, 1);
});

Deno.test("Where the connection has changed hands nothing is asked, and the next one tells", async () => {
  await using server = await startRedis();
  await using ward = new Ward(server.url, { minIntervalMs: 60_000 });
  const patient = await ward.admit();
  await clientKill(server, patient);
  const report = await patient.ended;
  const { connection: leased } = await ward.visit();
  const revoked: Source = { connection: leased, ask: () => undefined };
  ward.postMortem.takeBaseline(revoked);
  assertEquals(
    await ward.postMortem.investigate(report, patient.connection, revoked),
    "not-asked",
  );
  assertEquals([leased.served, ward.verdicts], [0, []]);
  assertVerdict(await ward.examine(patient), "client-kill", "likely");
});

Deno.test("All that is asked is pushed before baseline and investigate return", async () => {
  await using server = await startRedis();
  await using ward = new Ward(server.url);
  const patient = await ward.admit();
  await clientKill(server, patient);
  const report = await patient.ended;
  const { connection } = await ward.visit();
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
  const found = ward.postMortem
    .investigate(report, patient.connection, source);
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
