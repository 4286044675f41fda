// Bench: runs every client through every row, round after round, and prints the table.

import type { RedisServer } from "../cli/redis_server.ts";
import { charts } from "./charts.ts";
import { cluster } from "./cluster.ts";
import { compare } from "./compare.ts";
import { features } from "./features.ts";
import { fleet } from "./fleet.ts";
import { limiters } from "./limiters.ts";
import { outbox } from "./outbox.ts";
import { pubsub } from "./pubsub.ts";
import { type Contestant, findContestants } from "./contestants.ts";
import { describeMachine, type Machine } from "./machine.ts";
import { HELP, type Options, parseOptions } from "./options.ts";
import { endOnSignal, killAll, run } from "./process.ts";
import { redisBenchmark } from "./redis_benchmark.ts";
import { median, type Sample } from "./results.ts";
import { type Row, rows } from "./rows.ts";
import { seed } from "./seed.ts";
import { caFile, pin, startServer } from "./server.ts";
import { type Heading, table } from "./table.ts";
import { targets, targetTable } from "./targets.ts";
import type { Job, Timing } from "./worker.ts";

const COLD: Heading[] = [
  { name: "cold-time", title: "cold start, whole process", unit: "ms" },
  { name: "cold-memory", title: "cold start, peak memory", unit: "MiB" },
];

/** What all measurements share. */
interface Setting {
  options: Options;
  server: RedisServer;
  /** Put before a client's command in the rows that need it. */
  apart: string[];
  samples: Sample[];
  failures: Map<string, string>;
}

async function main(): Promise<number> {
  if (Deno.args[0] === "compare") return await compare(Deno.args.slice(1));
  if (Deno.args[0] === "charts") return await charts(Deno.args.slice(1));
  if (Deno.args[0] === "cluster") return await cluster(Deno.args.slice(1));
  if (Deno.args[0] === "limiters") return await limiters(Deno.args.slice(1));
  if (Deno.args[0] === "outbox") return await outbox(Deno.args.slice(1));
  if (Deno.args[0] === "features") return await features(Deno.args.slice(1));
  if (Deno.args[0] === "pubsub") return await pubsub(Deno.args.slice(1));
  if (Deno.args[0] === "fleet") return fleet(Deno.args.slice(1));
  const options = parseOptions(Deno.args);
  if (options === "help") {
    console.log(HELP);
    return 0;
  }
  const wanted = (name: string, list: string[]) =>
    list.length === 0 || list.includes(name);
  const { contestants, absent } = await findContestants();
  const clients = contestants.filter(({ name }) =>
    name === "floor" || wanted(name, options.clients)
  );
  const work = rows.filter(({ name }) => wanted(name, options.rows));
  const colds = COLD.filter(({ name }) => wanted(name, options.rows));
  if (work.length + colds.length === 0) {
    const names = [...rows, ...COLD].map(({ name }) => name).join(", ");
    throw new Error(`no such row; there are ${names}`);
  }

  await using server = await startServer();
  using _signals = endOnSignal(server);
  const apart = options.pin ? await pin(server) : [];
  const setting: Setting = {
    options,
    server,
    apart,
    samples: [],
    failures: new Map(),
  };
  const machine: Machine = {
    ...await describeMachine(await server.cli("INFO", "server")),
    cores: apart.length > 0
      ? "the server keeps to the first, clients of latency rows to the others"
      : "server and clients run on any",
    rounds: `${options.rounds} of ${options.measureMs} ms a row and client`,
  };
  for (let round = 0; round < options.rounds; round++) {
    for (const row of work) {
      const turn = turnOf(clients, round, row.name);
      for (const client of turn) await measure(setting, client, row, round);
    }
    if (colds.length > 0) {
      const turn = turnOf(clients, round, "cold-time");
      await measureColds(setting, turn, round);
    }
  }
  progress("");
  const names = clients.map(({ name }) => name);
  const { samples, failures } = setting;
  const peers = clients.filter(({ peer }) => peer).map(({ name }) => name);
  const found = targets(samples, peers);
  report(machine, table([...work, ...colds], names, samples), [
    ...absent,
    ...failures.values(),
  ]);
  if (names.includes("ours")) console.log("\n" + targetTable(found));
  await save(options, { machine, targets: found, samples });
  return options.check && found.some(({ met }) => !met) ? 1 : 0;
}

