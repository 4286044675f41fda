// Compare: what each row costs with this checkout of the module, to what it costs with another.

import type { RedisServer } from "../cli/redis_server.ts";
import { recordRows } from "./compare/rows.ts";
import { type StoreName, storeNames } from "./compare/stores.ts";
import type { Pair, Took } from "./compare/worker.ts";
import { endOnSignal, run } from "./process.ts";
import { median } from "./results.ts";
import { type Row, rows } from "./rows.ts";
import { seed } from "./seed.ts";
import { caFile, pin, startServer } from "./server.ts";
import { markdown } from "./table.ts";

/** What `compare --help` prints. */
const HELP = `Compares this checkout of the module with another one.

./dev bench compare <folder of the other checkout> [options]
  --rows A,B       only these rows, by name
  --processes N    how many processes measure each row (default 4)
  --rounds N       how often each of them measures both (default 40)
  --outbox NAME    the recorder of this checkout has a store, the other's none:
                   file or memory. With . as the folder: what a store costs
                   where Redis is there
  --no-pin         do not keep the server on the first core
  --check          exit 1 when a row takes more time than it may
  --help           this text

Each process loads both checkouts and measures them in turn, on two connections
to one server. The table has the median and the quartiles of the ratio of their
times: 1.03 means that this checkout takes 3 % more time than the other. "CPU" is
the same of the processor's time in the process of the client: other work on the
machine changes it less.
`;

const COLD = "cold-time";
/** How much more time than the other checkout a row may take. */
const LIMIT = 1.03;
const COLD_LIMIT = 1.05;
const COLD_STARTS = 40;

const here = new URL(".", import.meta.url).pathname;
const thisCheckout = new URL("../mod.ts", import.meta.url).href;

interface CompareOptions {
  /** The module of the other checkout, as a URL. */
  readonly other: string;
  readonly rows: readonly Row[];
  readonly cold: boolean;
  readonly outbox: StoreName | null;
  readonly processes: number;
  readonly rounds: number;
  readonly pin: boolean;
  readonly check: boolean;
}

/**
 * Compares and prints the table.
 *
 * @returns The exit code.
 * @throws {Error} If an argument is not known, or a checkout cannot do a row.
 */
export async function compare(args: readonly string[]): Promise<number> {
  const options = await parse(args);
  if (options === "help") {
    console.log(HELP);
    return 0;
  }
  await using server = await startServer();
  using _signals = endOnSignal(server);
  const apart = options.pin ? await pin(server) : [];
  const lines = [
    ["time, this to the other", "median", "quartiles", "CPU", "quartiles", ""],
  ];
  let slower = 0;
  const report = (
    title: string,
    ratios: readonly Ratio[],
    limit: number,
  ) => {
    const wall = quartiles(ratios.map(({ wall }) => wall));
    const cpu = quartiles(ratios.map(({ cpu }) => cpu));
    const isOver = wall[1]! > limit;
    if (isOver) slower++;
    const cells = ([low, middle, high]: readonly number[]) => [
      middle!.toFixed(3),
      `${low!.toFixed(3)} to ${high!.toFixed(3)}`,
    ];
    lines.push([
      title,
      ...cells(wall),
      ...cells(cpu),
      isOver ? `OVER ${limit}` : "",
    ]);
  };
  for (const row of options.rows) {
    console.error(`compare: ${row.title}`);
    report(row.title, await compareRow(row, options, server, apart), LIMIT);
  }
  if (options.cold) {
    console.error("compare: cold start");
    const ratios = await compareColdStarts(options.other, server);
    report("cold start, whole process", ratios, COLD_LIMIT);
  }
  console.log(markdown(lines));
  return options.check && slower > 0 ? 1 : 0;
}

/** Of what this checkout took to what the other did. */
interface Ratio {
  readonly wall: number;
  readonly cpu: number;
}

const ratioOf = (here: Took, there: Took): Ratio => ({
  wall: here.wallMs / there.wallMs,
  cpu: here.cpuMs / there.cpuMs,
});

