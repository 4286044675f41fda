// That a watch names each death's cause while it lasts, leaves idle connections alone, and ends in good order.

import "../support/strict.ts";
import {
  assert,
  assertEquals,
  assertFalse,
  assertGreater,
  assertGreaterOrEqual,
  assertLess,
  assertMatch,
  assertStringIncludes,
} from "@std/assert";
import { delay } from "@std/async/delay";
import { open } from "../../pool/connection/open.ts";
import { dial } from "../../pool/socket/dial.ts";
import { Endpoint } from "../../pool/socket/endpoint.ts";
import { dutiesOf } from "../../cli/watch/command.ts";
import { Tally } from "../../cli/watch/cause_counts.ts";
import { Watch } from "../../cli/watch/watch.ts";
import { deaths } from "../../cli/watch/text.ts";
import type {
  AwayEvent,
  BackEvent,
  DeathEvent,
  SummaryEvent,
  WatchEvent,
} from "../../cli/watch/json_lines.ts";
import { Watched } from "../../cli/watch/watch_slot.ts";
import { startProxy } from "../support/fault_proxy.ts";
import { importFlags } from "../support/imports.ts";
import { type RedisServer, startRedis } from "../support/redis_server.ts";
import { until } from "../support/wait.ts";

const VERIFY = new URL("../../cli/verify.ts", import.meta.url).href;
const PASSWORD = "s3:cr/et@";
const NAME = "unzombie-watch";

/** A watch in this process. */
interface Run extends AsyncDisposable {
  readonly events: WatchEvent[];
  readonly deaths: DeathEvent[];
  /** Ends it. */
  end(): Promise<SummaryEvent>;
}

interface Plan {
  readonly idle?: number;
  readonly busy?: number;
  readonly everyMs?: number;
  readonly restsMs?: readonly number[];
  readonly timeoutMs?: number;
}

async function watch(url: string, plan: Plan = {}): Promise<Run> {
  const { idle = 3, busy = 2, everyMs = 50, restsMs, timeoutMs = 5000 } = plan;
  const events: WatchEvent[] = [];
  const stop = new AbortController();
  const watch = new Watch(new Endpoint(url, { clientName: NAME }), {
    duties: dutiesOf({ idle, busy, everyMs }, restsMs),
    forMs: Infinity,
    timeoutMs,
    signal: stop.signal,
    onEvent: (event) => events.push(...[event].flat()),
  });
  const summary = watch.run();
  summary.catch(() => {});
  const run: Run = {
    events,
    get deaths() {
      return events.filter((event) => event.type === "death");
    },
    end() {
      stop.abort();
      return summary;
    },
    async [Symbol.asyncDispose]() {
      await run.end();
    },
  };
  await until(() => watch.status.open === idle + busy);
  return run;
}

/** The server's ids of the connections of a watch. */
async function idsOf(server: RedisServer): Promise<string[]> {
  const list = await server.cli("CLIENT", "LIST");
  return list.split("\n").filter((line) => line.includes(` name=${NAME} `))
    .map((line) => /^id=(\d+)/.exec(line)![1]!);
}

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
        ...["run", "--no-prompt", "--allow-net=127.0.0.1", "--allow-env"],
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

Deno.test("Watch names the server's idle timeout, and the busy connections survive it", async () => {
  await using server = await startRedis({ config: { timeout: 1 } });
  await using run = await watch(server.url);
  await until(() => run.deaths.length >= 3);
  for (const death of run.deaths) {
    assertEquals(
      [death.role, death.cause, death.confidence],
      ["idle", "idle-timeout", "likely"],
      death.verdict,
    );
    const sameMoment = run.deaths.filter(({ event }) => event === death.event);
    assertEquals(death.together, sameMoment.length);
    assertGreaterOrEqual(death.idleMs, 950);
    assertMatch(death.advice!, /set idleTimeoutMs below 900$/);
  }
  const { causes } = await run.end();
  assertEquals(causes.map(({ cause }) => cause), ["idle-timeout"]);
});

