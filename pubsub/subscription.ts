// A subscription, as its user has it.
import type { OneRequest } from "../pool/socket/other_runtimes.ts";
import type { Inbox } from "./inbox.ts";
import type { Item } from "./items.ts";

/**
 * Channels, or patterns of channels, that are subscribed, and the messages that have come.
 *
 * - It is an async iterator of {@linkcode Item}s, for one reader, unless it has `onMessage`.
 * - Messages of one channel come in the order in which they were published, each once.
 * - Where some are missing there is a `gap`; an `away` says at once that nothing comes.
 * - It ends by `break`, `using`, its signal, {@linkcode Subscription.unsubscribe} or the
 *   end of its subscriber.
 *
 * @example Read until a message says stop
 * ```ts
 * import { Redis } from "@unzombie/redis";
 * import { Subscriber } from "@unzombie/redis/pubsub";
 * import { assertEquals } from "@std/assert";
 *
 * const url = Deno.env.get("REDIS_URL");
 * await using redis = new Redis(url);
 * await using subscriber = new Subscriber(url);
 * const subscription = await subscriber.subscribe("jobs");
 * await redis.pipeline([["PUBLISH", "jobs", "one"], ["PUBLISH", "jobs", "stop"]]);
 * const heard: string[] = [];
 * for await (const item of subscription) {
 *   if (item.type !== "message") continue; // "gap": read anew what the messages are about
 *   if (item.payload === "stop") break;
 *   heard.push(item.payload);
 * }
 * assertEquals(heard, ["one"]);
 * ```
 */
export class Subscription<P extends string | Uint8Array = string>
  implements AsyncIterableIterator<Item<P>, undefined>, Disposable {
  readonly #inbox: Inbox;
  readonly #oneRequest: OneRequest | undefined;

  /** Made by `Subscriber.subscribe` and its like. */
  constructor(inbox: Inbox, oneRequest?: OneRequest) {
    this.#inbox = inbox;
    this.#oneRequest = oneRequest;
  }

  /** The channels or patterns, as they were given. */
  get channels(): readonly string[] {
    return this.#inbox.names;
  }

  /** How many messages wait to be read. */
  get queued(): number {
    return this.#inbox.queued;
  }

  /** Whether it has ended. What waited then can still be read. */
  get isEnded(): boolean {
    return this.#inbox.isEnded;
  }

  /**
   * The next item.
   *
   * @throws {QueueFullError} If it has ended for that.
   * @throws {CommandError} If the server refuses to subscribe it again after a loss.
   * @throws {TypeError} If it has `onMessage`, or on Workers is read in another request.
   * @throws The reason of its signal.
   */
  next(): Promise<IteratorResult<Item<P>, undefined>> {
    // What comes for another request never settles a promise of this one.
    if (this.#oneRequest !== undefined && !this.#inbox.isEnded) {
      try {
        this.#oneRequest.assert("read a subscription");
      } catch (error) {
        return Promise.reject(error);
      }
    }
    return this.#inbox.next() as Promise<IteratorResult<Item<P>, undefined>>;
  }

  /** Unsubscribes, and drops what waits. `break` calls it. */
  return(): Promise<IteratorResult<Item<P>, undefined>> {
    this.#inbox.abandon();
    return Promise.resolve({ value: undefined, done: true });
  }

  /** Unsubscribes. What waits can still be read; then the iterator ends. */
  unsubscribe(): void {
    this.#inbox.end();
  }

  /** The iterator itself. */
  [Symbol.asyncIterator](): this {
    return this;
  }

  /** The same as {@linkcode Subscription.return}. */
  [Symbol.dispose](): void {
    this.#inbox.abandon();
  }
}
