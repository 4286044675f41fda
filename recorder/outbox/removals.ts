// Removes from a store what was sent: in batches, one after the other.
import { ExponentialBackoff } from "../../retry/backoff.ts";
import type { StoreCalls } from "./store_calls.ts";

/** At most this many ids in one call. */
const MAX_IDS = 1000;
/** A call that fails sooner than this, in milliseconds, holds up no other one. */
const SOON_MS = 1000;
/** At most this many ids wait that the store fails to remove; the oldest are let go. */
const MAX_WAITING = 10_000;

/**
 * Removes events from a store.
 *
 * - One call is under way; the ids that come meanwhile go together with the next.
 * - What cannot be removed is tried again behind the next ids, by backoff while that
 *   fails, and at the end. All else is removed nevertheless, unless the store takes long
 *   to fail.
 */
export class Removals {
  readonly #calls: StoreCalls;
  readonly #onProgress: () => void;
  readonly #asides = new Set<Promise<unknown>>();
  readonly #backoff = new ExponentialBackoff({ capMs: 30_000, jitter: 0.2 });
  #ids: string[] = [];
  #failed: string[] = []; // could not be removed
  #failures = 0; // attempts for these in a row
  #retryAt = 0; // when the next of them may be made, by performance.now()
  #removing: Promise<void> | undefined;
  #hasFailed = false; // whether some could not be removed the last time

  /** @param onProgress Called after each call. */
  constructor(calls: StoreCalls, onProgress: () => void) {
    this.#calls = calls;
    this.#onProgress = onProgress;
  }

  /** Whether the store is slow: for now, nothing more is taken from it. */
  get isBehind(): boolean {
    return this.#removing !== undefined && this.#ids.length > MAX_WAITING;
  }

  /** Removes events soon. */
  add(ids: readonly string[]): void {
    if (ids.length === 0) return;
    for (const id of ids) this.#ids.push(id);
    this.#start();
  }

  /** Sets events aside now. */
  setAside(ids: readonly string[], reason: string): void {
    for (let i = 0; i < ids.length; i += MAX_IDS) {
      const call = this.#calls.setAside(ids.slice(i, i + MAX_IDS), reason);
      this.#asides.add(call);
      call.then(() => this.#asides.delete(call));
    }
  }

  /** Resolves once everything that was added so far is removed, or cannot be. */
  async flush(): Promise<void> {
    await this.#removing;
    await Promise.all(this.#asides);
  }

  /** The same, after one more attempt for what could not be removed. */
  async end(): Promise<void> {
    const wasRemoving = this.#removing !== undefined;
    await this.#removing;
    this.#retryAt = 0;
    if (!(wasRemoving && this.#hasFailed)) await this.#start();
    await this.flush();
  }

  #start(): Promise<void> {
    return this.#removing ??= this.#removeAll();
  }

  async #removeAll(): Promise<void> {
    await undefined; // the other ids of this turn
    const isDue = performance.now() >= this.#retryAt;
    const again = isDue ? this.#failed : [];
    if (isDue) this.#failed = [];
    let failed: string[] = [];
    let isSlow = false;
    while (!isSlow) {
      const waiting = this.#ids.length > 0 ? this.#ids : again;
      const some = waiting.splice(0, MAX_IDS);
      if (some.length === 0) break;
      const startedAt = performance.now();
      if (await this.#calls.remove(some) !== undefined) {
        failed = [...failed, ...some].slice(-MAX_WAITING);
        isSlow = performance.now() - startedAt > SOON_MS;
      }
      this.#onProgress();
    }
    this.#hasFailed = failed.length > 0;
    this.#noteFailures(isDue);
    if (this.#hasFailed) {
      const left = this.#ids.splice(0);
      this.#failed = [...this.#failed, ...again, ...failed, ...left]
        .slice(-MAX_WAITING);
    }
    this.#removing = undefined;
  }

  /** @param isDue Whether ids that had failed before were tried, or there were none. */
  #noteFailures(isDue: boolean): void {
    if (!isDue) return;
    if (!this.#hasFailed) this.#failures = 0;
    else {
      const pauseMs = this.#backoff.delayMs(this.#failures++);
      this.#retryAt = performance.now() + pauseMs;
    }
  }
}