/** The clients that take part in a row, beginning with another one each round. */
function turnOf(
  clients: readonly Contestant[],
  round: number,
  row: string,
): Contestant[] {
  const turn = clients.filter(({ without }) => !without.includes(row));
  const first = round % Math.max(1, turn.length);
  return [...turn.slice(first), ...turn.slice(0, first)];
}

async function measure(
  setting: Setting,
  client: Contestant,
  row: Row,
  round: number,
): Promise<void> {
  const { options, server, samples } = setting;
  progress(
    `round ${round + 1} of ${options.rounds}, ${row.title}: ${client.name}`,
  );
  const prefix = row.apart ? setting.apart : [];
  try {
    await seed(server.port, row.seed);
    let value: number;
    if (client.worker === undefined) {
      value = await redisBenchmark(row, prefix, {
        port: server.port,
        tlsPort: server.tlsPort,
        caFile,
      }, options.measureMs);
    } else {
      const job: Job = {
        row: row.name,
        url: row.tls ? server.tlsUrl : server.url,
        caFile,
        warmUpMs: options.warmUpMs,
        measureMs: options.measureMs,
      };
      const argv = [...prefix, ...client.worker, JSON.stringify(job)];
      const { stdout } = await run(argv);
      value = (JSON.parse(stdout) as Timing).perSecond;
    }
    samples.push({ round, row: row.name, client: client.name, value });
  } catch (error) {
    fail(setting, client, row.title, error);
  }
}

/** Cold starts in turn, and the median of each client's in this round. */
async function measureColds(
  setting: Setting,
  clients: readonly Contestant[],
  round: number,
): Promise<void> {
  const { options, server, samples } = setting;
  await seed(server.port, []);
  const times = new Map<string, number[]>();
  const peaks = new Map<string, number[]>();
  // The first start of each fills the caches and does not count.
  for (let n = round === 0 ? -1 : 0; n < options.colds; n++) {
    for (const client of clients) {
      progress(
        `round ${round + 1} of ${options.rounds}, cold start: ${client.name}`,
      );
      try {
        const argv = [...client.cold!, server.url];
        const { stdout, wallMs } = await run(argv);
        if (n < 0) continue;
        push(times, client.name, wallMs);
        push(peaks, client.name, Number(stdout) / 1024);
      } catch (error) {
        fail(setting, client, "cold start", error);
      }
    }
  }
  for (
    const [row, found] of [["cold-time", times], [
      "cold-memory",
      peaks,
    ]] as const
  ) {
    for (const [client, values] of found) {
      samples.push({ round, row, client, value: median(values) });
    }
  }
}

function push(map: Map<string, number[]>, key: string, value: number): void {
  map.set(key, [...map.get(key) ?? [], value]);
}

function fail(
  setting: Setting,
  client: Contestant,
  what: string,
  error: unknown,
): void {
  const why = error instanceof Error ? error.message : String(error);
  const key = `${client.name}, ${what}`;
  if (!setting.failures.has(key)) setting.failures.set(key, `${key}: ${why}`);
}

function report(machine: Machine, drawn: string, notes: string[]): void {
  for (const [name, value] of Object.entries(machine)) {
    console.log(`- ${name}: ${value}`);
  }
  console.log("\nMedians, and after the dot the median ratio to the floor.\n");
  console.log(drawn);
  if (notes.length > 0) console.log("\nLeft out:");
  for (const note of notes) console.log(`- ${note}`);
}

async function save(options: Options, results: unknown): Promise<void> {
  let file = options.json;
  if (file === "") {
    const folder = new URL("results/", import.meta.url).pathname;
    await Deno.mkdir(folder, { recursive: true });
    const now = new Date().toISOString().slice(0, 19).replaceAll(":", "");
    file = `${folder}${now}.json`;
  }
  await Deno.writeTextFile(file, JSON.stringify(results, null, 1) + "\n");
  console.error(`bench: raw results in ${file}`);
}

/** The line that says what is being measured now. */
function progress(text: string): void {
  if (Deno.stderr.isTerminal()) {
    Deno.stderr.writeSync(new TextEncoder().encode(`\r\x1b[K${text}`));
  } else if (text !== "") {
    console.error(text);
  }
}

try {
  Deno.exitCode = await main();
} catch (error) {
  killAll();
  console.error(`bench: ${error instanceof Error ? error.message : error}`);
  Deno.exitCode = 1;
}
