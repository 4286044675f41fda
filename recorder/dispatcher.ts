// When deliveries are sent: at once, or from the outbox, by backoff while nothing goes through.
import type { SendOptions } from "../client/mod.ts";
import { withFate } from "../client/fate.ts";
import { outlookOf } from "../client/outlook.ts";
import { ExponentialBackoff } from "../retry/mod.ts";
import { batchesOf } from "./batch.ts";
import { Cohorts } from "./cohorts.ts";
import { Delivery, type RecordOutcome } from "./delivery.ts";
import type { WebhookEvent } from "./event.ts";
import { Outbox } from "./outbox.ts";
import type { Sender } from "./sender.ts";
import { messageOf, Trouble } from "./trouble.ts";
import { Writer } from "./writer.ts";

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
  /** Of the queued ones, acknowledged by Redis so far. */
  sent: number;
  /** Lost so far: dropped at once, or from the outbox. */
  dropped: number;
  /** Since when no event could be recorded: Unix time in milliseconds; `undefined` if the last attempt succeeded. */
  awaySince: number | undefined;
  /** What the last attempt failed with; `undefined` if it succeeded. */
  lastError: unknown;
  /** The same in words: whether Redis is away or refuses, for how long, and why. */
  reason: string | undefined;
}

/** Options of a {@linkcode Dispatcher}. */
export interface DispatcherOptions {
  readonly outboxCapacity: number;
  readonly retentionSeconds: number | undefined;
  readonly deadlineMs: number | undefined;
  /** Told of each delivery that is not recorded at once, of each that is lost later, and of sets that cannot be trimmed. */
  readonly onError: (
    error: unknown,
    status: RecordOutcome["status"],
    delivery: Delivery,
  ) => void;
  /** Told of each change of the outbox, and of each delivery that is dropped. */
  readonly onChange: (
    change: RecordOutcome["status"],
    count: number,
    error?: unknown,
  ) => void;
}

/** How often those that wait for room are looked at, in milliseconds. */
const LOOK_MS = 500;
/** Without an answer for so many looks, Redis is away. */
const LOOKS_IN_VAIN = 2;
/** So many attempts in a row must be denied a connection before the outbox is given up. */
const MOST_DENIALS = 5;
/** While the outbox is full, an event that finds it so starts the next attempt after this, in milliseconds. */
const HURRY_MS = 100;

/**
 * Sends deliveries.
 *
 * - The deliveries of one turn of the event loop travel together, in chunks.
 * - While more is on its way than is sensible, the others wait for room. None
 *   is dropped while Redis answers.
 * - A delivery whose attempt fails waits in the outbox, unless no later attempt
 *   can succeed. While Redis is away, later ones join it without an attempt.
 * - Each delivery has one end: recorded, or dropped.
 */
export class Dispatcher {
  readonly #sender: Sender;
  readonly #options: DispatcherOptions;
  readonly #writer: Writer;
  readonly #first: SendOptions;
  readonly #again: SendOptions;
  readonly #fresh = new Outbox(Infinity); // no attempt has taken them yet
  readonly #chunks = new Set<readonly Delivery[]>(); // in their first attempt
  readonly #outbox: Outbox;
  readonly #cohorts = new Cohorts();
  readonly #backoff = new ExponentialBackoff({ jitter: 0.2 });
  #isGathering = false;
  #lookTimer: ReturnType<typeof setTimeout> | undefined;
  #looksInVain = 0;
  #isDraining = false;
  #denials = 0;
  #triedAt = 0;
  #wake: (() => void) | undefined; // ends the wait between two attempts
  #trouble: Trouble | undefined; // since the last attempt failed
  #loss: Error | undefined; // of all that was left, once it has given up
  #recorded = 0;
  #queued = 0;
  #sent = 0;
  #dropped = 0;

