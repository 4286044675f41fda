// What is done to blocks by hand: they are replaced for certain, and listed.
import {
  CHECKED_ELSEWHERE,
  checkOptions,
  checkWhole,
  type OptionRule,
} from "../../client/check.ts";
import type { Command } from "../../resp/types.ts";
import type { BlockedShop, BlockOptions, Shop } from "./types.ts";
import type { Decisions, Settings } from "./decisions.ts";
import { isForeign } from "./known_blocks.ts";
import { checkShop, nameOf, shopOf } from "./shop.ts";
import {
  type Block,
  isBlock,
  SLACK_MS,
  type Stored,
  storedIn,
} from "./stored_blocks.ts";

/** An automatic block that another process has decided on arrives within this time, in milliseconds. */
const OVERTAKING_MS = 50;
/** How often it is written if automatic blocks overtake it. */
const MAX_WRITES = 3;
/** Shops in one page of the list. */
const PAGE = 100;
const MAX_REASON = 500;

const RULES = {
  seconds: CHECKED_ELSEWHERE,
  reason: [
    (value) => typeof value === "string" && value.length <= MAX_REASON,
    `a string of at most ${MAX_REASON} characters`,
  ],
} satisfies Record<keyof BlockOptions, OptionRule>;

const wait = (ms: number): Promise<void> =>
  new Promise((resolve) => setTimeout(resolve, ms));

/** Blocks shops, lets them through and lists them. */
export class ManualBlocks {
  readonly #decisions: Decisions;
  readonly #settings: Settings;

  constructor(decisions: Decisions, settings: Settings) {
    this.#decisions = decisions;
    this.#settings = settings;
  }

  /**
   * Blocks a shop.
   *
   * @throws What `Redis.send` throws, if it could not be written.
   */
  async block(shop: Shop, options: BlockOptions): Promise<void> {
    const { blockSeconds, maxBlockSeconds: most } = this.#settings;
    checkShop("block a shop", shop);
    checkOptions(options, RULES);
    const { seconds = blockSeconds, reason } = options;
    checkWhole("block a shop", "seconds", seconds, { most });
    const block: Block = {
      ...this.#decisions.blockFor(seconds),
      isManual: true,
      ...(reason === undefined ? undefined : { reason }),
    };
    const name = nameOf(shop);
    const commands = this.#decisions.commands.block(name, block);
    await this.#replace(name, block, commands);
  }

  /**
   * Lets a shop through at the end of this second, and counts only events after it. Times
   * are whole seconds: those of events before and after this call would be the same.
   *
   * @throws What `Redis.send` throws, if it could not be written.
   */
  async unblock(shop: Shop): Promise<void> {
    checkShop("unblock a shop", shop);
    const { commands, now } = this.#decisions;
    const { windowSeconds } = this.#settings;
    const ms = now();
    const pardon = { countedFrom: Math.floor(ms / 1000) };
    const name = nameOf(shop);
    await wait(1001 - ms % 1000); // a timer may be early by a millisecond
    await this.#replace(
      name,
      pardon,
      commands.pardon(name, pardon, windowSeconds),
    );
  }

  /**
   * Writes what the key of a shop holds from now on. An automatic block that another
   * process has decided on before, and writes only afterwards, is replaced as well.
   */
  async #replace(
    name: string,
    stored: Stored,
    commands: readonly Command[],
  ): Promise<void> {
    const { client, blocks, commands: all } = this.#decisions;
    await this.#decisions.written(name);
    for (let writes = 0; writes < MAX_WRITES; writes++) {
      const replies = await client.pipeline(commands);
      const error = replies.find((reply) => reply instanceof Error);
      if (error !== undefined) throw error;
      blocks.set(name, stored);
      await wait(OVERTAKING_MS);
      let now: Stored | undefined;
      try {
        now = storedIn(await client.send(all.read(name)));
      } catch {
        return; // it is written
      }
      if (!isBlock(now) || now.isManual) return;
    }
  }

  /**
   * The shops that are blocked, the soonest to be let through first. The list is
   * read by its scores, from the last one that was seen on: entries that come and go
   * meanwhile move no other.
   */
  async *blocked(): AsyncGenerator<BlockedShop, void, undefined> {
    const { client, commands, now } = this.#decisions;
    let from = String(now() - SLACK_MS);
    let seen = new Set<string>(); // of those with that score
    while (true) {
      // Twice: each page lists again what has the last score, however many that is.
      const size = PAGE + 2 * seen.size;
      const words = await client.send([
        "ZRANGEBYSCORE",
        commands.list,
        from,
        "+inf",
        "WITHSCORES",
        "LIMIT",
        0,
        size,
      ]) as string[];
      const names: string[] = [];
      const last = words.at(-1) ?? from;
      const seenAtLast = last === from ? seen : new Set<string>();
      for (let i = 0; i < words.length; i += 2) {
        const name = words[i]!;
        if (!seen.has(name)) names.push(name);
        if (words[i + 1] === last) seenAtLast.add(name);
      }
      yield* await this.#blockedAmong(names);
      if (words.length < 2 * size) return;
      from = last;
      seen = seenAtLast;
    }
  }

  /** Those of a page. Not by one MGET: in a cluster their keys are on several servers. */
  async #blockedAmong(names: readonly string[]): Promise<BlockedShop[]> {
    if (names.length === 0) return [];
    const { client, commands } = this.#decisions;
    const reads = names.map((name) => commands.read(name));
    const replies = await client.pipeline(reads);
    return replies.flatMap((reply, i) => {
      if (reply instanceof Error && !isForeign(reply)) throw reply;
      const shop = shopOf(names[i]!);
      const stored = storedIn(reply);
      if (shop === undefined || !isBlock(stored)) return [];
      const { since, until, reason } = stored;
      const why = reason === undefined ? undefined : { reason };
      return [{ ...shop, since, until, ...why }];
    });
  }
}
