// What a watch prints at the command line, and how it ends.

import "../../support/strict.ts";
import {
  assert,
  assertEquals,
  assertFalse,
  assertGreater,
  assertMatch,
  assertStringIncludes,
} from "@std/assert";
import { delay } from "@std/async/delay";
import { dutiesOf } from "../../../cli/watch/command.ts";
import { importFlags } from "../../support/imports.ts";
import { startRedis } from "../../support/redis_server.ts";
import { until } from "../../support/wait.ts";
import { PASSWORD, verifyEach } from "../run_verify.ts";
import { idsOf } from "./clients.ts";

const VERIFY = new URL("../../../cli/verify.ts", import.meta.url).href;
const PERMISSIONS = ["--allow-net=127.0.0.1", "--allow-env"];

/** The line of a busy machine, wherever it comes. */
const FROZEN = /^.{21}this process was frozen for /;

/** The events of JSON lines, without those of a busy machine and of connections that were opened. */
const calm = (stdout: string) =>
  stdout.split("\n").map((line) => JSON.parse(line))
    .filter(({ type }) => !["frozen", "stalled", "open"].includes(type));

const decode = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);

/** A watch in a process of its own. */
class Child {
  readonly process: Deno.ChildProcess;
  /** Lines of standard output so far. */
  readonly lines: string[] = [];
  readonly #read: Promise<void>;
  readonly #stderr: Promise<string>;

