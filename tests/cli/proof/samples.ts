// Results of a proof, as samples.
import type { RequestResult } from "../../../cli/proof/requests.ts";
import type { Proof } from "../../../cli/proof/result.ts";

/** A request that succeeded. */
export const fine: RequestResult = {
  error: null,
  replays: 1,
  retries: 0,
  tookMs: 3,
  verdict: null,
};
/** A request that failed on a closed connection. */
export const failed: RequestResult = {
  ...fine,
  error: { name: "ConnectionClosedError", message: "closed" },
};

/** The results of the three tests. */
export type Results = Pick<Proof, "withoutRetry" | "withRetry" | "events">;

/** Results that are a proof. */
export const good: Results = {
  withoutRetry: { failed: 2, requests: [failed, failed] },
  withRetry: { failed: 0, requests: [fine, fine] },
  events: {
    events: 1000,
    stored: 1000,
    outcomes: { recorded: 990, queued: 10, dropped: 0 },
    rounds: 16,
    connectionsKilled: 17,
    replays: 150,
    retries: 3,
    longestMs: 7,
    lastError: null,
  },
};
