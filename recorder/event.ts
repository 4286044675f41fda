// What an event is, and which set it belongs to.
import { show } from "../client/check.ts";

/**
 * A webhook event. Its names, and the default key, are those of a service for
 * online shops: a mall is the account of a merchant, who has one shop in it or
 * several. Events of any other kind fit as well: say by `keyOf` which of them
 * are counted together.
 */
export interface WebhookEvent {
  /** The id of the mall that it came from. */
  readonly mallId: string;
  /** The number of the shop within the mall, from 0. */
  readonly shopNo: number;
  /** What happened, such as `"orders/create"`. */
  readonly eventType: string;
  /** The id that the sender repeats when it delivers the same webhook again. */
  readonly deliveryId?: string;
  /** When it was received, in milliseconds since 1970. @default {now()} */
  readonly receivedAt?: number;
}

/** A time later than any that a `Date` can have. */
const LATEST_MS = 8.64e15;

/**
 * The key that an event is counted under. Parts are joined by `_` as they
 * are, so ids that themselves contain `_` can meet in one key: where yours
 * do, pass a `keyOf` of your own.
 *
 * @param event The event.
 * @returns `webhook_frequency_{mallId}_{shopNo}_{eventType}`
 */
export const defaultKeyOf = (
  { mallId, shopNo, eventType }: WebhookEvent,
): string => `webhook_frequency_${mallId}_${shopNo}_${eventType}`;

/** @throws {TypeError} If the event is not one; the message names the argument. */
export function checkEvent(event: WebhookEvent): void {
  if (typeof event !== "object" || event === null) {
    refuse("event", event, "an object { mallId, shopNo, eventType }");
  }
  const { mallId, shopNo, eventType, deliveryId, receivedAt } = event;
  if (!isText(mallId)) refuse("mallId", mallId, "a string that is not empty");
  if (!Number.isSafeInteger(shopNo) || shopNo < 0) {
    refuse("shopNo", shopNo, "a whole number of 0 or more");
  }
  if (!isText(eventType)) {
    refuse("eventType", eventType, "a string that is not empty");
  }
  if (deliveryId !== undefined && !isText(deliveryId)) {
    refuse("deliveryId", deliveryId, "a string that is not empty, or none");
  }
  if (
    receivedAt !== undefined &&
    !(typeof receivedAt === "number" && receivedAt >= 0 &&
      receivedAt <= LATEST_MS)
  ) {
    refuse("receivedAt", receivedAt, "milliseconds since 1970, or none");
  }
  for (const name in event) {
    if (!isField(name)) {
      throw new TypeError(
        `Cannot record event: unknown field ${
          JSON.stringify(name)
        }, expected mallId, shopNo, eventType, deliveryId or receivedAt`,
      );
    }
  }
}

function isField(name: string): boolean {
  switch (name) {
    case "mallId":
    case "shopNo":
    case "eventType":
    case "deliveryId":
    case "receivedAt":
      return true;
  }
  return false;
}

const isText = (value: unknown): boolean =>
  typeof value === "string" && value !== "";

function refuse(name: string, value: unknown, expected: string): never {
  throw new TypeError(
    `Cannot record event: ${name} is ${show(value)}, expected ${expected}`,
  );
}
