/**
 * Pub/sub of Redis on connections of its own: messages as an async iterator or by
 * callback, subscribed again after a loss, with a gap where messages may be missing.
 *
 * @module
 */
export { QueueFullError } from "./errors.ts";
export type { Away, Gap, Item, Message } from "./items.ts";
export type {
  AttemptInfo,
  QueueOptions,
  SubscribeOptions,
  SubscriberOptions,
  WhenFull,
} from "./options.ts";
export { Subscriber, type SubscriberStats } from "./subscriber.ts";
export { Subscription } from "./subscription.ts";
