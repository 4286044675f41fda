// The first attempt of each entry: together with the others of its turn, as soon as there is room.
import { withFate } from "../client/fate.ts";
import type { SendOptions } from "../client/send_options.ts";
import type { Backlog } from "./backlog.ts";
import type { Entry } from "./entry.ts";
import type { Outcomes } from "./outcomes.ts";
import { countOf, EntryQueue } from "./queue.ts";
import { type Batch, batchesOf, type Writer } from "./writer.ts";

/** At most this much is on its way at once: more would only wait in the client. */
const WINDOW = { calls: 500, events: 50_000 };
/** How often the queue of entries that wait for room is checked, in milliseconds. */
const CHECK_MS = 500;
/** Without an answer between this many checks Redis is away. */
const CHECKS_WITHOUT_ANSWER = 2;

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
  #checkTimer: ReturnType<typeof setTimeout> | undefined;
  #checksWithoutAnswer = 0;
  #loss: Error | undefined; // what the rest was dropped with, once it has given up

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
    this.#stopChecks();
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
    if (this.#queue.events > 0) this.#scheduleCheck();
    else if (this.#checkTimer !== undefined) this.#stopChecks();
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
    if (failure === undefined) this.#conclude(batches);
    else this.#hold(chunk, failure.error);
    this.#send();
  }

  #conclude(batches: readonly Batch[]): void {
    this.#checksWithoutAnswer = 0;
    for (const { entries, refusal } of batches) {
      if (refusal === undefined) this.#outcomes.recorded(entries);
      else for (const entry of entries) this.#backlog.hold(entry, refusal);
    }
  }

  /** If Redis is away, the entries that wait for room go to the backlog as well. */
  #hold(chunk: readonly Entry[], error: unknown): void {
    for (const entry of chunk) this.#backlog.hold(entry, error);
    if (this.#backlog.isFilling) this.#holdWaiting(error);
  }

  #holdWaiting(error: unknown): void {
    for (const entry of this.#queue.clear()) this.#backlog.hold(entry, error);
  }

  /** The options of a chunk, by its first entry: that one has waited longest. */
  #optionsFor({ dueAt }: Entry): SendOptions {
    const { options } = this.#writer;
    if (dueAt === Infinity) return options;
    // With 0 it would be ended before it is sent.
    const deadlineMs = Math.max(1, Math.ceil(dueAt - performance.now()));
    return { ...options, deadlineMs };
  }

  /** Bounds the wait for room: while Redis gives no answer, the queue would only grow. */
  #scheduleCheck(): void {
    this.#checkTimer ??= setTimeout(() => {
      this.#checkTimer = undefined;
      this.#holdOverdue();
      if (++this.#checksWithoutAnswer >= CHECKS_WITHOUT_ANSWER) {
        this.#holdWaiting(this.#noRoomFor(CHECKS_WITHOUT_ANSWER * CHECK_MS));
      }
      if (this.#queue.events > 0) this.#scheduleCheck();
    }, Math.min(CHECK_MS, this.#deadlineMs ?? Infinity));
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
    this.#checksWithoutAnswer = 0;
    return withFate(
      new Error(
        `Cannot record event: it could not be sent for ${ms} ms, ` +
          `${this.#queue.events} events wait for those on their way`,
      ),
      "unsent",
    );
  }

  #stopChecks(): void {
    clearTimeout(this.#checkTimer);
    this.#checkTimer = undefined;
  }
}
