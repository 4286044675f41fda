// What a process remembers of shops: for how long it is trusted, and how it is read again.
import type { SendOptions } from "../../client/send_options.ts";
import { ReplyError } from "../../resp/errors.ts";
import type { Sender } from "../sender.ts";
import {
  type Block,
  type BlockCommands,
  isBlock,
  type Stored,
  storedIn,
} from "./stored_blocks.ts";

/** At most this many shops are remembered; the one that was read longest ago goes first. */
const MAX_KNOWN = 10_000;
/** How long a caller waits for what is not the event itself, in milliseconds, while Redis does not answer. */
export const PATIENCE: SendOptions = { deadlineMs: 1000 };

/** What was read or written of a shop. */
export class Known {
  readonly stored: Stored;
  /** Until when it is used without a look, by `performance.now()`. */
  trustedUntil: number;
  /** The look that is under way. */
  look: Promise<void> | undefined;
  /** Whether the last look had no answer. */
  isLost = false;

  constructor(stored: Stored, trustedUntil: number) {
    this.stored = stored;
    this.trustedUntil = trustedUntil;
  }
}

/** Options of {@linkcode KnownBlocks}. */
export interface KnownBlocksOptions {
  readonly client: Sender;
  readonly commands: BlockCommands;
  readonly now: () => number;
  /** How long a block is trusted, in milliseconds. */
  readonly trustMs: number;
}

/**
 * The shops that this process has read something of.
 *
 * - What was read replaces only what was known when the reading began: a reply that
 *   has been overtaken by a later write is not used.
 * - A look is shared by all callers of the time.
 * - While Redis is away a block stays in force until its end; after the first look without
 *   an answer no caller waits for the next one.
 */
export class KnownBlocks {
  readonly #options: KnownBlocksOptions;
  readonly #byName = new Map<string, Known>();

  constructor(options: KnownBlocksOptions) {
    this.#options = options;
  }

  get(name: string): Known | undefined {
    return this.#byName.get(name);
  }

  /** Remembers what was written. */
  set(name: string, stored: Stored): void {
    const { now, trustMs } = this.#options;
    // Not beyond its end. A block that exists although it is over, by this clock, is read each time.
    const ms = isBlock(stored) ? Math.min(trustMs, stored.until - now()) : 0;
    this.#byName.delete(name);
    this.#byName.set(name, new Known(stored, performance.now() + ms));
    if (this.#byName.size <= MAX_KNOWN) return;
    const [oldest] = this.#byName.keys();
    this.#byName.delete(oldest!);
  }

  /**
   * Remembers what was read.
   *
   * @param before What was known when the reading began.
   * @param reply The value, or an error reply.
   */
  note(
    name: string,
    before: Known | undefined,
    reply: unknown,
  ): Stored | undefined {
    const stored = storedIn(reply);
    if (stored === undefined && before === undefined) return undefined;
    if (this.#byName.get(name) === before && isRead(reply)) {
      if (stored === undefined) this.#byName.delete(name);
      else this.set(name, stored);
    }
    return stored;
  }

  /**
   * The block of a shop that is in force, as far as is known; after a look if that is
   * too long ago. Without a look it is no promise: the events of a turn would come in
   * two flushes, since those after an event that waits are later.
   */
  inForce(
    name: string,
    known: Known,
  ): Block | undefined | Promise<Block | undefined> {
    if (performance.now() >= known.trustedUntil) {
      known.look ??= this.#look(name, known);
      if (!known.isLost) return known.look.then(() => this.#inForce(name));
    }
    return this.#inForce(name);
  }

  #inForce(name: string): Block | undefined {
    const { stored, isLost } = this.#byName.get(name) ?? {};
    if (!isBlock(stored)) return undefined;
    return isLost && stored.until <= this.#options.now() ? undefined : stored;
  }

  async #look(name: string, known: Known): Promise<void> {
    const { client, commands, trustMs } = this.#options;
    try {
      this.note(name, known, await client.send(commands.read(name), PATIENCE));
    } catch (error) {
      if (isForeign(error)) return void this.note(name, known, error);
      known.isLost = true;
      known.trustedUntil = performance.now() + trustMs;
    } finally {
      known.look = undefined;
    }
  }
}

/** Whether a key holds a value of another type, and so no block. */
export const isForeign = (reply: unknown): boolean =>
  reply instanceof ReplyError && reply.code === "WRONGTYPE";

/** Whether a reply says what the key holds. */
export const isRead = (reply: unknown): boolean =>
  reply !== undefined && (!(reply instanceof Error) || isForeign(reply));
