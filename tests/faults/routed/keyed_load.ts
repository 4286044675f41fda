// Calls on the keys of many shops, and what became of them.
import type { Fate } from "../../../mod.ts";
import type { LoadProfile } from "../load_profile.ts";
import {
  callAtRate,
  durations,
  percentile,
  type Timing,
} from "../rate_limiter.ts";
import {
  eventsKey,
  memberOf,
  type Outcome,
  type Recorded,
  type RoutedClient,
} from "./client.ts";
import type { Site } from "./site.ts";
import type { Stalls } from "./stalls.ts";

/** Events a second, and as many INCRs. */
const PER_SECOND = 300;
const SHOPS = 300;
/** Calls do not wait for each other: those of a failover pile up. */
const IN_FLIGHT = 20_000;
/** INCRs in a pipeline, and every how many calls there is one. */
const PIPELINE = 10;

/** What became of a load, by what is in Redis and what the client has said. */
export interface Checked {
  /** Events, and as many calls with INCRs. */
  readonly events: number;
  /** Events that the client has not given up, and that are not in Redis. */
  readonly missing: number;
  /** Events that the client gave up. */
  readonly dropped: number;
  /** Events that the client kept for later. */
  readonly queued: number;
  /** Calls without an outcome. */
  readonly hung: number;
  /** Members of sorted sets beyond the events. */
  readonly doubled: number;
  /** INCRs by their outcome. */
  readonly increments: Readonly<Record<"success" | Fate, number>>;
  /** INCRs that succeeded, and did not run. */
  readonly incrLost: number;
  /** What the counters have beyond the successes and unknown fates. */
  readonly incrDoubled: number;
}

/** Events and INCRs at a steady rate, of many shops in turn: each tenth call has ten INCRs in a pipeline. */
export class KeyedLoad {
  readonly stop = new AbortController();
  readonly #client: RoutedClient;
  readonly #profile: LoadProfile;
  readonly #recorded: (Recorded | undefined)[] = [];
  readonly #servers: (string | undefined)[] = [];
  /** The keys of each call, and what became of each. */
  readonly #increments: { keys: string[]; outcomes: Outcome[] }[] = [];
  readonly #prefix: string;
  #timings: [events: Timing[], increments: Timing[]] = [[], []];

  /** With another `prefix` a load has members and counters of its own. */
  constructor(client: RoutedClient, profile: LoadProfile, prefix = "") {
    this.#client = client;
    this.#prefix = prefix;
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
        const id = this.#idOf(number);
        this.#recorded[number] = await this.#client.record(shop, id);
      }),
      callAtRate(options, async (number) => {
        const count = number % PIPELINE === 0 ? PIPELINE : 1;
        const keys = Array.from(
          { length: count },
          (_, i) => this.#counter(number + i),
        );
        const call = this.#increments[number] = {
          keys,
          outcomes: [] as Outcome[],
        };
        call.outcomes = count === 1
          ? [await this.#client.increment(keys[0]!)]
          : await this.#client.incrementAll(keys);
      }),
    ]);
  }

  /** Compares what is in Redis with what the client has said. */
  async check(site: Site): Promise<Checked> {
    const [events, increments] = this.#timings;
    const count = (what: Recorded) =>
      this.#recorded.filter((outcome) => outcome === what).length;
    const open = (timings: readonly Timing[]) =>
      timings.filter(({ endedAt }) => endedAt === undefined).length;
    return {
      events: events.length,
      dropped: count("dropped"),
      queued: count("queued"),
      hung: open(events) + open(increments),
      ...await this.#checkEvents(site),
      ...await this.#checkCounters(site),
    };
  }

  /** The numbers of the events that are in Redis by what the client has said. */
  recorded(): number[] {
    return [...this.#recorded.keys()].filter((number) =>
      this.#recorded[number] === "recorded"
    );
  }

  /** Whether all of these events are in Redis. */
  async hasAll(site: Site, numbers: readonly number[]): Promise<boolean> {
    const isThere = await this.#look(site);
    return numbers.every((number) => isThere(number));
  }

  async #checkEvents(
    site: Site,
  ): Promise<Pick<Checked, "missing" | "doubled">> {
    const isThere = await this.#look(site);
    const present = [...this.#timings[0].keys()].filter((number) =>
      isThere(number)
    );
    return {
      missing:
        this.#timings[0].filter((_, number) =>
          this.#recorded[number] !== "dropped" && !isThere(number)
        ).length,
      doubled: isThere.found - present.length,
    };
  }

  /** What says whether an event is in Redis, and how many members there are. */
  async #look(
    site: Site,
  ): Promise<((number: number) => boolean) & { found: number }> {
    const sets = new Map<string, Set<string>>();
    for (const [key, members] of await site.members(eventsKey("*"))) {
      const those = members.filter((one) => one.startsWith(this.#prefix));
      sets.set(key, new Set(those));
    }
    const found = [...sets.values()].reduce((sum, { size }) => sum + size, 0);
    const isThere = (number: number) =>
      sets.get(eventsKey(number % SHOPS))?.has(memberOf(this.#idOf(number))) ??
        false;
    return Object.assign(isThere, { found });
  }

  async #checkCounters(
    site: Site,
  ): Promise<Pick<Checked, "increments" | "incrLost" | "incrDoubled">> {
    const counters = await site.counters(this.#counter("*"));
    const increments = { success: 0, unsent: 0, executed: 0, unknown: 0 };
    const bounds = new Map<string, { least: number; most: number }>();
    for (const { keys, outcomes } of this.#increments) {
      keys.forEach((key, i) => {
        const outcome = outcomes[i] ?? "unknown";
        increments[outcome]++;
        const { least = 0, most = 0 } = bounds.get(key) ?? {};
        bounds.set(key, {
          least: least + (outcome === "success" ? 1 : 0),
          most: most + (outcome === "success" || outcome === "unknown" ? 1 : 0),
        });
      });
    }
    let incrLost = 0;
    let incrDoubled = 0;
    for (const [key, { least, most }] of bounds) {
      const count = counters.get(key) ?? 0;
      incrLost += Math.max(0, least - count);
      incrDoubled += Math.max(0, count - most);
    }
    return { increments, incrLost, incrDoubled };
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

  #idOf(number: number): string {
    return `${this.#prefix}${number}`;
  }

  #counter(number: number | "*"): string {
    const shop = number === "*" ? number : number % SHOPS;
    return `incr:${this.#prefix}${shop}`;
  }
}
