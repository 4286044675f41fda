// Entries that could not be written to a server: sent again in order, by backoff while nothing goes through.
import type { SendOptions } from "../client/send_options.ts";
import { ExponentialBackoff } from "../retry/backoff.ts";
import type { Entry } from "./entries/entry.ts";
import type { Outcomes, Refused } from "./entries/outcomes.ts";
import { EntryQueue } from "./entries/queue.ts";
import type { Availability } from "./outage.ts";
import type { Outbox } from "./outbox/outbox.ts";
import { type Batch, batchesOf, type Writer } from "./writer.ts";

/** After this many attempts in a row that were denied a connection the backlog is given up. */
const MAX_DENIALS = 5;
/** With a store it is not given up, and the pause between two attempts is this, in milliseconds. */
const DENIED_MS = 10_000;
/** The share of the pause between two attempts that is by chance. */
export const BACKLOG_JITTER = 0.2;
/** While the backlog is full, an event that is dropped starts the next attempt, unless the last one is less than this ago, in milliseconds. */
const HURRY_MS = 100;

const NONE: readonly Entry[] = [];

const isQueued = ({ state }: Entry): boolean => state === "queued";

/** The backlog of the server that a key goes to now. */
export type HomeOf = (key: string) => Backlog;

/**
 * Holds the entries of one server until it takes them.
 *
 * - One chunk of entries is on its way at a time, in one attempt without retries.
 * - What is acknowledged of a chunk is recorded, whatever became of the rest.
 * - An entry that is refused goes behind the others. It is given up if it is
 *   refused for good, or often enough for long enough.
 * - An entry whose key goes to another server by now moves to the backlog of that.
 */
export class Backlog {
  readonly #writer: Writer;
  readonly #outcomes: Outcomes;
  readonly #outbox: Outbox;
  readonly #availability: Availability;
  readonly #homeOf: HomeOf | undefined;
  readonly #options: SendOptions;
  readonly #queue = new EntryQueue();
  readonly #backoff = new ExponentialBackoff({ jitter: BACKLOG_JITTER });
  #chunk = NONE; // on its way
  #isSending = false;
  #failures = 0; // in a row
  #denials = 0;
  #triedAt = 0;
  #wake: (() => void) | undefined; // ends the wait between two attempts

  /** @param homeOf Where there are several servers. */
  constructor(
    writer: Writer,
    outcomes: Outcomes,
    outbox: Outbox,
    availability: Availability,
    homeOf?: HomeOf,
  ) {
    this.#writer = writer;
    this.#outcomes = outcomes;
    this.#outbox = outbox;
    this.#availability = availability;
    this.#homeOf = homeOf;
    this.#options = { ...writer.options, retry: false };
  }

  /** Whether it holds nothing. */
  get isEmpty(): boolean {
    return !this.#isSending;
  }

  /** Whether entries should join it without an attempt of their own, which could only fail. */
  get isFilling(): boolean {
    return this.#isSending && this.#availability.isAway;
  }

