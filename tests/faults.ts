// Breaks connections in every known way, one after the other, and prints what was lost.
import { ClientHost, type RuntimeName } from "./faults/client_host.ts";
import { incrUnder, type MeasuredIncr } from "./faults/incr.ts";
import { type LoadProfile, LONG, QUICK } from "./faults/load_profile.ts";
import { recordUnder } from "./faults/record.ts";
import type { Measured } from "./faults/measured.ts";
import { scenarios } from "./faults/scenarios.ts";
import { type RoutedRow, routedUnder } from "./faults/routed/row.ts";
import { routedScenarios } from "./faults/routed/scenarios.ts";

const WORDS = `fault      what was broken while the calls were made
events     calls of record(), each with one event; calls: of INCR
missing    acknowledged, and not in Redis
errors     calls that were rejected, and events that were dropped
queued     events that record() kept and sent when Redis was back
hung       calls that had no outcome at the end
doubled    in Redis more often than acknowledged
p50, p99   half of the calls, or 99 of 100, took at most so long
p99 hit    the same of the calls under which a connection died
longest    the longest call
conns hit  connections that died
dials/s    dials a second while Redis could not be reached
catch up   from Redis being back until everything queued was sent

The fate of a rejected INCR, by its error:
unsent     it cannot have run: it was never written, or the server refused it
executed   it ran, and the server answered with an error
unknown    it may have run, the caller cannot tell
of these ran  how many of the unknown ones had run
`;

const ROUTED_WORDS =
  `events     events to 300 shops, 300 a second, and as many calls with INCRs, each
           tenth with ten of them in a pipeline
failover   from the fault until there was a new primary
catch up   from the new primary until everything queued was sent
repeat     from the new primary until it had what the old one had acknowledged
net        the longest event, less the time in which this process did not run
unsent,    INCRs that were rejected, by their fate; the others succeeded
unknown
INCR lost  INCRs that succeeded and are not in the counter in the end
twice      what the counters have beyond the successes and the unknown fates
conns      the most connections to one server
asked/s    the most questions of topology in a second
`;

const HELP = `Breaks connections in every known way and counts what is lost.

./dev faults [options]
  --quick       a short form of each fault, with generous time limits
  --only NAMES  only these faults, by name, separated by commas
  --runtime R   node or bun: the client runs there, in a process of its own that
                is called by lines of JSON (default deno). Without the faults of
                a cluster and of Sentinels
  --json        the figures as JSON
  --help        this text

What the columns mean:
${WORDS.replace(/^(?=.)/gm, "  ")}
Of a cluster and of Sentinels:
${ROUTED_WORDS.replace(/^(?=.)/gm, "  ")}
Faults: ${scenarios.map(({ name }) => name).join(", ")}
Of a cluster and of Sentinels: ${
  routedScenarios.map(({ name }) => name).join(", ")
}

Exit: 0 if every row holds, 1 if not, 2 for bad usage.
`;

interface Options {
  profile: LoadProfile;
  only: string[];
  runtime: RuntimeName | "deno";
  json: boolean;
}

/** @throws {Error} If an argument is not known. */
function parse(args: readonly string[]): Options | "help" {
  const options: Options = {
    profile: LONG,
    only: [],
    runtime: "deno",
    json: false,
  };
  const left = args.flatMap((arg) => {
    const at = arg.startsWith("--") ? arg.indexOf("=") : -1;
    return at < 0 ? [arg] : [arg.slice(0, at), arg.slice(at + 1)];
  });
  while (left.length > 0) {
    const name = left.shift();
    switch (name) {
      case "--quick":
        options.profile = QUICK;
        break;
      case "--only": {
        const value = left.shift();
        if (value === undefined) throw new Error("--only needs a name");
        options.only.push(...value.split(","));
        break;
      }
      case "--runtime": {
        const value = left.shift();
        if (value !== "deno" && value !== "node" && value !== "bun") {
          throw new Error(
            `cannot use --runtime ${value ?? ""}: expected deno, node or bun`,
          );
        }
        options.runtime = value;
        break;
      }
      case "--json":
        options.json = true;
        break;
      case "--help":
      case "-h":
        return "help";
      default:
        throw new Error(`unknown option ${name}, try --help`);
    }
  }
  const unknown = options.only.find((name) =>
    ![...scenarios, ...routedScenarios].some((one) => one.name === name)
  );
  if (unknown !== undefined) {
    throw new Error(`there is no fault ${unknown}, try --help`);
  }
  for (const name of options.only) {
    const reason = absence(name, options.runtime);
    if (reason !== undefined) throw new Error(`cannot make ${name}: ${reason}`);
  }
  return options;
}

