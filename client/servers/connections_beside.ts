// Connections beside a pool: each for one command that ends what holds up the others.
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
  readonly #connections = new Map<PushRight, Connection>();
  readonly #empty = Promise.withResolvers<void>();
  #refusal: { readonly reason: unknown } | undefined;

  /** @param open Dials a connection. */
  constructor(open: Open) {
    this.#open = open;
  }

  /** Whether no connection is open and none is being dialed. */
  get isEmpty(): boolean {
    return this.#connections.size === 0 && this.#dials.size === 0;
  }

  /** How long one has owed a reply in silence at most, in milliseconds: see {@linkcode Connection.silentMs}. */
  silentMs(now: number): number {
    let silentMs = 0;
    for (const connection of this.#connections.values()) {
      silentMs = Math.max(silentMs, connection.silentMs(now));
    }
    return silentMs;
  }

  /** Ends each on which a reply has been owed in silence for `ms` milliseconds. */
  closeSilent(ms: number, cause: string): void {
    const now = performance.now();
    for (const connection of [...this.#connections.values()]) {
      if (connection.silentMs(now) >= ms) connection.timeOut(cause);
    }
  }

  /**
   * Opens a connection.
   *
   * @param ends What gets the right to push on it, or the reason why there is none.
   * @returns Ends the dial, if there is one: its reason is the failure.
   */
  connect(
    { take, fail }: Pick<Checkout, "take" | "fail">,
  ): ((reason: unknown) => void) | undefined {
    if (this.#refusal !== undefined) return void fail(this.#refusal.reason);
    const dial = new AbortController();
    const over = this.#open(dial.signal).then((connection) => {
      this.#dials.delete(dial);
      const right = new PushRight(connection);
      if (dial.signal.aborted) { // in the turn in which it was opened
        right.close("its command has ended");
        this.#noteEmpty();
        return fail(dial.signal.reason);
      }
      this.#connections.set(right, connection);
      take(right);
    }, (reason) => {
      this.#dials.delete(dial);
      this.#noteEmpty();
      fail(reason);
    });
    this.#dials.set(dial, over);
    return (reason) => dial.abort(reason);
  }

  /**
   * Closes a connection whose command was answered.
   *
   * @returns Whether it is one of these.
   */
  release(right: PushRight): boolean {
    if (!this.#connections.delete(right)) return false;
    right.close("its command was answered");
    this.#noteEmpty();
    return true;
  }

  /**
   * Opens none any more, and ends the dials. Those that are open close when their command was answered.
   *
   * @param reason What dials fail with.
   * @returns When none is left.
   */
  leave(reason: unknown): Promise<void> {
    this.#refusal ??= { reason };
    for (const dial of this.#dials.keys()) dial.abort(reason);
    this.#noteEmpty();
    return this.#empty.promise;
  }

  /**
   * Closes every connection now, and ends the dials.
   *
   * @param reason What dials fail with.
   * @returns When the last dial is over.
   */
  async close(reason: unknown): Promise<void> {
    this.#refusal ??= { reason };
    const dials = [...this.#dials.values()];
    for (const dial of this.#dials.keys()) dial.abort(reason);
    for (const right of this.#connections.keys()) {
      right.close("the client was closed");
    }
    this.#connections.clear();
    await Promise.all(dials);
    this.#noteEmpty();
  }

  #noteEmpty(): void {
    if (this.#refusal !== undefined && this.isEmpty) this.#empty.resolve();
  }
}
