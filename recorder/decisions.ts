// Whether an event is over its limit: by the block and the count that its own flush has read.
import { outlookOf } from "../client/outlook.ts";
import type { BlacklistDecision, Shop } from "./blacklist_types.ts";
import type { RecordOutcome } from "./entry.ts";
import type { WebhookEvent } from "./event.ts";
import {
  isForeign,
  isRead,
  type Known,
  KnownBlocks,
  PATIENCE,
} from "./known_blocks.ts";
import { outcomesIn } from "./outage.ts";
import { partsOf, recordWith, type WebhookRecorder } from "./recorder.ts";
import type { Sender } from "./sender.ts";
import { checkShop, nameOf } from "./shop.ts";
import {
  type Block,
  BlockCommands,
  isBlock,
  type Stored,
} from "./stored_blocks.ts";

/** The options of a blacklist, complete. */
export interface Settings {
  readonly limit: number;
  readonly windowSeconds: number;
  readonly blockSeconds: number;
  readonly whenAway: "allow" | "deny";
  readonly isKnownForMs: number;
  readonly prefix: string;
  /** How long a block may be. */
  readonly maxBlockSeconds: number;
}

/** What is answered beside whether a shop is blocked. */
type Facts = Omit<BlacklistDecision, "isBlocked" | "retryAfterSeconds">;

/** A block that was to be written. */
interface Written {
  readonly block: Block;
  /** Why it was not, or is not listed. */
  readonly error?: unknown;
}

/** When to come back where no block says it, in seconds. */
const SOON_SECONDS = 1;

/**
 * Decides for each event.
 *
 * - A block that its flush has read is in force. It is there until the server removes
 *   it, whatever the clock of this process says.
 * - More than the limit is blocked, and written as a block, once for all events of this
 *   process that go over it at the same time. If that fails, the next event tries again.
 * - Where the block could not be read, the count alone decides if it is over the
 *   limit; else, and where there is no count, `whenAway` does.
 */
export class Decisions {
  readonly client: Sender;
  readonly commands: BlockCommands;
  readonly blocks: KnownBlocks;
  readonly now: () => number;
  readonly #recorder: WebhookRecorder;
  readonly #settings: Settings;
  /** Blocks on their way. */
  readonly #writing = new Map<string, Promise<Written>>();

  constructor(recorder: WebhookRecorder, settings: Settings) {
    const { client, now } = partsOf(recorder);
    this.#recorder = recorder;
    this.#settings = settings;
    this.client = client;
    this.now = now;
    this.commands = new BlockCommands(settings.prefix);
    this.blocks = new KnownBlocks({
      client,
      commands: this.commands,
      now,
      trustMs: settings.isKnownForMs,
    });
  }

