// Breaks the connections of this client and of its peers in the same ways, and counts what is lost.
import { delay } from "@std/async/delay";
import { findContestants, pinned } from "../bench/contestants.ts";
import { describeMachine } from "../bench/machine.ts";
import { type FaultProxy, startProxy } from "./support/fault_proxy.ts";
import { importFlags } from "./support/imports.ts";
import { type RedisServer, startRedis } from "./support/redis_server.ts";
import { LONG } from "./faults/load_profile.ts";
import { routedUnder } from "./faults/routed/row.ts";
import { routedScenarios } from "./faults/routed/scenarios.ts";
import { CLIENTS } from "./peers/clients.ts";
import { ROUTED_CLIENTS } from "./peers/routed_clients.ts";
import {
  counterKey,
  EVENTS_KEY,
  type Job,
  type Outcomes,
} from "./peers/worker.ts";

const HELP =
  `Breaks the connections of this client and of its peers in the same ways.

./dev peers [options]
  --only NAMES  only these faults, by name, separated by commas
  --cluster     the faults of a cluster and of Sentinels (8 minutes)
  --json        the figures as JSON, with machine and versions
  --help        this text

Every client has its default options and one load for 5 seconds: 200 events a
second (ZADD; ours by WebhookRecorder) and as many INCRs, each on a key of its
own. ioredis and node-redis are installed from npm into bench/peers/.

lost      events that are not in the sorted set in the end
silently  those of them that the client had acknowledged
doubled   INCRs that ran twice
hung      calls without an outcome 15 s after the last one was made
longest   the longest wait for an outcome, in seconds

With --cluster the load and the faults are those of \`./dev faults\`, one after
the other; doubled counts INCRs that ran beyond the successes and the unknown fates.
The errors of the peers have no fate: a rejected INCR counts as unknown.
`;

const LOAD = { forMs: 5000, perSecond: 200, patienceMs: 15_000 };

interface Fault {
  readonly name: string;
  /** What is broken, in words. */
  readonly what: string;
  readonly play: (proxy: FaultProxy, server: RedisServer) => Promise<void>;
}

const FAULTS: readonly Fault[] = [
  {
    name: "kills",
    what: "every connection reset each 100 ms",
    play: async (proxy) => {
      for (let i = 0; i < 45; i++) {
        await delay(100);
        await proxy.killAll("rst");
      }
    },
  },
  {
    name: "restart",
    what: "server killed, back after 2 s",
    play: async (_, server) => {
      await delay(1000);
      await server.kill();
      await delay(2000);
      await server.start();
    },
  },
  {
    name: "vanished",
    what: "open connections lead nowhere, new ones work",
    play: async (proxy) => {
      await delay(1000);
      proxy.silence({ scope: "open" });
      await delay(4000);
    },
  },
  {
    name: "cut",
    what: "replies cut after 40 bytes, then a close",
    play: async (proxy) => {
      await delay(1000);
      proxy.cut(40, { by: "fin" });
      await delay(3000);
      proxy.pass();
    },
  },
];

interface Row {
  readonly fault: string;
  readonly client: string;
  readonly events: number;
  readonly lost: number;
  readonly silently: number;
  readonly doubled: number;
  readonly hung: number;
  readonly longestS: number;
}

/** Runs one client under one fault. */
async function measure(client: string, fault: Fault): Promise<Row> {
  await using server = await startRedis({ durable: true });
  await using proxy = await startProxy({ target: server });
  const job: Job = { client, url: proxy.url, ...LOAD };
  const child = new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "--quiet",
      "-A",
      ...importFlags,
      new URL("./peers/worker.ts", import.meta.url).href,
      JSON.stringify(job),
    ],
    stdout: "piped",
  }).spawn();
  const lines = child.stdout.pipeThrough(new TextDecoderStream());
  let text = "";
  let played: Promise<void> | undefined;
  for await (const chunk of lines) {
    text += chunk;
    if (text.includes("\n")) played ??= fault.play(proxy, server);
  }
  await played;
  proxy.pass();
  const [, last = ""] = text.split("\n");
  if (last === "") throw new Error(`${client} under ${fault.name}: no outcome`);
  const { events, increments, longestMs } = JSON.parse(last) as Outcomes;

  const members = new Set(
    (await server.cli("ZRANGE", EVENTS_KEY, 0, -1)).split("\n"),
  );
  const isLost = (_: unknown, i: number) => !members.has(`${i}`);
  const counts = (await server.cli(
    "MGET",
    ...increments.map((_, i) => counterKey(i)),
  )).split("\n").map(Number);
  return {
    fault: fault.name,
    client,
    events: events.length,
    lost: events.filter(isLost).length,
    silently: events.filter((ok, i) => ok === true && isLost(ok, i)).length,
    doubled: counts.filter((count) => count > 1).length,
    hung: [...events, ...increments].filter((ok) => ok === null).length,
    longestS: (longestMs ?? Infinity) / 1000,
  };
}

