// Features: what transactions, scripts and scans cost beside the same by hand, in turn in one process.
import process from "node:process";
import { Redis, scan, Script } from "../mod.ts";
import { describeMachine } from "./machine.ts";
import { endOnSignal, run } from "./process.ts";
import { median } from "./results.ts";
import { pin, startServer } from "./server.ts";
import { markdown, shorten } from "./table.ts";

const HELP = `What a convenience costs beside the same by hand.

./dev bench features [options]
  --quick      three short rounds: a look, not a measurement
  --rounds N   how many rounds (default 15)
  --keys N     how many keys are scanned (default 1000000)
  --check      exit 1 when a target is missed
  --help       this text
`;

const CALLERS = 64;
/** How many commands a caller sends before the clock is looked at. */
const CALLS = 100;
const COUNT = 1000;
const SOURCE = `return redis.call("INCRBY", KEYS[1], ARGV[1])`;

/** How much was done, and how long it took. */
interface Timing {
  readonly done: number;
  readonly ms: number;
}

/** Two ways to the same, and how fast the first one has to be beside the second. */
interface Pair {
  readonly title: string;
  readonly unit: string;
  readonly ours: readonly [name: string, work: () => Promise<Timing>];
  readonly byHand: readonly [name: string, work: () => Promise<Timing>];
  readonly least: number;
}

interface Options {
  rounds: number;
  sliceMs: number;
  keys: number;
  check: boolean;
}

/** Loops that each wait for their reply, until the time is up. */
async function callers(
  sliceMs: number,
  call: (caller: number) => Promise<unknown>,
): Promise<Timing> {
  let done = 0;
  const start = performance.now();
  await Promise.all(Array.from({ length: CALLERS }, async (_, caller) => {
    while (performance.now() - start < sliceMs) {
      for (let i = 0; i < CALLS; i++) await call(caller);
      done += CALLS;
    }
  }));
  return { done, ms: performance.now() - start };
}

/** How long it takes to read everything. */
async function reading(read: () => Promise<number>): Promise<Timing> {
  const start = performance.now();
  const done = await read();
  return { done, ms: performance.now() - start };
}

async function pairsOf(
  redis: Redis,
  { sliceMs, keys }: Options,
): Promise<Pair[]> {
  const script = new Script<number>(SOURCE);
  const digest = await redis.send(["SCRIPT", "LOAD", SOURCE]);
  const check = (count: number): number => {
    if (count >= keys) return count;
    throw new Error(`${count} of ${keys} keys were read`);
  };
  const loop = async (): Promise<number> => {
    let cursor = "0";
    let count = 0;
    do {
      const [next, page] = await redis.send(["SCAN", cursor, "COUNT", COUNT]);
      for (const key of page) if (key !== "") count++;
      cursor = next;
    } while (cursor !== "0");
    return check(count);
  };
  const oneByOne = async (): Promise<number> => {
    let count = 0;
    for await (const key of scan(redis, { count: COUNT })) {
      if (key !== "") count++;
    }
    return check(count);
  };
  const inPages = async (): Promise<number> => {
    let count = 0;
    for await (const page of scan(redis, { count: COUNT }).pages()) {
      for (const key of page) if (key !== "") count++;
    }
    return check(count);
  };
  return [
    {
      title: "transaction of 3, 64 callers",
      unit: "op/s",
      ours: [
        "MULTI, 3, EXEC",
        () =>
          callers(sliceMs, (caller) =>
            redis.transaction([
              ["INCR", `bench:${caller}:a`],
              ["INCR", `bench:${caller}:b`],
              ["INCR", `bench:${caller}:c`],
            ])),
      ],
      byHand: [
        "pipeline of 5",
        () =>
          callers(sliceMs, (caller) =>
            redis.pipeline([
              ["INCR", `bench:${caller}:a`],
              ["INCR", `bench:${caller}:b`],
              ["INCR", `bench:${caller}:c`],
              ["INCR", `bench:${caller}:d`],
              ["INCR", `bench:${caller}:e`],
            ])),
      ],
      least: 0.9,
    },
    {
      title: "script, 64 callers",
      unit: "op/s",
      ours: [
        "Script.run",
        () =>
          callers(
            sliceMs,
            (caller) => script.run(redis, [`bench:${caller}:s`], [1]),
          ),
      ],
      byHand: [
        "EVALSHA",
        () =>
          callers(
            sliceMs,
            (caller) =>
              redis.send(["EVALSHA", digest, 1, `bench:${caller}:s`, 1]),
          ),
      ],
      least: 0.95,
    },
    {
      title: "scan, key by key",
      unit: "keys/s",
      ours: ["for await of scan", () => reading(oneByOne)],
      byHand: ["loop of SCAN", () => reading(loop)],
      least: 1 / 1.1,
    },
    {
      title: "scan, in pages",
      unit: "keys/s",
      ours: ["for await of pages()", () => reading(inPages)],
      byHand: ["loop of SCAN", () => reading(loop)],
      least: 1 / 1.1,
    },
  ];
}

