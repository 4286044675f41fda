// One row past one machine: the load, what became of it, and what is wrong with that.
import type { Fate } from "../../../mod.ts";
import { delay } from "@std/async/delay";
import type { LoadProfile } from "../load_profile.ts";
import {
  callAtRate,
  durations,
  percentile,
  type Timing,
} from "../rate_limiter.ts";
import { Timeline } from "../timeline.ts";
import {
  CLIENT_NAME,
  eventsKey,
  type MakeClient,
  memberOf,
  ours,
  type Recorded,
  type RoutedClient,
} from "./client.ts";
import type { RoutedScenario } from "./scenario.ts";
import type { Site } from "./site.ts";
import { Stalls } from "./stalls.ts";

/** Events a second, and as many INCRs. */
const PER_SECOND = 300;
const SHOPS = 300;
/** Calls do not wait for each other: those of a failover pile up. */
const IN_FLIGHT = 20_000;
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
  /** The most questions of topology in a second. */
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
  const load = new Load(client, profile);
  try {
    using stalls = new Stalls();
    await load.warmUp();
    const sampling = new Sampling(site);
    const watch = new Watch(client);
    const calls = load.run();
    try {
      await stage.run(timeline);
    } finally {
      load.stop.abort();
    }
    await calls;
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

/** Events and INCRs at a steady rate. */
class Load {
  readonly stop = new AbortController();
  readonly #client: RoutedClient;
  readonly #profile: LoadProfile;
  readonly #recorded: (Recorded | undefined)[] = [];
  readonly #servers: (string | undefined)[] = [];
  readonly #increments: ("success" | Fate | undefined)[] = [];
  #timings: [events: Timing[], increments: Timing[]] = [[], []];

  constructor(client: RoutedClient, profile: LoadProfile) {
    this.#client = client;
    this.#profile = profile;
  }

  /** One call for each shop: connections, and code that is compiled on its first run. */
  async warmUp(): Promise<void> {
    for (let shop = 0; shop < SHOPS; shop++) {
      await this.#client.increment(`warm-up:${shop}`);
    }
  }

  async run(): Promise<void> {
    const options = {
      calls: Infinity,
      dueMs: (call: number) => call * 1000 / PER_SECOND,
      inFlight: IN_FLIGHT,
      hangMs: this.#profile.hangMs,
      stop: this.stop.signal,
    };
    this.#timings = await Promise.all([
      callAtRate(options, async (number) => {
        const shop = number % SHOPS;
        this.#servers[number] = this.#client.serverOf(shop);
        this.#recorded[number] = await this.#client.record(shop, `${number}`);
      }),
      callAtRate(options, async (number) => {
        const key = counterKey(number % SHOPS);
        this.#increments[number] = await this.#client.increment(key);
      }),
    ]);
  }

  /** What is in Redis, against what the client has said. */
  async check(site: Site) {
    const [events, increments] = this.#timings;
    const members = await site.members("webhook_frequency_*");
    const counters = await site.counters(`${counterKey("*")}`);
    const sets = new Map(
      [...members].map(([key, those]) => [key, new Set(those)]),
    );
    const isThere = (number: number) =>
      sets.get(eventsKey(number % SHOPS))?.has(memberOf(number)) ?? false;
    const present = events.filter((_, number) => isThere(number)).length;
    const found = [...sets.values()].reduce((sum, { size }) => sum + size, 0);
    const claims = { success: 0, unsent: 0, executed: 0, unknown: 0 };
    const most = new Map<string, { least: number; most: number }>();
    increments.forEach((_, number) => {
      const claim = this.#increments[number] ?? "unknown";
      claims[claim]++;
      const key = counterKey(number % SHOPS);
      const bounds = most.get(key) ?? { least: 0, most: 0 };
      if (claim === "success") bounds.least++;
      if (claim === "success" || claim === "unknown") bounds.most++;
      most.set(key, bounds);
    });
    let incrLost = 0;
    let incrDoubled = 0;
    for (const [key, { least, most: limit }] of most) {
      const count = counters.get(key) ?? 0;
      incrLost += Math.max(0, least - count);
      incrDoubled += Math.max(0, count - limit);
    }
    const count = (what: Recorded) =>
      this.#recorded.filter((outcome) => outcome === what).length;
    const open = (timings: readonly Timing[]) =>
      timings.filter(({ endedAt }) => endedAt === undefined).length;
    return {
      events: events.length,
      missing:
        events.filter((_, number) =>
          this.#recorded[number] !== "dropped" && !isThere(number)
        ).length,
      dropped: count("dropped"),
      queued: count("queued"),
      hung: open(events) + open(increments),
      doubled: found - present,
      increments: claims,
      incrLost,
      incrDoubled,
    };
  }

  /** How long the calls took. */
  times(stalls: Stalls) {
    const [events, increments] = this.#timings;
    const net = (timings: readonly Timing[]) =>
      timings.flatMap(({ startedAt, endedAt }) =>
        endedAt === undefined
          ? []
          : [endedAt - startedAt - stalls.within(startedAt, endedAt)]
      ).sort((a, b) => a - b);
    const { deaths } = this.#client;
    const hit = events.filter(({ startedAt, endedAt = Infinity }, number) =>
      deaths.some(({ at, server }) =>
        startedAt <= at && at <= endedAt &&
        (server === undefined || this.#servers[number] === undefined ||
          server === this.#servers[number])
      )
    );
    return {
      p99Hit: percentile(net(hit), 0.99),
      longest: percentile(durations(events), 1),
      net: percentile(net(events), 1),
      longestIncr: percentile(durations(increments), 1),
    };
  }
}

const counterKey = (shop: number | string): string => `incr:${shop}`;

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
  /** The most questions of topology in a second. */
  questions = 0;
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
