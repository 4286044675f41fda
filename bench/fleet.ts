// Fleet: what policies of trying again do to servers when thousands of isolates follow them.
import { CLIENTS } from "./fleet/clients.ts";
import { scenariosOf } from "./fleet/scenarios.ts";
import { type Figures, simulate } from "./fleet/simulate.ts";
import { markdown, shorten } from "./table.ts";

const HELP =
  `Simulates a fleet of isolates whose servers fail, on a clock of its own.

./dev bench fleet [options]
  --isolates N      how many (default 10000)
  --shards N        of the cluster (default 100)
  --events N        that an isolate records a second (default 10)
  --handshake-ms N  what a connection costs a server (default 1)
  --question-ms N   what a question of topology costs it (default 0.2)
  --scenarios A,B   only these: failover, coverage, outage, upgrade, single
  --clients A,B     only clients whose name has one of these in it
  --seed N          of all that is random (default 1)
  --json            figures as JSON lines
`;

/** Runs the command. Returns its exit code. */
export function fleet(args: readonly string[]): number {
  if (args.includes("--help")) {
    console.log(HELP);
    return 0;
  }
  const texts = new Map<string, string>();
  for (let n = 0; n < args.length; n++) {
    const name = args[n]!;
    if (name !== "--json" && !HELP.includes(`  ${name} `)) {
      throw new Error(`unknown option ${name}; try --help`);
    }
    texts.set(name, name === "--json" ? "" : args[++n] ?? "");
  }
  const number = (name: string, otherwise: number): number => {
    const value = Number(texts.get(name) ?? otherwise);
    if (value > 0) return value;
    throw new Error(`${name} needs a number above 0`);
  };
  const size = {
    isolates: number("--isolates", 10_000),
    shards: number("--shards", 100),
    eventsPerSecond: number("--events", 10),
  };
  const costs = {
    handshakeMs: number("--handshake-ms", 1),
    questionMs: number("--question-ms", 0.2),
  };
  const seed = number("--seed", 1);
  const scenarios = wanted("scenario", scenariosOf(size), texts);
  const clients = wanted("client", CLIENTS, texts);
  for (const scenario of scenarios) {
    const lines = [];
    for (const client of clients) {
      if (client.without?.includes(scenario.name)) continue;
      const startedAt = performance.now();
      const figures = simulate(scenario, client, costs, seed);
      const tookMs = Math.round(performance.now() - startedAt);
      console.error(`${scenario.name}, ${client.name}: ${tookMs} ms`);
      if (texts.has("--json")) {
        const { name } = client;
        console.log(
          JSON.stringify({ scenario: scenario.name, client: name, ...figures }),
        );
      }
      lines.push([client.name, ...cells(figures)]);
    }
    if (!texts.has("--json")) {
      console.log(`\n${scenario.title}\n`);
      console.log(markdown([HEAD, ...lines]));
    }
  }
  return 0;
}

/**
 * The ones whose name has a part that was asked for in it; without such parts all.
 *
 * @throws {Error} If a part is in no name.
 */
function wanted<T extends { readonly name: string }>(
  kind: "scenario" | "client",
  all: readonly T[],
  texts: ReadonlyMap<string, string>,
): T[] {
  const parts = texts.get(`--${kind}s`)?.split(",");
  if (parts === undefined) return [...all];
  for (const part of parts) {
    if (part !== "" && all.some(({ name }) => name.includes(part))) continue;
    const names = all.map(({ name }) => name).join(", ");
    throw new Error(`no ${kind} ${JSON.stringify(part)}; there are ${names}`);
  }
  return all.filter(({ name }) => parts.some((part) => name.includes(part)));
}

const HEAD = [
  "",
  "dials/s, peak",
  "dials",
  "questions/s, peak",
  "questions",
  "events held",
  "lost",
  "retries",
  "longest call, s",
  "recovered after, s",
];

function cells(figures: Figures): string[] {
  const { dials, questions, mostHeld, lost, held, retries } = figures;
  return [
    ...[dials.peak, dials.total, questions.peak, questions.total, mostHeld]
      .map(whole),
    held > 0 ? `${whole(lost)} + ${whole(held)} held` : whole(lost),
    whole(retries),
    (figures.longestMs / 1000).toFixed(1),
    (figures.recoveryMs / 1000).toFixed(1),
  ];
}

const whole = (count: number): string =>
  count < 10_000 ? String(count) : shorten(count);

if (import.meta.main) {
  try {
    Deno.exitCode = fleet(Deno.args);
  } catch (error) {
    console.error(`fleet: ${error instanceof Error ? error.message : error}`);
    Deno.exitCode = 1;
  }
}
