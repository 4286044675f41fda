// The face of the blacklist: shops that send too much are blocked, by the count that is read with the event itself.
import {
  CHECKED_ELSEWHERE,
  checkOptions,
  checkWhole,
  isObject,
  MAX_TIMER_MS,
  type OptionRule,
  show,
} from "../../client/check.ts";
import { checkEvent, type WebhookEvent } from "../entries/event.ts";
import { partsOf, WebhookRecorder } from "../recorder.ts";
import type { Decisions, Settings } from "./decisions.ts";
import type { ManualBlocks } from "./manual_blocks.ts";
import type {
  BlacklistDecision,
  BlacklistOptions,
  BlockedShop,
  BlockOptions,
  Shop,
} from "./types.ts";

/** The longest block, in seconds: 366 days. */
const MAX_BLOCK_SECONDS = 31_622_400;

const isText = (value: unknown): boolean =>
  typeof value === "string" && value !== "";

const RULES = {
  limit: CHECKED_ELSEWHERE,
  windowSeconds: CHECKED_ELSEWHERE,
  blockSeconds: CHECKED_ELSEWHERE,
  isKnownForMs: CHECKED_ELSEWHERE,
  whenAway: [
    (value) => value === "allow" || value === "deny",
    '"allow" or "deny"',
  ],
  prefix: [isText, "a string that is not empty"],
} satisfies Record<keyof BlacklistOptions, OptionRule>;

/**
 * Blocks a shop for a time once it has sent more than `limit` events within
 * `windowSeconds`, and says of each event whether its shop is blocked.
 *
 * - A decision costs no round trip of its own: the event is written, the block
 *   looked up and the window counted in one flush. An event of a shop that has a
 *   block which this process has read costs none, and is not recorded. The event
 *   that goes over the limit costs a second one, for the block.
 * - The count is that of the recorder: events under one key, by default those of
 *   one shop and type. With a `keyOf` without the type a shop counts as a whole.
 *   What is blocked is the shop.
 * - Blocks are in Redis, so all processes share them. A process trusts what it has
 *   read for `isKnownForMs`, then looks again, once for all events that wait.
 * - No more than `limit` events of a window are let through, also where several
 *   processes record them at the same time: each event has a rank of its own.
 * - A window that is still full when the block ends blocks the shop again. A block as
 *   long as the window ends with an empty one, since events of a blocked shop are not recorded.
 * - Only commands that may run twice are sent: no script, no counter.
 *
 * @example Five events a minute are let through, the sixth is not
 * ```ts
 * import { Blacklist, Redis, WebhookRecorder } from "@unzombie/redis";
 * import { assertEquals } from "@std/assert";
 *
 * await using redis = new Redis(Deno.env.get("REDIS_URL"));
 * await using recorder = new WebhookRecorder(redis, { retentionSeconds: 60 });
 * const prefix = `example-${crypto.randomUUID()}`; // "webhook_blocked" is the default
 * const blacklist = new Blacklist(recorder, {
 *   limit: 5,
 *   windowSeconds: 60,
 *   blockSeconds: 600,
 *   prefix,
 * });
 *
 * const event = { mallId: "doc", shopNo: 1, eventType: crypto.randomUUID() };
 * for (let i = 1; i <= 5; i++) {
 *   const { frequency, isBlocked } = await blacklist.record(event);
 *   assertEquals([frequency, isBlocked], [i, false]);
 * }
 * const { isBlocked, retryAfterSeconds } = await blacklist.record(event);
 * assertEquals([isBlocked, retryAfterSeconds], [true, 600]);
 *
 * const shops = await Array.fromAsync(blacklist.blocked());
 * assertEquals(shops.map(({ mallId, shopNo }) => [mallId, shopNo]), [["doc", 1]]);
 *
 * await blacklist.unblock(event);
 * assertEquals((await blacklist.record(event)).isBlocked, false);
 *
 * await redis.send(["DEL", prefix]);
 * ```
 */
export class Blacklist {
  readonly #recorder: WebhookRecorder;
  readonly #settings: Settings;
  #decisions: Decisions | undefined;

