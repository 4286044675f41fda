// How entries are written: one ZADD for those of a key, all of them in one flush, and the reads behind them.
import type { SendOptions } from "../client/send_options.ts";
import { ReplyError } from "../resp/errors.ts";
import { type Entry, zadd } from "./entry.ts";
import { type Failure, failureIn, outcomesIn } from "./outage.ts";
import type { Notes } from "./late_repeats.ts";
import type * as Reads from "./flush_reads.ts";
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
  /** How many members were not there before, by the reply. */
  added = 0;
  /** Whether that reply is the one to a second run, since the first may have been lost. */
  isReplayed = false;

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

  /** How many members an entry has added for certain, once it is acknowledged. */
  addedBy({ event, count }: Entry): number {
    return event.deliveryId === undefined ? count : this.added;
  }
}

/**
 * Groups entries by key, in the order in which the keys first appear.
 *
 * @param entries The entries.
 * @param isEachAnswered Whether each entry with a delivery id has a ZADD of its own,
 * whose reply says whether that one is new.
 */
export function batchesOf(
  entries: readonly Entry[],
  isEachAnswered = false,
): Batch[] {
  if (entries.length === 1) return [new Batch(entries[0]!)];
  const batches = new Map<string, Batch>();
  const others: Batch[] = [];
  let last: Batch | undefined;
  for (const entry of entries) {
    if (isEachAnswered && entry.event.deliveryId !== undefined) {
      others.push(new Batch(entry));
      continue;
    }
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
  return [...batches.values(), ...others];
}

/** What the reads of a flush need. */
export interface ReadOptions {
  /** The time, in milliseconds since 1970. */
  readonly now: () => number;
  /** Called with the first of several failures in a row, and an entry that is recorded without its frequency. */
  readonly onUnread: (error: unknown, entry: Entry) => void;
}

const NO_READS: ReadOptions = { now: Date.now, onUnread() {} };

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
  readonly #now: () => number;
  readonly #onUnread: (error: unknown, entry: Entry) => void;
  #hasGt = true;
  #isUnread = false;

  /**
   * @param options What everything is sent with.
   * @param retention Trims what was written.
   * @param notes Notes what was acknowledged.
   * @param reads What the reads of a flush need.
   */
  constructor(
    sender: Sender,
    options: SendOptions,
    retention: Retention | undefined,
    notes?: Notes,
    { now, onUnread }: ReadOptions = NO_READS,
  ) {
    this.#sender = sender;
    this.options = options;
    this.#retention = retention;
    this.#notes = notes;
    this.#now = now;
    this.#onUnread = onUnread;
  }

  /** Whether the client is closed: then nothing can be written any more. */
  get isClosed(): boolean {
    return this.#sender.isClosed;
  }

  /**
   * Writes batches in one attempt of the client, and reads what their entries ask for.
   * Afterwards each has its `failure`, if there is one. It never rejects.
   *
   * @param batches One or more. To write them again does no harm.
   * @param options How to send them.
   */
  async write(
    batches: readonly Batch[],
    options: SendOptions,
  ): Promise<void> {
    const reads = batches.some(hasReading)
      ? await this.#readsOf(batches)
      : undefined;
    const hasGt = this.#hasGt;
    await this.#flush(
      batches,
      batches.some(isOfOneDelivery) ? noting(batches, options) : options,
      reads,
    );
    if (!hasGt || !batches.some(refusesGt)) return;
    this.#hasGt = false;
    await this.write(batches.filter(refusesGt), options);
  }

  async #flush(
    batches: readonly Batch[],
    options: SendOptions,
    reads: Reads.FlushReads | undefined,
  ): Promise<void> {
    const hasGt = this.#hasGt;
    const failovers = this.#notes?.failovers ?? 0;
    let outcomes: readonly unknown[];
    const commands = batches.map(({ entries, hasDeliveryId }) =>
      zadd(entries, hasDeliveryId && hasGt)
    );
    if (reads !== undefined) commands.push(...reads.commands);
    try {
      outcomes = commands.length === 1
        ? [await this.#sender.send(commands[0]!, options)]
        : await this.#sender.pipeline(commands, options);
    } catch (error) {
      outcomes = outcomesIn(error, commands.length);
    }
    batches.forEach((batch, i) => conclude(batch, outcomes[i]));
    if (!batches.every(isAnswered)) this.#retention?.forgetClock();
    if (reads !== undefined) {
      this.#noteReads(reads.conclude(batches, outcomes.slice(batches.length)));
    }
    if (this.#retention === undefined && this.#notes === undefined) return;
    for (const { entries, failure, hasDeliveryId } of batches) {
      if (failure !== undefined) continue;
      this.#retention?.add(entries);
      this.#notes?.add(entries, hasDeliveryId && hasGt, failovers);
    }
  }

  async #readsOf(
    batches: readonly Batch[],
  ): Promise<Reads.FlushReads | undefined> {
    try {
      reads ??= await import("./flush_reads.ts");
      return new reads.FlushReads(batches, this.#now());
    } catch (error) {
      this.#noteReads({ error, entry: batches.find(hasReading)!.entries[0]! });
      return undefined;
    }
  }

  /** The first of several counts in a row that fail is reported. */
  #noteReads(failed: { error: unknown; entry: Entry } | undefined): void {
    const isFirst = !this.#isUnread;
    this.#isUnread = failed !== undefined;
    if (failed === undefined || !isFirst) return;
    this.#onUnread(failed.error, failed.entry);
  }
}

/** What reads, once an event asks for it. */
let reads: typeof Reads | undefined;

const hasReading = ({ entries }: Batch): boolean =>
  entries.some(({ reading }) => reading !== undefined);

/** Whether its reply says whether one event is new. */
const isOfOneDelivery = ({ hasDeliveryId, entries }: Batch): boolean =>
  hasDeliveryId && entries.length === 1;

/** The options of a flush that notes whether its writes were sent again. */
const noting = (
  batches: readonly Batch[],
  options: SendOptions,
): SendOptions => ({
  ...options,
  onReplay: () => batches.forEach((batch) => batch.isReplayed = true),
});

/** Whether the server has answered: it has acknowledged or refused them. */
const isAnswered = ({ failure }: Batch): boolean =>
  failure === undefined || failure.error instanceof ReplyError;

/** What became of a batch, by the reply to its ZADD or by what became of that. */
function conclude(batch: Batch, outcome: unknown): void {
  batch.failure = failureIn(outcome);
  if (!batch.hasDeliveryId || batch.failure !== undefined) return;
  batch.added = Number(outcome);
  if (batch.entries.length > 1) return;
  const [entry] = batch.entries;
  // A second run that adds nothing may follow a first one that has added all.
  entry!.isNew = batch.added === 0 && batch.isReplayed
    ? undefined
    : batch.added === entry!.count;
}

/** Whether the server is older than 6.2: it has no GT. */
const refusesGt = ({ hasDeliveryId, failure }: Batch): boolean =>
  hasDeliveryId && failure?.error instanceof ReplyError &&
  failure.error.message.startsWith("ERR syntax error");
