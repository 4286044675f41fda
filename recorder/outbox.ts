// The outbox: how many events are queued, and the store that has them beside the queue of the backlog, if there is one.
import type { Entry } from "./entry.ts";
import type { Outcomes } from "./outcomes.ts";
import { countOf } from "./queue.ts";

/** What is kept of a queued entry: enough to send it again with the same members and the same time. */
export type Kept = Pick<
  Entry,
  "event" | "count" | "key" | "score" | "members"
>;

/**
 * A store of queued entries beside the queue of the backlog. An entry that is
 * recorded at once never comes here. Calls may overlap; they take effect in the order in
 * which they are made.
 */
export interface OutboxStore {
  /** What an earlier process has left, oldest first. */
  load(): Promise<readonly Kept[]>;
  /** Keeps entries. They are durable when it resolves. */
  append(entries: readonly Kept[]): Promise<void>;
  /** Forgets entries that are recorded or dropped. An entry that stays is sent once more, which does no harm. */
  remove(entries: readonly Kept[]): Promise<void>;
}

/** Keeps nothing: what is queued is in the queue of the backlog alone, and lost when the process ends. */
export class MemoryOutbox implements OutboxStore {
  load(): Promise<readonly Kept[]> {
    return Promise.resolve([]);
  }

  append(): Promise<void> {
    return Promise.resolve();
  }

  remove(): Promise<void> {
    return Promise.resolve();
  }
}

/** An entry that is queued, and why. */
interface Held {
  readonly entry: Entry;
  readonly error: unknown;
}

/**
 * The queued entries of all backlogs: their number, which is bounded, and the
 * store. The outcome of an event is `queued` once the store has it.
 */
export class Outbox {
  /** How many events there may be. */
  readonly capacity: number;
  readonly #outcomes: Outcomes;
  readonly #store: OutboxStore;
  #pending = 0;
  #unstored: Held[] = [];
  #isStoring = false;

  constructor(outcomes: Outcomes, store: OutboxStore, capacity: number) {
    this.#outcomes = outcomes;
    this.#store = store;
    this.capacity = capacity;
  }

  /** How many events there are. */
  get pending(): number {
    return this.#pending;
  }

  /** Adds an entry that was not written, if there is room for it. */
  add(entry: Entry, error: unknown): boolean {
    if (this.#pending + entry.count > this.capacity) return false;
    this.#outcomes.queued(entry);
    this.#pending += entry.count;
    this.#unstored.push({ entry, error });
    this.#storeAll();
    return true;
  }

  /** Removes entries that are recorded or dropped. */
  remove(entries: readonly Entry[]): void {
    if (entries.length === 0) return;
    this.release(entries);
    // What stays in the store is sent once more by the next process: that does no harm.
    this.#store.remove(entries).catch(() => {});
  }

  /** Counts entries no more, and leaves them to the store. */
  release(entries: readonly Entry[]): void {
    this.#pending -= countOf(entries);
  }

  /** Puts new entries into the store. Those that come meanwhile go together with the next. */
  async #storeAll(): Promise<void> {
    if (this.#isStoring) return;
    this.#isStoring = true;
    await undefined; // the other entries of this turn
    while (this.#unstored.length > 0) {
      const held = this.#unstored;
      this.#unstored = [];
      let failure: { readonly error: unknown } | undefined;
      try {
        await this.#store.append(held.map(({ entry }) => entry));
      } catch (error) {
        failure = { error };
      }
      for (const { entry, error } of held) {
        if (entry.state !== "queued") continue; // recorded or dropped meanwhile
        if (failure === undefined) this.#outcomes.stored(entry, error);
        else {
          this.release([entry]);
          this.#outcomes.dropped(entry, failure.error);
        }
      }
    }
    this.#isStoring = false;
  }
}
