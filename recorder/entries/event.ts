// A webhook event, with the key and the members that it is counted by.
import { show } from "../../client/check.ts";

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
  readonly deliveryId?: string | undefined;
  /** When it was received, in milliseconds since 1970. @default {now()} */
  readonly receivedAt?: number | undefined;
}

/** The most times that an event may count: each has a member of its own. */
export const MAX_COUNT = 10_000;

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

/** The latest time that a `Date` can have. */
const MAX_TIME_MS = 8.64e15;

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
      receivedAt <= MAX_TIME_MS)
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

/** The namespace of members made from delivery ids. Changing it would count redeliveries twice. */
const DELIVERIES = "5d0f6b0e-4c1c-4b8e-9a55-1f7c2c9f2b61";

/**
 * The UUID v5 of a delivery id, so that the same webhook delivered again writes
 * the same members.
 *
 * @see {@link https://www.rfc-editor.org/rfc/rfc9562#name-uuid-version-5}
 */
export async function membersOf(
  deliveryId: string,
  count: number,
): Promise<string[]> {
  // Five modules, 2 ms of a cold start, needed only with delivery ids.
  const { generate: uuidV5 } = await import("@std/uuid/v5");
  const utf8 = new TextEncoder();
  const first = await uuidV5(DELIVERIES, utf8.encode(deliveryId));
  // Its own namespace: no other delivery's id can lead to these.
  const others = Array.from(
    { length: count - 1 },
    (_, i) => uuidV5(first, utf8.encode(`${i + 1}`)),
  );
  return [first, ...await Promise.all(others)];
}
