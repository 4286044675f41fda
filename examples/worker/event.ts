// The event of a request: POST /webhooks/:mallId/:shopNo/:eventType
import type { WebhookEvent } from "@unzombie/redis";

const PATH =
  /^\/webhooks\/(?<mallId>[A-Za-z0-9.-]{1,64})\/(?<shopNo>\d{1,9})\/(?<eventType>[\w.:-]{1,64})$/;

/**
 * The event, with the id that its sender repeats when it delivers again.
 *
 * @returns The answer to a request that has none.
 */
export function eventIn({ method, url, headers }: Request):
  | WebhookEvent
  | Response {
  const { mallId, shopNo, eventType } = PATH.exec(new URL(url).pathname)
    ?.groups ?? {};
  if (mallId === undefined || eventType === undefined) {
    return new Response("expected /webhooks/mallId/shopNo/eventType\n", {
      status: 404,
    });
  }
  if (method !== "POST") {
    return new Response("expected POST\n", {
      status: 405,
      headers: { allow: "POST" },
    });
  }
  const deliveryId = headers.get("idempotency-key") ??
    headers.get("x-webhook-id");
  return {
    mallId,
    shopNo: Number(shopNo),
    eventType,
    ...(deliveryId && { deliveryId }),
  };
}
