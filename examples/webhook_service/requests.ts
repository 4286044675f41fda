// Reads and checks a request: its event, its delivery id, its window.
import type { WebhookEvent } from "@unzombie/redis";

/** The answer to a request that cannot be met. */
export class Refusal extends Error {
  readonly status: 400 | 401 | 404;
  /** How to show the token that is missing. */
  readonly scheme: "Bearer" | "Basic" | undefined;

  constructor(
    status: 400 | 401 | 404,
    message: string,
    scheme?: "Bearer" | "Basic",
  ) {
    super(message);
    this.status = status;
    this.scheme = scheme;
  }
}

/** Characters that end the host of a URL: a Host header with one of them would change the path. */
const NO_HOST = /[/?#@\\]/;

/** The URL of a request. */
export function urlOf(request: Request): URL {
  try {
    if (NO_HOST.test(request.headers.get("host") ?? "")) throw new TypeError();
    return new URL(request.url);
  } catch {
    throw new Refusal(400, "the Host header or the path makes no URL");
  }
}

/**
 * The event of a path. The sender chooses its words, and they become a key: short
 * and plain, and no `_` in an id, by which two keys could be the same.
 */
export function eventIn(path: readonly string[]): WebhookEvent {
  if (path.length !== 3) {
    throw new Refusal(404, "no such page, expected /mallId/shopNo/eventType");
  }
  return {
    ...shopIn(path.slice(0, 2)),
    eventType: matching(
      "eventType",
      decoded(path[2]!),
      /^[\w./:-]{1,64}$/,
      "1 to 64 of A-Z a-z 0-9 _ . / : -",
    ),
  };
}

/** The shop of a path. */
export function shopIn(
  path: readonly string[],
): Pick<WebhookEvent, "mallId" | "shopNo"> {
  if (path.length !== 2) {
    throw new Refusal(404, "no such page, expected /mallId/shopNo");
  }
  const [mallId, shopNo] = path.map(decoded) as [string, string];
  return {
    mallId: matching(
      "mallId",
      mallId,
      /^[A-Za-z0-9.-]{1,64}$/,
      "1 to 64 of A-Z a-z 0-9 . -",
    ),
    shopNo: Number(
      matching("shopNo", shopNo, /^\d{1,9}$/, "a whole number of 0 or more"),
    ),
  };
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text; // with its %, which is refused
  }
}

/** The id that the sender repeats when it delivers again, so that it counts once. */
export function deliveryIn(headers: Headers): { deliveryId?: string } {
  for (const name of ["Idempotency-Key", "X-Webhook-Id"]) {
    const id = headers.get(name);
    if (id === null) continue;
    const expected = "1 to 200 printable ASCII characters";
    return { deliveryId: matching(name, id, /^[!-~]{1,200}$/, expected) };
  }
  return {};
}

/** A number of seconds in the query, of so many digits; none if it is not there. */
export function secondsIn<Name extends string>(
  query: URLSearchParams,
  name: Name,
  digits = 9,
): { [name in Name]?: number } {
  const text = query.get(name);
  if (text === null) return {};
  const pattern = new RegExp(`^[1-9]\\d{0,${digits - 1}}$`);
  const expected = `a whole number from 1 to ${10 ** digits - 1}`;
  const value = Number(matching(name, text, pattern, expected));
  return { [name]: value } as { [name in Name]?: number };
}

function matching(
  name: string,
  text: string,
  pattern: RegExp,
  expected: string,
): string {
  if (pattern.test(text)) return text;
  const shown = JSON.stringify(text.slice(0, 80));
  throw new Refusal(
    400,
    `Cannot use ${name}: it is ${shown}, expected ${expected}`,
  );
}
