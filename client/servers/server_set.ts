// The servers of a deployment, by their address, and those that have left it.
import type { DepartedError } from "../../pool/errors.ts";
import { type Address, textOfAddress } from "../../pool/socket/address.ts";
import type { ServerEntry } from "./directory.ts";
import { NOTHING, type Server, type Tally } from "./server.ts";
import { sumOf, tallyOfGone } from "./tally.ts";

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