/** Runs the command. Returns the exit code. */
export async function features(args: readonly string[]): Promise<number> {
  if (args.includes("--help")) {
    console.log(HELP);
    return 0;
  }
  const options = parse(args);
  await using server = await startServer();
  using _signals = endOnSignal(server);
  const machine = await describeMachine(await server.cli("INFO", "server"));
  for (const [name, value] of Object.entries(machine)) {
    if (!["ioredis", "node-redis", "bun"].includes(name)) {
      console.log(`- ${name}: ${value}`);
    }
  }
  const [taskset, , cores] = await pin(server);
  if (cores !== undefined) {
    await run([taskset!, "-a", "-p", "-c", cores, String(process.pid)]);
  }
  await using redis = new Redis(server.url, { maxConnections: 1 });
  for (let key = 0; key < options.keys; key += 10_000) {
    const range = { length: Math.min(10_000, options.keys - key) };
    await redis.send([
      "MSET",
      ...Array.from(range, (_, i) => [`key:${key + i}`, "1"]).flat(),
    ]);
  }
  const lines = [["", "ours", "by hand", "ratio", "least", ""]];
  let isMissed = false;
  for (const pair of await pairsOf(redis, options)) {
    const { title, unit, ours, byHand, least } = pair;
    const rates: [number[], number[]] = [[], []];
    for (let round = -1; round < options.rounds; round++) {
      const turn = round % 2 === 0 ? [0, 1] as const : [1, 0] as const;
      for (const which of turn) {
        const { done, ms } = await [ours, byHand][which]![1]();
        if (round >= 0) rates[which].push(done / ms * 1000);
      }
    }
    const ratio = median(rates[0].map((rate, i) => rate / rates[1][i]!));
    isMissed ||= ratio < least;
    lines.push([
      `${title}, ${unit}`,
      `${ours[0]}: ${shorten(median(rates[0]))}`,
      `${byHand[0]}: ${shorten(median(rates[1]))}`,
      ratio.toFixed(2),
      least.toFixed(2),
      ratio < least ? "MISSED" : "met",
    ]);
  }
  console.log(
    `\nMedians of ${options.rounds} rounds, and of the ratios of the same round.\n\n${
      markdown(lines)
    }`,
  );
  return options.check && isMissed ? 1 : 0;
}

function parse(args: readonly string[]): Options {
  const options = {
    rounds: 15,
    sliceMs: 300,
    keys: 1_000_000,
    check: false,
  };
  const left = [...args];
  const number = (name: string): number => {
    const value = Number(left.shift());
    if (!(value >= 1)) throw new Error(`${name} needs a number`);
    return value;
  };
  while (left.length > 0) {
    const name = left.shift()!;
    if (name === "--quick") {
      Object.assign(options, { rounds: 3, sliceMs: 100, keys: 100_000 });
    } else if (name === "--rounds") options.rounds = number(name);
    else if (name === "--keys") options.keys = number(name);
    else if (name === "--check") options.check = true;
    else throw new Error(`unknown option ${name}; try features --help`);
  }
  return options;
}