  constructor(...args: string[]) {
    this.process = new Deno.Command(Deno.execPath(), {
      args: [
        ...["run", "--no-prompt", ...PERMISSIONS],
        ...[...importFlags, VERIFY, "watch", ...args],
      ],
      env: { REDIS_URL: "", NO_COLOR: "1" },
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    this.#stderr = new Response(this.process.stderr).text();
    this.#read = this.#collect();
  }

  /** Waits for a line of standard output. */
  async says(pattern: RegExp): Promise<string> {
    const find = () => this.lines.find((line) => pattern.test(line));
    await until(() => find() !== undefined);
    return find()!;
  }

  /** The process may have ended meanwhile. */
  killIfRunning(signal: Deno.Signal): void {
    try {
      this.process.kill(signal);
    } catch (error) {
      // What Deno throws then depends on its version.
      if (!/terminated|process not found|esrch/i.test(`${error}`)) throw error;
    }
  }

  async end(): Promise<{ code: number; stdout: string; stderr: string }> {
    const [{ code }, stderr] = await Promise.all([
      this.process.status,
      this.#stderr,
      this.#read,
    ]);
    const stdout = this.lines.join("\n");
    for (const secret of [PASSWORD, encodeURIComponent(PASSWORD)]) {
      assertFalse(`${stdout}${stderr}`.includes(secret), "prints the password");
    }
    return { code, stdout, stderr };
  }

  async #collect(): Promise<void> {
    let rest = "";
    for await (const chunk of this.process.stdout) {
      const parts = (rest + decode(chunk)).split("\n");
      rest = parts.pop()!;
      this.lines.push(...parts);
    }
  }
}

Deno.test("The rests of idle connections come in turn, and the first is never used", () => {
  const duties = dutiesOf({ idle: 9, busy: 1, everyMs: 50 });
  assertEquals(
    duties.map(({ role, everyMs }) => [role, everyMs / 60_000]),
    [
      ...[Infinity, 1, 2, 5, 10, 20, 30, 60, Infinity].map((m) => ["idle", m]),
      ["busy", 50 / 60_000],
    ],
  );
});

Deno.test("Watch prints a restart in one line, and once each that the server is away and back", async () => {
  await using server = await startRedis({ password: PASSWORD });
  const child = new Child("--url", server.url, "--every", "50");
  await child.says(/busy/);
  await until(async () => (await idsOf(server)).length === 10);
  await server.restart({ downMs: 800 });
  const line = await child.says(/at once/);
  assertMatch(
    line,
    /^[\d-]{10} [\d:]{8} {2}10 connections ended at once .*likely ended by a restart of the server: run_id .* To do: check its log$/,
  );
  child.process.kill("SIGTERM");
  const { code, stdout, stderr } = await child.end();
  const told = (pattern: RegExp) => stdout.match(pattern)?.length;
  assertEquals(told(/^.{21}away: Cannot connect/gm), 1, stdout);
  assertEquals(told(/^.{21}back after \d/gm), 1, stdout);
  assertEquals(told(/ended at once/g), 1, stdout);
  assertMatch(stdout, /^ {2}10 +restart +likely .*check its log$/m);
  // In the order in which they came about.
  assertMatch(stdout, /: Cannot connect[^]*ended at once[^]*back after/);
  assertMatch(
    stdout,
    /^The server was away 1 time, for .* in total: Cannot connect .*\.$/m,
  );
  assertEquals([code, stderr], [0, ""]);
});

Deno.test("Watch exits with 0 however many signals arrive while it ends", async () => {
  await using server = await startRedis();
  await using run = new AsyncDisposableStack();
  const child = new Child("--url", server.url);
  run.defer(() => child.killIfRunning("SIGKILL"));
  await child.says(/busy/);
  await until(async () => (await idsOf(server)).length === 10);
  let isRunning = true;
  const end = child.end().finally(() => isRunning = false);
  // One of them meets the moment between the last word and the exit.
  while (isRunning) {
    child.killIfRunning("SIGINT");
    await delay(0);
  }
  const { code, stdout } = await end;
  assertMatch(stdout, /^No connection died/m);
  assertEquals(code, 0);
});

Deno.test("Watch names a server that has no room for all connections, and keeps those that it got", async () => {
  await using server = await startRedis({ config: { maxclients: 5 } });
  const child = new Child("--url", server.url, "--connections=6", "--busy=2");
  const line = await child.says(/away/);
  assertMatch(
    line,
    /away: Cannot connect to \S+: .*ERR max number of clients reached: the server has as many clients as its maxclients allows; 5 still open, trying again$/,
  );
  child.process.kill("SIGINT");
  const { code, stdout } = await child.end();
  assertMatch(
    stdout,
    /^The server was away 1 time, for .* in total: .*max number of clients reached.*\.$/m,
  );
  assertMatch(stdout, /^5 of 8 answered at the end/m);
  assertEquals(code, 0);
});

Deno.test("Watch prints a summary when it is interrupted, and exits with 0", async () => {
  await using server = await startRedis({ password: PASSWORD });
  const child = new Child("--url", server.url);
  await child.says(/^Watching 127\.0\.0\.1:\d+ \(version [\d.]+, plain TCP\)/);
  await until(async () => (await idsOf(server)).length === 10);
  await delay(300); // until the last of them has read its welcome
  // As timeout(1) does it: once to the process and once to its group.
  child.process.kill("SIGINT");
  await delay(5);
  child.killIfRunning("SIGINT");
  const { code, stdout, stderr } = await child.end();
  assertMatch(stdout, /^No connection died in .*: longest idle \d/m);
  assertStringIncludes(stdout, "Each answered at the end");
  assertEquals([code, stderr], [0, ""]);
  assertEquals(await idsOf(server), []);
});

Deno.test("Watch ends though the server is away, and says that no server could be asked", async () => {
  await using server = await startRedis();
  const child = new Child("--url", server.url, "--connections", "1");
  await child.says(/busy/);
  await until(async () => (await idsOf(server)).length === 3);
  await server.stop();
  await child.says(/away/);
  child.process.kill("SIGINT");
  const { code, stdout } = await child.end();
  assertMatch(stdout, /3 connections ended at once .*no server could be asked/);
  assertEquals(code, 0);
});

Deno.test("Watch prints JSON lines with stable keys, and ends by itself", async () => {
  await using server = await startRedis({ password: PASSWORD });
  const child = new Child(
    ...["--url", server.url, "--json", "--minutes=0.03", "--connections=1"],
  );
  await child.says(/"start"/);
  await until(async () => (await idsOf(server)).length === 3);
  const [id] = await idsOf(server);
  await server.cli("CLIENT", "KILL", "ID", id!);
  const { code, stdout, stderr } = await child.end();
  const [start, death, summary, ...others] = calm(stdout);
  assertEquals(others, []);
  const opens = stdout.split("\n").map((line) => JSON.parse(line))
    .filter(({ type }) => type === "open");
  assertEquals(Object.keys(opens[0]), [
    ...["type", "node", "at", "slot", "connection"],
  ]);
  assertEquals(opens.map(({ slot }) => slot).sort(), [1, 1, 2, 3]);
  assertEquals(death.slot, 1);
  assertEquals(opens[0].connection, death.connection);
  assertEquals(Object.keys(start), [
    ...["type", "at", "endpoint", "tls", "server", "connections", "forMs"],
  ]);
  assertEquals(Object.keys(death), [
    ...["type", "node", "at", "event", "together", "connection", "slot"],
    ...["role", "usedEveryMs", "idleMs", "ageMs", "by", "how", "during"],
    ...["close", "cause", "confidence", "evidence", "advice", "verdict"],
    ...["outcome", "refused", "frozenMs"],
  ]);
  assertEquals(Object.keys(summary), [
    ...["type", "at", "endpoint", "watchedMs", "connections", "open"],
    ...["deaths", "causes", "longestIdleMs", "awayTimes", "awayMs"],
    ...["awayReason", "frozenMs", "refused"],
  ]);
  assertEquals(
    [start.type, death.type, summary.type, start.endpoint, summary.deaths],
    ["start", "death", "summary", `127.0.0.1:${server.port}`, 1],
  );
  assertEquals(start.connections[0], { role: "idle", usedEveryMs: null });
  assertEquals([death.cause, code, stderr], ["client-kill", 0, ""]);
});

Deno.test("Watch on the URL of a cluster names each server, as text and as JSON", async () => {
  await using server = await startRedis({ password: PASSWORD });
  const url = `${server.url}?cluster=true`;
  const name = `127.0.0.1:${server.port}`;
  const child = new Child("--url", url, "--connections=1", "--busy=1");
  await child.says(/watching/);
  await until(async () => (await idsOf(server)).length === 2);
  await server.restart({ downMs: 500 });
  await child.says(/ back after/);
  child.process.kill("SIGINT");
  const { code, stdout, stderr } = await child.end();
  assertEquals([code, stderr], [0, ""]);
  const lines = stdout.split("\n").filter((line) => !FROZEN.test(line));
  assertEquals(lines.slice(0, 4), [
    `Watching the cluster of ${name} (1 server, 16384 hash slots covered, plain TCP) until Ctrl-C`,
    `  ${name}  hash slots 0-16383`,
    ...["1 idle each", "1 busy each"].map((what, i) =>
      `  ${what.padEnd(name.length)}  ${
        ["never used", "PING every 1000 ms"][i]
      }`
    ),
  ]);
  assertMatch(stdout, new RegExp(`^.{21}watching ${name} \\(version`, "m"));
  assertMatch(stdout, new RegExp(`^.{21}2 connections to ${name} ended`, "m"));
  assertMatch(stdout, new RegExp(`^.{21}${name} away: Cannot`, "m"));
  assertMatch(stdout, new RegExp(`^.{21}${name} back after`, "m"));

  const json = new Child("--url", url, "--json", "--minutes=0.01");
  const events = calm((await json.end()).stdout);
  assertEquals(events.map(({ type }) => type), ["nodes", "start", "summary"]);
  assertEquals(Object.keys(events[0]), [
    ...["type", "at", "of", "nodes", "covered", "changes"],
  ]);
  assertEquals([events[1].endpoint, events[2].endpoint], [name, name]);
});

Deno.test("Watch does not take a freeze of its process for a limit of the server", async () => {
  await using server = await startRedis({ config: { timeout: 2 } });
  const child = new Child("--url", server.url, "--json", "--every=200");
  await child.says(/"start"/);
  await until(async () => (await idsOf(server)).length === 10);
  Deno.kill(child.process.pid, "SIGSTOP");
  await delay(3600);
  Deno.kill(child.process.pid, "SIGCONT");
  await child.says(/"death"/);
  child.process.kill("SIGINT");
  const { stdout } = await child.end();
  const events = stdout.split("\n").map((line) => JSON.parse(line));
  const deaths = events.filter(({ type }) => type === "death");
  assertGreater(deaths.length, 0);
  for (const { cause, frozenMs } of deaths) {
    assertEquals(cause, null);
    assertGreater(frozenMs, 2000, stdout);
  }
  assertEquals(events.filter(({ type }) => type === "frozen").length, 1);
});

Deno.test("Watch exits with 1 where the server cannot be reached at the start", async () => {
  const url = `redis://:${encodeURIComponent(PASSWORD)}@127.0.0.1:1`;
  const { code, stdout, stderr } = await new Child("--url", url).end();
  assertMatch(stderr, /^verify: Cannot connect to 127\.0\.0\.1:1: .*\n$/);
  assertEquals([code, stdout], [1, ""]);
});

Deno.test("Watch names the argument that it cannot use, and never a password", async () => {
  const url = `redis://:${encodeURIComponent(PASSWORD)}@127.0.0.1:1`;
  const cases: [args: string[], text: string][] = [
    [[], "Cannot watch: expected --url or REDIS_URL"],
    [["--url"], "Cannot use --url: it needs a value"],
    [["--url", `http://:${PASSWORD}@127.0.0.1`], "Cannot use --url"],
    [[url], "Cannot use argument 2: not an option, expected --url"],
    [["--requests", "5"], "Cannot use --requests: not an option"],
    [["--connections", "-1"], 'Cannot use --connections "-1": expected'],
    [["--busy", "many"], 'Cannot use --busy "many": expected a whole'],
    [
      ["--connections=0", "--busy=0"],
      "Cannot use --connections 0 with --busy 0: there is nothing to watch",
    ],
    [["--every", "1"], 'Cannot use --every "1": expected a whole number'],
    [["--minutes", "0"], 'Cannot use --minutes "0": expected a number'],
    [["--minutes", "1e3"], 'Cannot use --minutes "1e3": expected a number'],
    [["--json=yes"], "Cannot use --json: it takes no value"],
  ];
  const outcomes = await verifyEach(
    cases.map(([args]) => ["watch", ...args]),
    { permissions: PERMISSIONS },
  );
  for (const [i, { code, stdout, stderr }] of outcomes.entries()) {
    assert(stderr.startsWith(`verify: ${cases[i]![1]}`), stderr);
    assertEquals([code, stdout, stderr.split("\n").length], [2, "", 2]);
  }
});

Deno.test("Watch prints its options, and those of the proof name it", async () => {
  const { code, stdout, stderr } = await new Child("--help").end();
  for (
    const option of [
      ...["--url", "--ca", "--connections", "--busy", "--every", "--minutes"],
      ...["--json", "--help"],
    ]
  ) {
    assertStringIncludes(stdout, `  ${option} `);
  }
  assertEquals([code, stderr], [0, ""]);
});
