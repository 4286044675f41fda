// node-redis: the policies of version 6.3.1 with its defaults, as its source has them.
//
// Names of files are below @redis/client/dist/lib/.
import { type Command, ReconnectingLink } from "./reconnecting.ts";
import type { Isolate, World } from "./world.ts";

/** client/socket.js, constructor: `connectTimeout ?? 5000`. */
const CONNECT_TIMEOUT_MS = 5000;
/** cluster/cluster-reconnection-tracker.js: the topology is asked for after so long without a connection. */
const REFRESH_AFTER_MS = 5000;
/** cluster/index.js, _execute: `maxCommandRedirections ?? 16`. */
const MAX_REDIRECTIONS = 16;

/**
 * The client of one isolate.
 *
 * - A connection that has ended is dialed again by itself: at once, then after
 *   100, 200, 400 … 2000 ms and up to 200 ms more (client/socket.js,
 *   `#onSocketError` and `defaultReconnectStrategy`).
 * - Commands wait for it without a limit of number or time. If its server has left
 *   the topology, they are rejected (cluster/cluster-slots.js, `#discover`).
 * - MOVED: asks the server that answered it, on a new connection, and all commands
 *   wait for that (cluster/index.js, `_execute`; `#getShards`).
 * - CLUSTERDOWN is the caller's.
 */
export class NodeRedisIsolate implements Isolate {
  readonly #world: World;
  readonly #serverOf: Uint16Array<ArrayBuffer>; // by shard
  /** `undefined`: the connection of the start if it is a primary's, else none. */
  readonly #links: (ReconnectingLink | undefined)[] = []; // by server
  readonly #isFirstOpen: Uint8Array<ArrayBuffer>;
  #firstReconnectionAt: number | undefined;
  #discovering: (() => void)[] | undefined;

  constructor(world: World) {
    this.#world = world;
    const { shards } = world.size;
    this.#serverOf = Uint16Array.from({ length: shards }, (_, n) => 2 * n);
    this.#isFirstOpen = Uint8Array.from(
      { length: 2 * shards },
      (_, n) => world.isOpenAtFirst(n) ? 1 : 0,
    );
  }

  event(shard: number): void {
    const server = this.#serverOf[shard]!;
    const { tally, now } = this.#world;
    if (
      this.#isOpen(server) && this.#world.reply(server, shard) === "served"
    ) return tally.pass();
    tally.hold();
    this.#execute({ shard, startedAt: now, errors: 0 });
  }

  cut(server: number): void {
    if (!this.#isOpen(server)) return;
    this.#isFirstOpen[server] = 0;
    this.#reconnect(server, true);
  }

  #isOpen(server: number): boolean {
    return this.#isFirstOpen[server] === 1 ||
      this.#links[server]?.isOpen === true;
  }

  #reconnect(server: number, wasReady: boolean): ReconnectingLink {
    const { chance } = this.#world;
    if (wasReady) this.#firstReconnectionAt ??= this.#world.now;
    return this.#links[server] = new ReconnectingLink(this.#world, server, {
      connectTimeoutMs: CONNECT_TIMEOUT_MS,
      // The first attempt after a close is number 1 and begins without a wait.
      delayMs: (n) =>
        n === 0
          ? 0
          : Math.min(2 ** n * 50, 2000) + Math.floor(chance.random() * 200),
      onAttempt: (at) => wasReady && this.#noteAttempt(at),
      onOpen: (queue) => {
        this.#firstReconnectionAt = undefined;
        for (const command of queue) this.#sendOn(server, command);
      },
    });
  }

  #noteAttempt(at: number): boolean {
    this.#firstReconnectionAt ??= at;
    if (at - this.#firstReconnectionAt < REFRESH_AFTER_MS) return false;
    this.#firstReconnectionAt = at;
    this.#world.agenda.at(at, () => this.#rediscover(undefined));
    return true;
  }

  #execute(command: Command): void {
    const server = this.#serverOf[command.shard]!;
    if (this.#isOpen(server)) return this.#sendOn(server, command);
    const link = this.#links[server] ?? this.#reconnect(server, false);
    link.queue.push(command);
  }

  #sendOn(server: number, command: Command): void {
    const { tally, now } = this.#world;
    const answer = this.#world.reply(server, command.shard);
    if (answer === "served") {
      tally.serve(now, command.startedAt);
      return tally.answer(now, command.startedAt);
    }
    if (answer === "clusterdown" || ++command.errors > MAX_REDIRECTIONS) {
      return this.#lose(command);
    }
    this.#rediscover(server, () => this.#execute(command));
  }

  #lose(command: Command): void {
    const { tally, now } = this.#world;
    tally.lose(now, command.startedAt);
    tally.answer(now, command.startedAt);
  }

  /** Asks one server after the other, each on a new connection, until one answers. */
  #rediscover(startWith: number | undefined, then?: () => void): void {
    if (this.#discovering !== undefined) {
      if (then !== undefined) this.#discovering.push(then);
      return;
    }
    this.#discovering = then === undefined ? [] : [then];
    const { chance, seeds } = this.#world;
    const known = [...new Set(this.#serverOf)].filter((one) =>
      this.#isOpen(one)
    );
    const first = chance.below(Math.max(1, known.length));
    const candidates = [
      ...(startWith === undefined ? [] : [startWith]),
      ...known.slice(first),
      ...known.slice(0, first),
      ...chance.shuffled(seeds),
    ];
    this.#tryNext(candidates);
  }

  #tryNext(candidates: number[]): void {
    const { agenda, now, servers } = this.#world;
    const server = candidates.shift();
    if (server === undefined) return this.#endDiscovery();
    const isUp = servers[server]!.isUp(now);
    const openAt = this.#world.dial(server, CONNECT_TIMEOUT_MS);
    if (openAt === undefined) {
      const failedAt = isUp ? now + CONNECT_TIMEOUT_MS : now;
      agenda.at(failedAt, () => this.#tryNext(candidates));
    } else {
      agenda.at(openAt, () => {
        agenda.at(servers[server]!.ask(openAt), () => this.#learn());
      });
    }
  }

  /** Takes the topology: connects to every server that is new, and destroys the others' connections. */
  #learn(): void {
    const { shards } = this.#world.size;
    const gone = new Set<number>();
    for (let shard = 0; shard < shards; shard++) {
      const server = this.#world.primaryOf(shard);
      if (this.#serverOf[shard] === server) continue;
      gone.add(this.#serverOf[shard]!);
      this.#serverOf[shard] = server;
      if (!this.#isOpen(server) && this.#links[server] === undefined) {
        this.#reconnect(server, false);
      }
    }
    for (const server of gone) {
      const link = this.#links[server];
      this.#links[server] = undefined;
      this.#isFirstOpen[server] = 0;
      if (link === undefined) continue;
      link.isDestroyed = true;
      for (const command of link.queue.splice(0)) this.#lose(command);
      this.#firstReconnectionAt = undefined;
    }
    this.#endDiscovery();
  }

  #endDiscovery(): void {
    const waiting = this.#discovering ?? [];
    this.#discovering = undefined;
    for (const then of waiting) then();
  }
}
