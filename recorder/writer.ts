// How entries are written: one ZADD for those of a key, all of them in one flush, and the reads behind them.
import { CommandError } from "../client/command_error.ts";
import { isPassingRefusal } from "../client/failure.ts";
import type { SendOptions } from "../client/send_options.ts";
import { ReplyError } from "../resp/errors.ts";
import type { Command } from "../resp/types.ts";
import { type Entry, zadd } from "./entries/entry.ts";
import type * as Reads from "./flush_reads.ts";
import type { Notes } from "./late_repeats.ts";
import { type Failure, failureIn, outcomesIn } from "./outage.ts";
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
  /** Whether the ZADD may have run before the run that was answered. */
  isReplayed = false;
  /** Whether that reply says whether its one entry is new. */
  readonly saysIsNew: boolean;
  /** Whether one of its entries reads more. */
  hasReading: boolean;

  constructor(first: Entry, isEachAnswered = false) {
    this.key = first.key;
    this.entries = [first];
    this.members = first.count;
    this.hasDeliveryId = first.event.deliveryId !== undefined;
    this.saysIsNew = isEachAnswered && this.hasDeliveryId;
    this.hasReading = first.reading !== undefined;
  }

  add(entry: Entry): void {
    this.entries.push(entry);
    this.members += entry.count;
    this.hasDeliveryId ||= entry.event.deliveryId !== undefined;
    this.hasReading ||= entry.reading !== undefined;
  }

  /** What became of it, by the reply to its ZADD or by what became of that. */
  conclude(outcome: unknown): void {
    this.failure = failureIn(outcome);
    if (!this.saysIsNew || this.failure !== undefined) return;
    const [entry] = this.entries;
    this.added = Number(outcome);
    // A second run adds nothing after a first one that has added all.
    entry!.isNew = this.added === 0 && this.isReplayed
      ? undefined
      : this.added === entry!.count;
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
  if (entries.length === 1) return [new Batch(entries[0]!, isEachAnswered)];
  const batches = new Map<string, Batch>();
  const others: Batch[] = [];
  let last: Batch | undefined;
  for (const entry of entries) {
    if (isEachAnswered && entry.event.deliveryId !== undefined) {
      others.push(new Batch(entry, true));
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

/**
 * The flushes that batches travel in: one, or several where they are read back.
 * The first to be read back in a process travel in one.
 */
export const flushesOf = (
  batches: readonly Batch[],
): readonly (readonly Batch[])[] =>
  reads !== undefined && batches.some(({ hasReading }) => hasReading)
    ? reads.flushesOf(batches)
    : [batches];

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
    const hasGt = this.#hasGt;
    if (batches.some(isAsking)) {
      await this.#writeAndRead(batches, options);
    } else {
      const failovers = this.#notes?.failovers;
      const commands = zadds(batches, hasGt);
      let outcomes: readonly unknown[];
      try { // not by #send: a lone event would wait for one more promise
        outcomes = commands.length === 1
          ? [await this.#sender.send(commands[0]!, options)]
          : await this.#sender.pipeline(commands, options);
      } catch (error) {
        outcomes = outcomesIn(error, commands.length);
      }
      this.#conclude(batches, outcomes, hasGt, failovers);
    }
    if (!hasGt || !batches.some(refusesGt)) return;
    this.#hasGt = false;
    await this.write(batches.filter(refusesGt), options);
  }

  /** Writes batches, and reads what their entries ask for in the same flush. */
  async #writeAndRead(
    batches: readonly Batch[],
    options: SendOptions,
  ): Promise<void> {
    const { deadlineMs = Infinity } = options;
    const dueAt = performance.now() + deadlineMs;
    const noting: SendOptions = {
      ...options,
      onReplay: () => batches.forEach((batch) => batch.isReplayed = true),
    };
    const reads = await this.#readsOf(batches);
    await this.#flush(batches, reads, noting);
    const refused = batches.filter(isRefusedInPassing);
    if (reads === undefined || refused.length === 0) return;
    // A server that is a replica by now answers reads. The client sends again what
    // was refused as a whole, so the writes go alone, and the reads after them.
    await this.#flush(refused, undefined, withTimeLeft(noting, dueAt));
    const written = refused.filter((batch) => batch.failure === undefined);
    const readsAfter = await this.#readsOf(written);
    if (readsAfter === undefined) return;
    const { commands } = readsAfter;
    const outcomes = await this.#send(commands, withTimeLeft(noting, dueAt));
    this.#noteReads(readsAfter.conclude(written, outcomes));
  }

  async #flush(
    batches: readonly Batch[],
    reads: Reads.FlushReads | undefined,
    options: SendOptions,
  ): Promise<void> {
    const hasGt = this.#hasGt;
    const failovers = this.#notes?.failovers;
    const commands = [...zadds(batches, hasGt), ...reads?.commands ?? []];
    const outcomes = await this.#send(commands, options);
    this.#conclude(batches, outcomes, hasGt, failovers);
    if (reads === undefined) return;
    this.#noteReads(reads.conclude(batches, outcomes.slice(batches.length)));
  }

  /** What became of each command: its reply, or an error. Of a call that has failed, a part may have been answered. */
  async #send(
    commands: readonly Command[],
    options: SendOptions,
  ): Promise<readonly unknown[]> {
    try {
      return commands.length === 1
        ? [await this.#sender.send(commands[0]!, options)]
        : await this.#sender.pipeline(commands, options);
    } catch (error) {
      return outcomesIn(error, commands.length);
    }
  }

  /**
   * What became of batches, by what became of their commands.
   *
   * @param hasGt Whether deliveries were written by ZADD GT.
   * @param failovers How many failovers there had been when the write began.
   */
  #conclude(
    batches: readonly Batch[],
    outcomes: readonly unknown[],
    hasGt: boolean,
    failovers: number | undefined,
  ): void {
    batches.forEach((batch, i) => batch.conclude(outcomes[i]));
    if (batches.some(isUnanswered)) this.#retention?.forgetClock();
    if (this.#retention === undefined && this.#notes === undefined) return;
    for (const { entries, failure, hasDeliveryId } of batches) {
      if (failure !== undefined) continue;
      this.#retention?.add(entries);
      this.#notes?.add(entries, hasDeliveryId && hasGt, failovers!);
    }
  }

  /** What to read after writes; `undefined` if that is nothing, or cannot be said. */
  async #readsOf(
    batches: readonly Batch[],
  ): Promise<Reads.FlushReads | undefined> {
    const reading = batches.find((batch) => batch.hasReading);
    if (reading === undefined) return undefined;
    try {
      reads ??= await import("./flush_reads.ts");
      return new reads.FlushReads(batches, this.#now());
    } catch (error) {
      this.#noteReads({ error, entry: reading.entries[0]! });
      return undefined;
    }
  }

  /** Of several failures in a row the first is reported. */
  #noteReads(failed: Reads.Unread | undefined): void {
    const isFirst = !this.#isUnread;
    this.#isUnread = failed !== undefined;
    if (failed === undefined || !isFirst) return;
    this.#onUnread(failed.error, failed.entry);
  }
}

