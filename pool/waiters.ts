// The queue of callers that wait for a connection.
import type { PushRight } from "./connection/push_right.ts";
import { FairTimeout } from "./socket/fair_timeout.ts";
import { whenAborted } from "./when_aborted.ts";

/**
 * What a caller needs a connection for: `shared` with others; `lease`, its own
 * until `Pool.release`; `blocking`, the same, but never the last one there may be.
 */
export type CheckoutKind = "shared" | "lease" | "blocking";

/** A caller's request for a connection. Exactly one of `take` and `fail` is called, once. */
export interface Checkout {
  /** What the connection is needed for. */
  readonly kind: CheckoutKind;
  /** Ends the wait; its reason is the failure. */
  readonly signal?: AbortSignal | undefined;
  /**
   * Called with the right to push on a connection. What is to be sent on a shared one
   * must be pushed before this returns: afterwards the right may be revoked.
   */
  take(right: PushRight): void;
  /** Called with why there is none: a `CheckoutTimeoutError`, a `DialError` or the signal's reason. */
  fail(reason: unknown): void;
}

/** How a caller's wait for a connection ended. */
export interface CheckoutWait {
  /** How long it was, in milliseconds. */
  readonly waitedMs: number;
  /** Whether it was for a connection that is not shared. */
  readonly exclusive: boolean;
  /** Sequence number of the connection, if there was one. */
  readonly connection: number | undefined;
  /** Why there was none. */
  readonly error?: unknown;
}

interface Waiter extends Checkout {
  readonly queuedAt: number;
  /** Stops listening to its signal. */
  detachSignal: (() => void) | undefined;
}

/** The queue. A waiter that was given a connection, or was failed, has left it. */
export class Waiters {
  readonly #queue = new Set<Waiter>();
  readonly #onLeave: ((wait: CheckoutWait) => void) | undefined;
  readonly #timeout: FairTimeout;
  readonly #counts: Record<CheckoutKind, number> = {
    shared: 0,
    lease: 0,
    blocking: 0,
  };

  /**
   * @param timeoutMs How long each may wait, in milliseconds.
   * @param onDue Called when the time of a waiter may be up.
   * @param onLeave Called for each wait that has ended.
   */
  constructor(
    timeoutMs: number,
    onDue: () => void,
    onLeave?: (wait: CheckoutWait) => void,
  ) {
    this.#timeout = new FairTimeout(() => timeoutMs, onDue);
    this.#onLeave = onLeave;
  }

  /** How many wait. */
  get size(): number {
    return this.#queue.size;
  }

  /** How many wait for a connection of a kind. */
  count(kind: CheckoutKind): number {
    return this.#counts[kind];
  }

  /** Adds a waiter, and returns what fails it. */
  add(checkout: Checkout, now: number): (reason: unknown) => void {
    const { kind, signal } = checkout;
    const waiter: Waiter = {
      kind,
      signal,
      queuedAt: now,
      detachSignal: undefined,
      take: (right) => {
        const connection = right.connection.number;
        if (this.#leave(waiter, { connection })) checkout.take(right);
      },
      fail: (reason) => {
        if (this.#leave(waiter, { connection: undefined, error: reason })) {
          checkout.fail(reason);
        }
      },
    };
    if (signal !== undefined) {
      const onAbort = () => waiter.fail(signal.reason);
      waiter.detachSignal = whenAborted(signal, onAbort);
    }
    this.#queue.add(waiter);
    this.#counts[kind]++;
    if (this.#queue.size === 1) this.#arm();
    return waiter.fail;
  }

  /**
   * Serves the waiters in order, as far as what they wait for is there. One
   * that queues again meanwhile comes after the others.
   *
   * @param take Takes a connection for a kind of checkout, if there is one.
   */
  serve(take: (kind: CheckoutKind) => PushRight | undefined): void {
    const isServed: Record<CheckoutKind, boolean> = {
      shared: this.#counts.shared > 0,
      lease: this.#counts.lease > 0,
      blocking: this.#counts.blocking > 0,
    };
    for (const waiter of this.#queue) {
      if (!isServed[waiter.kind]) continue;
      const right = take(waiter.kind);
      if (right !== undefined) {
        waiter.take(right);
        continue;
      }
      isServed[waiter.kind] = false;
      // The rest of a long queue is skipped once nothing is left for any kind.
      if (!isServed.shared && !isServed.lease && !isServed.blocking) break;
    }
    this.#arm();
  }

  /** Fails the waiters whose time is up. */
  failDue(now: number, reason: (kind: CheckoutKind) => unknown): void {
    for (const waiter of this.#queue) {
      if (this.#timeout.leftMs(waiter.queuedAt, now) > 0) break;
      waiter.fail(reason(waiter.kind));
    }
  }

  /** Fails every current waiter. Callers that queue again in response stay queued. */
  failAll(reason: unknown): void {
    for (const waiter of [...this.#queue]) waiter.fail(reason);
  }

  /** Sets the timer for the first in the queue. */
  #arm(): void {
    const [first] = this.#queue;
    if (first === undefined) return this.#timeout.stop();
    this.#timeout.start(first.queuedAt, performance.now());
  }

  /** Takes a waiter out of the queue; false if it has left before. */
  #leave(
    waiter: Waiter,
    outcome: Pick<CheckoutWait, "connection" | "error">,
  ): boolean {
    if (!this.#queue.delete(waiter)) return false;
    const { kind, queuedAt } = waiter;
    this.#counts[kind]--;
    if (this.#queue.size === 0) this.#timeout.stop();
    waiter.detachSignal?.();
    const waitedMs = performance.now() - queuedAt;
    const exclusive = kind !== "shared";
    // Not at once: the listener may ask for a connection, and must come after all waiters.
    queueMicrotask(() => this.#onLeave?.({ waitedMs, exclusive, ...outcome }));
    return true;
  }
}
