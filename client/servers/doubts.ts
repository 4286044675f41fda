// Servers of a cluster that may have been replaced.
import type { Server } from "./server.ts";

/** How long a doubt lasts that nothing has ended, in milliseconds. */
export const DOUBT_MS = 2000;

/** The servers in doubt: each until it is heard from, is in use no more, or nothing has spoken against it for a while. */
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

  /**
   * Drops the doubts that are over.
   *
   * @param now The present, by `performance.now()`.
   * @param isInUse Whether a server is still in use.
   * @returns Whether any doubt is left.
   */
  reconsider(now: number, isInUse: (server: Server) => boolean): boolean {
    for (const [server, since] of this.#doubts) {
      const isOver = server.heardAt > since || now - since > DOUBT_MS;
      if (isOver || !isInUse(server)) this.#doubts.delete(server);
    }
    return this.#doubts.size > 0;
  }
}