/** Why a fault is not made with a client on that runtime; `undefined` if it is. */
function absence(
  name: string,
  runtime: Options["runtime"],
): string | undefined {
  if (runtime === "deno") return undefined;
  const scenario = scenarios.find((one) => one.name === name);
  return scenario === undefined
    ? "the client of a cluster and of Sentinels runs on deno alone"
    : scenario.absentOn?.[runtime];
}

/** A column: its heading, how wide it is, and what stands in it. */
type Column<Row> = readonly [
  heading: string,
  width: number,
  cell: (row: Row) => number | string,
];

const ms = (value: number): string =>
  Number.isNaN(value) ? "" : value.toFixed(value < 10 ? 1 : 0);

const COMMON: readonly Column<Measured>[] = [
  ["missing", 7, (row) => row.missing],
  ["errors", 6, (row) => row.errors],
  ["hung", 4, (row) => row.hung],
  ["doubled", 7, (row) => row.doubled],
  ["p50", 5, (row) => ms(row.p50)],
  ["p99", 5, (row) => ms(row.p99)],
  ["p99 hit", 7, (row) => ms(row.p99Hit)],
  ["longest", 7, (row) => ms(row.longest)],
  ["conns hit", 9, (row) => row.hit],
  ["dials/s", 7, (row) => ms(row.dialsPerSecond)],
];

const RECORDED: readonly Column<Measured>[] = [
  ["fault", 50, (row) => row.fault],
  ["events", 6, (row) => row.events],
  ["queued", 6, (row) => row.queued],
  ...COMMON,
  ["catch up", 8, (row) => ms(row.catchUpMs)],
];

const COUNTED: readonly Column<MeasuredIncr>[] = [
  ["fault", 50, (row) => row.fault],
  ["calls", 6, (row) => row.events],
  ...COMMON,
  ["unsent", 6, (row) => row.claims.unsent],
  ["executed", 8, (row) => row.claims.executed],
  ["unknown", 7, (row) => row.claims.unknown],
  ["of these ran", 12, (row) => row.ranUnknown],
];

const ROUTED: readonly Column<RoutedRow>[] = [
  ["fault", 42, (row) => row.fault],
  ["events", 6, (row) => row.events],
  ["missing", 7, (row) => row.missing],
  ["dropped", 7, (row) => row.dropped],
  ["queued", 6, (row) => row.queued],
  ["hung", 4, (row) => row.hung],
  ["doubled", 7, (row) => row.doubled],
  ["p99 hit", 7, (row) => ms(row.p99Hit)],
  ["longest", 7, (row) => ms(row.longest)],
  ["net", 5, (row) => ms(row.net)],
  ["failover", 8, (row) => ms(row.failoverMs)],
  ["catch up", 8, (row) => ms(row.catchUpMs)],
  ["repeat", 6, (row) => ms(row.repeatMs)],
  ["unsent", 6, (row) => row.increments.unsent],
  ["unknown", 7, (row) => row.increments.unknown],
  ["INCR lost", 9, (row) => row.incrLost],
  ["twice", 5, (row) => row.incrDoubled],
  ["conns hit", 9, (row) => row.hit],
  ["conns", 5, (row) => row.connections],
  ["asked/s", 7, (row) => ms(row.questions)],
];

/** A table that is printed row by row. */
class Table<Row> {
  readonly #columns: readonly Column<Row>[];

