// Whether an event is over its limit: by the block and the count that its own flush has read.
import { outlookOf } from "../../client/outlook.ts";
import type { RecordOutcome } from "../entries/entry.ts";
import type { WebhookEvent } from "../entries/event.ts";
import type { ServerOf } from "../lanes.ts";
import { outcomesIn } from "../outage.ts";
import { partsOf, recordWith, type WebhookRecorder } from "../recorder.ts";
import type { Sender } from "../sender.ts";
import {
  isForeign,
  isRead,
  type Known,
  KnownBlocks,
  PATIENCE,
} from "./known_blocks.ts";
import { checkShop, nameOf } from "./shop.ts";
import {
  type Block,
  BlockCommands,
  isBlock,
  type Stored,
} from "./stored_blocks.ts";
import type { BlacklistDecision, Shop } from "./types.ts";

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

/** What was read for an event. */
interface Answers {
  /** What the key of its block holds, or the error in its place; `undefined` if it was not read. */
  value: unknown;
  /** Why its frequency is missing. */
  uncounted: unknown;
}

/** A block that was to be written. */
interface WriteResult {
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
  /** The time, in milliseconds since 1970. It never throws. */
  readonly now: () => number;
  readonly #recorder: WebhookRecorder;
  readonly #settings: Settings;
  readonly #keyOf: (event: WebhookEvent) => string;
  readonly #serverOf: ServerOf;
  /** Blocks on their way. */
  readonly #writing = new Map<string, Promise<WriteResult>>();
  /** Counts on their way. */
  readonly #counting = new Map<string, Promise<number>>();

  constructor(recorder: WebhookRecorder, settings: Settings) {
    const { client, now, keyOf, serverOf } = partsOf(recorder);
    this.#keyOf = keyOf;
    this.#serverOf = serverOf;
    this.#recorder = recorder;
    this.#settings = settings;
    this.client = client;
    this.now = () => timeBy(now);
    this.commands = new BlockCommands(settings.prefix);
    this.blocks = new KnownBlocks({
      client,
      commands: this.commands,
      now: this.now,
      trustMs: settings.isKnownForMs,
    });
  }

  /** Records an event, unless its shop is known to be blocked. */
  async record(event: WebhookEvent): Promise<BlacklistDecision> {
    const name = nameOf(event);
    let known = this.blocks.get(name);
    if (isBlock(known?.stored)) {
      let block = this.blocks.inForce(name, known!);
      if (block instanceof Promise) block = await block;
      if (block !== undefined) return this.#blocked(block);
      known = this.blocks.get(name);
    }
    const key = this.commands.keyOf(name);
    const { windowSeconds } = this.#settings;
    const since = countedFromOf(known?.stored);
    const start = Math.floor(this.now() / 1000) - windowSeconds;
    const answers: Answers = { value: undefined, uncounted: undefined };
    const onValue = (value: unknown) => answers.value = value;
    const isElsewhere = this.#isElsewhere(event, key);
    const recording = recordWith(this.#recorder, event, {
      windowSeconds,
      since,
      onUncounted: (error) => answers.uncounted = error,
      ...(isElsewhere ? undefined : { key, onValue }),
    });
    const [outcome] = isElsewhere
      ? await Promise.all([recording, this.#readBeside(name).then(onValue)])
      : [await recording];
    return this.#decide(event, known, start, outcome, answers);
  }

  /** Whether a block is on another server than the events. Read in their flush, it would hold up all of them while that server is away. */
  #isElsewhere(event: WebhookEvent, blockKey: string): boolean {
    if (this.#serverOf === undefined) return false;
    try {
      return this.#serverOf(this.#keyOf(event)) !== this.#serverOf(blockKey);
    } catch {
      return false; // the recorder says what is wrong with keyOf
    }
  }

  /** The reply, or the error in its place. */
  async #readBeside(name: string): Promise<unknown> {
    try {
      return await this.client.send(this.commands.read(name), PATIENCE);
    } catch (error) {
      return error;
    }
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

  /**
   * @param before What was known when the event was sent.
   * @param start After which second its window begins, or one that is earlier: the flush may be later than that.
   */
  #decide(
    event: WebhookEvent,
    before: Known | undefined,
    start: number,
    outcome: RecordOutcome,
    { value, uncounted }: Answers,
  ): BlacklistDecision | Promise<BlacklistDecision> {
    const stored = this.blocks.note(nameOf(event), before, value);
    const frequency = outcome.status === "recorded"
      ? outcome.frequency
      : undefined;
    const error = isRead(value) ? uncounted : value;
    const facts: Facts = {
      outcome,
      ...(frequency === undefined ? undefined : { frequency }),
      ...(error === undefined ? undefined : { error }),
    };
    if (isBlock(stored)) return this.#blocked(stored, facts);
    if (frequency === undefined) return this.#undecided(facts);
    if (frequency > this.#settings.limit) {
      return this.#exceeded(event, before, start, stored, facts, isRead(value));
    }
    return isRead(value)
      ? { ...facts, isBlocked: false }
      : this.#undecided(facts);
  }

  /** An event is over the limit, unless its shop was blocked or let through while it was on its way. */
  async #exceeded(
    event: WebhookEvent,
    before: Known | undefined,
    start: number,
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
        const above = later(start, counted)!;
        const earlier = await this.#countBetween(above, from, event);
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

  /**
   * How many of the events that were counted were before the shop was let through, and
   * do not count. The frequency less this number is the event's rank among the later ones.
   */
  #countBetween(
    above: number,
    until: number,
    event: WebhookEvent,
  ): Promise<number> {
    const key = this.#keyOf(event);
    const command = ["ZCOUNT", key, `(${above}`, until] as const;
    return shared(
      this.#counting,
      command.join(" "),
      async () => Number(await this.client.send(command, PATIENCE)),
    );
  }

  #write(name: string): Promise<WriteResult> {
    return shared(this.#writing, name, () => this.#writeBlock(name));
  }

  async #writeBlock(name: string): Promise<WriteResult> {
    const block = this.blockFor(this.#settings.blockSeconds);
    const commands = this.commands.block(name, block);
    let replies: readonly unknown[];
    try {
      replies = await this.client.pipeline(commands, PATIENCE);
    } catch (error) {
      replies = outcomesIn(error, commands.length);
    }
    if (!(replies[0] instanceof Error)) this.blocks.set(name, block);
    return { block, error: replies.find((reply) => reply instanceof Error) };
  }

  /** A block from now on. */
  blockFor(seconds: number): Block {
    const since = Math.floor(this.now());
    return { since, until: since + seconds * 1000 };
  }

  #undecided(facts: Facts): BlacklistDecision {
    const { error = facts.outcome?.error } = facts;
    return atOnce(
      this.#settings.whenAway === "deny",
      error === undefined ? facts : { ...facts, error },
    );
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

/** The time by a clock of the user's; by that of the system if it throws, or gives none. */
function timeBy(clock: () => number): number {
  try {
    const ms = clock();
    if (Number.isFinite(ms)) return ms;
  } catch {
    // The recorder says what is wrong with the events of this time.
  }
  return Date.now();
}

/** What several callers wait for at the same time is done once. */
function shared<T>(
  underWay: Map<string, Promise<T>>,
  name: string,
  make: () => Promise<T>,
): Promise<T> {
  let promise = underWay.get(name);
  if (promise === undefined) {
    promise = make().finally(() => underWay.delete(name));
    underWay.set(name, promise);
  }
  return promise;
}
