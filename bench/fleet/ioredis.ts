// ioredis: the policies of version 6.0.0 with its defaults, as its source has them.
//
// Names of files are below ioredis/built/.
import { type Command, ReconnectingLink } from "./reconnecting.ts";
import type { Isolate, World } from "./world.ts";

/** redis/RedisOptions.js: `connectTimeout`. */
const CONNECT_TIMEOUT_MS = 10_000;
/** cluster/ClusterOptions.js: `maxRedirections`. */
const MAX_REDIRECTIONS = 16;
/** cluster/ClusterOptions.js: `retryDelayOnFailover` and `retryDelayOnClusterDown`. */
const RETRY_DELAY_MS = 100;
/** cluster/ClusterOptions.js: `slotsRefreshTimeout`. */
const REFRESH_TIMEOUT_MS = 1000;
/** cluster/ClusterOptions.js: `clusterRetryStrategy`. */
const clusterRetryMs = (times: number): number =>
  Math.min(100 + times * 2, 2000);

/** A cluster's connection that is being opened. */
interface Dialing {
  readonly queue: Command[];
}

/**
 * The cluster client of one isolate.
 *
 * - A connection that ends leaves the pool; the next command or redirect dials
 *   (cluster/ConnectionPool.js, `createRedisFromOptions`, `findOrCreate`).
 * - "Connection is closed." and CLUSTERDOWN: all commands wait 100 ms and for a
 *   refresh of the topology, then go to a random server (cluster/index.js,
 *   `handleError`, `partialTry`); 16 errors a command, redirects included.
 * - Every refresh opens a connection to a random server (`getInfoFromNode`); one
 *   at a time, without a pause between two. MOVED starts one, too.
 * - When no connection is left it begins anew with the seeds, after 100 ms and 2
 *   ms more each time, up to 2000 (`handleCloseEvent`); commands wait for that
 *   without a limit.
 *
 * Left out: its connection for subscriptions, and replicas in the pool.
 */
