// How blocks are kept in Redis: a key for each shop, and a sorted set that lists the shops.
import { isObject } from "../../client/check.ts";
import type { Command } from "../../resp/types.ts";

/** An entry of the list stays for this long after its block, in milliseconds: clocks differ. */
export const SLACK_MS = 60_000;
/** The list expires after this time without a new block, in seconds: 367 days, longer than any block. */
const LIST_SECONDS = 31_708_800;

/** A block: the shop is blocked for as long as its key exists. */
export interface Block {
  /** Unix time in milliseconds, by the clock of the process that wrote it. */
  readonly since: number;
  readonly until: number;
  readonly reason?: string;
  /** Whether it was written by hand: an automatic block does not replace it. */
  readonly isManual?: boolean;
}

/** A shop that was let through: only events after this second count, in Unix time. */
export interface Pardon {
  readonly countedFrom: number;
}

/** What the key of a shop holds. */
export type Stored = Block | Pardon;

export const isBlock = (stored: Stored | undefined): stored is Block =>
  stored !== undefined && "until" in stored;

/** What a reply says; `undefined` if there is nothing, or a value that is not of a blacklist. */
export function storedIn(reply: unknown): Stored | undefined {
  if (typeof reply !== "string") return undefined;
  let value: unknown;
  try {
    value = JSON.parse(reply);
  } catch {
    return undefined;
  }
  if (!isObject(value)) return undefined;
  const { since, until, reason, isManual, countedFrom } = value;
  if (isTime(countedFrom)) return { countedFrom };
  if (!isTime(since) || !isTime(until)) return undefined;
  return {
    since,
    until,
    ...(typeof reason === "string" ? { reason } : {}),
    ...(isManual === true ? { isManual } : {}),
  };
}

const isTime = (value: unknown): value is number =>
  Number.isSafeInteger(value) && value as number >= 0;

/** The commands for what is kept under a prefix. All of them may run twice, alone and together. */
export class BlockCommands {
  /** The sorted set that lists the shops. */
  readonly list: string;

  /** @param prefix What all keys begin with. */
  constructor(prefix: string) {
    this.list = prefix;
  }

  /** The key of a shop. */
  keyOf(name: string): string {
    return `${this.list}_${name}`;
  }

  read(name: string): Command {
    return ["GET", this.keyOf(name)];
  }

  /** What is listed is never removed before its time, since a block may be on its way: the key alone says what is blocked. */
  block(name: string, block: Block): Command[] {
    const { since, until } = block;
    return [
      this.#write(name, block, until - since),
      ["ZADD", this.list, until, name],
      ["ZREMRANGEBYSCORE", this.list, "-inf", `(${since - SLACK_MS}`],
      ["EXPIRE", this.list, LIST_SECONDS],
    ];
  }

  pardon(name: string, pardon: Pardon, windowSeconds: number): Command[] {
    return [this.#write(name, pardon, windowSeconds * 1000)];
  }

  #write(name: string, stored: Stored, ms: number): Command {
    return ["SET", this.keyOf(name), JSON.stringify(stored), "PX", ms];
  }
}
