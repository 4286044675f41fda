// One row past one machine: the load, what became of it, and what is wrong with that.
import type { Fate } from "../../../mod.ts";
import { delay } from "@std/async/delay";
import type { LoadProfile } from "../load_profile.ts";
import { Timeline } from "../timeline.ts";
import {
  CLIENT_NAME,
  type MakeClient,
  ours,
  type RoutedClient,
} from "./client.ts";
import { KeyedLoad } from "./keyed_load.ts";
import type { RoutedScenario } from "./scenario.ts";
import type { Site } from "./site.ts";
import { Stalls } from "./stalls.ts";

const PATIENCE_MS = 8000;
const LOOK_MS = 5;
const SAMPLE_MS = 250;
const WINDOW_MS = 1000;

const QUESTIONS_PER_SECOND = 10;
/** The default of `maxConnections`. */
const MOST_CONNECTIONS = 10;

/** What was measured of one scenario. */
export interface RoutedRow {
  readonly name: string;
  readonly fault: string;
  /** Events, and as many INCRs. */
  readonly events: number;
  /** Taken over by the client, and not in Redis. */
  readonly missing: number;
  /** Given up by the client. */
  readonly dropped: number;
  /** Events that the client kept for later. */
  readonly queued: number;
  /** Calls without an outcome. */
  readonly hung: number;
  /** Twice in Redis. */
  readonly doubled: number;
  readonly p99Hit: number;
  readonly longest: number;
  /** The longest, each without the longest time in which the process did not run meanwhile. */
  readonly net: number;
  /** From the fault until there was a new primary, in milliseconds. */
  readonly failoverMs: number;
  /** From the new primary until nothing was kept any more, in milliseconds. */
  readonly catchUpMs: number;
  /** From the new primary until it had all that the old one had acknowledged, in milliseconds; NaN if that was not looked at. */
  readonly repeatMs: number;
  /** INCRs by their outcome. */
  readonly increments: Readonly<Record<"success" | Fate, number>>;
  /** INCRs that succeeded, and did not run; runs beyond the successes and unknown fates. */
  readonly incrLost: number;
  readonly incrDoubled: number;
  readonly longestIncr: number;
  /** Connections that died. */
  readonly hit: number;
  /** The most connections to one server. */
  readonly connections: number;
  /** The most questions of topology in a second; NaN if they are not counted. */
  readonly questions: number;
  /** The longest time in which the process did not run, in milliseconds. */
  readonly stall: number;
  readonly misses: readonly string[];
  readonly seconds: number;
}

/** Runs a scenario against a client. */
export async function routedUnder(
  scenario: RoutedScenario,
  profile: LoadProfile,
  makeClient: MakeClient = ours,
): Promise<RoutedRow> {
  const stage = await scenario.start(profile);
  await using site = stage.site;
  const timeline = new Timeline(profile);
  const { bySend = false, retry } = scenario;
  const client = await makeClient(site, {
    bySend,
    ...retry === undefined ? {} : { retry },
  });
  const startedAt = performance.now();
  const load = new KeyedLoad(client, profile);
  try {
    using stalls = new Stalls();
    await load.warmUp();
    const sampling = new Sampling(site);
    const watch = new Watch(client);
    const calls = load.run();
    const repeated = scenario.demands.repeatMs === undefined
      ? NaN
      : timeOfRepeat(site, load, timeline);
    try {
      await stage.run(timeline);
    } finally {
      load.stop.abort();
    }
    await calls;
    const repeatMs = await repeated;
    await client.flush(AbortSignal.timeout(PATIENCE_MS)).catch(() =>
      timeline.violate(`${client.pending} events wait in the outbox`)
    );
    const emptyAt = watch.end();
    await sampling.end();
    const checked = await load.check(site);
    const { faultAt = NaN, backAt = NaN } = timeline;
    const row = {
      name: scenario.name,
      fault: scenario.fault,
      ...checked,
      ...load.times(stalls),
      failoverMs: backAt - faultAt,
      catchUpMs: emptyAt === undefined ? NaN : Math.max(0, emptyAt - backAt),
      repeatMs,
      hit: client.deaths.length,
      connections: sampling.connections,
      questions: sampling.questions,
      stall: stalls.longest,
      seconds: (performance.now() - startedAt) / 1000,
    };
    const misses = [
      ...timeline.violations,
      ...missesOf(scenario, profile, row),
    ];
    return { ...row, misses };
  } finally {
    await client.close();
  }
}

