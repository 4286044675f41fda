// What is read in the flush of a write: frequencies, and commands that a caller has added.
import { show } from "../client/check.ts";
import { invokeSafely } from "../client/invoke_safely.ts";
import { ReplyError } from "../resp/errors.ts";
import type { Command, Reply } from "../resp/types.ts";
import type { Entry, Reading } from "./entry.ts";
import type { Failure } from "./outage.ts";

/** Entries of one key, and what became of their write. */
interface Written {
  readonly key: string;
  readonly entries: readonly Entry[];
  readonly failure: Failure;
  /** Whether it is one event of its key, of which there may be more. */
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

/** A further read, and the events that it is for. */
interface Question {
  readonly command: Command;
  readonly readings: Reading[];
}

/**
 * The reads of one flush, after its writes: first the further commands, then one
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
  /** By the second word of the command, or all of them: that of a GET is its key. */
  readonly #questions = new Map<string, Question>();

  /**
   * @param nowMs The time, in milliseconds since 1970.
   * @throws {TypeError} If that is no time.
   */
  constructor(batches: readonly Written[], nowMs: number) {
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
        if (reading.command !== undefined) this.#ask(reading, reading.command);
        if (reading !== last) this.#count(key, counts, reading);
        last = reading;
      }
    }
    const commands: Command[] = [];
    for (const { command } of this.#questions.values()) commands.push(command);
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
    batches: readonly Written[],
    outcomes: readonly unknown[],
  ): Unread | undefined {
    let i = 0;
    for (const { readings } of this.#questions.values()) {
      const reply = outcomes[i++];
      // Lost, so there is no reply.
      if (reply instanceof Error && !(reply instanceof ReplyError)) continue;
      for (const reading of readings) {
        const onReply = () => reading.onReply?.(reply as Reply | ReplyError);
        invokeSafely("onReply of Reading", onReply);
      }
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
          if (reply instanceof Error) failed = { error: reply, entry };
          else entry.frequency = Math.max(0, Number(reply) - later);
        }
        const added = batch.addedBy(entry);
        for (const count of counts) {
          if (entry.score > count.since) count.later += added;
        }
      }
    }
    return failed;
  }

  #ask(reading: Reading, command: Command): void {
    let words = String(command[1]);
    let question = this.#questions.get(words);
    if (
      question === undefined
        ? command.length !== 2
        : !isSame(question.command, command)
    ) {
      words = command.join("\0");
      question = this.#questions.get(words);
    }
    if (question !== undefined) question.readings.push(reading);
    else this.#questions.set(words, { command, readings: [reading] });
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

const isSame = (a: Command, b: Command): boolean =>
  a.length === b.length && a.every((word, i) => word === b[i]);
