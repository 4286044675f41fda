// The servers of a cluster by their hash slots: which hold some, which have lost them, which can be asked.
import { DepartedError } from "../../pool/errors.ts";
import { type Address, textOfAddress } from "../../pool/socket/address.ts";
import type { Endpoint } from "../../pool/socket/endpoint.ts";
import { takeoversOf } from "./takeovers.ts";
import type { ServerEntry } from "./directory.ts";
import { ServerSet } from "./server_set.ts";
import type { Server, Tally } from "./server.ts";
import { shuffled } from "./shuffled.ts";
import { Topology } from "./topology.ts";

/** A server without hash slots stays this long after the last ASK that named it, in milliseconds. */
const DETOUR_MS = 10_000;
/** So many servers may be there because of an ASK: redirects may name servers without end. */
const MAX_DETOURS = 256;
/** A server that has left may owe a reply for this long, in milliseconds; what comes later is no answer. */
const LAST_WORD_MS = 500;
/**
 * The same for a command that blocks, once its hash slot has gone. A server that
 * lives sends it elsewhere: at once if it is a replica now, else when it looks at
 * the client next, within a second.
 */
const LAST_WORD_OF_BLOCKED_MS = 2000;
/** How many servers of a kind are asked for the topology at most. */
export const MAX_SOURCES = 3;

/** Options of {@linkcode ClusterServers}. */
export interface ClusterServersOptions {
  /** The address that the user gave, with the credentials for every server. */
  readonly endpoint: Endpoint;
  /** The name of the cluster in errors. */
  readonly name: string;
  /** Makes a server. */
  readonly serverAt: (endpoint: Endpoint) => Server;
  /** Called when a replica was promoted, after its primary was left. */
  readonly onFailover: (from: Endpoint, to: Endpoint) => void;
}

/**
 * The servers of a cluster.
 *
 * - One that has lost its hash slots is left. If it is silent, its connections end
 *   before their commands are sent to another one: what it answers once it goes
 *   on would be of data that is gone.
 * - One without hash slots stays for a while if an ASK has named it.
 */
export class ClusterServers {
  readonly #options: ClusterServersOptions;
  readonly #servers: ServerSet;
  /** When ASK last named a server, by `performance.now()`. */
  readonly #detours = new Map<Server, number>();
  /** When servers have left whose hash slots others hold, by `performance.now()`. */
  readonly #replacedAt = new WeakMap<Server, number>();
  #topology: Topology = Topology.empty();
  /** By the index of a shard, its primary. */
  #primaries: (Server | undefined)[] = [];

