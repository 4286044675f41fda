// Runs a mixed load for minutes under random faults, and checks that nothing breaks and nothing leaks.
import { deadline } from "@std/async/deadline";
import { delay } from "@std/async/delay";
import { LIMIT_MS, OutcomeLog } from "./soak/outcome_log.ts";
import { makeCallers, work } from "./soak/load.ts";
import {
  describe,
  growth,
  measure,
  measureAtRest,
  slotsOf,
  type Usage,
} from "./soak/leak_check.ts";
import { MAX_CONNECTIONS, SoakFixture } from "./soak/fixture.ts";
import {
  endFaults,
  type FaultSchedule,
  planFaults,
  runFaults,
} from "./soak/fault_schedule.ts";
import { soakCluster } from "./soak/cluster_soak.ts";
import { startProxy } from "./support/fault_proxy.ts";
import { numberFromEnv, Random } from "./support/random.ts";
import { startRedis } from "./support/redis_server.ts";

/** What the figures mean. */
const WORDS =
  `calls      made so far, and how many were rejected, by their fate:
           unsent: it cannot have run; executed: it ran, and the server
           answered with an error; unknown: it may have run, the caller cannot tell
faults     begun so far; a connection that died did so by one of them
longest    the longest call
heap, memory, sockets, timers   what this process holds at rest
slots      commands that still wait for a reply then
`;

const HELP =
  `Runs a mixed load under random faults, and checks that nothing breaks.

./dev soak [options]
  --minutes N  how long (default 3)
  --cluster    events and INCRs on a cluster of 3 primaries with a replica each:
               failover, freeze, crash, resharding, ASK, CLIENT KILL
  --seed N     the faults of an earlier run, in the same order
  --help       this text

The load: events recorded, ECHO, SET, GET, INCR, pipelines, transactions on leases,
BLPOP, texts of up to 200 KB, calls that are aborted. The faults, two at a time:
silence, cuts, delays, pieces, resets, refusals, CLIENT KILL, restarts, crashes, freezes.
Every few seconds the load stops, and what is in Redis, in memory and in the pool is
compared with the outcomes of the calls. Ctrl-C ends it early with the summary so far.

${WORDS}
Exit: 0 if nothing broke, 1 if something did, 2 for bad usage.
`;

const ROUND_MS = 8500;
/** A call may begin at the last moment, and one step may make two. */
const WORK_MS = 3 * LIMIT_MS;
const FLUSH_MS = 10_000;
const LOOK_MS = 250;
/** A server that has got Ctrl-C still answers for a moment. */
const ANSWERS_AFTER_INTERRUPT = 10;
/**
 * What may be held more in the end. The heap keeps code, and at times the
 * buffers of the last connections; the system takes memory back when it likes.
 */
const MOST_GROWTH: Usage = {
  heap: 12 * 2 ** 20,
  memory: 150 * 2 ** 20,
  sockets: 0,
  timers: 0,
  slots: 0,
};
const MOST_SHOWN = 10;
/** What keeps the process alive for this long after the end has leaked. */
const LEFT_OVER_MS = 100;

interface Options {
  minutes: number;
  seed: number;
  cluster: boolean;
}

/** @throws {Error} If an argument is not known. */
function parse(args: readonly string[]): Options {
  const seed = numberFromEnv("SEED", Math.floor(Math.random() * 2 ** 32));
  const options = { minutes: 3, seed, cluster: args.includes("--cluster") };
  const left = args.filter((arg) => arg !== "--cluster")
    .flatMap((arg) => arg.split("="));
  while (left.length > 0) {
    const [name, text = ""] = left.splice(0, 2);
    const value = text === "" ? NaN : Number(text);
    if (name === "--minutes" && value > 0 && value < Infinity) {
      options.minutes = value;
    } else if (name === "--seed" && value === value >>> 0) {
      options.seed = value;
    } else {
      throw new Error(
        `cannot use ${
          `${name} ${text}`.trim()
        }: expected --minutes N (above 0), ` +
          "--seed N (a whole number from 0 to 4294967295), --cluster and --help",
      );
    }
  }
  return options;
}

/** Ctrl-C as a signal that can be waited for. */
function onInterrupt(): { signal: AbortSignal } & Disposable {
  const controller = new AbortController();
  const { signal } = controller;
  const stop = () => {
    if (signal.aborted) Deno.exit(130); // the second one
    console.log("Interrupted: checking what has happened so far");
    controller.abort();
  };
  Deno.addSignalListener("SIGINT", stop);
  return {
    signal,
    [Symbol.dispose]: () => Deno.removeSignalListener("SIGINT", stop),
  };
}

