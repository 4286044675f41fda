// Servers of a cluster that may have been replaced.
import type { Server } from "./server.ts";

/** How long a doubt lasts that nothing has ended, in milliseconds. */
const DOUBT_MS = 2000;

/** The servers in doubt: each until it is heard from, has left, or nothing has spoken against it for a while. */
export class Doubts {
  readonly #doubts = new Map<Server, number>();

  /** Whether a server is in doubt. */
  has(server: Server): boolean {
    return this.#doubts.has(server);
  }

  /** Something speaks against a server, at `now` by `performance.now()`. */
  add(server: Server, now: number): void {
    this.#doubts.set(server, now);
  }

  /** A server has left. */
  delete(server: Server): void {
    this.#doubts.delete(server);
  }

  /** Drops the doubts that are over. Returns whether any is left. */
  reconsider(now: number): boolean {
    for (const [server, since] of this.#doubts) {
      if (server.heardAt > since || now - since > DOUBT_MS) {
        this.#doubts.delete(server);
      }
    }
    return this.#doubts.size > 0;
  }
}