/** Runs one client under one fault of a cluster or of Sentinels. */
async function measureRouted(client: string, fault: string): Promise<Row> {
  const scenario = routedScenarios.find(({ name }) => name === fault)!;
  const row = await routedUnder(scenario, LONG, ROUTED_CLIENTS[client]);
  return {
    fault,
    client,
    events: row.events,
    lost: row.dropped + row.missing,
    silently: row.missing,
    doubled: row.incrDoubled,
    hung: row.hung,
    longestS: row.longest / 1000,
  };
}

function print(rows: readonly Row[], versions: Record<string, string>): void {
  const cells = [
    [
      "fault",
      "client",
      "events",
      "lost",
      "silently",
      "doubled",
      "hung",
      "longest",
    ],
    ...rows.map(({ longestS, ...row }) => [
      row.fault,
      versions[row.client] ?? row.client,
      ...[row.events, row.lost, row.silently, row.doubled, row.hung].map(
        String,
      ),
      longestS === Infinity ? "-" : longestS.toFixed(2),
    ]),
  ];
  const widths = cells[0]!.map((_, column) =>
    Math.max(...cells.map((row) => row[column]!.length))
  );
  for (const row of cells) {
    console.log(
      row.map((cell, i) => cell.padEnd(widths[i]!)).join("  ").trimEnd(),
    );
  }
}

/** What charts are made of, see bench/charts/data.ts. */
async function printJson(rows: readonly Row[], command: string): Promise<void> {
  await using server = await startRedis();
  const machine = await describeMachine(await server.cli("INFO", "server"));
  console.log(JSON.stringify({ command, machine, rows }, null, 1));
}

async function main(args: readonly string[]): Promise<number> {
  if (args.includes("--help")) {
    console.log(HELP);
    return 0;
  }
  const at = args.findIndex((arg) => arg.startsWith("--only"));
  const value = at < 0 ? undefined : args[at]!.split("=")[1] ?? args[at + 1];
  const only = value?.split(",");
  const isRouted = args.includes("--cluster");
  const faults = isRouted
    ? routedScenarios
      .filter(({ bySend }) => !bySend)
      .map(({ name, fault }) => ({ name, what: fault }))
    : FAULTS;
  const unknown = only?.find((name) =>
    !faults.some((fault) => fault.name === name)
  );
  if (unknown !== undefined) {
    console.error(
      `--only: no fault ${unknown}, expected one of ${
        faults.map(({ name }) => name).join(", ")
      }`,
    );
    return 2;
  }
  const { contestants, absent } = await findContestants();
  for (const line of absent) console.error(`peers: ${line}`);
  const installed = ["ours", "ioredis", "node-redis"].filter((name) =>
    contestants.some((contestant) => contestant.name === name)
  );
  const pins = await pinned();
  const versions: Record<string, string> = {
    "ioredis": `ioredis ${pins.ioredis}`,
    "node-redis": `node-redis ${pins.redis}`,
  };
  const rows: Row[] = [];
  for (const fault of faults) {
    if (only?.includes(fault.name) === false) continue;
    console.error(`peers: ${fault.name}: ${fault.what}`);
    for (const client of Object.keys(CLIENTS)) {
      if (!installed.includes(client)) continue;
      rows.push(
        "play" in fault
          ? await measure(client, fault)
          : await measureRouted(client, fault.name),
      );
    }
  }
  if (args.includes("--json")) {
    await printJson(
      rows.map((row) => ({
        ...row,
        what: faults.find(({ name }) => name === row.fault)!.what,
        isRouted,
      })),
      `./dev peers${isRouted ? " --cluster" : ""}`,
    );
  } else print(rows, versions);
  return 0;
}

if (import.meta.main) {
  // The end of a peer's connections may reject calls that nothing awaits any more.
  globalThis.addEventListener(
    "unhandledrejection",
    (event) => event.preventDefault(),
  );
  Deno.exit(await main(Deno.args));
}
