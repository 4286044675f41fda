// The first attempt of each entry: together with the others of its turn, as soon as there is room.
import type { SendOptions } from "../client/send_options.ts";
import { withFate } from "../client/fate.ts";
import type { Backlog } from "./backlog.ts";
import { type Batch, batchesOf, type Writer } from "./writer.ts";
import type { Entry } from "./entry.ts";
import type { Outcomes } from "./outcomes.ts";
import { countOf, EntryQueue } from "./queue.ts";

/** At most this much is on its way at once: more would only wait in the client. */
const WINDOW = { calls: 500, events: 50_000 };
/** How often those that wait for room are looked at, in milliseconds. */
const LOOK_MS = 500;
/** Without an answer for so many looks, Redis is away. */
const LOOKS_IN_VAIN = 2;

/**
 * Sends entries for the first time, with the client's retries.
 *
 * - The entries of one turn of the event loop travel together, in chunks.
 * - While more is on its way than is sensible, the others wait for room. None
 *   is dropped while Redis answers.
 * - An entry that is not written goes to the backlog. While Redis is away, new
 *   ones go there without an attempt.
 */
export class Delivery {
  readonly #writer: Writer;
  readonly #outcomes: Outcomes;
  readonly #backlog: Backlog;
  readonly #deadlineMs: number | undefined;
  readonly #queue = new EntryQueue();
  readonly #chunks = new Set<readonly Entry[]>(); // on their way
  #eventsInFlight = 0;
  #isGathering = false;
  #lookTimer: ReturnType<typeof setTimeout> | undefined;
  #looksInVain = 0;
  #loss: Error | undefined; // of all that was left, once it has given up

  /** @param deadlineMs How long a first attempt may take, in milliseconds. */
  constructor(
    writer: Writer,
    outcomes: Outcomes,
    backlog: Backlog,
    deadlineMs: number | undefined,
  ) {
    this.#writer = writer;
    this.#outcomes = outcomes;
    this.#backlog = backlog;
    this.#deadlineMs = deadlineMs;
  }

  /** Takes an entry whose key, score and members are made. */
  accept(entry: Entry): void {
    if (this.#backlog.isFilling) {
      return this.#backlog.hold(entry, this.#outcomes.outage!.error);
    }
    if (this.#loss !== undefined) {
      return this.#outcomes.dropped(entry, this.#loss);
    }
    if (this.#deadlineMs !== undefined) {
      entry.dueAt = performance.now() + this.#deadlineMs;
    }
    entry.enter("pending");
    this.#queue.push(entry);
    if (this.#isGathering) return;
    this.#isGathering = true;
    queueMicrotask(this.#endTurn);
  }

  /**
   * Drops all that is not recorded yet, here and in the backlog, and takes no more.
   *
   * @returns The error that they are dropped with.
   */
  giveUp(reason: unknown): Error {
    const entries = [
      ...[...this.#chunks].flat(),
      ...this.#queue.clear(),
      ...this.#backlog.clear(),
    ];
    this.#endLooks();
    const cause = this.#outcomes.outage?.error ?? reason;
    return this.#loss = this.#outcomes.lost(entries, cause);
  }

  readonly #endTurn = (): void => {
    this.#isGathering = false;
    this.#send();
  };

  /** Sends what there is room for. */
  #send(): void {
    while (this.#queue.events > 0 && this.#hasRoom) {
      this.#attempt(this.#queue.take());
    }
    if (this.#queue.events > 0) this.#look();
    else if (this.#lookTimer !== undefined) this.#endLooks();
  }

  get #hasRoom(): boolean {
    return this.#chunks.size < WINDOW.calls &&
      this.#eventsInFlight < WINDOW.events;
  }

  async #attempt(chunk: readonly Entry[]): Promise<void> {
    const batches = batchesOf(chunk);
    const events = countOf(chunk);
    for (const entry of chunk) entry.enter("in flight");
    this.#chunks.add(chunk);
    this.#eventsInFlight += events;
    let failure: { readonly error: unknown } | undefined;
    try {
      await this.#writer.write(batches, this.#optionsFor(chunk[0]!));
    } catch (error) {
      failure = { error };
    }
    this.#chunks.delete(chunk);
    this.#eventsInFlight -= events;
    if (this.#loss !== undefined) return; // all of them are dropped
    if (failure === undefined) this.#settle(batches);
    else this.#hold(chunk, failure.error);
    this.#send();
  }

  #settle(batches: readonly Batch[]): void {
    this.#looksInVain = 0;
    for (const { entries, refusal } of batches) {
      if (refusal === undefined) this.#outcomes.recorded(entries);
      else for (const entry of entries) this.#backlog.hold(entry, refusal);
    }
  }

  /** If Redis is away, those that wait for room would wait in vain, too. */
  #hold(chunk: readonly Entry[], error: unknown): void {
    for (const entry of chunk) this.#backlog.hold(entry, error);
    if (this.#backlog.isFilling) this.#holdWaiting(error);
  }

  #holdWaiting(error: unknown): void {
    for (const entry of this.#queue.clear()) this.#backlog.hold(entry, error);
  }

  /** The first entry of a chunk has waited longest. */
  #optionsFor({ dueAt }: Entry): SendOptions {
    const { options } = this.#writer;
    if (dueAt === Infinity) return options;
    // It has this turn at least.
    const deadlineMs = Math.max(1, Math.ceil(dueAt - performance.now()));
    return { ...options, deadlineMs };
  }

  /** Entries that wait for room do not wait, and become more, without an end. */
  #look(): void {
    this.#lookTimer ??= setTimeout(() => {
      this.#lookTimer = undefined;
      this.#holdOverdue();
      if (++this.#looksInVain >= LOOKS_IN_VAIN) {
        this.#holdWaiting(this.#noRoomFor(LOOKS_IN_VAIN * LOOK_MS));
      }
      if (this.#queue.events > 0) this.#look();
    }, Math.min(LOOK_MS, this.#deadlineMs ?? Infinity));
  }

  #holdOverdue(): void {
    const now = performance.now();
    let error: Error | undefined;
    while (this.#queue.first !== undefined && this.#queue.first.dueAt <= now) {
      error ??= this.#noRoomFor(this.#deadlineMs!);
      this.#backlog.hold(this.#queue.shift()!, error);
    }
  }

  #noRoomFor(ms: number): Error {
    this.#looksInVain = 0;
    return withFate(
      new Error(
        `Cannot record event: it could not be sent for ${ms} ms, ` +
          `${this.#queue.events} events wait for those on their way`,
      ),
      "unsent",
    );
  }

  #endLooks(): void {
    clearTimeout(this.#lookTimer);
    this.#lookTimer = undefined;
  }
}