  constructor(columns: readonly Column<Row>[]) {
    this.#columns = columns;
    this.#print(columns.map(([heading]) => heading));
    this.#print(
      columns.map(([, width], n) => n === 0 ? "-".repeat(width) : rule(width)),
    );
  }

  add(row: Row): void {
    this.#print(this.#columns.map(([, , cell]) => `${cell(row)}`));
  }

  #print(cells: readonly string[]): void {
    const padded = cells.map((cell, n) => {
      const [, width] = this.#columns[n]!;
      return n === 0 ? cell.padEnd(width) : cell.padStart(width);
    });
    console.log(`| ${padded.join(" | ")} |`);
  }
}

const WARM_UP = "kill";

const rule = (width: number): string => `${"-".repeat(width - 1)}:`;

async function main(): Promise<number> {
  let options: Options | "help";
  try {
    options = parse(Deno.args);
  } catch (error) {
    console.error(`faults: ${error instanceof Error ? error.message : error}`);
    return 2;
  }
  if (options === "help") {
    console.log(HELP);
    return 0;
  }
  const { profile, only, runtime, json } = options;
  const say = (text: string) => json || console.log(text);
  const chosen = scenarios.filter(({ name }) => {
    if (only.length > 0) return only.includes(name);
    const reason = absence(name, runtime);
    if (reason !== undefined) say(`Without ${name}: ${reason}.\n`);
    return reason === undefined;
  });
  const startedAt = performance.now();

  const onOneServer = chosen.length > 0;
  await using host = runtime === "deno"
    ? undefined
    : await ClientHost.start(runtime);
  // The first dead connection of a process costs 5 ms of compiling.
  for (const scenario of scenarios.filter(({ name }) => name === WARM_UP)) {
    await recordUnder(scenario, QUICK, host);
  }

  if (onOneServer) {
    say(
      `${profile.events} events at ${profile.perSecond} a second, ${profile.inFlight} in flight, ` +
        `the client on ${runtime}, times in milliseconds, after a warm-up run\n\n${WORDS}\nWebhookRecorder.record\n`,
    );
  }
  const recorded: Measured[] = [];
  const events = json || !onOneServer ? undefined : new Table(RECORDED);
  for (const scenario of chosen) {
    const row = await recordUnder(scenario, profile, host);
    recorded.push(row);
    events?.add(row);
  }

  if (onOneServer) {
    say("\nRedis.send INCR: missing are successes that did not run\n");
  }
  const counted: MeasuredIncr[] = [];
  const calls = json || !onOneServer ? undefined : new Table(COUNTED);
  for (const scenario of chosen) {
    if (scenario.recorderOnly) continue;
    const row = await incrUnder(scenario, profile, host);
    counted.push(row);
    calls?.add(row);
  }

  const routedChosen = routedScenarios.filter(({ name, onlyLong = false }) =>
    only.length > 0
      ? only.includes(name)
      : runtime === "deno" && (profile !== QUICK || !onlyLong)
  );
  const onSeveral = routedChosen.length > 0;
  if (onSeveral) say(`\nRedis Cluster and Sentinel\n\n${ROUTED_WORDS}`);
  const routed: RoutedRow[] = [];
  const rows = json || !onSeveral ? undefined : new Table(ROUTED);
  for (const scenario of routedChosen) {
    const row = await routedUnder(scenario, profile);
    routed.push(row);
    rows?.add(row);
  }

  const misses = [
    ...recorded.map((row) => ["record", row] as const),
    ...counted.map((row) => ["INCR", row] as const),
    ...routed.map((row) => ["both", row] as const),
  ].flatMap(([what, { name, misses }]) =>
    misses.map((miss) => `${what}, ${name}: ${miss}`)
  );
  if (json) {
    console.log(
      JSON.stringify({ profile, recorded, counted, routed, misses }, null, 2),
    );
  } else {
    const seconds = ((performance.now() - startedAt) / 1000).toFixed(0);
    say(
      misses.length === 0
        ? `\nEvery row holds, in ${seconds} s.`
        : `\nMissed, in ${seconds} s:\n  ${misses.join("\n  ")}`,
    );
  }
  return misses.length === 0 ? 0 : 1;
}

if (import.meta.main) Deno.exit(await main());