  /**
   * Makes a blacklist. It holds nothing open, and need not be closed.
   *
   * @param recorder What events are recorded with.
   * @param options See {@linkcode BlacklistOptions}.
   * @throws {TypeError} If `recorder` is no recorder, or an option is missing, unknown or invalid.
   */
  constructor(recorder: WebhookRecorder, options: BlacklistOptions) {
    if (!(recorder instanceof WebhookRecorder)) {
      throw new TypeError(
        `Cannot make a blacklist: recorder is ${
          show(recorder)
        }, expected a WebhookRecorder of this copy of the module`,
      );
    }
    if (!isObject(options)) {
      throw new TypeError(
        `Cannot make a blacklist: options is ${
          show(options)
        }, expected an object { limit, windowSeconds, blockSeconds }`,
      );
    }
    checkOptions(options, RULES);
    const { limit, windowSeconds, blockSeconds } = options;
    const { isKnownForMs = 1000, whenAway = "allow" } = options;
    const check = (
      name: string,
      value: number,
      most: number,
      least = 1,
    ) => checkWhole("make a blacklist", name, value, { least, most });
    check("limit", limit, 1e9);
    check("windowSeconds", windowSeconds, 1e9);
    check("blockSeconds", blockSeconds, MAX_BLOCK_SECONDS);
    check("isKnownForMs", isKnownForMs, MAX_TIMER_MS, 0);
    const { retentionSeconds = Infinity } = partsOf(recorder);
    if (windowSeconds > retentionSeconds) {
      throw new TypeError(
        `Cannot make a blacklist: windowSeconds is ${windowSeconds}, ` +
          `expected at most the recorder's retentionSeconds, ${retentionSeconds}`,
      );
    }
    this.#recorder = recorder;
    this.#settings = {
      limit,
      windowSeconds,
      blockSeconds,
      isKnownForMs,
      whenAway,
      prefix: options.prefix ?? "webhook_blocked",
      maxBlockSeconds: MAX_BLOCK_SECONDS,
    };
  }

  /**
   * Records an event, and says whether its shop is blocked. An event of a shop that is
   * known to be blocked is not recorded: then there is no outcome.
   *
   * @param event The event.
   * @returns The decision. An `outcome` in it says what became of the event, blocked or not.
   * @throws {TypeError} If the event is invalid, or the recorder is closed.
   */
  record(event: WebhookEvent): Promise<BlacklistDecision> {
    try {
      checkEvent(event);
    } catch (error) {
      return Promise.reject(error);
    }
    return this.#decisions?.record(event) ?? this.#recordFirst(event);
  }

  /**
   * Whether a shop is blocked. Nothing is recorded.
   *
   * @param shop The shop, or an event of it.
   * @returns Whether it is blocked. While Redis is away, and this process has read
   * no block, it is what `whenAway` says.
   * @throws {TypeError} If the shop is invalid.
   * @throws What `Redis.send` throws, if Redis refuses the command for good or the client is closed.
   */
  async isBlocked(shop: Shop): Promise<boolean> {
    return (this.#decisions ?? await this.#load()).isBlocked(shop);
  }

  /**
   * Blocks a shop, or gives its block another end and reason. An automatic block
   * does not replace it.
   *
   * @param shop The shop, or an event of it.
   * @param options See {@linkcode BlockOptions}.
   * @throws {TypeError} If an argument is invalid.
   * @throws What `Redis.send` throws, if the block could not be written.
   */
  async block(shop: Shop, options: BlockOptions = {}): Promise<void> {
    await (await this.#loadManual()).block(shop, options);
  }

  /**
   * Lets a shop through, blocked or not, and counts only its later events: a window that
   * is full does not block it again. The shop is let through when this resolves, which
   * takes up to a second: until the second ends, since the times of events are whole seconds.
   *
   * @param shop The shop, or an event of it.
   * @throws {TypeError} If the shop is invalid.
   * @throws What `Redis.send` throws, if it could not be written.
   */
  async unblock(shop: Shop): Promise<void> {
    await (await this.#loadManual()).unblock(shop);
  }

  /**
   * The shops that are blocked, the soonest to be let through first. They are read
   * in pages of 100, as far as they are asked for.
   *
   * A shop that is blocked all the while is listed once. One whose block is given
   * another end meanwhile may be listed twice or not at all.
   *
   * @returns What yields them.
   * @throws What `Redis.send` throws.
   */
  async *blocked(): AsyncGenerator<BlockedShop, void, undefined> {
    yield* (await this.#loadManual()).blocked();
  }

  /** When a shop is blocked, and for how long. */
  [Symbol.for("nodejs.util.inspect.custom")](): string {
    const { limit, windowSeconds, blockSeconds, whenAway } = this.#settings;
    return `Blacklist, more than ${limit} events in ${windowSeconds} s ` +
      `block a shop for ${blockSeconds} s, "${whenAway}" while Redis is away`;
  }

  /** If what decides cannot be loaded the event is recorded all the same. */
  async #recordFirst(event: WebhookEvent): Promise<BlacklistDecision> {
    let decisions: Decisions;
    try {
      decisions = await this.#load();
    } catch (error) {
      const outcome = await this.#recorder.record(event);
      const isBlocked = this.#settings.whenAway === "deny";
      return isBlocked
        ? { outcome, isBlocked, retryAfterSeconds: 1, error }
        : { outcome, isBlocked, error };
    }
    return decisions.record(event);
  }

  /** Most programs have no blacklist: what decides is loaded with the first event. */
  async #load(): Promise<Decisions> {
    const { Decisions } = await import("./decisions.ts");
    return this.#decisions ??= new Decisions(this.#recorder, this.#settings);
  }

  async #loadManual(): Promise<ManualBlocks> {
    const { ManualBlocks } = await import("./manual_blocks.ts");
    return new ManualBlocks(await this.#load(), this.#settings);
  }
}
