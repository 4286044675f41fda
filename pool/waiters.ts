// Who waits for a connection: in the order in which they came, each until its time is up.
import type { Connection } from "./connection.ts";
import { LightTimer } from "./timer.ts";

/** Somebody who wants a connection. Exactly one of `take` and `fail` is called, once. */
export interface Checkout {
  /** Whether the connection is to be the caller's own until `Pool.release`. */
  readonly exclusive: boolean;
  /** Ends the wait; its reason is the failure. */
  readonly signal?: AbortSignal | undefined;
  /**
   * Gets the connection. What is to be sent on a shared one must be pushed
   * before this returns: afterwards it may be leased to somebody else.
   */
  take(connection: Connection): void;
  /** There is none: a `CheckoutTimeoutError`, a `DialError` or the signal's reason. */
  fail(reason: unknown): void;
}

/** How a caller's wait for a connection ended. */
export interface CheckoutWait {
  /** How long it was, in milliseconds. */
  readonly waitedMs: number;
  /** Whether for a connection of one's own. */
  readonly exclusive: boolean;
  /** The connection, if there was one. */
  readonly connection?: Connection;
  /** Why there was none. */
  readonly error?: unknown;
}

interface Waiter extends Checkout {
  dueAt: number;
  readonly askedAt: number;
  readonly onAbort: () => void;
}

/** The queue. Whoever takes a connection, or fails, has left it. */
export class Waiters implements Iterable<Checkout> {
  readonly #queue = new Set<Waiter>();
  readonly #onLeave: ((wait: CheckoutWait) => void) | undefined;
  readonly #timer: LightTimer;
  #exclusive = 0;

  /**
   * @param onDue Told that somebody's time may be up.
   * @param onLeave Told of each wait that has ended.
   */
  constructor(onDue: () => void, onLeave?: (wait: CheckoutWait) => void) {
    this.#timer = new LightTimer(onDue);
    this.#onLeave = onLeave;
  }

  /** How many wait. */
  get size(): number {
    return this.#queue.size;
  }

  /** How many wait for a connection of their own, or for a shared one. */
  count(exclusive: boolean): number {
    return exclusive ? this.#exclusive : this.#queue.size - this.#exclusive;
  }

  [Symbol.iterator](): Iterator<Checkout> {
    return this.#queue.values();
  }

  /** Lets somebody wait for `timeoutMs` milliseconds from `now`. */
  add(checkout: Checkout, now: number, timeoutMs: number): void {
    const { exclusive, signal } = checkout;
    const waiter: Waiter = {
      exclusive,
      signal,
      askedAt: now,
      dueAt: now + timeoutMs,
      onAbort: () => waiter.fail(signal?.reason),
      take: (connection) => {
        if (this.#leave(waiter, { connection })) checkout.take(connection);
      },
      fail: (reason) => {
        if (this.#leave(waiter, { error: reason })) checkout.fail(reason);
      },
    };
    signal?.addEventListener("abort", waiter.onAbort, { once: true });
    this.#queue.add(waiter);
    if (exclusive) this.#exclusive++;
    if (this.#queue.size === 1) this.arm();
  }

  /** Sets the timer for the first in the queue. */
  arm(): void {
    const [first] = this.#queue;
    if (first === undefined) return this.#timer.stop();
    this.#timer.start(first.dueAt - performance.now());
  }

  /** Charges nobody for time in which the process was frozen. */
  forgive(frozenMs: number): void {
    for (const waiter of this.#queue) waiter.dueAt += frozenMs;
  }

  /** Sends away those whose time is up. */
  failDue(now: number, reason: () => unknown): void {
    for (const waiter of this.#queue) {
      if (waiter.dueAt > now) break;
      waiter.fail(reason());
    }
  }

  /** Sends everybody away, but not those who ask anew upon it. */
  failAll(reason: unknown): void {
    for (const waiter of [...this.#queue]) waiter.fail(reason);
  }

  /** False if it has left before. */
  #leave(
    waiter: Waiter,
    outcome: Pick<CheckoutWait, "connection" | "error">,
  ): boolean {
    if (!this.#queue.delete(waiter)) return false;
    const { exclusive, askedAt, signal, onAbort } = waiter;
    if (exclusive) this.#exclusive--;
    if (this.#queue.size === 0) this.#timer.stop();
    signal?.removeEventListener("abort", onAbort);
    const waitedMs = performance.now() - askedAt;
    // Whoever is told may ask for a connection: not before all have been served.
    queueMicrotask(() => this.#onLeave?.({ waitedMs, exclusive, ...outcome }));
    return true;
  }
}
