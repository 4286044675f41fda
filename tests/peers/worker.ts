// The load of one client, in a process of its own: events and INCRs at a steady rate, and what each came to.
import { delay } from "@std/async/delay";
import { CLIENTS } from "./clients.ts";

/** What a worker is asked to do: one JSON argument. */
export interface Job {
  readonly client: string;
  readonly url: string;
  /** How long calls are started, in milliseconds. */
  readonly forMs: number;
  /** Events a second; as many INCRs are sent. */
  readonly perSecond: number;
  /** How long outcomes are waited for after the last call, in milliseconds. */
  readonly patienceMs: number;
}

/** What became of the calls: one line of JSON. */
export interface Outcomes {
  /** Whether the client took over event number i; `null` if it never said. */
  readonly events: (boolean | null)[];
  /** Whether INCR number i succeeded, each on a key of its own. */
  readonly increments: (boolean | null)[];
  /** The longest wait for an outcome, in milliseconds. */
  readonly longestMs: number;
}

/** The sorted set of the events. */
export const EVENTS_KEY = "peers:events";
/** The counter of INCR number i. */
export const counterKey = (i: number): string => `peers:counter:${i}`;

async function work({ client, url, ...job }: Job): Promise<Outcomes> {
  const load = await CLIENTS[client]!(url);
  await load.increment("peers:warm-up");
  console.log("ready");
  const outcomes = {
    events: [] as (boolean | null)[],
    increments: [] as (boolean | null)[],
    longestMs: 0,
  };
  let open = 0;
  let isOver = false;
  const startedAt = performance.now();
  const watch = (
    kind: "events" | "increments",
    i: number,
    call: () => Promise<unknown>,
  ) => {
    const from = performance.now();
    outcomes[kind][i] = null;
    open++;
    const end = (isOk: boolean) => {
      if (isOver) return;
      open--;
      outcomes[kind][i] = isOk;
      outcomes.longestMs = Math.max(
        outcomes.longestMs,
        performance.now() - from,
      );
    };
    (async () => await call())().then(() => end(true), () => end(false));
  };
  for (let i = 0; performance.now() - startedAt < job.forMs; i++) {
    watch(
      "events",
      i,
      () => load.record(EVENTS_KEY, 1_700_000_000 + i, `${i}`),
    );
    watch("increments", i, () => load.increment(counterKey(i)));
    await delay(
      Math.max(0, startedAt + i * 1000 / job.perSecond - performance.now()),
    );
  }
  const givenUpAt = performance.now() + job.patienceMs;
  while (open > 0 && performance.now() < givenUpAt) await delay(5);
  isOver = true;
  if (open > 0) outcomes.longestMs = Infinity;
  await Promise.race([load.flush(), delay(job.patienceMs)]);
  await load.close();
  return outcomes;
}

if (import.meta.main) {
  // The end of a client's connections may reject calls that nothing awaits any more.
  globalThis.addEventListener(
    "unhandledrejection",
    (event) => event.preventDefault(),
  );
  console.log(JSON.stringify(await work(JSON.parse(Deno.args[0]!))));
  Deno.exit(0);
}