async function compareRow(
  row: Row,
  { other, processes, rounds, outbox }: CompareOptions,
  server: RedisServer,
  apart: readonly string[],
): Promise<Ratio[]> {
  const ratios: Ratio[] = [];
  for (let n = 0; n < processes; n++) {
    await seed(server.port, row.seed);
    const pair: Pair = {
      row: row.name,
      url: row.tls ? server.tlsUrl : server.url,
      caFile,
      rounds,
      // What is loaded second finds shapes and caches as the first has left them.
      modules: n % 2 === 0 ? [thisCheckout, other] : [other, thisCheckout],
      outboxes: n % 2 === 0 ? [outbox, null] : [null, outbox],
    };
    const argv = [...deno(), `${here}compare/worker.ts`, JSON.stringify(pair)];
    const prefix = row.apart ? apart : [];
    const { stdout } = await run([...prefix, ...argv], { timeoutMs: 120_000 });
    const times = JSON.parse(stdout) as [Took, Took][];
    ratios.push(
      ...times.map(([a, b]) => n % 2 === 0 ? ratioOf(a, b) : ratioOf(b, a)),
    );
  }
  return ratios;
}

/** Whole processes, one after the other, each checkout first in every second pair. */
async function compareColdStarts(
  other: string,
  server: RedisServer,
): Promise<Ratio[]> {
  await seed(server.port, []);
  const ratios: Ratio[] = [];
  const start = async (module: string): Promise<Took> => {
    const argv = [...deno(), `${here}compare/cold.ts`, module, server.url];
    const { wallMs, stdout } = await run(argv);
    return { wallMs, cpuMs: Number(stdout) };
  };
  // The first pair fills the caches and does not count.
  for (let n = -1; n < COLD_STARTS; n++) {
    const isFirst = n % 2 === 0;
    const first = await start(isFirst ? thisCheckout : other);
    const second = await start(isFirst ? other : thisCheckout);
    if (n < 0) continue;
    ratios.push(isFirst ? ratioOf(first, second) : ratioOf(second, first));
  }
  return ratios;
}

function deno(): string[] {
  const imports = (Deno.env.get("IMPORTS") ?? "").split(" ").filter(Boolean);
  return [Deno.execPath(), "run", "--quiet", "-A", ...imports];
}

function quartiles(values: readonly number[]): number[] {
  const sorted = values.toSorted((a, b) => a - b);
  const half = sorted.length >> 1;
  return [
    median(sorted.slice(0, half + 1)),
    median(sorted),
    median(sorted.slice(-half - 1)),
  ];
}

async function parse(
  args: readonly string[],
): Promise<CompareOptions | "help"> {
  const left = [...args];
  let folder: string | undefined;
  let names: readonly string[] = [];
  const numbers = { processes: 4, rounds: 40 };
  const flags = { pin: true, check: false };
  let outbox: StoreName | null = null;
  const value = (name: string): string => {
    const next = left.shift();
    if (next === undefined) throw new Error(`${name} needs a value`);
    return next;
  };
  while (left.length > 0) {
    const name = left.shift()!;
    if (name === "--help" || name === "-h") return "help";
    else if (name === "--rows") names = value(name).split(",");
    else if (name === "--processes" || name === "--rounds") {
      const count = Number(value(name));
      if (!(count >= 1)) throw new Error(`${name} needs a number`);
      numbers[name.slice(2) as keyof typeof numbers] = count;
    } else if (name === "--outbox") {
      const wanted = value(name);
      outbox = storeNames.find((known) => known === wanted) ?? null;
      if (outbox === null) throw new Error(`${name}: file or memory`);
    } else if (name === "--no-pin") flags.pin = false;
    else if (name === "--check") flags.check = true;
    else if (name.startsWith("-") || folder !== undefined) {
      throw new Error(`unknown option ${name}; try compare --help`);
    } else folder = name;
  }
  if (folder === undefined) {
    throw new Error("compare needs the folder of another checkout");
  }
  const path = await Deno.realPath(`${folder}/mod.ts`).catch(() => {
    throw new Error(`${folder} has no mod.ts`);
  });
  // Of the other rows none has a recorder.
  const all = outbox === null
    ? [...rows, ...recordRows]
    : [...rows.filter(({ name }) => name === "record"), ...recordRows];
  const known = [
    ...all.map(({ name }) => name),
    ...outbox === null ? [COLD] : [],
  ];
  const unknown = names.find((name) => !known.includes(name));
  if (unknown !== undefined) {
    throw new Error(`no row ${unknown}; there are ${known.join(", ")}`);
  }
  const wanted = (name: string) => names.length === 0 || names.includes(name);
  return {
    other: new URL(`file://${path}`).href,
    rows: all.filter(({ name }) => wanted(name)),
    cold: outbox === null && wanted(COLD),
    outbox,
    ...numbers,
    ...flags,
  };
}