/** How long after the new primary it had all events that were acknowledged before, in milliseconds. */
async function timeOfRepeat(
  site: Site,
  load: KeyedLoad,
  timeline: Timeline,
): Promise<number> {
  while (timeline.backAt === undefined) {
    if (load.stop.signal.aborted) return NaN;
    await delay(LOOK_MS);
  }
  const { backAt } = timeline;
  const recorded = load.recorded();
  while (true) {
    const ms = performance.now() - backAt;
    if (await load.hasAll(site, recorded)) return ms;
    if (ms > PATIENCE_MS) return Infinity;
  }
}

/** Measures when nothing is kept any more. */
class Watch {
  readonly #client: RoutedClient;
  readonly #timer: ReturnType<typeof setInterval>;
  #emptyAt: number | undefined;
  #held = false;

  constructor(client: RoutedClient) {
    this.#client = client;
    this.#timer = setInterval(() => this.#look(), LOOK_MS);
  }

  /** When the outbox became empty for the last time; `undefined` if it always was. */
  end(): number | undefined {
    this.#look();
    clearInterval(this.#timer);
    return this.#held ? this.#emptyAt ?? Infinity : undefined;
  }

  #look(): void {
    if (this.#client.pending > 0) {
      this.#held = true;
      this.#emptyAt = undefined;
    } else this.#emptyAt ??= performance.now();
  }
}

/** Looks at the servers at regular times. */
class Sampling {
  /** The most connections to one server. */
  connections = 0;
  /** The most questions of topology in a second; NaN if they are not counted. */
  questions = NaN;
  readonly #site: Site;
  readonly #over: Promise<void>;
  #isEnded = false;

  constructor(site: Site) {
    this.#site = site;
    this.#over = this.#run();
  }

  async end(): Promise<void> {
    this.#isEnded = true;
    await this.#over;
  }

  async #run(): Promise<void> {
    let windowAt = performance.now();
    let asked = await this.#site.questions();
    if (asked.size > 0) this.questions = 0;
    while (!this.#isEnded) {
      await delay(SAMPLE_MS);
      // A server may go away while it is asked.
      const connections = await this.#site.connections(CLIENT_NAME).catch(() =>
        0
      );
      this.connections = Math.max(this.connections, connections);
      const passed = performance.now() - windowAt;
      if (passed < WINDOW_MS) continue;
      const counts = await this.#site.questions().catch(() => asked);
      // Not what a server was asked before it was frozen.
      const more = [...counts].reduce(
        (sum, [server, count]) => sum + count - (asked.get(server) ?? count),
        0,
      );
      this.questions = Math.max(this.questions, more / (passed / 1000));
      asked = counts;
      windowAt = performance.now();
    }
  }
}

function missesOf(
  { demands, bySend }: RoutedScenario,
  { leewayMs }: LoadProfile,
  row: Omit<RoutedRow, "misses">,
): string[] {
  const misses: string[] = [];
  const none = (count: number, what: string) => {
    if (count > 0) misses.push(`${count} ${what}`);
  };
  const limit = (what: string, value: number, most: number | undefined) => {
    if (most === undefined || !(value > most + leewayMs)) return;
    misses.push(
      `${what} ${value.toFixed(0)} ms, ${most.toFixed(0)} ms are allowed`,
    );
  };
  const { increments, incrLost } = row;
  none(row.missing, "events are missing");
  none(row.doubled, "events are doubled");
  none(row.hung, "calls hang");
  none(row.dropped, bySend ? "events are rejected" : "events are dropped");
  none(row.incrDoubled, "INCRs ran beyond the successes and unknown fates");
  if (!demands.mayLoseIncr) none(incrLost, "INCRs succeeded and did not run");
  if (demands.onlyUnknown) {
    none(
      increments.unsent + increments.executed,
      "INCRs failed that could have succeeded",
    );
  }
  limit("the longest event took", row.net, demands.longestMs?.(row.failoverMs));
  limit("p99 of the events that were hit is", row.p99Hit, demands.p99HitMs);
  limit("delivering what was kept took", row.catchUpMs, demands.catchUpMs);
  limit("repeating what was acknowledged took", row.repeatMs, demands.repeatMs);
  if (row.questions > QUESTIONS_PER_SECOND) {
    misses.push(
      `${
        row.questions.toFixed(0)
      } questions of topology in a second, ${QUESTIONS_PER_SECOND} are allowed`,
    );
  }
  if (row.connections > MOST_CONNECTIONS) {
    misses.push(
      `${row.connections} connections to one server, ${MOST_CONNECTIONS} are allowed`,
    );
  }
  return misses;
}