Deno.test("Watch sends nothing on idle connections until it ends, and then a PING that proves their age", async () => {
  await using server = await startRedis();
  await using run = await watch(server.url, { busy: 0 });
  await delay(300);
  const pings = async () =>
    /cmdstat_ping:calls=(\d+)/.exec(await server.cli("INFO", "commandstats"))
      ?.[1];
  assertEquals(await pings(), undefined);
  const { deaths, longestIdleMs, open } = await run.end();
  assertEquals([deaths, open, await pings()], [0, 3, "3"]);
  assertGreaterOrEqual(longestIdleMs, 290);
});

Deno.test("Watch looks at the server as each connection is opened, and then only now and then", async () => {
  await using server = await startRedis();
  await server.cli("CONFIG", "RESETSTAT");
  await using run = await watch(server.url, { idle: 1, busy: 2, everyMs: 20 });
  await delay(600);
  const looks = /cmdstat_info:calls=(\d+)/
    .exec(await server.cli("INFO", "commandstats"))?.[1];
  // Three were opened, and one of the busy ones was asked again.
  assertEquals(looks, "4");
  assertEquals(run.deaths, []);
});

Deno.test("Watch brackets a limit: a connection used more often lives on", async () => {
  await using server = await startRedis({ config: { timeout: 1 } });
  await using run = await watch(server.url, {
    idle: 2,
    busy: 0,
    restsMs: [Infinity, 400],
  });
  await until(() => run.deaths.length >= 1);
  const { deaths, longestIdleMs } = await run.end();
  assertEquals(deaths, 1);
  assertEquals(run.deaths[0]?.usedEveryMs, null);
  assertGreaterOrEqual(longestIdleMs, 390);
  assertLess(longestIdleMs, run.deaths[0]!.idleMs);
});

Deno.test("A watched connection that is used twice at once rests once, and no longer than it is held", async () => {
  await using server = await startRedis();
  const connection = await open(new Endpoint(server.url), {
    dial,
    connectTimeoutMs: 5000,
    replyTimeoutMs: 5000,
    number: 1,
    signal: new AbortController().signal,
  });
  let answers = 0;
  const place = new Watched({ role: "busy", everyMs: 60_000 }, {
    onAnswer: () => answers++,
  });
  place.adopt(connection);
  assertEquals(place.wellAt, connection.openedAt);
  await delay(50);
  await Promise.all([place.use(), place.use()]);
  assertEquals(answers, 2);
  place.release(); // a timer that is left fails this test
  connection.close();
});

Deno.test("Watch names CLIENT KILL, and opens the connection again", async () => {
  await using server = await startRedis();
  await using run = await watch(server.url);
  const [id] = await idsOf(server);
  await server.cli("CLIENT", "KILL", "ID", id!);
  await until(() => run.deaths.length > 0);
  const [death] = run.deaths;
  assertEquals(
    [death?.cause, death?.confidence, death?.together, death?.by],
    ["client-kill", "likely", 1, "server"],
  );
  assertMatch(death!.evidence.join(), /cmdstat_client\|kill calls 0 -> 1/);
  await until(async () => (await idsOf(server)).length === 5);
});

Deno.test("Watch gives each of many deaths at once a cause", async () => {
  await using server = await startRedis();
  await using run = await watch(server.url, { idle: 38 });
  const ids = await idsOf(server);
  await Promise.all(ids.map((id) => server.cli("CLIENT", "KILL", "ID", id)));
  await until(() => run.deaths.length >= 40);
  assertEquals(
    new Set(run.deaths.map(({ cause }) => cause)),
    new Set(["client-kill"]),
  );
  for (const { connection, verdict } of run.deaths) {
    assertStringIncludes(verdict, `onnection ${connection} to`);
  }
  // Only some of them are looked into: the server is not asked without end.
  const alike = run.deaths.filter(({ verdict }) =>
    /it ended together with connection \d+/.test(verdict)
  );
  assertEquals([run.deaths.length, alike.length], [40, 28]);
  for (const { verdict, outcome, connection, evidence } of alike) {
    assertEquals(
      verdict,
      `Connection ${connection} to 127.0.0.1:${server.port} was ${outcome}`,
    );
    assertStringIncludes(outcome, evidence.at(-1)!);
  }
  await until(async () => (await idsOf(server)).length === 40);
});

