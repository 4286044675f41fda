// Entries that could not be written: sent again in order, by backoff while nothing goes through.
import { outlookOf } from "../client/outlook.ts";
import type { SendOptions } from "../client/send_options.ts";
import { ExponentialBackoff } from "../retry/backoff.ts";
import type { Entry } from "./entry.ts";
import type { OutboxStore } from "./outbox.ts";
import type { Outcomes, Refused } from "./outcomes.ts";
import { countOf, EntryQueue } from "./queue.ts";
import { type Batch, batchesOf, type Writer } from "./writer.ts";

/** After this many attempts in a row that were denied a connection the backlog is given up. */
const MAX_DENIALS = 5;
/** While the backlog is full, an event that is dropped starts the next attempt, unless the last one is less than this ago, in milliseconds. */
const HURRY_MS = 100;

/** An entry that is queued, and why. */
interface Held {
  readonly entry: Entry;
  readonly error: unknown;
}

const isQueued = ({ state }: Entry): boolean => state === "queued";

/**
 * Holds entries until Redis takes them.
 *
 * - A caller is told that its event is queued once the store has it.
 * - One chunk of entries is on its way at a time, in one attempt without retries.
 * - An entry that is refused goes behind the others. It is given up if it is
 *   refused for good, or often enough for long enough.
 */
export class Backlog {
  /** How many events it can hold. */
  readonly capacity: number;
  readonly #writer: Writer;
  readonly #outcomes: Outcomes;
  readonly #store: OutboxStore;
  readonly #options: SendOptions;
  readonly #queue = new EntryQueue();
  readonly #backoff = new ExponentialBackoff({ jitter: 0.2 });
  #pending = 0;
  #unstored: Held[] = [];
  #chunk: readonly Entry[] = []; // on its way
  #isStoring = false;
  #isSending = false;
  #denials = 0;
  #triedAt = 0;
  #wake: (() => void) | undefined; // ends the wait between two attempts

  constructor(
    writer: Writer,
    outcomes: Outcomes,
    store: OutboxStore,
    capacity: number,
  ) {
    this.#writer = writer;
    this.#outcomes = outcomes;
    this.#store = store;
    this.capacity = capacity;
    this.#options = { ...writer.options, retry: false };
  }

  /** How many events it holds. */
  get pending(): number {
    return this.#pending;
  }

  /** Whether entries should join it without an attempt of their own, which could only fail. */
  get isFilling(): boolean {
    return this.#pending > 0 && this.#outcomes.outage?.isAway === true;
  }

  /** Takes an entry that was not written. Drops it if there is no room, or if no later attempt can succeed. */
  hold(entry: Entry, error: unknown): void {
    const outlook = outlookOf(error);
    if (outlook !== "final") this.#outcomes.failed(error);
    if (outlook === "final" || outlook === "denied" || this.#writer.isClosed) {
      return this.#outcomes.dropped(entry, error);
    }
    if (this.#pending + entry.count > this.capacity) {
      this.#outcomes.dropped(entry, error);
      return this.#hurry();
    }
    this.#outcomes.queued(entry);
    this.#queue.push(entry);
    this.#pending += entry.count;
    this.#unstored.push({ entry, error });
    this.#storeAll();
    this.#sendAll();
  }

  /** Makes the next attempt now. */
  wake(): void {
    this.#wake?.();
  }

  /** Removes all entries and returns them. */
  clear(): Entry[] {
    const all = [...this.#chunk, ...this.#queue.clear()].filter(isQueued);
    this.#pending = 0;
    this.#wake?.();
    return all;
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
        if (!isQueued(entry)) continue; // recorded or dropped meanwhile
        if (failure === undefined) this.#outcomes.stored(entry, error);
        else {
          this.#pending -= entry.count;
          this.#outcomes.dropped(entry, failure.error);
        }
      }
    }
    this.#isStoring = false;
  }

  /** Makes the next attempt soon: the earlier it shows that Redis is back, the less is dropped. */
  #hurry(): void {
    if (performance.now() - this.#triedAt > HURRY_MS) this.wake();
  }

  /** Makes attempts until nothing is left, by backoff while nothing goes through. */
  async #sendAll(): Promise<void> {
    if (this.#isSending) return;
    this.#isSending = true;
    let failures = 1; // what the first entry has failed with
    while (this.#pending > 0) {
      if (failures > 0) await this.#pause(this.#backoff.delayMs(failures - 1));
      if (this.#pending === 0) break;
      failures = await this.#sendChunk() ? 0 : failures + 1;
      this.#triedAt = performance.now();
    }
    this.#isSending = false;
  }

  /** Sends the first entries. False if none of them has left the backlog by that. */
  async #sendChunk(): Promise<boolean> {
    this.#chunk = this.#queue.take().filter(isQueued);
    if (this.#chunk.length === 0) return true; // the store has refused them all
    const batches = batchesOf(this.#chunk);
    try {
      await this.#writer.write(batches, this.#options);
    } catch (error) {
      if (this.#pending === 0) return false; // cleared meanwhile
      if (this.#isFault(error)) {
        this.#queue.putBack(this.#chunk);
        this.#chunk = [];
        this.#noteFailure(error);
        return false;
      }
      for (const batch of batches) batch.refusal = error;
    }
    if (this.#pending === 0) return false;
    this.#denials = 0;
    this.#chunk = [];
    return this.#conclude(batches);
  }

  /** Whether a failed call says nothing of the entries that were sent. */
  #isFault(error: unknown): boolean {
    const outlook = outlookOf(error);
    return outlook === "away" || outlook === "denied" || this.#writer.isClosed;
  }

  #noteFailure(error: unknown): void {
    const { outlook } = this.#outcomes.failed(error);
    this.#denials = outlook === "denied" ? this.#denials + 1 : 0;
    if (this.#writer.isClosed || this.#denials >= MAX_DENIALS) {
      this.#outcomes.lost(this.clear(), error);
    }
  }

  /** What was acknowledged is recorded; what was refused goes behind the others, or is dropped. */
  #conclude(batches: readonly Batch[]): boolean {
    const acknowledged: Entry[] = [];
    const refused: Refused[] = [];
    const again: Entry[] = [];
    let passing: unknown;
    for (const { entries, refusal } of batches) {
      const isFinal = refusal !== undefined && outlookOf(refusal) === "final";
      if (refusal !== undefined && !isFinal) passing = refusal;
      for (const entry of entries.filter(isQueued)) {
        if (refusal === undefined) acknowledged.push(entry);
        else if (isFinal || entry.refuse(performance.now())) {
          refused.push([entry, refusal]);
        } else again.push(entry);
      }
    }
    for (const entry of again) this.#queue.push(entry);
    const gone = [...acknowledged, ...refused.map(([entry]) => entry)];
    this.#pending -= countOf(gone);
    if (gone.length > 0) this.#forget(gone);
    this.#outcomes.recorded(acknowledged);
    if (passing !== undefined) this.#outcomes.failed(passing);
    this.#outcomes.refused(refused);
    return gone.length > 0;
  }

  /** What stays in the store is sent once more by the next process: that does no harm. */
  #forget(entries: readonly Entry[]): void {
    this.#store.remove(entries).catch(() => {});
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }
}
