// What a recorder says of itself: the events that it has recorded, holds and has lost.
import type { OutboxError } from "./outbox/outbox_store.ts";

/** What a recorder has done and holds, in events. */
export interface RecorderStats {
  /** Held in the outbox now. */
  pending: number;
  /** How many the outbox can hold. */
  capacity: number;
  /** Acknowledged by Redis so far. */
  recorded: number;
  /** Put into the outbox so far. */
  queued: number;
  /** Of the queued and the restored ones, acknowledged by Redis so far. */
  sent: number;
  /** Lost so far: dropped at once, or from the outbox. */
  dropped: number;
  /** Of the pending ones, in the store of the outbox now: these outlive the process. */
  stored: number;
  /** Left in the store by earlier processes, and taken from there so far. */
  restored: number;
  /**
   * Left in the store so far, for a later process to send: this recorder or its client is
   * closed. What it has not read there yet is not counted.
   */
  left: number;
  /** What the store of the outbox has failed with last; `undefined` if it has succeeded since. */
  lastOutboxError: OutboxError | undefined;
  /** Written once more after a failover so far; see `repeatAfterFailoverMs`. */
  repeated: number;
  /**
   * Since when no event could be recorded: Unix time in milliseconds; `undefined`
   * if the last attempt succeeded. Of several servers that take none, by the one
   * that has taken none for longest; so are the next two.
   */
  awaySince: number | undefined;
  /** What the last attempt failed with; `undefined` if it succeeded. */
  lastError: unknown;
  /** The outage in words: whether Redis is away or refuses, for how long, and why; of several servers also which. */
  reason: string | undefined;
}
