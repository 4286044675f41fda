// The servers of a deployment, by their address, those that have left it, and what they have done together.
import type { DepartedError } from "../../pool/errors.ts";
import type { EvictionReason, PoolStats } from "../../pool/pool_stats.ts";
import { type Address, textOfAddress } from "../../pool/socket/address.ts";
import type { ServerEntry } from "./directory.ts";
import { NOTHING, type Server, type Tally } from "./server.ts";

/** What is left of a server that has gone: what it has done. */
export function tallyOfGone(server: Server): Tally {
  const tally = server.tally();
  const { stats } = tally;
  const { dialed, dialFailures, evicted, lastClose, lastDialError } = stats;
  return {
    ...tally,
    stats: {
      ...NOTHING.stats,
      dialed,
      dialFailures,
      evicted,
      lastClose,
      lastDialError,
    },
  };
}

/** What several have done and hold together. */
export const sumOf = (tallies: readonly Tally[]): Tally =>
  tallies.length === 0 ? NOTHING : tallies.reduce(sumOfTwo);

function sumOfTwo(a: Tally, b: Tally): Tally {
  const dialedLast = b.dialFailedAt >= a.dialFailedAt ? b : a;
  const { stats: one } = a, { stats: other } = b;
  return {
    stats: {
      maxConnections: one.maxConnections + other.maxConnections,
      open: one.open + other.open,
      idle: one.idle + other.idle,
      inFlight: one.inFlight + other.inFlight,
      suspect: one.suspect + other.suspect,
      leased: one.leased + other.leased,
      dialing: one.dialing + other.dialing,
      waiting: one.waiting + other.waiting,
      dialed: one.dialed + other.dialed,
      dialFailures: one.dialFailures + other.dialFailures,
      evicted: sumOfEvicted(one.evicted, other.evicted),
      lastClose: newer(one.lastClose, other.lastClose, (it) => it.closedAt),
      lastDialError: dialedLast.stats.lastDialError,
      awaySince: one.awaySince === undefined || other.awaySince === undefined
        ? one.awaySince ?? other.awaySince
        : Math.min(one.awaySince, other.awaySince),
    },
    lastVerdict: newer(
      a.lastVerdict,
      b.lastVerdict,
      (verdict) => verdict.report.closedAt,
    ),
    dialFailedAt: dialedLast.dialFailedAt,
  };
}

function sumOfEvicted(
  a: PoolStats["evicted"],
  b: PoolStats["evicted"],
): PoolStats["evicted"] {
  const sum = { ...a };
  for (const [reason, count] of Object.entries(b)) {
    const name = reason as EvictionReason;
    sum[name] = (sum[name] ?? 0) + count;
  }
  return sum;
}

const newer = <T>(
  a: T | undefined,
  b: T | undefined,
  at: (it: T) => number,
): T | undefined =>
  a === undefined || b === undefined ? a ?? b : at(b) >= at(a) ? b : a;

/**
 * Servers, each made when it is first needed.
 *
 * - There is one for an address, until it leaves.
 * - One that has left gets nothing more; it is kept until its last connection is closed.
 */
export class ServerSet implements Iterable<Server> {
  readonly #make: (address: Address) => Server;
  readonly #servers = new Map<string, Server>();
  readonly #leaving = new Set<Server>();
  #gone = NOTHING;

  /** @param make Makes the server at an address. */
  constructor(make: (address: Address) => Server) {
    this.#make = make;
  }

  /** A copy: servers may leave while it is iterated. */
  [Symbol.iterator](): Iterator<Server> {
    return [...this.#servers.values()].values();
  }

  /** The server at an address. */
  at(address: Address): Server {
    const name = textOfAddress(address);
    let server = this.#servers.get(name);
    if (server === undefined) {
      server = this.#make(address);
      this.#servers.set(name, server);
    }
    return server;
  }

  /** The server at an address, if it was made. */
  get(address: Address): Server | undefined {
    return this.#servers.get(textOfAddress(address));
  }

  /** Whether a server is one of them, and has not left. */
  has(server: Server): boolean {
    return this.#servers.get(`${server.endpoint}`) === server;
  }

  /** Those that have left and still hold a connection. */
  leaving(): Server[] {
    return [...this.#leaving];
  }

  /**
   * A server leaves.
   *
   * @param server The server.
   * @param reason What calls fail with that wait for it.
   * @param takeover What has gone to another server, if that is known: see {@linkcode Server.leave}.
   */
  leave(server: Server, reason: DepartedError, takeover?: string): void {
    this.#servers.delete(`${server.endpoint}`);
    this.#leaving.add(server);
    const empty = server.leave(reason, takeover);
    if (server.isEmpty) this.#forget(server);
    else empty.then(() => this.#forget(server));
  }

  /**
   * What those have done and hold that have left, together with those in charge.
   *
   * @param entries The servers in charge; others, such as those that were only asked, do not count.
   */
  tallyWith(entries: readonly ServerEntry[]): Tally {
    const servers = [...this.#leaving, ...entries.map(({ server }) => server)];
    return sumOf([this.#gone, ...servers.map((server) => server.tally())]);
  }

  /** Closes all of them now. */
  async close(reason: unknown): Promise<void> {
    const all = [...this.#servers.values(), ...this.#leaving];
    await Promise.all(all.map((server) => server.close(reason)));
  }

  #forget(server: Server): void {
    this.#leaving.delete(server);
    this.#gone = sumOf([this.#gone, tallyOfGone(server)]);
  }
}
