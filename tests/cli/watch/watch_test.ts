// That a watch finds the cause of each death while it lasts, and leaves idle connections alone.

import "../../support/strict.ts";
import {
  assertEquals,
  assertGreaterOrEqual,
  assertLess,
  assertMatch,
  assertStringIncludes,
} from "@std/assert";
import { delay } from "@std/async/delay";
import { dutiesOf } from "../../../cli/watch/command.ts";
import type {
  AwayEvent,
  BackEvent,
  DeathEvent,
  SummaryEvent,
  WatchEvent,
} from "../../../cli/watch/json_lines.ts";
import { Watch } from "../../../cli/watch/watch.ts";
import { Endpoint } from "../../../pool/socket/endpoint.ts";
import { startProxy } from "../../support/fault_proxy.ts";
import { startRedis } from "../../support/redis_server.ts";
import { until } from "../../support/wait.ts";
import { idsOf, NAME } from "./clients.ts";

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

Deno.test("Watch says that the server answered late where no connection ended", async () => {
  await using server = await startRedis();
  await using run = await watch(server.url);
  await server.cli("CLIENT", "PAUSE", 1300, "ALL");
  await until(() => run.events.some(({ type }) => type === "stalled"));
  const stalls = run.events.filter((event) => event.type === "stalled");
  assertEquals(stalls.length, 1);
  assertGreaterOrEqual(stalls[0]!.forMs, 1000);
  assertEquals(run.deaths, []);
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

Deno.test("Watch takes a snapshot as each connection is opened, and then only now and then", async () => {
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

Deno.test("Watch finds a silently dropped connection when it is used", async () => {
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

Deno.test("Watch names a stall of the server, before it says that the server is back", async () => {
  await using server = await startRedis();
  await using run = await watch(server.url, { timeoutMs: 400 });
  await delay(300);
  server.freeze();
  await delay(2000);
  server.thaw();
  await until(() => run.events.some(({ type }) => type === "back"));
  for (const { cause, verdict } of run.deaths) {
    assertEquals(cause, "server-stall", verdict);
    assertMatch(verdict, /new connections? got no answer/);
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

Deno.test("Watch says which commands the server refuses, and does without them", async () => {
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
  const events = run.events.filter(({ type }) => type !== "open");
  assertEquals(events.map(({ type }) => type), ["start", "away", "back"]);
  const [, away, back] = events as [unknown, AwayEvent, BackEvent];
  assertEquals(away.open, 3);
  assertGreaterOrEqual(back.afterMs, 1000);
});
