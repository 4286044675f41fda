// The outbox: how many events are queued, which is bounded, and what keeps them in a store, if there is one.
import { fateOf, withFate } from "../../client/fate.ts";
import { messageOf } from "../../retry/failures.ts";
import type { Entry } from "../entries/entry.ts";
import { endOf, type Outcomes, type Refused } from "../entries/outcomes.ts";
import { countOf } from "../entries/queue.ts";
import type { OutboxError } from "./outbox_store.ts";
import type { StoredOutbox, StoredOutboxOptions } from "./stored_outbox.ts";

/** What is kept of a queued entry: enough to send it again with the same members and the same time. */
export type Kept = Pick<
  Entry,
  "event" | "count" | "key" | "score" | "members"
>;

/** A copy without what an entry needs on its way: the promise of its caller is let go. */
export const keptOf = (
  { event, count, key, score, members }: Kept,
): Kept => ({ event, count, key, score, members });

/** A store, and what is done with it. */
export type StoreOptions = Pick<
  StoredOutboxOptions,
  "store" | "usesMemory" | "onError" | "isClosed" | "restore"
>;

/** What a store is used by. */
type Keeper = Pick<
  StoredOutbox,
  | "stored"
  | "lastError"
  | "keep"
  | "recorded"
  | "refused"
  | "leave"
  | "flush"
  | "endRestoration"
  | "end"
>;

/** An entry that is queued and not answered yet, and why it was not recorded at once. */
interface Unanswered {
  readonly entry: Entry;
  readonly error: unknown;
}

/**
 * The queued entries of all backlogs: their number, which is bounded, and the
 * store. The outcome of an event is `queued` once the store has it; without a store
 * it is lost when the process ends. The code that a store needs is loaded only with one.
 */
export class Outbox {
  /** How many events there may be. */
  readonly capacity: number;
  readonly #outcomes: Outcomes;
  readonly #loading: Promise<void> | undefined;
  #stored: Keeper | undefined;
  #early: ((stored: Keeper) => void)[] = []; // done once the code is loaded
  #pending = 0;
  #unanswered: Unanswered[] = [];

  /**
   * @param options Where there is a store.
   * @param load Loads what a store needs.
   */
  constructor(
    outcomes: Outcomes,
    capacity: number,
    options?: StoreOptions,
    load = () => import("./stored_outbox.ts"),
  ) {
    this.#outcomes = outcomes;
    this.capacity = capacity;
    if (options !== undefined) this.#loading = this.#load(options, load);
  }

  /** How many events there are. */
  get pending(): number {
    return this.#pending;
  }

  /** How many of them are in the store. */
  get stored(): number {
    return this.#stored?.stored ?? 0;
  }

  /** What the store has failed with last. */
  get lastError(): OutboxError | undefined {
    return this.#stored?.lastError;
  }

  /** Whether there is a store. */
  get isDurable(): boolean {
    return this.#loading !== undefined;
  }

