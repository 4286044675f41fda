// Entries of one key, which share a ZADD.
import type { Command } from "../resp/types.ts";
import type { Entry } from "./entry.ts";

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