/** What reads, once an event asks for it. */
let reads: typeof Reads | undefined;

const zadds = (batches: readonly Batch[], hasGt: boolean): Command[] =>
  batches.map(({ entries, hasDeliveryId }) =>
    zadd(entries, hasDeliveryId && hasGt)
  );

/** Whether more is asked of it than whether it was acknowledged. */
const isAsking = ({ hasReading, saysIsNew }: Batch): boolean =>
  hasReading || saysIsNew;

/** Whether no answer of the server has come. */
const isUnanswered = ({ failure }: Batch): boolean =>
  failure !== undefined && !(failure.error instanceof ReplyError);

/** Whether the server has not run it, for a reason that passes by itself. */
const isRefusedInPassing = ({ failure }: Batch): boolean =>
  failure?.error instanceof CommandError && isPassingRefusal(failure.error);

/** Options with what is left of their deadline. With 0 the call would be ended before it is sent. */
const withTimeLeft = (options: SendOptions, dueAt: number): SendOptions =>
  dueAt === Infinity ? options : {
    ...options,
    deadlineMs: Math.max(1, Math.ceil(dueAt - performance.now())),
  };

/** Whether the server is older than 6.2: it has no GT. */
const refusesGt = ({ hasDeliveryId, failure }: Batch): boolean =>
  hasDeliveryId && failure?.error instanceof ReplyError &&
  failure.error.message.startsWith("ERR syntax error");
