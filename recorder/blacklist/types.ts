// The types of a blacklist: its options, what it decides and what it lists.
import type { RecordOutcome } from "../entries/entry.ts";

/** A shop. An event of it is one, too. */
export interface Shop {
  /** The id of the mall. */
  readonly mallId: string;
  /** The number of the shop within the mall, from 0. */
  readonly shopNo: number;
}

/** Options of a {@linkcode Blacklist}. */
export interface BlacklistOptions {
  /** How many events within the window are let through, 1 to 1,000,000,000. */
  limit: number;
  /** How long the window is, in seconds. The recorder's `retentionSeconds` must not be shorter. */
  windowSeconds: number;
  /** How long a shop is blocked that goes over the limit, in seconds, at most 366 days. */
  blockSeconds: number;
  /**
   * What is answered where Redis does not say whether a shop is blocked: `"allow"`
   * lets the event through, `"deny"` calls its shop blocked. Either way the event
   * is queued if it can be, and counts once it is recorded. The default is `"allow"`,
   * since an event that is refused is lost and a limit that is exceeded is not.
   * A block that this process has read stays in force until its end.
   * @default {"allow"}
   */
  whenAway?: "allow" | "deny" | undefined;
  /**
   * How long a block that was read is trusted, in milliseconds: for as long, a shop
   * that another process lets through may still be blocked in this one.
   * @default {1000}
   */
  isKnownForMs?: number | undefined;
  /**
   * What the keys in Redis begin with: `{prefix}_{mallId}_{shopNo}` holds the block of a
   * shop, and `{prefix}` lists the shops. Blacklists with the same prefix share their blocks.
   * @default {"webhook_blocked"}
   */
  prefix?: string | undefined;
}

/** What a {@linkcode Blacklist} says of an event. */
export interface BlacklistDecision {
  /** What became of the event; none if its shop was known to be blocked: then it is not recorded. */
  readonly outcome?: RecordOutcome;
  /** How many events there were within the window, this one included, if they were counted. */
  readonly frequency?: number;
  /** Whether the shop is blocked. */
  readonly isBlocked: boolean;
  /** When to come back if it is blocked, in whole seconds, at least 1. */
  readonly retryAfterSeconds?: number;
  /** Why the block or the count could not be read, or why the block could not be written. */
  readonly error?: unknown;
}

/** Options of {@linkcode Blacklist.block}. */
export interface BlockOptions {
  /** How long, in seconds, at most 366 days. @default {`blockSeconds` of the blacklist} */
  seconds?: number | undefined;
  /** Why, for {@linkcode Blacklist.blocked}: at most 500 characters. */
  reason?: string | undefined;
}

/** A shop that is blocked. */
export interface BlockedShop extends Shop {
  /** Since when: Unix time in milliseconds. */
  readonly since: number;
  /** Until when: Unix time in milliseconds. */
  readonly until: number;
  /** Why, if it was blocked by {@linkcode Blacklist.block} with a reason. */
  readonly reason?: string;
}
