// Compares the speed of this module with that of other clients on Node, Bun and workerd.
import { findContestants } from "../bench/contestants.ts";
import { describeMachine } from "../bench/machine.ts";
import { endOnSignal, run } from "../bench/process.ts";
import { ratioOf, type Sample, valueOf } from "../bench/results.ts";
import { type Row, rows } from "../bench/rows.ts";
import { seed } from "../bench/seed.ts";
import { caFile, pin, startServer } from "../bench/server.ts";
import { markdown, shorten } from "../bench/table.ts";
import { type Contestant, contestants } from "./runtimes/contestants.ts";

const HELP =
  `Compares the speed of this module on Node, Bun and workerd with other clients.

./dev runtimes [options]
  --rounds N    how many rounds (default 5)
  --rows A,B    only these rows, by name: one, callers, bursts, lrange, get,
                tls-one, tls-callers, tls-bursts, tls-get, cold
  --json FILE   write every figure to this file
  --help        this text

Each runtime has a table: the medians of all rounds, and after the dot the median
ratio to the best other client of that runtime in the same round. Runtimes and
clients are installed from npm into .tools/ and bench/peers/. A server of its own
is started. Cold starts are of a whole process that records one event.
`;

const ROWS = ["one", "callers", "bursts", "lrange", "get"]
  .concat("tls-one", "tls-callers", "tls-bursts", "tls-get");
const PACE = { warmUpMs: 300, measureMs: 700 };
/** Cold starts of each client in a round. */
const COLDS = 5;

interface Options {
  rounds: number;
  rows: readonly string[];
  json: string | undefined;
}

/** @throws {Error} If an argument cannot be used. */
function parsed(args: readonly string[]): Options | "help" {
  const options: Options = {
    rounds: 5,
    rows: [...ROWS, "cold"],
    json: undefined,
  };
  const rest = args.flatMap((arg) =>
    arg.includes("=")
      ? [arg.slice(0, arg.indexOf("=")), arg.slice(arg.indexOf("=") + 1)]
      : [arg]
  );
  while (rest.length > 0) {
    const name = rest.shift()!;
    if (name === "--help") return "help";
    const value = rest.shift();
    if (
      value === undefined || !["--rounds", "--rows", "--json"].includes(name)
    ) {
      throw new Error(`Cannot use ${name}; see ./dev runtimes --help`);
    }
    if (name === "--json") options.json = value;
    else if (name === "--rows") options.rows = value.split(",");
    else options.rounds = Number(value);
  }
  const unknown = options.rows.find((row) =>
    row !== "cold" && !ROWS.includes(row)
  );
  if (unknown !== undefined) {
    throw new Error(
      `Cannot use --rows ${unknown}: expected ${ROWS.join(", ")}, cold`,
    );
  }
  if (!(options.rounds >= 1)) {
    throw new Error("Cannot use --rounds: expected a number from 1");
  }
  return options;
}

async function main(args: readonly string[]): Promise<number> {
  const options = parsed(args);
  if (options === "help") {
    console.log(HELP);
    return 0;
  }
  await findContestants(); // installs the peers
  await using resources = new AsyncDisposableStack();
  const server = resources.use(await startServer());
  using _signals = endOnSignal(resources);
  const apart = await pin(server);
  const { contestants: found, absent } = await contestants(
    (resource) => resources.use(resource),
    await Deno.readTextFile(caFile),
  );
  const work = rows.filter(({ name }) => options.rows.includes(name));
  const samples: Sample[] = [];
  const failures = new Set(absent);
  const measure = async (
    { runtime, client }: Contestant,
    row: string,
    round: number,
    value: () => Promise<number>,
  ) => {
    try {
      const sample = { round, row, client: `${runtime} ${client}` };
      samples.push({ ...sample, value: await value() });
    } catch (error) {
      failures.add(`${runtime} ${client}, ${row}: ${(error as Error).message}`);
    }
  };
  for (let round = 0; round < options.rounds; round++) {
    for (const row of work) {
      console.error(
        `runtimes: round ${round + 1} of ${options.rounds}, ${row.title}`,
      );
      for (const contestant of turned(found, round)) {
        if (contestant.client === "nothing") continue;
        await seed(server.port, row.seed);
        await measure(contestant, row.name, round, () =>
          contestant.time({
            ...PACE,
            row: row.name,
            url: row.tls ? server.tlsUrl : server.url,
            caFile,
          }));
      }
    }
    if (!options.rows.includes("cold")) continue;
    console.error(
      `runtimes: round ${round + 1} of ${options.rounds}, cold start`,
    );
    for (let n = 0; n < COLDS; n++) {
      for (const contestant of turned(found, n)) {
        const { cold } = contestant;
        if (cold === undefined) continue;
        await measure(
          contestant,
          "cold",
          round * COLDS + n,
          async () => (await run([...cold, server.url])).wallMs,
        );
      }
    }
  }
  const machine = {
    ...await describeMachine(await server.cli("INFO", "server")),
    cores: apart.length > 0 ? "the server keeps to the first" : "any",
    rounds: `${options.rounds} of ${PACE.measureMs} ms a row and client`,
  };
  for (const [name, value] of Object.entries(machine)) {
    console.log(`- ${name}: ${value}`);
  }
  for (const runtime of new Set(found.map(({ runtime }) => runtime))) {
    print(runtime, found, work, samples);
  }
  for (const failure of failures) console.log(`- left out: ${failure}`);
  if (options.json !== undefined) {
    await Deno.writeTextFile(
      options.json,
      JSON.stringify({ machine, samples }, null, 1),
    );
  }
  return failures.size > 0 ? 1 : 0;
}

/** All, beginning with another one each round. */
const turned = <T>(all: readonly T[], round: number): T[] => {
  const first = round % all.length;
  return [...all.slice(first), ...all.slice(0, first)];
};

/** The table of a runtime. */
function print(
  runtime: string,
  all: readonly Contestant[],
  work: readonly Row[],
  samples: readonly Sample[],
): void {
  const clients = all.filter((one) => one.runtime === runtime)
    .map(({ client }) => client);
  const name = (client: string) => `${runtime} ${client}`;
  const cellOf = (row: string, client: string): string => {
    const value = valueOf(samples, row, name(client));
    if (Number.isNaN(value)) return "";
    const text = row === "cold" ? `${value.toFixed(0)} ms` : shorten(value);
    if (client !== "ours") return text;
    const ratios = clients.filter((peer) =>
      peer !== "ours" && peer !== "nothing"
    )
      .map((peer) => ratioOf(samples, row, name("ours"), name(peer)))
      .filter((ratio) => !Number.isNaN(ratio));
    if (ratios.length === 0) return text;
    const worst = row === "cold" ? Math.max(...ratios) : Math.min(...ratios);
    return `${text} · ${worst.toFixed(2)}`;
  };
  const lines = [
    ...work.map(({ name, title, unit }) => ({
      row: name,
      title: `${title}, ${unit}`,
    })),
    { row: "cold", title: "cold start" },
  ].map((
    { row, title },
  ) => [title, ...clients.map((client) => cellOf(row, client))])
    .filter(([, ...cells]) => cells.some((cell) => cell !== ""));
  console.log(`\n${markdown([[runtime, ...clients], ...lines])}`);
}

if (import.meta.main) Deno.exit(await main(Deno.args));
