// Connections beside the pool of a server: each for one command, which the pool's own cannot overtake.
import type { Connection } from "../../pool/connection/connection.ts";
import { PushRight } from "../../pool/connection/push_right.ts";
import type { Checkout } from "../../pool/waiters.ts";

/** Dials a connection; the signal ends the dial. */
type Open = (signal: AbortSignal) => Promise<Connection>;

/**
 * Connections beside a pool.
 *
 * - Each is opened when it is needed, and closed when its command was answered.
 * - After {@linkcode ConnectionsBeside.close} none is left, and no dial.
 */
export class ConnectionsBeside {
  readonly #open: Open;
  /** The dials under way, each with what ends it. */
  readonly #dials = new Map<AbortController, Promise<void>>();
  readonly #rights = new Set<PushRight>();

  /** @param open Dials a connection. */
  constructor(open: Open) {
    this.#open = open;
  }

  /**
   * Opens a connection.
   *
   * @param ends What gets the right to push on it, or the reason why there is none.
   * @returns Ends the dial: its reason is the failure.
   */
  connect(
    { take, fail }: Pick<Checkout, "take" | "fail">,
  ): (reason: unknown) => void {
    const dial = new AbortController();
    const over = this.#open(dial.signal)
      .finally(() => this.#dials.delete(dial))
      .then((connection) => {
        const right = new PushRight(connection);
        this.#rights.add(right);
        take(right);
      }, fail);
    this.#dials.set(dial, over);
    return (reason) => dial.abort(reason);
  }

  /**
   * Closes a connection whose command was answered.
   *
   * @returns Whether it is one of these.
   */
  release(right: PushRight): boolean {
    if (!this.#rights.delete(right)) return false;
    right.close("its command was answered");
    return true;
  }

  /**
   * Closes every connection now, and ends the dials.
   *
   * @param reason What the dials fail with.
   * @returns When the last dial is over.
   */
  async close(reason: unknown): Promise<void> {
    const dials = [...this.#dials.values()];
    for (const dial of this.#dials.keys()) dial.abort(reason);
    for (const right of this.#rights) right.close("the client was closed");
    this.#rights.clear();
    await Promise.all(dials);
  }
}