  constructor(sender: Sender, options: DispatcherOptions) {
    this.#sender = sender;
    this.#options = options;
    this.#outbox = new Outbox(options.outboxCapacity);
    this.#writer = new Writer(
      sender,
      options.retentionSeconds,
      (error, delivery) => options.onError(error, "recorded", delivery),
      () => this.#sendFresh(),
    );
    this.#first = this.#writer.options;
    this.#again = { ...this.#writer.options, retry: false };
  }

  /** Events held in the outbox. */
  get pending(): number {
    return this.#outbox.pending;
  }

  /** How many events the outbox can hold. */
  get capacity(): number {
    return this.#outbox.capacity;
  }

  /** What it has done and holds. */
  stats(): RecorderStats {
    return {
      pending: this.#outbox.pending,
      capacity: this.#outbox.capacity,
      recorded: this.#recorded,
      queued: this.#queued,
      sent: this.#sent,
      dropped: this.#dropped,
      awaySince: this.#trouble?.since,
      lastError: this.#trouble?.error,
      reason: this.#trouble?.toString(),
    };
  }

  /** Makes a delivery, for which {@linkcode Dispatcher.flush} waits from now on. */
  open(
    event: WebhookEvent,
    count: number,
    answer: (outcome: RecordOutcome) => void,
  ): Delivery {
    return new Delivery(event, count, this.#cohorts.join(), answer);
  }

  /** Sends a delivery with the others of this turn, or puts it into the outbox while Redis is away. */
  accept(delivery: Delivery): void {
    // Behind the others, without waiting for another timeout.
    if (this.#outbox.pending > 0 && this.#trouble?.isAway) {
      return this.#hold(delivery, this.#trouble.error);
    }
    if (this.#loss !== undefined) return this.drop(delivery, this.#loss);
    const { deadlineMs } = this.#options;
    if (deadlineMs !== undefined) {
      delivery.dueAt = performance.now() + deadlineMs;
    }
    this.#fresh.offer(delivery);
    if (this.#isGathering) return;
    this.#isGathering = true;
    queueMicrotask(() => {
      this.#isGathering = false;
      this.#sendFresh();
    });
  }

  /** Resolves once every delivery made so far has come to its end, and its set is trimmed. Tries at once. */
  async flush(): Promise<void> {
    this.#wake?.();
    await this.#cohorts.over();
    await this.#writer.trimmed();
  }

  /** Drops a delivery that cannot be sent at all, or not any more. */
  drop(delivery: Delivery, error: unknown): void {
    this.#options.onChange("dropped", delivery.count, error);
    this.#drop(delivery, error);
  }

  #drop(delivery: Delivery, error: unknown): void {
    const { isOver, count } = delivery;
    if (isOver) return;
    this.#end(delivery);
    this.#dropped += count;
    delivery.answer({ status: "dropped", count, error });
    this.#options.onError(error, "dropped", delivery);
  }

  /** Drops everything that has not come to its end, and sends nothing any more. */
  giveUp(reason: unknown): void {
    const open = [
      ...[...this.#chunks].flat(),
      ...this.#fresh.clear(),
      ...this.#outbox.clear(),
    ];
    this.#loss = this.#lose(open, this.#trouble?.error ?? reason);
    this.#writer.abort(this.#loss);
    this.#lookNoMore();
    this.#wake?.();
  }

  #sendFresh(): void {
    while (this.#fresh.pending > 0 && !this.#writer.isFull) {
      const chunk = this.#fresh.peek();
      this.#fresh.acknowledge(chunk.length);
      this.#attempt(chunk);
    }
    if (this.#fresh.pending > 0) this.#look();
    else if (this.#lookTimer !== undefined) this.#lookNoMore();
  }

  /** The first attempt, with the client's retries. */
  async #attempt(chunk: readonly Delivery[]): Promise<void> {
    this.#chunks.add(chunk);
    const batches = batchesOf(chunk);
    try {
      const refusals = await this.#writer.write(
        batches,
        this.#firstOptions(chunk[0]!),
      );
      this.#looksInVain = 0;
      batches.forEach(({ deliveries }, i) => {
        const refusal = refusals[i];
        for (const delivery of deliveries) {
          if (refusal === undefined) this.#record(delivery);
          else this.#hold(delivery, refusal);
        }
      });
    } catch (error) {
      for (const delivery of chunk) this.#hold(delivery, error);
      if (this.#outbox.pending > 0 && this.#trouble?.isAway) {
        this.#holdFresh(error);
      }
    } finally {
      this.#chunks.delete(chunk);
    }
  }

  /** Redis is away: what waits for its first attempt would wait in vain. */
  #holdFresh(error: unknown): void {
    for (const delivery of this.#fresh.clear()) this.#hold(delivery, error);
  }

  /** The first delivery of a chunk has waited longest. */
  #firstOptions({ dueAt }: Delivery): SendOptions {
    if (dueAt === Infinity) return this.#first;
    // It has this turn at least.
    const deadlineMs = Math.max(1, Math.ceil(dueAt - performance.now()));
    return { ...this.#first, deadlineMs };
  }

  /** Sees to it that what waits for room does not wait, and grow, without an end. */
  #look(): void {
    const { deadlineMs = Infinity } = this.#options;
    this.#lookTimer ??= setTimeout(() => {
      this.#lookTimer = undefined;
      this.#holdOverdue();
      if (++this.#looksInVain >= LOOKS_IN_VAIN) {
        this.#holdFresh(this.#waitedInVain(LOOKS_IN_VAIN * LOOK_MS));
      }
      if (this.#fresh.pending > 0) this.#look();
    }, Math.min(LOOK_MS, deadlineMs));
  }

  #holdOverdue(): void {
    const now = performance.now();
    let error: Error | undefined;
    for (let first; (first = this.#fresh.first) && first.dueAt <= now;) {
      error ??= this.#waitedInVain(this.#options.deadlineMs!);
      this.#fresh.acknowledge(1);
      this.#hold(first, error);
    }
  }

  #waitedInVain(ms: number): Error {
    this.#looksInVain = 0;
    const { pending } = this.#fresh;
    return withFate(
      new Error(
        `Cannot record event: it could not be sent for ${ms} ms, ` +
          `${pending} events wait for those on their way`,
      ),
      "unsent",
    );
  }

  #lookNoMore(): void {
    clearTimeout(this.#lookTimer);
    this.#lookTimer = undefined;
  }

  #record(delivery: Delivery): void {
    const { isOver, wasQueued, count } = delivery;
    this.#trouble = undefined;
    if (isOver) return;
    this.#end(delivery);
    this.#recorded += count;
    if (wasQueued) this.#sent += count;
    delivery.answer({ status: "recorded", count });
  }

  /** Puts a delivery that could not be written into the outbox, or drops it. */
  #hold(delivery: Delivery, error: unknown): void {
    const { isOver, count } = delivery;
    if (isOver) return;
    const outlook = outlookOf(error);
    if (outlook !== "final") this.#trouble = new Trouble(error, this.#trouble);
    const isHopeless = outlook === "final" || outlook === "denied" ||
      this.#sender.isClosed;
    if (isHopeless || !this.#outbox.offer(delivery)) {
      this.drop(delivery, error);
      if (!isHopeless) this.#hurry();
      return;
    }
    delivery.wasQueued = true;
    this.#queued += count;
    delivery.answer({ status: "queued", count, error });
    this.#options.onChange("queued", count, error);
    this.#options.onError(error, "queued", delivery);
    this.#drain();
  }

  /** The outbox is full: the sooner it is known that Redis is back, the less is dropped. */
  #hurry(): void {
    if (performance.now() - this.#triedAt > HURRY_MS) this.#wake?.();
  }

  /** Sends the outbox until it is empty, by backoff while nothing goes through. */
  async #drain(): Promise<void> {
    if (this.#isDraining) return;
    this.#isDraining = true;
    let failures = 1; // what filled it
    while (this.#outbox.pending > 0) {
      if (failures > 0) {
        await this.#pause(this.#backoff.delayMs(failures - 1));
        if (this.#outbox.pending === 0) break;
      }
      failures = await this.#drainChunk() ? 0 : failures + 1;
      this.#triedAt = performance.now();
    }
    this.#isDraining = false;
  }

  /** Sends the first events of the outbox. False if none of them was taken. */
  async #drainChunk(): Promise<boolean> {
    const chunk = this.#outbox.peek();
    const batches = batchesOf(chunk);
    let refusals: readonly unknown[];
    try {
      refusals = await this.#writer.write(batches, this.#again);
    } catch (error) {
      if (this.#loss !== undefined || this.#hasFailed(error)) return false;
      refusals = batches.map(() => error);
    }
    if (this.#loss !== undefined) return false; // given up meanwhile
    this.#denials = 0;
    const again: Delivery[] = [];
    const refused: [delivery: Delivery, error: unknown][] = [];
    let recorded = 0;
    batches.forEach(({ deliveries, members }, i) => {
      const refusal = refusals[i];
      if (refusal === undefined) {
        for (const delivery of deliveries) this.#record(delivery);
        recorded += members;
        return;
      }
      const isFinal = outlookOf(refusal) === "final";
      if (!isFinal) this.#trouble = new Trouble(refusal, this.#trouble);
      for (const delivery of deliveries) {
        if (isFinal || delivery.refuse(performance.now())) {
          refused.push([delivery, refusal]);
        } else again.push(delivery);
      }
    });
    this.#outbox.acknowledge(chunk.length, again);
    if (recorded > 0) this.#options.onChange("recorded", recorded);
    if (refused.length > 0) {
      const count = refused.reduce((sum, [{ count }]) => sum + count, 0);
      this.#options.onChange("dropped", count);
      for (const [delivery, error] of refused) this.#drop(delivery, error);
    }
    return again.length < chunk.length;
  }

  /** Whether a failure to send the outbox says nothing of the events that were sent. */
  #hasFailed(error: unknown): boolean {
    const trouble = new Trouble(error, this.#trouble);
    if (!trouble.isAway && !this.#sender.isClosed) return false;
    this.#trouble = trouble;
    this.#denials = trouble.outlook === "denied" ? this.#denials + 1 : 0;
    if (this.#sender.isClosed || this.#denials >= MOST_DENIALS) {
      this.#lose(this.#outbox.clear(), error);
    }
    return true;
  }

  /** Drops deliveries that nothing will send any more. */
  #lose(deliveries: readonly Delivery[], cause: unknown): Error {
    const count = deliveries.reduce((sum, { count }) => sum + count, 0);
    const loss = new Error(
      `${count} ${count === 1 ? "event is" : "events are"} lost: ` +
        messageOf(cause),
      { cause },
    );
    if (count > 0) this.#options.onChange("dropped", count, loss);
    for (const delivery of deliveries) this.#drop(delivery, loss);
    return loss;
  }

  #end(delivery: Delivery): void {
    delivery.isOver = true;
    this.#cohorts.leave(delivery.cohort);
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
