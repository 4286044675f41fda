// Where queued entries are kept: the interface of a store, and the one that is none.
import type { Entry } from "./entry.ts";

/** What is kept of a queued entry: enough to send it again with the same members and the same time. */
export type Kept = Pick<
  Entry,
  "event" | "count" | "key" | "score" | "members"
>;

/**
 * A store of queued entries beside the queue of the backlog. What is recorded at
 * once never comes here. Calls may overlap; they take effect in the order in
 * which they are made.
 */
export interface OutboxStore {
  /** What an earlier process has left, oldest first. */
  load(): Promise<readonly Kept[]>;
  /** Keeps entries. They are durable when it resolves. */
  append(entries: readonly Kept[]): Promise<void>;
  /** Forgets entries that are recorded or dropped. What is left behind is only sent once more. */
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
