// Options: what the command line of bench.ts asks for.

/** How much to measure, of what. */
export interface Options {
  rounds: number;
  warmUpMs: number;
  measureMs: number;
  /** Cold starts of each client in a round. */
  colds: number;
  rows: string[];
  clients: string[];
  json: string;
  pin: boolean;
  check: boolean;
}

/** What `--help` prints. */
export const HELP: string =
  `Compares this module with a raw socket and with other clients.

./dev bench [options]
./dev bench compare <folder of another checkout> [options]
./dev bench cluster [--quick]
./dev bench limiters [--help]
./dev bench features [--help]
./dev bench fleet [--help]
./dev bench outbox [--help]
  --quick          one short round: a look, not a measurement
  --rounds N       how many rounds (default 5)
  --rows A,B       only these rows, by name (all others are left out)
  --clients A,B    only these clients, by name, and the floor
  --json FILE      where the raw results go (default bench/results/DATE.json)
  --no-pin         do not keep the server on the first core
  --check          exit 1 when a target is missed
  --help           this text
`;

/**
 * Reads the arguments.
 *
 * @throws {Error} If one is not known or has no value.
 */
export function parseOptions(args: readonly string[]): Options | "help" {
  const options: Options = {
    rounds: 5,
    warmUpMs: 300,
    measureMs: 1000,
    colds: 5,
    rows: [],
    clients: [],
    json: "",
    pin: true,
    check: false,
  };
  const left = args.flatMap((arg) =>
    arg.startsWith("--") && arg.includes("=")
      ? [arg.slice(0, arg.indexOf("=")), arg.slice(arg.indexOf("=") + 1)]
      : [arg]
  );
  let rounds = 0;
  while (left.length > 0) {
    const name = left.shift()!;
    const value = () => {
      const next = left.shift();
      if (next === undefined) throw new Error(`${name} needs a value`);
      return next;
    };
    switch (name) {
      case "--quick":
        Object.assign(options, QUICK);
        break;
      case "--rounds":
        rounds = Number(value());
        if (!(rounds >= 1)) throw new Error("--rounds needs a number");
        break;
      case "--rows":
        options.rows = value().split(",");
        break;
      case "--clients":
        options.clients = value().split(",");
        break;
      case "--json":
        options.json = value();
        break;
      case "--no-pin":
        options.pin = false;
        break;
      case "--check":
        options.check = true;
        break;
      case "--help":
      case "-h":
        return "help";
      default:
        throw new Error(`unknown option ${name}; try --help`);
    }
  }
  if (rounds > 0) options.rounds = rounds;
  return options;
}

const QUICK: Partial<Options> = {
  rounds: 1,
  warmUpMs: 200,
  measureMs: 250,
  colds: 3,
};
