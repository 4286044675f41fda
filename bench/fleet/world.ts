// World: the servers of a deployment and what happens to them, as clients see it.
import { Agenda } from "./agenda.ts";
import type { Chance } from "./chance.ts";
import { ModelServer, type ServerCosts } from "./model_server.ts";
import { Tally } from "./tally.ts";

/** How large everything is. */
export interface Size {
  readonly isolates: number;
  readonly shards: number;
  /** Events that one isolate records a second, to shards at random. */
  readonly eventsPerSecond: number;
}

/** What happens to a deployment. */
export interface Course {
  /** The last event arrives at this time, in milliseconds. */
  readonly endMs: number;
  /** When everything can be served again. */
  readonly backMs: number;
  /** Connections to a server break: a server, and when. */
  readonly cuts: readonly (readonly [server: number, at: number])[];
  /** A server refuses connections. */
  readonly downtimes: readonly (readonly [
    server: number,
    from: number,
    to: number,
  ])[];
  /** The replica of a shard is promoted. */
  readonly promotions: readonly (readonly [shard: number, at: number])[];
  /** All servers answer CLUSTERDOWN. */
  readonly clusterDown: { readonly from: number; readonly to: number };
  /** Events go to these shards only; the others are served anyway. */
  readonly watched: "all" | readonly number[];
}

/** A client in one isolate. */
export interface Isolate {
  /** An event is to be recorded. */
  event(shard: number): void;
  /** The connections to a server have broken. */
  cut(server: number): void;
}

/** What a server answers to an event. */
export type Answer = "served" | "moved" | "clusterdown";

/** Configured addresses of a cluster. */
const SEEDS = [0, 2, 4];
/** After the last event the simulation goes on for at most this long, in milliseconds. */
const AFTERMATH_MS = 120_000;

/**
 * A deployment: shard n has the primary 2n and the replica 2n + 1. Every isolate
 * has a connection to every primary at the start. Commands on an open connection
 * are answered at once.
 */
export class World {
  readonly agenda = new Agenda();
  readonly tally: Tally;
  readonly chance: Chance;
  readonly size: Size;
  readonly course: Course;
  readonly servers: readonly ModelServer[];
  /** The servers that a client is configured with. */
  readonly seeds: readonly number[];
  readonly #promotedAt: Float64Array<ArrayBuffer>;

  constructor(size: Size, course: Course, costs: ServerCosts, chance: Chance) {
    this.size = size;
    this.course = course;
    this.tally = new Tally(course.backMs);
    this.chance = chance;
    const forMs = this.endMs;
    this.servers = Array.from(
      { length: 2 * size.shards },
      () => new ModelServer(costs, forMs),
    );
    for (const [server, from, to] of course.downtimes) {
      this.servers[server]!.addDowntime({ from, to });
    }
    this.seeds = SEEDS.filter((seed) => seed < 2 * size.shards);
    this.#promotedAt = new Float64Array(size.shards).fill(Infinity);
    for (const [shard, at] of course.promotions) this.#promotedAt[shard] = at;
  }

  /** The time, in milliseconds. */
  get now(): number {
    return this.agenda.now;
  }

  /** When the simulation ends, in milliseconds. */
  get endMs(): number {
    return this.course.endMs + AFTERMATH_MS;
  }

  /** The server that holds a shard now. */
  primaryOf(shard: number): number {
    return this.now >= this.#promotedAt[shard]! ? 2 * shard + 1 : 2 * shard;
  }

  /** Whether a connection to a server is open before anything happens. */
  isOpenAtFirst(server: number): boolean {
    return server % 2 === 0;
  }

  /** What a server answers on an open connection. */
  reply(server: number, shard: number): Answer {
    const { from, to } = this.course.clusterDown;
    if (this.now >= from && this.now < to) return "clusterdown";
    return server === this.primaryOf(shard) ? "served" : "moved";
  }

  /** A client dials a server: see {@linkcode ModelServer.dial}. */
  dial(server: number, timeoutMs: number): number | undefined {
    return this.servers[server]!.dial(this.now, timeoutMs);
  }

  /** Lets events arrive and everything run its course. */
  run(isolates: readonly Isolate[]): void {
    const { agenda, chance, course, size } = this;
    for (const [server, at] of course.cuts) {
      agenda.at(at, () => {
        for (const isolate of isolates) isolate.cut(server);
      });
    }
    const { watched } = course;
    const share = watched === "all" ? 1 : watched.length / size.shards;
    const meanMs = 1000 / (size.isolates * size.eventsPerSecond * share);
    let eventAt = chance.waitMs(meanMs);
    while (true) {
      if (eventAt < course.endMs && eventAt <= agenda.nextAt) {
        agenda.now = eventAt;
        const isolate = isolates[chance.below(size.isolates)]!;
        isolate.event(
          watched === "all"
            ? chance.below(size.shards)
            : watched[chance.below(watched.length)]!,
        );
        eventAt += chance.waitMs(meanMs);
      } else if (agenda.nextAt < this.endMs) agenda.step();
      else return;
    }
  }
}
