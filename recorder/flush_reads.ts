// What is read in the flush of a write: frequencies, and commands that a caller has added.
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
  /** By key, then by the time from which on they count. */
  readonly #counts = new Map<string, Map<number, Count>>();
  /** By the words of the command. */
  readonly #questions = new Map<string, Question>();

  /** @param nowMs The time, in milliseconds since 1970. */
  constructor(batches: readonly Written[], nowMs: number) {
    this.#nowSeconds = Math.floor(nowMs / 1000);
    for (const { key, entries } of batches) {
      let last: Reading | undefined;
      for (const { reading } of entries) {
        if (reading === undefined) continue;
        if (reading.command !== undefined) this.#ask(reading, reading.command);
        if (reading !== last) this.#count(key, reading);
        last = reading;
      }
    }
    this.commands = [
      ...Array.from(this.#questions.values(), ({ command }) => command),
      ...Array.from(
        this.#counts.values(),
        (counts) => Array.from(counts.values(), ({ command }) => command),
      ).flat(),
    ];
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
    for (const counts of this.#counts.values()) {
      for (const count of counts.values()) count.reply = outcomes[i++];
    }
    let failed: Unread | undefined;
    for (const batch of batches.toReversed()) {
      if (batch.failure !== undefined) continue;
      const counts = this.#counts.get(batch.key);
      if (counts === undefined) continue;
      for (const entry of batch.entries.toReversed()) {
        const { reading } = entry;
        if (reading !== undefined) {
          const { reply, later } = counts.get(this.#sinceOf(reading))!;
          if (reply instanceof Error) failed = { error: reply, entry };
          else entry.frequency = Math.max(0, Number(reply) - later);
        }
        const added = batch.addedBy(entry);
        for (const count of counts.values()) {
          if (entry.score > count.since) count.later += added;
        }
      }
    }
    return failed;
  }

  #ask(reading: Reading, command: Command): void {
    const words = command.join("\0");
    const question = this.#questions.get(words);
    if (question !== undefined) question.readings.push(reading);
    else this.#questions.set(words, { command, readings: [reading] });
  }

  #count(key: string, reading: Reading): void {
    let counts = this.#counts.get(key);
    if (counts === undefined) this.#counts.set(key, counts = new Map());
    const since = this.#sinceOf(reading);
    if (!counts.has(since)) counts.set(since, new Count(key, since));
  }

  #sinceOf({ windowSeconds, since = -Infinity }: Reading): number {
    return Math.max(this.#nowSeconds - windowSeconds, since);
  }
}
