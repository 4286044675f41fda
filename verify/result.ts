// What a run of the proof has found out.
import type { Method } from "./arguments.ts";
import type { EventsResult } from "./events.ts";
import type { RequestsResult } from "./requests.ts";
import type { Environment } from "./server.ts";

/** Everything that was found out. */
export interface Proof {
  readonly environment: Environment;
  /** How connections were made zombies; `reason` says why not by the first choice. */
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