  /** Records an event, unless its shop is known to be blocked. */
  async record(event: WebhookEvent): Promise<BlacklistDecision> {
    const name = nameOf(event);
    let known = this.blocks.get(name);
    if (isBlock(known?.stored)) {
      const block = await this.blocks.inForce(name, known!);
      if (block !== undefined) return this.#blocked(block);
      known = this.blocks.get(name);
    }
    let reply: unknown;
    const outcome = await recordWith(this.#recorder, event, {
      windowSeconds: this.#settings.windowSeconds,
      since: countedFromOf(known?.stored),
      command: this.commands.read(name),
      onReply: (value) => {
        reply = value;
      },
    });
    return this.#decide(event, known, outcome, reply);
  }

  /** @throws What `Redis.send` throws, if no later look can succeed. */
  async isBlocked(shop: Shop): Promise<boolean> {
    checkShop("look up a shop", shop);
    const name = nameOf(shop);
    const known = this.blocks.get(name);
    if (isBlock(known?.stored)) {
      const block = await this.blocks.inForce(name, known!);
      if (block !== undefined) return true;
    }
    try {
      const reply = await this.client.send(this.commands.read(name), PATIENCE);
      return isBlock(this.blocks.note(name, known, reply));
    } catch (error) {
      if (isForeign(error)) return false;
      if (this.client.isClosed || !mayPass(error)) throw error;
      return this.#settings.whenAway === "deny";
    }
  }

  /** Resolves once no block of a shop is on its way from here. */
  async written(name: string): Promise<void> {
    await this.#writing.get(name);
  }

  /** @param before What was known when the event was sent. */
  #decide(
    event: WebhookEvent,
    before: Known | undefined,
    outcome: RecordOutcome,
    reply: unknown,
  ): BlacklistDecision | Promise<BlacklistDecision> {
    const stored = this.blocks.note(nameOf(event), before, reply);
    const frequency = outcome.status === "recorded"
      ? outcome.frequency
      : undefined;
    const facts: Facts = {
      outcome,
      ...(frequency === undefined ? undefined : { frequency }),
      ...(isRead(reply) || reply === undefined ? undefined : { error: reply }),
    };
    if (isBlock(stored)) return this.#blocked(stored, facts);
    if (frequency === undefined) return this.#undecided(facts);
    if (frequency > this.#settings.limit) {
      return this.#exceeded(event, before, stored, facts, isRead(reply));
    }
    return isRead(reply)
      ? { ...facts, isBlocked: false }
      : this.#undecided(facts);
  }

  /** An event is over the limit, unless its shop was blocked or let through while it was on its way. */
  async #exceeded(
    event: WebhookEvent,
    before: Known | undefined,
    stored: Stored | undefined,
    facts: Facts,
    isRead: boolean,
  ): Promise<BlacklistDecision> {
    const { limit } = this.#settings;
    const name = nameOf(event);
    const known = this.blocks.get(name);
    if (known !== before && isBlock(known?.stored)) {
      return this.#blocked(known.stored, facts);
    }
    const from = later(countedFromOf(stored), countedFromOf(known?.stored));
    const counted = countedFromOf(before?.stored);
    if (from !== undefined && from !== counted) {
      try {
        const earlier = await this.#countUntil(from, event, counted);
        facts = { ...facts, frequency: facts.frequency! - earlier };
      } catch (error) {
        return this.#undecided({ ...facts, error });
      }
      if (facts.frequency! <= limit) return { ...facts, isBlocked: false };
    }
    if (!isRead) return atOnce(true, facts);
    const { block, error } = await this.#write(name);
    return this.#blocked(
      block,
      error === undefined ? facts : { ...facts, error },
    );
  }

  /** How many events of those that were counted do not count any more, as the shop was let through. The rank of an event among the others stays. */
  async #countUntil(
    second: number,
    event: WebhookEvent,
    counted = -Infinity,
  ): Promise<number> {
    const { windowSeconds } = this.#settings;
    const start = Math.floor(this.now() / 1000) - windowSeconds;
    const reply = await this.client.send([
      "ZCOUNT",
      partsOf(this.#recorder).keyOf(event),
      `(${Math.max(start, counted)}`,
      second,
    ], PATIENCE);
    return Number(reply);
  }

  #write(name: string): Promise<Written> {
    let writing = this.#writing.get(name);
    if (writing === undefined) {
      writing = this.#writeBlock(name);
      this.#writing.set(name, writing);
    }
    return writing;
  }

  async #writeBlock(name: string): Promise<Written> {
    const block = this.blockFor(this.#settings.blockSeconds);
    const commands = this.commands.block(name, block);
    let replies: readonly unknown[];
    try {
      replies = await this.client.pipeline(commands, PATIENCE);
    } catch (error) {
      replies = outcomesIn(error, commands.length);
    }
    this.#writing.delete(name);
    if (!(replies[0] instanceof Error)) this.blocks.set(name, block);
    return { block, error: replies.find((reply) => reply instanceof Error) };
  }

  /** A block from now on. */
  blockFor(seconds: number): Block {
    const since = Math.floor(this.now());
    return { since, until: since + seconds * 1000 };
  }

  #undecided(facts: Facts): BlacklistDecision {
    return atOnce(this.#settings.whenAway === "deny", facts);
  }

  #blocked({ until }: Block, facts: Facts = {}): BlacklistDecision {
    const seconds = Math.ceil((until - this.now()) / 1000);
    const retryAfterSeconds = Math.max(SOON_SECONDS, seconds);
    return { ...facts, isBlocked: true, retryAfterSeconds };
  }
}

/** A decision without a block that says when it ends. */
const atOnce = (isBlocked: boolean, facts: Facts): BlacklistDecision =>
  isBlocked
    ? { ...facts, isBlocked, retryAfterSeconds: SOON_SECONDS }
    : { ...facts, isBlocked };

const countedFromOf = (stored: Stored | undefined): number | undefined =>
  stored !== undefined && "countedFrom" in stored
    ? stored.countedFrom
    : undefined;

const later = (a: number | undefined, b: number | undefined) =>
  a === undefined || b === undefined ? a ?? b : Math.max(a, b);

/** Whether Redis may answer later. */
function mayPass(error: unknown): boolean {
  const outlook = outlookOf(error);
  return outlook === "away" || outlook === "refused";
}