Deno.test("Watch finds a connection that was dropped silently when it is used", async () => {
  await using server = await startRedis();
  await using proxy = await startProxy({ target: server });
  await using run = await watch(proxy.url, {
    idle: 2,
    busy: 0,
    restsMs: [300, Infinity],
    timeoutMs: 300,
  });
  await delay(100); // replies to the first look are not to be swallowed
  proxy.silence({ scope: "open" });
  await until(() => run.deaths.length > 0);
  const [death] = run.deaths;
  assertEquals(
    [death?.how, death?.cause, death?.usedEveryMs],
    ["silence", "middlebox", 300],
    death?.verdict,
  );
  assertGreaterOrEqual(death!.idleMs, 290);
  // The other one is not used, so only the end shows that it is dead.
  const { causes, open } = await run.end();
  assertEquals([causes[0]?.cause, causes[0]?.deaths], ["middlebox", 2]);
  assertEquals(open, 1);
});

Deno.test("Watch names a stall of the server, and tells of it before it tells that the server is back", async () => {
  await using server = await startRedis();
  await using run = await watch(server.url, { timeoutMs: 400 });
  await delay(300);
  server.freeze();
  await delay(2000);
  server.thaw();
  await until(() => run.events.some(({ type }) => type === "back"));
  for (const { cause, verdict } of run.deaths) {
    assertEquals(cause, "server-stall", verdict);
    assertMatch(verdict, /new ones? got no answer/);
  }
  const { causes } = await run.end();
  assertEquals(causes.map(({ cause }) => cause), ["server-stall"]);
  const types = run.events.map(({ type }) => type);
  const [away, death, back] = ["away", "death", "back"].map((type) =>
    types.lastIndexOf(type as WatchEvent["type"])
  ) as [number, number, number];
  assertLess(away, death);
  assertLess(death, back);
});

Deno.test("Deaths of one moment share a line if they share a cause and how sure it is", () => {
  const death = {
    at: "2025-01-31T00:00:00Z",
    ...{ how: "fin", during: "idle", role: "idle", idleMs: 5, frozenMs: 0 },
    ...{ close: "closed", outcome: "it", cause: "client-kill" },
    confidence: "likely",
  } as unknown as DeathEvent;
  const count = (...more: Partial<DeathEvent>[]) =>
    deaths([death, ...more.map((one) => ({ ...death, ...one }))]).length;
  assertEquals(count({}), 1);
  assertEquals(count({ how: "rst" }), 1);
  assertEquals(count({ cause: "restart" }), 2);
  assertEquals(count({ confidence: "possible" }), 2);
  assertEquals(count({ cause: null }, { cause: null }), 2);
  assertEquals(count({ cause: null }, { cause: null, how: "rst" }), 3);
});

Deno.test("A death with two possible causes is counted for both, not for the first", () => {
  const death = {
    idleMs: 5,
    frozenMs: 0,
    advice: "look",
    confidence: "possible",
    refused: [],
  } as unknown as DeathEvent;
  const tally = new Tally();
  tally.add(death, ["client-kill", "acl-change"]);
  tally.add({ ...death, confidence: "likely" }, ["client-kill"]);
  tally.add({ ...death, idleMs: 7, advice: null }, [
    "client-kill",
    "acl-change",
  ]);
  tally.add({ ...death, confidence: "none", frozenMs: 9 }, []);
  tally.add({ ...death, confidence: "none", refused: ["B", "A", "B"] }, []);
  const counts = { likely: 0, possible: 0, none: 0 };
  assertEquals(tally.rows, [
    {
      cause: "client-kill or acl-change",
      deaths: 2,
      confidence: { ...counts, possible: 2 },
      afterFreeze: false,
      idleMs: { min: 5, max: 7 },
      advice: "look",
    },
    ...([
      ["client-kill", { ...counts, likely: 1 }, false],
      [null, { ...counts, none: 1 }, true],
      [null, { ...counts, none: 1 }, false],
    ] as const).map(([cause, confidence, afterFreeze]) => ({
      cause,
      deaths: 1,
      confidence,
      afterFreeze,
      idleMs: { min: 5, max: 5 },
      advice: "look",
    })),
  ]);
  assertEquals([tally.deaths, tally.refused], [5, ["A", "B"]]);
});

