// Deliveries to commands: events of one shop share a ZADD.
import type { Command } from "../resp/mod.ts";
import type { Delivery } from "./delivery.ts";

/** Deliveries of one key, to be written together. */
export interface Batch {
  readonly key: string;
  readonly deliveries: Delivery[];
  /** How many members they have together. */
  members: number;
  /** Whether a member may have been written before, at another time: it has a delivery id. */
  isRepeatable: boolean;
}

/** Groups deliveries by key, in the order in which the keys first appear. */
export function batchesOf(deliveries: readonly Delivery[]): Batch[] {
  if (deliveries.length === 1) return [batchOf(deliveries[0]!)];
  const batches: Batch[] = [];
  const open = new Map<string, Batch>();
  for (const delivery of deliveries) {
    const batch = open.get(delivery.key);
    if (batch === undefined) {
      const next = batchOf(delivery);
      open.set(delivery.key, next);
      batches.push(next);
      continue;
    }
    batch.deliveries.push(delivery);
    batch.members += delivery.count;
    batch.isRepeatable ||= delivery.event.deliveryId !== undefined;
  }
  return batches;
}

const batchOf = (delivery: Delivery): Batch => ({
  key: delivery.key,
  deliveries: [delivery],
  members: delivery.count,
  isRepeatable: delivery.event.deliveryId !== undefined,
});

/**
 * The one ZADD that writes a batch: https://redis.io/docs/latest/commands/zadd/
 *
 * @param batch The batch.
 * @param keepsLater Whether a member that is there already keeps the later of the two times.
 */
export function zadd(
  { key, deliveries }: Pick<Batch, "key" | "deliveries">,
  keepsLater = false,
): Command {
  const command: [string, ...(string | number)[]] = keepsLater
    ? ["ZADD", key, "GT"]
    : ["ZADD", key];
  for (const { score, members } of deliveries) {
    for (const member of members) command.push(score, member);
  }
  return command;
}
