// Events posted to the example service, what was answered, and whether Redis holds what that promises.
import { assertEquals, assertGreaterOrEqual } from "@std/assert";
import { Redis } from "../../mod.ts";
import { membersOf } from "../../recorder/entries/event.ts";
import { until } from "../support/wait.ts";

const PATIENCE_MS = 20_000;
/** How many requests are under way at once. */
const CONCURRENCY = 32;
/** How many shops share the events that are not alone in their set. */
const SHOPS = 10;

/** One event: where it belongs, and what was answered each time that it was posted. */
interface Posted {
  readonly path: string;
  readonly key: string;
  readonly deliveryId: string | undefined;
  readonly times: PostedOnce[];
}

/** One request. */
interface PostedOnce {
  readonly from: number;
  to: number;
  /** `undefined` if there was no answer. */
  status: number | undefined;
}

const isPromised = ({ times }: Posted): boolean =>
  times.some(({ status }) => status === 200 || status === 202);

/** Whether it was posted, and nothing promises that it counts. */
const hasFailed = (event: Posted): boolean =>
  !isPromised(event) && event.times.every(({ to }) => to < Infinity);

/**
 * Posts events of three kinds in turn: alone in their set; with a delivery id,
 * among others; and without one, among others.
 */
export class PostedEvents {
  readonly #events: Posted[] = [];
  /** How many answers there were, by status. */
  readonly answers = new Map<number | undefined, number>();

  /** How many events there are. */
  get count(): number {
    return this.#events.length;
  }

  /** How many of them were answered 200 or 202. */
  get promised(): number {
    return this.#events.filter(isPromised).length;
  }

  /**
   * Posts new events, and once more those with a delivery id that got no answer,
   * until the service is gone.
   *
   * @param onAnswer Called with the number of answers so far.
   */
  async post(
    url: string,
    count: number,
    onAnswer: (answers: number) => void = () => {},
  ): Promise<void> {
    const again = this.#events.filter((event) =>
      event.deliveryId !== undefined && hasFailed(event)
    );
    let made = 0;
    let answers = 0;
    let isGone = false;
    const work = async () => {
      while (!isGone) {
        const event = again.shift() ??
          (made++ < count ? this.#make() : undefined);
        if (event === undefined) return;
        const status = await this.#postOne(url, event);
        this.answers.set(status, (this.answers.get(status) ?? 0) + 1);
        if (status === undefined) isGone = true;
        else onAnswer(++answers);
      }
    };
    await Promise.all(Array.from({ length: CONCURRENCY }, work));
  }

  /**
   * How many promised events are missing, and how many are there that are not promised.
   *
   * @throws {AssertionError} If one counts twice, or not as of the second in which it was posted.
   */
  async check(redisUrl: string): Promise<{ missing: number; surplus: number }> {
    await using redis = new Redis(redisUrl);
    let missing = 0;
    let surplus = 0;
    for (const [key, events] of this.#byKey()) {
      const flat = await redis.send(["ZRANGE", key, 0, -1, "WITHSCORES"]);
      const scores = new Map<string, number>();
      for (let i = 0; i < flat.length; i += 2) {
        scores.set(flat[i]!, Number(flat[i + 1]));
      }
      for (const event of events.filter((it) => it.deliveryId !== undefined)) {
        const [member] = await membersOf(event.deliveryId!, 1);
        const score = scores.get(member!);
        scores.delete(member!);
        if (score === undefined) missing += isPromised(event) ? 1 : 0;
        else {
          surplus += isPromised(event) ? 0 : 1;
          assertIsOf(score, [event]);
        }
      }
      const others = events.filter((it) => it.deliveryId === undefined);
      assertGreaterOrEqual(others.length, scores.size, `twice in ${key}`);
      for (const score of scores.values()) assertIsOf(score, others);
      const promised = others.filter(isPromised).length;
      missing += Math.max(0, promised - scores.size);
      surplus += Math.max(0, scores.size - promised);
    }
    return { missing, surplus };
  }

  /** Waits until all promised events are in their sets. */
  arrive(redisUrl: string): Promise<void> {
    const isThere = async () => (await this.check(redisUrl)).missing === 0;
    return until(isThere, "all promised events are there", PATIENCE_MS);
  }

  #byKey(): Map<string, Posted[]> {
    return Map.groupBy(this.#events, ({ key }) => key);
  }

  #make(): Posted {
    const i = this.#events.length;
    const kind = ["alone", "delivered", "plain"][i % 3]!;
    const shop = kind === "alone" ? i : i % SHOPS;
    const event = {
      path: `/webhooks/mall/${shop}/${kind}`,
      key: `webhook_frequency_mall_${shop}_${kind}`,
      deliveryId: kind === "delivered" ? `delivery-${i}` : undefined,
      times: [],
    };
    this.#events.push(event);
    return event;
  }

  async #postOne(
    url: string,
    { path, deliveryId, times }: Posted,
  ): Promise<number | undefined> {
    const posted: PostedOnce = {
      from: Date.now(),
      to: Infinity,
      status: undefined,
    };
    times.push(posted);
    try {
      const response = await fetch(`${url}${path}`, {
        method: "POST",
        headers: deliveryId === undefined ? {} : { "X-Webhook-Id": deliveryId },
      });
      await response.body?.cancel();
      posted.status = response.status;
    } catch {
      // The service is gone.
    }
    posted.to = Date.now();
    return posted.status;
  }
}

/** @throws {AssertionError} If none of the events was posted in that second. */
function assertIsOf(score: number, events: readonly Posted[]): void {
  const isOf = ({ from, to }: PostedOnce) =>
    Math.floor(from / 1000) <= score && score <= Math.floor(to / 1000);
  const isThere = events.some(({ times }) => times.some(isOf));
  assertEquals(isThere, true, `score ${score} of ${events[0]?.key}`);
}
