// How entries are written: one ZADD for those of a key, all of them in one flush.
import type { SendOptions } from "../client/send_options.ts";
import { ReplyError } from "../resp/errors.ts";
import { type Entry, zadd } from "./entry.ts";
import { type Failure, failureIn, failuresIn } from "./outage.ts";
import type { Notes } from "./late_repeats.ts";
import type { Retention } from "./retention.ts";
import type { Sender } from "./sender.ts";

/** Entries of one key, to be written by one ZADD. */
export class Batch {
  readonly key: string;
  readonly entries: Entry[];
  /** How many members they have together. */
  members: number;
  /** Whether a member may have been written before, with another time. */
  hasDeliveryId: boolean;
  /** Why they were not acknowledged by the last attempt: an error reply, or what became of their command. */
  failure: Failure;

  constructor(first: Entry) {
    this.key = first.key;
    this.entries = [first];
    this.members = first.count;
    this.hasDeliveryId = first.event.deliveryId !== undefined;
  }

  add(entry: Entry): void {
    this.entries.push(entry);
    this.members += entry.count;
    this.hasDeliveryId ||= entry.event.deliveryId !== undefined;
  }
}

/** Groups entries by key, in the order in which the keys first appear. */
export function batchesOf(entries: readonly Entry[]): Batch[] {
  if (entries.length === 1) return [new Batch(entries[0]!)];
  const batches = new Map<string, Batch>();
  let last: Batch | undefined;
  for (const entry of entries) {
    // Events of one shop come in a row.
    const batch = last?.key === entry.key ? last : batches.get(entry.key);
    if (batch === undefined) {
      last = new Batch(entry);
      batches.set(entry.key, last);
    } else {
      batch.add(entry);
      last = batch;
    }
  }
  return [...batches.values()];
}

/**
 * Writes batches. Sets that have acknowledged theirs are trimmed later.
 *
 * - A redelivered member keeps the later of its times: ZADD GT, of Redis 6.2
 *   and later. On an older server the time written last wins.
 */
export class Writer {
  /** The options that everything is sent with. */
  readonly options: SendOptions;
  readonly #sender: Sender;
  readonly #retention: Retention | undefined;
  readonly #notes: Notes | undefined;
  #hasGt = true;

  /**
   * @param options What everything is sent with.
   * @param retention Trims what was written.
   * @param notes Notes what was acknowledged.
   */
  constructor(
    sender: Sender,
    options: SendOptions,
    retention: Retention | undefined,
    notes?: Notes,
  ) {
    this.#sender = sender;
    this.options = options;
    this.#retention = retention;
    this.#notes = notes;
  }

  /** Whether the client is closed: then nothing can be written any more. */
  get isClosed(): boolean {
    return this.#sender.isClosed;
  }

  /**
   * Writes batches in one attempt of the client. Afterwards each has its `failure`,
   * if there is one. It never rejects.
   *
   * @param batches One or more. To write them again does no harm.
   * @param options How to send them.
   */
  async write(
    batches: readonly Batch[],
    options: SendOptions,
  ): Promise<void> {
    const hasGt = this.#hasGt;
    const failovers = this.#notes?.failovers ?? 0;
    try {
      const commands = batches.map(({ entries, hasDeliveryId }) =>
        zadd(entries, hasDeliveryId && hasGt)
      );
      const replies = commands.length === 1
        ? [await this.#sender.send(commands[0]!, options)]
        : await this.#sender.pipeline(commands, options);
      batches.forEach((batch, i) => batch.failure = failureIn(replies[i]));
    } catch (error) {
      this.#noteFailures(batches, error);
    }
    if (this.#retention !== undefined || this.#notes !== undefined) {
      for (const { entries, failure, hasDeliveryId } of batches) {
        if (failure !== undefined) continue;
        this.#retention?.add(entries);
        this.#notes?.add(entries, hasDeliveryId && hasGt, failovers);
      }
    }
    if (!hasGt || !batches.some(refusesGt)) return;
    this.#hasGt = false;
    await this.write(batches.filter(refusesGt), options);
  }

  /** Of a call that has failed, a pipeline may have got a part of its replies. */
  #noteFailures(batches: readonly Batch[], error: unknown): void {
    const failures = failuresIn(error, batches.length);
    batches.forEach((batch, i) => batch.failure = failures[i]);
    const isReply = ({ failure }: Batch) =>
      failure === undefined || failure.error instanceof ReplyError;
    if (!batches.every(isReply)) this.#retention?.forgetClock();
  }
}

/** Whether the server is older than 6.2: it has no GT. */
const refusesGt = ({ hasDeliveryId, failure }: Batch): boolean =>
  hasDeliveryId && failure?.error instanceof ReplyError &&
  failure.error.message.startsWith("ERR syntax error");