  /** @param options See {@linkcode ClusterServersOptions}. */
  constructor(options: ClusterServersOptions) {
    const { endpoint, serverAt } = options;
    this.#options = options;
    this.#servers = new ServerSet(({ hostname, port }) =>
      serverAt(endpoint.at(hostname, port))
    );
  }

  /** What is known of the hash slots. */
  get topology(): Topology {
    return this.#topology;
  }

  /** What the primaries and those that have left have done and hold. */
  tally(): Tally {
    return this.#servers.tallyWith(this.entries());
  }

  /** Those that have not left. */
  [Symbol.iterator](): Iterator<Server> {
    return this.#servers[Symbol.iterator]();
  }

  /** Whether a server has not left. */
  has(server: Server): boolean {
    return this.#servers.has(server);
  }

  /** Those that have left and still hold a connection. */
  leaving(): Server[] {
    return this.#servers.leaving();
  }

  /** The primary that holds a hash slot. */
  holderOf(hashSlot: number): Server | undefined {
    return this.#primary(this.#topology.shardOf(hashSlot));
  }

  /** The primaries that hold hash slots, and how many each. */
  entries(): ServerEntry[] {
    return this.#topology.shards.flatMap(({ hashSlots }, i) =>
      hashSlots === 0 ? [] : [{ server: this.#primary(i)!, hashSlots }]
    );
  }

  /** The server that an ASK names. */
  detourTo(address: Address): Server {
    const server = this.#servers.at(address);
    this.#detours.delete(server); // the order is that of the last ASK
    this.#detours.set(server, performance.now());
    const [oldest] = this.#detours.keys();
    if (this.#detours.size > MAX_DETOURS) this.#endDetour(oldest!);
    return server;
  }

  /** A hash slot has gone to the server at an address, as another one has said. */
  move(hashSlot: number, to: Address, saidBy: Server): void {
    this.adopt(this.#topology.moved(hashSlot, to, saidBy.endpoint));
  }

  /** Takes over a topology. Servers that have lost their hash slots are left. */
  adopt(next: Topology): void {
    const before = this.#topology;
    if (next === before) return; // one hash slot has moved
    this.#topology = next;
    this.#primaries = [];
    const takeovers = takeoversOf(before, next);
    const byPrimary = Map.groupBy(
      takeovers,
      ({ from }) => textOfAddress(from),
    );
    for (const left of byPrimary.values()) {
      const { from } = left[0]!;
      const server = this.#servers.get(from);
      // Named by an ASK or not: it may be frozen, and what it answers later is of data that is gone.
      if (server === undefined || next.isPrimary(from)) continue;
      this.#leave(server, left.map(({ evidence }) => evidence).join(", "));
    }
    for (const { from, to, isPromotion } of takeovers) {
      // A replica that was not listed yet may have been promoted, too.
      if (isPromotion || !next.isPrimary(from)) this.#reportFailover(from, to);
    }
  }

  /**
   * The servers to ask for the topology, the best first: connected ones, others that
   * were listed, the addresses to begin with, and those that are not trusted.
   */
  sources(isTrusted: (server: Server) => boolean): Server[] {
    const connected = shuffled([...this.#servers]).filter((server) =>
      server.hasOpen && isTrusted(server)
    ).slice(0, MAX_SOURCES);
    const listed = this.#topology.shards.flatMap((
      { primary, replicas },
    ) => [primary, ...replicas]);
    const others = [
      ...shuffled(listed).slice(0, MAX_SOURCES),
      ...this.#options.endpoint.seeds,
    ].map((address) => this.#servers.at(address));
    const all = [...connected, ...others];
    const trusted = all.filter(isTrusted);
    return [...new Set([...trusted, ...all])];
  }

  /** Leaves servers that neither hold hash slots nor were named by an ASK of late. */
  dropUnused(): void {
    for (const server of this.#servers) {
      if (!this.#isUsed(server)) this.#leave(server);
    }
  }

  /** Ends the connections of servers that have left and are silent since. */
  endLastWords(): void {
    const now = performance.now();
    for (const server of this.#servers.leaving()) {
      if (server.silentMs(now) >= LAST_WORD_MS) {
        server.closeSilent(LAST_WORD_MS, "it was replaced");
      }
      const replacedAt = this.#replacedAt.get(server) ?? Infinity;
      if (now - replacedAt >= LAST_WORD_OF_BLOCKED_MS) {
        server.closeOwing(LAST_WORD_OF_BLOCKED_MS, "it was replaced");
      }
    }
  }

  /** Closes all of them now. */
  close(reason: unknown): Promise<void> {
    return this.#servers.close(reason);
  }

  #primary(shard: number): Server | undefined {
    const known = this.#primaries[shard];
    if (known !== undefined) return known;
    const primary = this.#topology.shards[shard]?.primary;
    return primary &&
      (this.#primaries[shard] = this.#servers.at(primary));
  }

  #isUsed(server: Server): boolean {
    const namedAt = this.#detours.get(server) ?? -Infinity;
    return this.#topology.isPrimary(server.endpoint) ||
      performance.now() - namedAt < DETOUR_MS;
  }

  #endDetour(server: Server): void {
    this.#detours.delete(server);
    if (!this.#isUsed(server)) this.#leave(server);
  }

  #leave(server: Server, evidence?: string): void {
    this.#detours.delete(server);
    // Its shard may get hash slots again, and then needs a new server.
    this.#primaries = [];
    const reason = `${server.endpoint} has left ${this.#options.name}`;
    this.#servers.leave(
      server,
      new DepartedError(
        evidence === undefined ? reason : `${reason}: ${evidence}`,
      ),
      evidence,
    );
    const now = performance.now();
    if (evidence !== undefined) this.#replacedAt.set(server, now);
    if (server.silentMs(now) >= LAST_WORD_MS) {
      // However short the silence of one of its connections: it is the server that is silent.
      server.closeSilent(Number.MIN_VALUE, `it was replaced: ${evidence}`);
    }
  }

  #reportFailover(from: Address, to: Address): void {
    const { endpoint, onFailover } = this.#options;
    onFailover(
      endpoint.at(from.hostname, from.port),
      endpoint.at(to.hostname, to.port),
    );
  }
}
