// How entries are written: one ZADD for those of a key, all of them in one flush.
import type { SendOptions } from "../client/send_options.ts";
import { ReplyError } from "../resp/errors.ts";
import type { Command } from "../resp/types.ts";
import type { Entry } from "./entry.ts";
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
  /** Why they were not written, if only they were refused: an error reply, or what the client says of their command. */
  refusal: unknown;

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
 * The ZADD of entries that have the same key.
 *
 * @param entries One or more.
 * @param keepsLater Whether a member that is there already keeps the later of its two times.
 * @see {@link https://redis.io/docs/latest/commands/zadd/}
 */
export function zadd(entries: readonly Entry[], keepsLater = false): Command {
  const { key } = entries[0]!;
  const command: [string, ...(string | number)[]] = keepsLater
    ? ["ZADD", key, "GT"]
    : ["ZADD", key];
  for (const { score, members } of entries) {
    for (const member of members) command.push(score, member);
  }
  return command;
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
  #hasGt = true;

  constructor(
    sender: Sender,
    options: SendOptions,
    retention: Retention | undefined,
  ) {
    this.#sender = sender;
    this.options = options;
    this.#retention = retention;
  }

  /** Whether the client is closed: then nothing can be written any more. */
  get isClosed(): boolean {
    return this.#sender.isClosed;
  }

  /**
   * Writes batches. Afterwards each of them has its `refusal`, if the server refused it.
   *
   * @param batches One or more. To write them again does no harm.
   * @param options How to send them.
   * @throws What the client throws if the call failed as a whole.
   */
  async write(
    batches: readonly Batch[],
    options: SendOptions,
  ): Promise<void> {
    const hasGt = this.#hasGt;
    try {
      const commands = batches.map(({ entries, hasDeliveryId }) =>
        zadd(entries, hasDeliveryId && hasGt)
      );
      const replies = commands.length === 1
        ? [await this.#sender.send(commands[0]!, options)]
        : await this.#sender.pipeline(commands, options);
      batches.forEach((batch, i) => batch.refusal = refusalIn(replies[i]));
    } catch (error) {
      const isRefusal = batches.length === 1 && error instanceof ReplyError;
      if (!isRefusal) {
        this.#retention?.forgetClock();
        throw error;
      }
      batches[0]!.refusal = error;
    }
    if (hasGt && batches.some(refusesGt)) {
      this.#hasGt = false;
      return await this.write(batches, options);
    }
    if (this.#retention === undefined) return;
    for (const { entries, refusal } of batches) {
      if (refusal === undefined) this.#retention.add(entries);
    }
  }
}

const refusalIn = (reply: unknown): ReplyError | undefined =>
  reply instanceof ReplyError ? reply : undefined;

/** Whether the server is older than 6.2: it has no GT. */
const refusesGt = ({ hasDeliveryId, refusal }: Batch): boolean =>
  hasDeliveryId && refusal instanceof ReplyError &&
  refusal.message.startsWith("ERR syntax error");