  /**
   * Takes an entry that was not written. Drops it if there is no room, or if no later
   * attempt can succeed. What only this client cannot send is kept, if there is a store.
   */
  hold(entry: Entry, error: unknown): void {
    entry.reading = undefined; // read by its first attempt alone
    const outlook = this.#availability.outlookOf(error);
    const { isDurable } = this.#outbox;
    const isHopeless = outlook === "denied" || this.#writer.isClosed;
    if (outlook === "final" || (isHopeless && !isDurable)) {
      return this.#outcomes.dropped(entry, error);
    }
    if (this.#writer.isClosed) return void this.#outbox.giveUp([entry], error);
    if (!this.#outbox.add(entry, error)) {
      this.#outcomes.dropped(entry, error);
      return this.#hurry();
    }
    this.admit(entry);
  }

  /** Takes an entry that is queued already. */
  admit(entry: Entry): void {
    this.#queue.push(entry);
    this.#sendAll(1); // what it has failed with
  }

  /** Takes an entry that was not tried yet by this process. */
  restore(entry: Entry): void {
    this.#queue.push(entry);
    this.#sendAll(0);
  }

  /** Makes the next attempt now. */
  wake(): void {
    this.#wake?.();
  }

  /** Makes the next attempt now, and further ones by backoff from its start: what has failed before is past. */
  startOver(): void {
    this.#failures = 0;
    this.#wake?.();
  }

  /** Removes the entries that are not on their way, and returns them: they stay queued. */
  takeWaiting(): Entry[] {
    const waiting = this.#queue.clear();
    this.#wake?.();
    return waiting;
  }

  /** Removes all entries and returns them. */
  clear(): Entry[] {
    const all = [...this.#chunk, ...this.#queue.clear()].filter(isQueued);
    this.#chunk = NONE;
    this.#outbox.release(all);
    this.#wake?.();
    return all;
  }

  /** Makes the next attempt soon: the earlier it shows that Redis is back, the less is dropped. */
  #hurry(): void {
    if (performance.now() - this.#triedAt > HURRY_MS) this.wake();
  }

  /** Makes attempts until nothing is left, by backoff while nothing goes through. */
  async #sendAll(failures: number): Promise<void> {
    if (this.#isSending) return;
    this.#isSending = true;
    this.#failures = failures;
    if (failures === 0) await undefined; // the other entries of this turn
    while (this.#queue.events > 0) {
      if (this.#failures > 0) await this.#pause(this.#pauseMs);
      if (this.#queue.events === 0) break;
      if (await this.#sendChunk()) this.#failures = 0;
      else this.#failures++;
      this.#triedAt = performance.now();
    }
    this.#isSending = false;
  }

  get #pauseMs(): number {
    return this.#denials >= MAX_DENIALS
      ? DENIED_MS
      : this.#backoff.delayMs(this.#failures - 1);
  }

  /** Sends the first entries. False if none of them has left the backlog by that. */
  async #sendChunk(): Promise<boolean> {
    const chunk = this.#queue.take().filter(isQueued);
    if (chunk.length === 0) return true; // the store has refused them all
    this.#chunk = chunk;
    const batches = batchesOf(chunk);
    await this.#writer.write(batches, this.#options);
    if (this.#chunk !== chunk) return false; // cleared meanwhile
    this.#chunk = NONE;
    return this.#conclude(batches);
  }

  /** What was acknowledged is recorded; what was not answered stays; what was refused goes behind the others, or is dropped. */
  #conclude(batches: readonly Batch[]): boolean {
    const acknowledged: Entry[] = [];
    const refused: Refused[] = [];
    const lost: Batch[] = [];
    const again: Entry[] = [];
    let passing: Batch | undefined;
    for (const batch of batches) {
      const { failure } = batch;
      if (failure !== undefined && this.#isFault(failure.error)) {
        lost.push(batch);
        continue;
      }
      const isFinal = failure !== undefined &&
        this.#availability.outlookOf(failure.error) === "final";
      if (failure !== undefined && !isFinal) passing = batch;
      for (const entry of batch.entries.filter(isQueued)) {
        if (failure === undefined) acknowledged.push(entry);
        else if (isFinal || entry.refuse(performance.now())) {
          refused.push([entry, failure.error]);
        } else again.push(entry);
      }
    }
    this.#putBack(lost);
    for (const entry of again) this.#queue.push(entry);
    this.#outbox.recorded(acknowledged);
    this.#outbox.refused(refused);
    if (acknowledged.length > 0 && lost.length === 0) {
      this.#availability.clear();
    }
    this.#outcomes.recorded(acknowledged);
    const failed = lost[0] ?? passing;
    if (failed !== undefined) {
      this.#availability.failed(failed.failure!.error, failed.key);
    }
    this.#outcomes.refused(refused);
    if (lost.length > 0) this.#noteFault(lost[0]!.failure!.error);
    else this.#denials = 0;
    return acknowledged.length + refused.length > 0;
  }

  #isFault(error: unknown): boolean {
    return this.#availability.isFault(error) || this.#writer.isClosed;
  }

  #noteFault(error: unknown): void {
    const isDenied = this.#availability.outlookOf(error) === "denied";
    this.#denials = isDenied ? this.#denials + 1 : 0;
    const isGivenUp = this.#denials >= MAX_DENIALS && !this.#outbox.isDurable;
    if (isGivenUp || this.#writer.isClosed) {
      this.#outbox.giveUp(this.clear(), error);
    }
  }

  /** In front of the others, unless their key goes to another server now. */
  #putBack(lost: readonly Batch[]): void {
    const staying: Entry[] = [];
    for (const { key, entries } of lost) {
      const home = this.#homeOf?.(key) ?? this;
      const queued = entries.filter(isQueued);
      if (home === this) staying.push(...queued);
      else queued.forEach((entry) => home.admit(entry));
    }
    if (staying.length > 0) this.#queue.putBack(staying);
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
