// Where queued entries are kept beside the queue of the backlog: nowhere, unless there is a store.
import type { Entry } from "./entry.ts";

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