  /** Adds an entry that was not written, if there is room for it. */
  add(entry: Entry, error: unknown): boolean {
    if (this.#pending + entry.count > this.capacity) return false;
    this.#outcomes.queued(entry);
    this.#pending += entry.count;
    if (this.isDurable) this.#do((stored) => stored.keep(entry, error));
    else if (this.#unanswered.push({ entry, error }) === 1) {
      queueMicrotask(this.#answerAll); // with the other entries of this turn
    }
    return true;
  }

  /** Removes entries that are recorded. */
  recorded(entries: readonly Entry[]): void {
    if (entries.length === 0) return;
    this.release(entries);
    if (this.isDurable) this.#do((stored) => stored.recorded(entries));
  }

  /** Removes entries that are refused for good. */
  refused(refusals: readonly Refused[]): void {
    if (refusals.length === 0) return;
    this.release(refusals.map(([entry]) => entry));
    if (this.isDurable) this.#do((stored) => stored.refused(refusals));
  }

  /** Counts entries no more. */
  release(entries: readonly Entry[]): void {
    this.#pending -= countOf(entries);
  }

  /**
   * Entries that count no more are not sent any more: they are left in the store, or
   * lost without one.
   *
   * @returns The error that they are queued or dropped with.
   */
  giveUp(entries: readonly Entry[], cause: unknown): Error {
    if (!this.isDurable) return this.#outcomes.lost(entries, cause);
    const left = endOf(countOf(entries), "left to the store", cause);
    this.#do((stored) => stored.leave(entries, left));
    return left;
  }

  /**
   * What earlier processes have left is sent now. Resolves once all of it is recorded,
   * dropped or left, and what was sent is removed from the store, or cannot be.
   *
   * @param settled Resolves once each entry of this process is recorded, dropped or left.
   */
  async flush(settled: Promise<void>): Promise<void> {
    await this.#loading;
    await this.#stored?.flush(settled);
  }

  /** Takes nothing from the store any more. */
  endRestoration(): void {
    if (this.isDurable) this.#do((stored) => stored.endRestoration());
  }

  /**
   * Resolves once no call of the store is under way, and none will be made.
   *
   * @param settled Resolves once each entry is recorded, dropped or left.
   */
  async end(settled: Promise<void>): Promise<void> {
    await this.#loading;
    await this.#stored?.end(settled);
  }

  readonly #answerAll = (): void => {
    const unanswered = this.#unanswered;
    this.#unanswered = [];
    for (const { entry, error } of unanswered) {
      if (entry.state === "queued") this.#outcomes.stored(entry, error);
    }
  };

  #do(what: (stored: Keeper) => void): void {
    if (this.#stored === undefined) this.#early.push(what);
    else what(this.#stored);
  }

  async #load(
    options: StoreOptions,
    load: () => Promise<{ StoredOutbox: typeof StoredOutbox }>,
  ): Promise<void> {
    const release = (entry: Entry) => this.release([entry]);
    try {
      const { StoredOutbox } = await load();
      this.#stored = new StoredOutbox({
        ...options,
        outcomes: this.#outcomes,
        // New events need room, too; without any capacity one at a time is taken.
        hasRoom: () => this.#pending < Math.max(1, this.capacity / 2),
        restore: (entry) => {
          this.#pending += entry.count;
          this.#outcomes.restored(entry);
          options.restore(entry);
        },
        release,
      });
    } catch (cause) {
      const { usesMemory, onError } = options;
      const none = withoutStore(this.#outcomes, usesMemory, release, cause);
      this.#stored = none;
      onError(none.lastError);
    }
    const early = this.#early;
    this.#early = [];
    for (const what of early) what(this.#stored);
  }
}

/** Stands in for the store if the code that it needs cannot be loaded: the store is never called. */
function withoutStore(
  outcomes: Outcomes,
  usesMemory: boolean,
  release: (entry: Entry) => void,
  cause: unknown,
): Keeper & { readonly lastError: OutboxError } {
  const why = `Cannot use the store, its code cannot be loaded: ${
    messageOf(cause)
  }`;
  // The class is loaded only with a store.
  const errorOf = (message: string): OutboxError =>
    Object.assign(new Error(message, { cause }), {
      name: "OutboxError" as const,
      operation: "append" as const,
    });
  const lastError = errorOf(why);
  return {
    stored: 0,
    lastError,
    keep(entry, error) {
      if (entry.state !== "queued") return;
      const what = usesMemory ? `Event is in memory alone: ${why}` : why;
      const failure = withFate(errorOf(what), fateOf(error));
      if (usesMemory) return outcomes.stored(entry, failure);
      release(entry);
      outcomes.dropped(entry, failure);
    },
    leave(entries) {
      for (const entry of entries) outcomes.dropped(entry, lastError);
    },
    recorded() {},
    refused() {},
    endRestoration() {},
    flush: (settled) => settled,
    end: (settled) => settled,
  };
}
