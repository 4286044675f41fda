// Which sets are to be trimmed: those that were written, by the server's clock.
import type { Command, Reply } from "../resp/mod.ts";
import type { Delivery } from "./delivery.ts";
import { ServerClock } from "./server_clock.ts";

/** Sets trimmed in one flush at most. */
const MOST_SETS = 1000;
const COMMANDS_A_SET = 2;

/** That a set was written and could not be trimmed. */
export interface TrimRefusal {
  readonly error: Error;
  /** One that is in the set. */
  readonly delivery: Delivery;
}

/**
 * Keeps sets from growing for ever: older members go, and the set itself once
 * nothing comes. Only a set whose ZADD was acknowledged is touched: EXPIRE
 * would be obeyed for a key of any type.
 */
export class Retention {
  /** The server's clock. */
  readonly clock = new ServerClock();
  readonly #seconds: number;
  /** By key, the delivery with the latest time. */
  readonly #written = new Map<string, Delivery>();

  /** @param seconds How long a member stays. */
  constructor(seconds: number) {
    this.#seconds = seconds;
  }

  /** How many sets were written and not trimmed. */
  get size(): number {
    return this.#written.size;
  }

  /** A delivery was acknowledged. */
  add(delivery: Delivery): void {
    const before = this.#written.get(delivery.key);
    if (before === undefined || before.score < delivery.score) {
      this.#written.set(delivery.key, delivery);
    }
  }

  /** Takes the sets to be trimmed in one flush. */
  take(): Delivery[] {
    const taken: Delivery[] = [];
    for (const [key, delivery] of this.#written) {
      if (taken.length === MOST_SETS) break;
      this.#written.delete(key);
      taken.push(delivery);
    }
    return taken;
  }

  /**
   * Adds the commands that trim a set to those of a flush. However fast this
   * machine's clock is, no member goes that others have just written.
   */
  trim({ key, score }: Delivery, now: number, commands: Command[]): void {
    const latest = Math.min(score, Math.floor(this.clock.seconds(now)));
    commands.push(
      ["ZREMRANGEBYSCORE", key, "-inf", `(${latest - this.#seconds}`],
      ["EXPIRE", key, this.#seconds],
    );
  }

  /** The first error reply to the commands that trim `sets`, and the set. */
  refusalIn(
    replies: readonly Reply[],
    sets: readonly Delivery[],
  ): TrimRefusal | undefined {
    const at = replies.findIndex((reply) => reply instanceof Error);
    return at < 0 ? undefined : {
      error: replies[at] as Error,
      delivery: sets[Math.floor(at / COMMANDS_A_SET)]!,
    };
  }
}
