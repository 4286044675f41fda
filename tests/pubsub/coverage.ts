// Numbered messages: that each was delivered once, in order, or lies in a gap.
import { assert, assertEquals, assertLessOrEqual } from "@std/assert";
import { delay } from "@std/async/delay";
import type { Redis } from "../../mod.ts";
import type { Gap, Item } from "../../pubsub/mod.ts";
import { until } from "../support/wait.ts";

/** A message that was published, and when, Unix time in milliseconds. */
export interface Published {
  readonly channel: string;
  readonly n: number;
  readonly from: number;
  readonly until: number;
  /** Whether the server has acknowledged it: else it may be missing. */
  readonly isSure: boolean;
}

/** Publishes numbers to channels until it is stopped. */
export class Publisher {
  readonly published: Published[] = [];
  readonly #redis: Redis;
  readonly #command: "PUBLISH" | "SPUBLISH";
  #isOver = false;
  readonly #over: Promise<void>;

  /**
   * @param redis What publishes.
   * @param command How.
   * @param channels Where.
   * @param pause Called after each round.
   */
  constructor(
    redis: Redis,
    command: "PUBLISH" | "SPUBLISH",
    channels: readonly string[],
    pause: () => Promise<unknown> = () => delay(1),
  ) {
    this.#redis = redis;
    this.#command = command;
    this.#over = this.#run(channels, pause);
    this.#over.catch(() => {}); // awaited by stop()
  }

  async #run(
    channels: readonly string[],
    pause: () => Promise<unknown>,
  ): Promise<void> {
    for (let n = 0; !this.#isOver; n++) {
      await Promise.all(channels.map(async (channel) => {
        const from = Date.now();
        const isSure = await this.#redis.send([this.#command, channel, n])
          .then(() => true, () => false);
        this.published.push({ channel, n, from, until: Date.now(), isSure });
      }));
      await pause();
    }
  }

  /** Ends it, once what is published arrives again. */
  async stop(items: readonly Item[]): Promise<void> {
    const since = this.published.length;
    await until(() => this.published.length > since + 20);
    this.#isOver = true;
    await this.#over;
    const last = Math.max(...this.published.map(({ n }) => n));
    const channels = new Set(this.published.map(({ channel }) => channel));
    await until(() =>
      [...channels].every((channel) =>
        items.some((item) =>
          item.type === "message" && item.channel === channel &&
          item.payload === `${last}`
        )
      )
    );
  }
}

/**
 * Checks that each message was delivered once, in the order of its channel, or that a gap
 * stands in its place which holds the time when it was published.
 *
 * @param slackMs For so long after a gap messages may have been published at a server that
 * was not in charge any more.
 * @returns How many are missing.
 */
export function checkCovered(
  published: readonly Published[],
  items: readonly Item[],
  slackMs = 0,
): number {
  let missing = 0;
  for (const channel of new Set(published.map(({ channel }) => channel))) {
    const all = published.filter((one) => one.channel === channel)
      .toSorted((a, b) => a.n - b.n);
    let expected = 0;
    let gaps: Gap[] = []; // since the last message
    for (const item of items) {
      if (item.type === "gap" && item.channels.includes(channel)) {
        gaps.push(item);
      }
      if (item.type !== "message" || item.channel !== channel) continue;
      const n = Number(item.payload);
      assertLessOrEqual(expected, n, "once, in order");
      for (; expected < n; expected++) {
        const { from, until, isSure } = all[expected]!;
        if (!isSure) continue;
        missing++;
        assert(
          gaps.some((gap) => gap.from <= until && from <= gap.until + slackMs),
          `message ${expected} of ${channel}, published from ${from} to ${until}, lies in none of ${
            JSON.stringify(gaps)
          }`,
        );
      }
      expected = n + 1;
      gaps = [];
    }
    assertEquals(expected, all.length);
  }
  return missing;
}