export class IoRedisIsolate implements Isolate {
  readonly #world: World;
  readonly #serverOf: Uint16Array<ArrayBuffer>; // by shard
  readonly #pool = new Set<number>();
  readonly #isOpen: Uint8Array<ArrayBuffer>; // by server
  readonly #dialing = new Map<number, Dialing>();
  readonly #delayed: { failover: Command[]; clusterdown: Command[] } = {
    failover: [],
    clusterdown: [],
  };
  #offline: Command[] | undefined; // while it begins anew
  #refreshing: (() => void)[] | undefined;

  constructor(world: World) {
    this.#world = world;
    const { shards } = world.size;
    this.#serverOf = Uint16Array.from({ length: shards }, (_, n) => 2 * n);
    this.#isOpen = new Uint8Array(2 * shards);
    for (const server of this.#serverOf) {
      this.#pool.add(server);
      this.#isOpen[server] = 1;
    }
  }

  event(shard: number): void {
    const { tally, now } = this.#world;
    const server = this.#serverOf[shard]!;
    if (
      this.#isOpen[server] === 1 &&
      this.#world.reply(server, shard) === "served"
    ) return tally.pass();
    tally.hold();
    this.#try({ shard, startedAt: now, errors: 0 });
  }

  cut(server: number): void {
    if (this.#isOpen[server] === 0) return;
    this.#isOpen[server] = 0;
    this.#leave(server);
  }

  #leave(server: number): void {
    this.#pool.delete(server);
    if (this.#pool.size === 0 && this.#offline === undefined) {
      this.#offline = [];
      this.#beginAnew(1);
    }
  }

  #try(command: Command, isRandom = false): void {
    if (this.#offline !== undefined) return void this.#offline.push(command);
    let server = this.#serverOf[command.shard]!;
    if (isRandom || !this.#pool.has(server)) server = this.#anyServer();
    this.#sendTo(server, command);
  }

  #anyServer(): number {
    const skipped = this.#world.chance.below(this.#pool.size);
    let n = 0;
    for (const server of this.#pool) if (n++ === skipped) return server;
    throw new Error("Cannot choose a server: the pool is empty");
  }

  #sendTo(server: number, command: Command): void {
    if (this.#isOpen[server] === 1) return this.#sendOn(server, command);
    const dialing = this.#dialing.get(server);
    if (dialing !== undefined) return void dialing.queue.push(command);
    const queue = [command];
    this.#dialing.set(server, { queue });
    const { agenda, now, servers } = this.#world;
    const isUp = servers[server]!.isUp(now);
    const openAt = this.#world.dial(server, CONNECT_TIMEOUT_MS);
    const endsAt = openAt ?? (isUp ? now + CONNECT_TIMEOUT_MS : now);
    agenda.at(endsAt, () => {
      this.#dialing.delete(server);
      if (openAt === undefined) {
        this.#leave(server);
        for (const one of queue) this.#retryLater(one, "failover");
      } else {
        this.#pool.add(server);
        this.#isOpen[server] = 1;
        for (const one of queue) this.#sendOn(server, one);
      }
    });
  }

  #sendOn(server: number, command: Command): void {
    const { tally, now } = this.#world;
    const answer = this.#world.reply(server, command.shard);
    if (answer === "served") {
      tally.serve(now, command.startedAt);
      return tally.answer(now, command.startedAt);
    }
    if (answer === "clusterdown") {
      return this.#retryLater(command, "clusterdown");
    }
    if (!this.#mayGoOn(command)) return;
    const target = this.#world.primaryOf(command.shard);
    this.#serverOf[command.shard] = target;
    this.#pool.add(target);
    this.#sendTo(target, command);
    this.#refresh();
  }

  /** The first error of a command costs none of its redirections. */
  #mayGoOn(command: Command): boolean {
    if (++command.errors <= MAX_REDIRECTIONS) return true;
    const { tally, now } = this.#world;
    tally.lose(now, command.startedAt);
    tally.answer(now, command.startedAt);
    return false;
  }

  #retryLater(command: Command, why: "failover" | "clusterdown"): void {
    if (!this.#mayGoOn(command)) return;
    if (this.#offline !== undefined) return void this.#offline.push(command);
    const waiting = this.#delayed[why];
    waiting.push(command);
    if (waiting.length > 1) return;
    const { agenda, now } = this.#world;
    agenda.at(now + RETRY_DELAY_MS, () =>
      this.#refresh(() => {
        const commands = this.#delayed[why];
        this.#delayed[why] = [];
        for (const one of commands) this.#try(one, true);
      }));
  }

  #refresh(then?: () => void): void {
    if (this.#refreshing !== undefined) {
      if (then !== undefined) this.#refreshing.push(then);
      return;
    }
    this.#refreshing = then === undefined ? [] : [then];
    this.#askNext(this.#world.chance.shuffled([...this.#pool]));
  }

  #askNext(candidates: number[]): void {
    const { agenda, now, servers } = this.#world;
    const server = candidates.pop();
    if (server === undefined) return this.#endRefresh();
    const isUp = servers[server]!.isUp(now);
    const openAt = this.#world.dial(server, REFRESH_TIMEOUT_MS);
    if (openAt === undefined) {
      const failedAt = isUp ? now + REFRESH_TIMEOUT_MS : now;
      agenda.at(failedAt, () => this.#askNext(candidates));
      return;
    }
    agenda.at(openAt, () => {
      agenda.at(servers[server]!.ask(openAt), () => {
        this.#learn();
        this.#endRefresh();
      });
    });
  }

  /** Takes the topology: the pool has its servers, each dialed by its first command. */
  #learn(): void {
    const listed = new Set<number>();
    for (let shard = 0; shard < this.#serverOf.length; shard++) {
      listed.add(this.#serverOf[shard] = this.#world.primaryOf(shard));
    }
    for (const server of this.#pool) {
      if (listed.has(server)) continue;
      this.#pool.delete(server);
      this.#isOpen[server] = 0;
    }
    for (const server of listed) this.#pool.add(server);
  }

  #endRefresh(): void {
    const waiting = this.#refreshing ?? [];
    this.#refreshing = undefined;
    for (const then of waiting) then();
  }

  /** Asks the seeds, each on a new connection, again and again until one answers. */
  #beginAnew(times: number): void {
    const { agenda, seeds, servers, chance, endMs } = this.#world;
    let at = this.#world.now + clusterRetryMs(times);
    while (at < endMs && !seeds.some((seed) => servers[seed]!.isUp(at))) {
      for (const seed of seeds) servers[seed]!.dials.count(at);
      at += clusterRetryMs(++times);
    }
    if (at >= endMs) return;
    agenda.at(at, () => {
      const seed = seeds[chance.below(seeds.length)]!;
      const openAt = this.#world.dial(seed, REFRESH_TIMEOUT_MS);
      if (openAt === undefined) {
        agenda.at(at + REFRESH_TIMEOUT_MS, () => this.#beginAnew(times + 1));
        return;
      }
      agenda.at(openAt, () => {
        agenda.at(servers[seed]!.ask(openAt), () => {
          this.#learn();
          const commands = this.#offline!;
          this.#offline = undefined;
          for (const command of commands) this.#try(command);
        });
      });
    });
  }
}

/**
 * The client of one isolate for one server: it dials again by itself, after 50,
 * 100, 200 … 5000 ms and up to 200 ms more (redis/RedisOptions.js,
 * `retryStrategy`); commands wait for that, each for 20 dials at most, which no
 * scenario here reaches.
 */
export class IoRedisSingleIsolate implements Isolate {
  readonly #world: World;
  #link: ReconnectingLink | undefined;

  constructor(world: World) {
    this.#world = world;
  }

  event(shard: number): void {
    const { tally, now } = this.#world;
    if (this.#link === undefined || this.#link.isOpen) return tally.pass();
    tally.hold();
    this.#link.queue.push({ shard, startedAt: now, errors: 0 });
  }

  cut(server: number): void {
    const { tally, chance } = this.#world;
    this.#link = new ReconnectingLink(this.#world, server, {
      connectTimeoutMs: CONNECT_TIMEOUT_MS,
      delayMs: (n) =>
        Math.min(2 ** n * 50, 5000) + Math.floor(chance.random() * 200),
      onOpen: (queue) => {
        const { now } = this.#world;
        for (const { startedAt } of queue) {
          tally.serve(now, startedAt);
          tally.answer(now, startedAt);
        }
      },
    });
  }
}
