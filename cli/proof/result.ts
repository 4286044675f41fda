// The result of a run, and whether it proves anything.
import type { Method } from "./arguments.ts";
import type { EventsResult } from "./webhook_events.ts";
import { count } from "../../pool/connection/quantities.ts";
import type { RequestsResult } from "./requests.ts";
import type { Environment } from "./server.ts";

/** The result of a run. */
export interface Proof {
  readonly environment: Environment;
  /** How connections were turned into zombies; `reason` says why not by the first choice. */
  readonly method: { readonly name: Method; readonly reason: string | null };
  /** Test 1. */
  readonly withoutRetry: RequestsResult;
  /** Test 2. */
  readonly withRetry: RequestsResult;
  /** Test 3. */
  readonly events: EventsResult;
  /** Errors without retry, none with it, every event in Redis. */
  readonly ok: boolean;
}

/** Why the results are no proof; `undefined` if they are one. */
export function flawOf(
  { withoutRetry, withRetry, events }: Pick<
    Proof,
    "withoutRetry" | "withRetry" | "events"
  >,
): string | undefined {
  if (withRetry.failed > 0) return "requests failed with retry, too";
  if (withoutRetry.failed < withoutRetry.requests.length) {
    return "not every zombie cost a request without retry";
  }
  if (
    withoutRetry.requests.some(({ error }) =>
      error?.name !== "ConnectionClosedError"
    )
  ) {
    return "requests failed for another reason than a closed connection";
  }
  if (events.connectionsKilled === 0) {
    return "no connection was killed while events were recorded";
  }
  if (events.stored === events.events) return undefined;
  const missing = events.events - events.stored;
  return missing > 0 && events.lastError !== null
    ? `${count(missing, "event")} could not be delivered: ${events.lastError}`
    : "the sorted sets do not hold every event once";
}
