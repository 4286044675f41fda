// Which hash slots have changed their primary between two topologies.
import {
  type Address,
  equals,
  includes,
  textOfAddress,
} from "../../pool/socket/address.ts";
import { HASH_SLOTS } from "./server.ts";
import { HashSlotRanges } from "./hash_slot.ts";
import type { Shard, Topology } from "./topology.ts";

/** Hash slots that have gone from one primary to another. */
export interface Takeover {
  readonly from: Address;
  readonly to: Address;
  /** Whether the new primary was a replica of the old one: its data may lack what was written last. */
  readonly isPromotion: boolean;
  /** What has gone where, such as `hash slots 0-5460 went to h:7004`. */
  readonly evidence: string;
}

/** What has changed its primary between two topologies. */
export function takeoversOf(before: Topology, after: Topology): Takeover[] {
  const all = new Map<string, Counted>();
  for (let hashSlot = 0; hashSlot < HASH_SLOTS; hashSlot++) {
    const old = before.shards[before.shardOf(hashSlot)];
    const { primary: to } = after.shards[after.shardOf(hashSlot)] ?? {};
    if (old === undefined || to === undefined || equals(old.primary, to)) {
      continue;
    }
    const key = `${textOfAddress(old.primary)} ${textOfAddress(to)}`;
    let counted = all.get(key);
    if (counted === undefined) {
      counted = { old, to, ranges: new HashSlotRanges() };
      all.set(key, counted);
    }
    counted.ranges.add(hashSlot);
  }
  return Array.from(all.values(), ({ old, to, ranges }) => ({
    from: old.primary,
    to,
    isPromotion: includes(old.replicas, to),
    evidence: `${ranges.count === 1 ? "hash slot" : "hash slots"} ${ranges} ` +
      `went to ${textOfAddress(to)}`,
  }));
}

interface Counted {
  readonly old: Shard;
  readonly to: Address;
  readonly ranges: HashSlotRanges;
}
