// What is read in the flush of a write: frequencies, and values of keys that a caller has named.
import { show } from "../client/check.ts";
import type { Command } from "../resp/types.ts";
import type { Entry, Reading } from "./entries/entry.ts";
import type { Failure } from "./outage.ts";

/** Entries of one key, and what became of their write. */
interface WrittenBatch {
  readonly key: string;
  readonly entries: readonly Entry[];
  readonly failure: Failure;
  /** Whether it is a single event: then the same flush may have other batches of its key. */
  readonly saysIsNew: boolean;
  /** How many members an entry has added for certain. */
  addedBy(entry: Entry): number;
}

/** A count that failed, and an event that lacks its frequency by that. */
export interface Unread {
  readonly error: unknown;
  readonly entry: Entry;
}

/** One ZCOUNT: of a key, from a time on. */
class Count {
  readonly since: number;
  readonly command: Command;
  /** What it was answered. */
  reply: unknown;
  /** How many of these members were added after the event in question. */
  later = 0;

  constructor(key: string, since: number) {
    this.since = since;
    this.command = ["ZCOUNT", key, `(${since}`, "+inf"];
  }
}

/**
 * The reads of one flush, after its writes: first the values of keys, then one
 * ZCOUNT for each key and window.
 *
 * Writes and then reads of a key are harmless to replay: the second run ends in the
 * same state, and its ZCOUNT counts what the first one would have counted.
 */
export class FlushReads {
  /** In the order in which they are sent. */
  readonly commands: readonly Command[];
  readonly #nowSeconds: number;
  /** Of each batch; those of one key have them in common. */
  readonly #countsOf: Count[][] = [];
  /** In the order in which they are sent. */
  readonly #counts: Count[] = [];
  /** By key, what its value is for. */
  readonly #values = new Map<string, Reading[]>();

  /**
   * @param nowMs The time, in milliseconds since 1970.
   * @throws {TypeError} If that is no time.
   */
  constructor(batches: readonly WrittenBatch[], nowMs: number) {
    this.#nowSeconds = Math.floor(nowMs / 1000);
    if (!Number.isFinite(this.#nowSeconds)) {
      throw new TypeError(
        `Cannot count events: now() is ${
          show(nowMs)
        }, expected milliseconds since 1970`,
      );
    }
    const byKey = batches.some(({ saysIsNew }) => saysIsNew)
      ? new Map<string, Count[]>()
      : undefined; // each batch has a key of its own
    for (const { key, entries } of batches) {
      const counts = byKey?.get(key) ?? [];
      byKey?.set(key, counts);
      this.#countsOf.push(counts);
      let last: Reading | undefined;
      for (const { reading } of entries) {
        if (reading === undefined) continue;
        if (reading.key !== undefined) this.#read(reading.key, reading);
        if (reading !== last) this.#count(key, counts, reading);
        last = reading;
      }
    }
    const commands: Command[] = [];
    for (const name of this.#values.keys()) commands.push(["GET", name]);
    for (const { command } of this.#counts) commands.push(command);
    this.commands = commands;
  }

  /**
   * Takes the replies, and gives each event that was acknowledged its frequency.
   *
   * @param batches Those that it was made with, after their writes.
   * @param outcomes The reply to each command, or the error that it ended with.
   * @returns The first event without its frequency; `undefined` if there is none.
   */
  conclude(
    batches: readonly WrittenBatch[],
    outcomes: readonly unknown[],
  ): Unread | undefined {
    let i = 0;
    for (const readings of this.#values.values()) {
      const value = outcomes[i++];
      for (const reading of readings) reading.onValue?.(value);
    }
    for (const count of this.#counts) count.reply = outcomes[i++];
    let failed: Unread | undefined;
    for (let n = batches.length - 1; n >= 0; n--) {
      const batch = batches[n]!;
      const counts = this.#countsOf[n]!;
      if (batch.failure !== undefined || counts.length === 0) continue;
      for (let m = batch.entries.length - 1; m >= 0; m--) {
        const entry = batch.entries[m]!;
        const { reading } = entry;
        if (reading !== undefined) {
          const { reply, later } = countFrom(this.#sinceOf(reading), counts)!;
          if (reply instanceof Error) {
            failed = { error: reply, entry };
            reading.onUncounted?.(reply);
          } else entry.frequency = Math.max(0, Number(reply) - later);
        }
        const added = batch.addedBy(entry);
        for (const count of counts) {
          if (entry.score > count.since) count.later += added;
        }
      }
    }
    return failed;
  }

  #read(name: string, reading: Reading): void {
    const readings = this.#values.get(name);
    if (readings === undefined) this.#values.set(name, [reading]);
    else readings.push(reading);
  }

  #count(key: string, counts: Count[], reading: Reading): void {
    const since = this.#sinceOf(reading);
    if (countFrom(since, counts) !== undefined) return;
    const count = new Count(key, since);
    counts.push(count);
    this.#counts.push(count);
  }

  #sinceOf({ windowSeconds, since = -Infinity }: Reading): number {
    return Math.max(this.#nowSeconds - windowSeconds, since);
  }
}

const countFrom = (
  since: number,
  counts: readonly Count[],
): Count | undefined => counts.find((count) => count.since === since);

/** About so many batches travel in one flush. */
const PART = 28;

/**
 * The flushes of batches, those of one key in the same. Callers of the first are
 * answered, and call again, while the server works on the next: with 64 callers that is
 * half as many decisions a second more.
 */
export function flushesOf<B extends Pick<WrittenBatch, "key" | "saysIsNew">>(
  batches: readonly B[],
): readonly (readonly B[])[] {
  const count = Math.round(batches.length / PART);
  if (count < 2) return [batches];
  const inOrder = batches.some(({ saysIsNew }) => saysIsNew)
    ? groupedByKey(batches)
    : batches; // each has a key of its own
  const size = Math.ceil(batches.length / count);
  const flushes: B[][] = [];
  let flush: B[] = [];
  for (const batch of inOrder) {
    if (flush.length >= size && flush.at(-1)!.key !== batch.key) {
      flushes.push(flush);
      flush = [];
    }
    flush.push(batch);
  }
  flushes.push(flush);
  return flushes;
}

function groupedByKey<B extends Pick<WrittenBatch, "key">>(
  batches: readonly B[],
): B[] {
  const byKey = new Map<string, B[]>();
  for (const batch of batches) {
    const group = byKey.get(batch.key);
    if (group === undefined) byKey.set(batch.key, [batch]);
    else group.push(batch);
  }
  return [...byKey.values()].flat();
}
