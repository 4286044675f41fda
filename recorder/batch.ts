// Entries to commands: events of one shop share a ZADD.
import type { Command } from "../resp/mod.ts";
import type { Entry } from "./event.ts";

/** Entries of one key, to be written together. */
export interface Batch {
  readonly key: string;
  readonly entries: Entry[];
}

/** Members of one ZADD at most: it blocks the server for about a millisecond. */
const MOST_MEMBERS = 1000;

/** Groups entries by key, in the order in which the keys first appear. */
export function batchesOf(entries: readonly Entry[]): Batch[] {
  const batches: Batch[] = [];
  const open = new Map<string, Batch & { members: number }>();
  for (const entry of entries) {
    let batch = open.get(entry.key);
    if (
      batch === undefined ||
      batch.members + entry.members.length > MOST_MEMBERS
    ) {
      batch = { key: entry.key, entries: [], members: 0 };
      open.set(entry.key, batch);
      batches.push(batch);
    }
    batch.entries.push(entry);
    batch.members += entry.members.length;
  }
  return batches;
}

/** The one ZADD that writes a batch: https://redis.io/docs/latest/commands/zadd/ */
export function zadd({ key, entries }: Batch): Command {
  const command: [string, ...(string | number)[]] = ["ZADD", key];
  for (const { score, members } of entries) {
    for (const member of members) command.push(score, member);
  }
  return command;
}

/** What keeps a set from growing for ever: older members go, and the set itself once nothing comes. */
export function trim(
  { key, entries }: Batch,
  retentionSeconds: number,
): Command[] {
  const newest = entries.reduce((most, { score }) => Math.max(most, score), 0);
  return [
    ["ZREMRANGEBYSCORE", key, "-inf", `(${newest - retentionSeconds}`],
    ["EXPIRE", key, retentionSeconds],
  ];
}
