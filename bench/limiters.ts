// Limiters: the blacklist of this module beside the rate limiters that people use.

import { findContestants } from "./contestants.ts";
import { measureConduct } from "./limiters/facts.ts";
import { measureSpeed } from "./limiters/speed.ts";
import { describeMachine } from "./machine.ts";
import { endOnSignal } from "./process.ts";
import { pin, startServer } from "./server.ts";

const HELP = `Compares the blacklist with other rate limiters on one server.

./dev bench limiters [options]
  --quick        one short round: a look, not a measurement
  --rounds N     how many rounds (default 7)
  --rows A,B     only these rows, by name
  --facts        only what each does to Redis, and without it: half a minute
  --no-facts     only the decisions a second
  --json FILE    writes the raw results
  --check        exit 1 when ours is less than 3 times as fast where many call
  --help         this text
`;

/**
 * Runs the command.
 *
 * @returns The exit code.
 * @throws {Error} If an argument is not known, or a limiter fails.
 */
export async function limiters(args: readonly string[]): Promise<number> {
  if (args.includes("--help")) {
    console.log(HELP);
    return 0;
  }
  const options = parse(args);
  await findContestants(); // installs the peers
  await using server = await startServer();
  using _signals = endOnSignal(server);
  const machine = await describeMachine(await server.cli("INFO", "server"));
  for (const [name, value] of Object.entries(machine)) {
    console.log(`- ${name}: ${value}`);
  }
  if (options.facts) console.log(`\n${await measureConduct()}`);
  if (!options.speed) return 0;
  const apart = await pin(server);
  const { table, cost, missed, samples } = await measureSpeed(
    server,
    apart,
    options,
  );
  console.log(
    `\nMedians of ${options.rounds} rounds, and after the dot how many times as many ours makes in the same round.\n`,
  );
  console.log(table);
  console.log(
    `\nMicroseconds of the processor that a decision takes.\n\n${cost}`,
  );
  for (const line of missed) console.log(`- MISSED ${line}`);
  if (options.json !== undefined) {
    await Deno.writeTextFile(options.json, JSON.stringify(samples) + "\n");
  }
  return options.check && missed.length > 0 ? 1 : 0;
}

interface Options {
  rounds: number;
  warmUpMs: number;
  measureMs: number;
  rows: readonly string[];
  facts: boolean;
  speed: boolean;
  check: boolean;
  json?: string;
}

function parse(args: readonly string[]): Options {
  const options: Options = {
    rounds: 7,
    warmUpMs: 1000,
    measureMs: 1000,
    rows: [],
    facts: true,
    speed: true,
    check: false,
  };
  const left = [...args];
  const value = (name: string): string => {
    const next = left.shift();
    if (next === undefined) throw new Error(`${name} needs a value`);
    return next;
  };
  while (left.length > 0) {
    const name = left.shift()!;
    if (name === "--quick") {
      Object.assign(options, { rounds: 1, warmUpMs: 300, measureMs: 300 });
    } else if (name === "--rounds") {
      options.rounds = Number(value(name));
      if (!(options.rounds >= 1)) throw new Error(`${name} needs a number`);
    } else if (name === "--rows") options.rows = value(name).split(",");
    else if (name === "--json") options.json = value(name);
    else if (name === "--facts") options.speed = false;
    else if (name === "--no-facts") options.facts = false;
    else if (name === "--check") options.check = true;
    else throw new Error(`unknown option ${name}; try limiters --help`);
  }
  return options;
}