Deno.test("Watch says what the server refuses, and goes on without it", async () => {
  await using server = await startRedis();
  await server.cli(
    ...["ACL", "SETUSER", "app", "on", ">pw", "~*", "+@all", "-config"],
    "-client",
  );
  await using run = await watch(`redis://app:pw@127.0.0.1:${server.port}`);
  await server.cli("CLIENT", "KILL", "USER", "app");
  await until(() => run.deaths.length === 5);
  const { refused, causes } = await run.end();
  assertEquals(refused, ["CLIENT LIST", "CONFIG GET"]);
  assertEquals(causes[0]?.cause, "client-kill");
});

Deno.test("Watch tells of a restart in one line, and once that the server is away and back", async () => {
  await using server = await startRedis({ password: PASSWORD });
  const child = new Child("--url", server.url, "--every", "50");
  await child.says(/busy/);
  await until(async () => (await idsOf(server)).length === 10);
  await server.restart({ downMs: 800 });
  const line = await child.says(/at once/);
  assertMatch(
    line,
    /^[\d-]{10} [\d:]{8} {2}10 connections ended at once .*likely ended by a restart of the server: run_id .* To do: look into its log$/,
  );
  child.process.kill("SIGTERM");
  const { code, stdout, stderr } = await child.end();
  const told = (pattern: RegExp) => stdout.match(pattern)?.length;
  assertEquals(told(/^.{21}away: Cannot connect/gm), 1, stdout);
  assertEquals(told(/^.{21}back after \d/gm), 1, stdout);
  assertEquals(told(/ended at once/g), 1, stdout);
  assertMatch(stdout, /^ {2}10 +restart +likely .*look into its log$/m);
  // In the order in which they came about.
  assertMatch(stdout, /: Cannot connect[^]*ended at once[^]*back after/);
  assertMatch(stdout, /^Away 1 time, .* together: Cannot connect .*\.$/m);
  assertEquals([code, stderr], [0, ""]);
});

Deno.test("Watch ends well however many signals come while it ends", async () => {
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

Deno.test("Watch names a server that has no room for all connections, and takes each that gets free", async () => {
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
    /^Away 1 time, .* together: .*max number of clients reached.*\.$/m,
  );
  assertMatch(stdout, /^5 of 8 answered at the end/m);
  assertEquals(code, 0);
});

Deno.test("Watch opens the others when a full server has room for them, and is back then", async () => {
  await using server = await startRedis({ config: { maxclients: 6 } });
  const others = await Promise.all(
    [1, 2, 3].map(() => Deno.connect({ port: server.port })),
  );
  const starting = watch(server.url);
  await delay(500);
  others.pop()!.close();
  await delay(1000);
  for (const other of others) other.close();
  await using run = await starting;
  await until(() => run.events.some(({ type }) => type === "back"));
  assertEquals(run.events.map(({ type }) => type), ["start", "away", "back"]);
  const [, away, back] = run.events as [unknown, AwayEvent, BackEvent];
  assertEquals(away.open, 3);
  assertGreaterOrEqual(back.afterMs, 1000);
});

Deno.test("Watch prints a summary when it is interrupted, and ends well", async () => {
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
  const [start, death, summary, ...others] = stdout.split("\n").map((line) =>
    JSON.parse(line)
  );
  assertEquals(others, []);
  assertEquals(Object.keys(start), [
    ...["type", "at", "endpoint", "tls", "server", "connections", "forMs"],
  ]);
  assertEquals(Object.keys(death), [
    ...["type", "at", "event", "together", "connection", "role"],
    ...["usedEveryMs", "idleMs", "ageMs", "by", "how", "during", "close"],
    ...["cause", "confidence", "evidence", "advice", "verdict"],
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

Deno.test("Watch takes no freeze of its own process for a limit of the server", async () => {
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
    [[], "Cannot watch: there is neither --url nor REDIS_URL"],
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
  await Promise.all(cases.map(async ([args, text]) => {
    const { code, stdout, stderr } = await new Child(...args).end();
    assert(stderr.startsWith(`verify: ${text}`), stderr);
    assertEquals([code, stdout, stderr.split("\n").length], [2, "", 2]);
  }));
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