/** Load and faults for a while, and then rest: what is held then, or `undefined` if callers hang. */
async function runRound(
  fixture: SoakFixture,
  prefix: string,
  plan: FaultSchedule,
  interrupt: AbortSignal,
): Promise<Usage | undefined> {
  const { log, redis, recorders, server } = fixture;
  const callers = makeCallers(fixture, prefix);
  const over = new AbortController();
  const stop = AbortSignal.any([over.signal, interrupt]);
  const watch = setInterval(() => {
    log.checkOpenCalls();
    const { open } = redis.stats();
    if (open > MAX_CONNECTIONS) log.violate(`${open} connections are open`);
  }, LOOK_MS);
  try {
    const working = Promise.all(
      callers.map((caller) => work(caller, fixture, stop)),
    );
    const faulting = runFaults(fixture, plan, stop);
    await delay(ROUND_MS, { signal: interrupt }).catch(() => {});
    over.abort();
    await faulting.catch((error) => {
      if (!interrupt.aborted) throw error; // Ctrl-C reaches the server, too
    });
    await endFaults(fixture, interrupt.aborted ? ANSWERS_AFTER_INTERRUPT : 1);
    try {
      await deadline(working, WORK_MS);
    } catch (error) {
      log.violate(`callers do not come to an end: ${error}`);
      return undefined;
    }
    for (const recorder of recorders) {
      await recorder.flush({ signal: AbortSignal.timeout(FLUSH_MS) }).catch(
        () => log.violate(`${recorder.pending} events wait in an outbox`),
      );
    }
    for (const caller of callers) await caller.verify();
    const atRest = await measureAtRest(fixture);
    await server.cli("FLUSHALL");
    return atRest;
  } finally {
    clearInterval(watch);
  }
}

/** Runs round after round, then closes. Returns how many slots are taken after that. */
async function runRounds(
  random: Random,
  log: OutcomeLog,
  minutes: number,
  interrupt: AbortSignal,
): Promise<number> {
  const endAt = performance.now() + minutes * 60_000;
  // All are drawn before the load, which draws as it comes to it.
  const plans = Array.from(
    { length: Math.ceil(minutes * 60_000 / ROUND_MS) },
    () => planFaults(random, ROUND_MS),
  );
  await using server = await startRedis({ durable: true });
  await using proxy = await startProxy({ target: server });
  const fixture = new SoakFixture(random, log, server, proxy);
  const { redis, recorders } = fixture;
  for (const [i, plan] of plans.entries()) {
    if (interrupt.aborted || (i > 0 && performance.now() > endAt)) break;
    const atRest = await runRound(fixture, `soak${i}`, plan, interrupt);
    if (atRest === undefined) return slotsOf(fixture); // close() would wait for them, too
    const seconds = (performance.now() / 1000).toFixed(0);
    console.log(`${seconds} s: ${log}; ${describe(atRest)}`);
  }
  for (const recorder of recorders) await recorder[Symbol.asyncDispose]();
  await redis.close();
  await measureAtRest(fixture);
  const { open } = redis.stats();
  if (open > 0) log.violate(`${open} connections are open after close()`);
  return slotsOf(fixture);
}

async function soak({ minutes, seed, cluster }: Options): Promise<number> {
  const random = new Random(seed);
  using interrupt = onInterrupt();
  const { signal } = interrupt;
  if (!cluster) console.log(WORDS);
  const log = new OutcomeLog();
  const { violations } = log;
  const begin = await measure(0);
  let slots = 0;
  if (cluster) {
    const endAt = performance.now() + minutes * 60_000;
    await soakCluster(random, log, endAt, signal);
  } else slots = await runRounds(random, log, minutes, signal);
  const end = await measure(slots);
  for (const sentence of growth(begin, end, MOST_GROWTH)) {
    log.violate(sentence);
  }
  console.log(
    `\n${cluster ? "" : `${log}\n`}at the start: ${
      describe(begin)
    }\nin the end:   ${describe(end)}`,
  );
  if (violations.length === 0) console.log("Nothing broke.");
  else {
    console.log(
      `Broken in ${violations.length} places, with --seed ${seed}, such as:\n  ` +
        violations.slice(0, MOST_SHOWN).join("\n  "),
    );
  }
  return violations.length === 0 ? 0 : 1;
}

/** Checks that the process ends by itself, and ends it if it does not. */
function awaitTheEnd(): void {
  addEventListener(
    "beforeunload",
    () => console.log("The process ended by itself."),
  );
  const impatience = setTimeout(() => {
    console.error("!! The process does not end: a timer or a socket is left.");
    Deno.exit(1);
  }, LEFT_OVER_MS);
  Deno.unrefTimer(impatience);
}

async function main(): Promise<number> {
  if (Deno.args.some((arg) => arg === "--help" || arg === "-h")) {
    console.log(HELP);
    return 0;
  }
  let options: Options;
  try {
    options = parse(Deno.args);
  } catch (error) {
    console.error(`soak: ${error instanceof Error ? error.message : error}`);
    return 2;
  }
  const code = await soak(options);
  awaitTheEnd();
  return code;
}

if (import.meta.main) Deno.exitCode = await main();
