// The first attempt of each entry of a server: together with the others of its turn, as soon as there is room.
import { withFate } from "../client/fate.ts";
import type { SendOptions } from "../client/send_options.ts";
import type { Backlog, HomeOf } from "./backlog.ts";
import type { Entry } from "./entries/entry.ts";
import type { Outcomes } from "./entries/outcomes.ts";
import { countOf, EntryQueue } from "./entries/queue.ts";
import type { Availability } from "./outage.ts";
import { type Batch, batchesOf, flushesOf, type Writer } from "./writer.ts";

/** At most this much is on its way at once: more would only wait in the client. */
const WINDOW = { calls: 500, events: 50_000 };
/** How often the queue of entries that wait for room is checked, in milliseconds. */
const CHECK_MS = 500;
/** Without an answer between this many checks Redis is away. */
const CHECKS_WITHOUT_ANSWER = 2;

/**
 * Sends the entries of one server for the first time, with the client's retries.
 *
 * - The entries of one turn of the event loop travel together, in chunks.
 * - While more is on its way than is sensible, the others wait for room. None
 *   is dropped while Redis answers.
 * - An entry that is not written goes to the backlog. While the server is away,
 *   new ones go there without an attempt.
 */
export class Delivery {
  readonly #writer: Writer;
  readonly #outcomes: Outcomes;
  readonly #availability: Availability;
  readonly #backlog: Backlog;
  readonly #homeOf: HomeOf | undefined;
  readonly #deadlineMs: number | undefined;
  readonly #queue = new EntryQueue();
  /** On their way, the oldest first. */
  readonly #chunks: (readonly Entry[])[] = [];
  #eventsInFlight = 0;
  #isGathering = false;
  #checkTimer: ReturnType<typeof setTimeout> | undefined;
  #checksWithoutAnswer = 0;
  #isOver = false; // all of its entries have been given up

  /**
   * @param deadlineMs How long a first attempt may take, in milliseconds.
   * @param homeOf Where there are several servers.
   */
  constructor(
    writer: Writer,
    outcomes: Outcomes,
    availability: Availability,
    backlog: Backlog,
    deadlineMs: number | undefined,
    homeOf?: HomeOf,
  ) {
    this.#writer = writer;
    this.#outcomes = outcomes;
    this.#availability = availability;
    this.#backlog = backlog;
    this.#deadlineMs = deadlineMs;
    this.#homeOf = homeOf;
  }

  /** Whether it has nothing to send, and nothing is on its way. */
  get isIdle(): boolean {
    return this.#queue.events === 0 && this.#chunks.length === 0;
  }

  /** Takes an entry whose key, score and members are made. */
  accept(entry: Entry): void {
    if (this.#backlog.isFilling) {
      return this.#backlog.hold(entry, this.#availability.outage!.error);
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

  /** Sends nothing any more. @returns All that is not recorded yet, here and in the backlog. */
  end(): Entry[] {
    this.#isOver = true;
    this.#stopChecks();
    return [
      ...this.#chunks.flat(),
      ...this.#queue.clear(),
      ...this.#backlog.clear(),
    ];
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
    return this.#chunks.length < WINDOW.calls &&
      this.#eventsInFlight < WINDOW.events;
  }

  #attempt(chunk: readonly Entry[]): void {
    const options = this.#optionsFor(chunk[0]!);
    const flushes = flushesOf(batchesOf(chunk, true));
    if (flushes.length === 1) {
      this.#write(chunk, flushes[0]!, options);
      return;
    }
    for (const batches of flushes) {
      const entries = batches.flatMap(({ entries }) => entries);
      this.#write(entries, batches, options);
    }
  }

  async #write(
    chunk: readonly Entry[],
    batches: readonly Batch[],
    options: SendOptions,
  ): Promise<void> {
    const events = countOf(chunk);
    for (const entry of chunk) entry.enter("in flight");
    this.#chunks.push(chunk);
    this.#eventsInFlight += events;
    await this.#writer.write(batches, options);
    this.#chunks.splice(this.#chunks.indexOf(chunk), 1);
    this.#eventsInFlight -= events;
    if (this.#isOver) return; // all of them are given up
    this.#conclude(batches);
    this.#send();
  }

  #conclude(batches: readonly Batch[]): void {
    let hasFailed = false;
    for (const { entries, failure } of batches) {
      if (failure === undefined) this.#outcomes.recorded(entries);
      else hasFailed = true;
    }
    if (hasFailed) return this.#holdFailed(batches);
    this.#checksWithoutAnswer = 0;
    this.#availability.clear();
  }

  /** What is not written goes to the backlog. If the server is away, so do the entries that wait for room. */
  #holdFailed(batches: readonly Batch[]): void {
    const isAnswer = ({ failure }: Batch): boolean =>
      failure === undefined || !this.#availability.isFault(failure.error);
    if (batches.some(isAnswer)) this.#checksWithoutAnswer = 0;
    if (
      batches.every(isAnswer) &&
      batches.some(({ failure }) => failure === undefined)
    ) this.#availability.clear();
    for (const { failure, entries, key } of batches) {
      if (failure === undefined) continue;
      this.#availability.failed(failure.error, key);
      for (const entry of entries) this.#hold(entry, failure.error);
    }
    if (this.#backlog.isFilling) {
      this.#holdWaiting(this.#availability.outage!.error);
    }
  }

  #hold(entry: Entry, error: unknown): void {
    (this.#homeOf?.(entry.key) ?? this.#backlog).hold(entry, error);
  }

  #holdWaiting(error: unknown): void {
    for (const entry of this.#queue.clear()) {
      this.#availability.failed(error, entry.key);
      this.#hold(entry, error);
    }
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
      const entry = this.#queue.shift()!;
      this.#availability.failed(error, entry.key);
      this.#hold(entry, error);
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
