// Which hash slots have changed their primary between two topologies.
import {
  type Address,
  equals,
  includes,
  textOfAddress,
} from "../../pool/socket/address.ts";
import { HASH_SLOTS } from "./server.ts";
import { Ranges } from "./ranges.ts";
import type { Shard, Topology } from "./topology.ts";

/** Hash slots that have gone from one primary to another. */
export interface Departure {
  readonly from: Address;
  readonly to: Address;
  /** Whether the new primary was a replica of the old one: its data may lack what was written last. */
  readonly isPromotion: boolean;
  /** What has gone where, such as `hash slots 0-5460 went to h:7004`. */
  readonly evidence: string;
}

/** What has changed its primary between two topologies. */
export function departuresOf(before: Topology, after: Topology): Departure[] {
  const left = new Map<string, Departing>();
  for (let hashSlot = 0; hashSlot < HASH_SLOTS; hashSlot++) {
    const old = before.shards[before.shardOf(hashSlot)];
    const { primary: to } = after.shards[after.shardOf(hashSlot)] ?? {};
    if (old === undefined || to === undefined || equals(old.primary, to)) {
      continue;
    }
    const key = `${textOfAddress(old.primary)} ${textOfAddress(to)}`;
    let departing = left.get(key);
    if (departing === undefined) {
      departing = { old, to, ranges: new Ranges() };
      left.set(key, departing);
    }
    departing.ranges.add(hashSlot);
  }
  return Array.from(left.values(), ({ old, to, ranges }) => ({
    from: old.primary,
    to,
    isPromotion: includes(old.replicas, to),
    evidence: `${ranges.count === 1 ? "hash slot" : "hash slots"} ${ranges} ` +
      `went to ${textOfAddress(to)}`,
  }));
}

interface Departing {
  readonly old: Shard;
  readonly to: Address;
  readonly ranges: Ranges;
}
