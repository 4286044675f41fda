// How long faults and load last: at full length, or short for every test run.

/** The load and the times of a run. */
export interface LoadProfile {
  /** Events in all. */
  readonly events: number;
  /** Events a second. */
  readonly perSecond: number;
  /** How many calls may be in flight; further ones wait. */
  readonly inFlight: number;
  /** What the times of a scenario are multiplied by. */
  readonly scale: number;
  /** The client's `replyTimeoutMs`. */
  readonly replyTimeoutMs: number;
  /** The client's `connectTimeoutMs`. */
  readonly connectTimeoutMs: number;
  /** Calls that are still open this long after the last outcome hang. */
  readonly hangMs: number;
  /** What is added to every limit of time, for machines with other work. */
  readonly leewayMs: number;
}

/** The load that other clients were measured with. */
export const LONG: LoadProfile = {
  events: 5000,
  perSecond: 1000,
  inFlight: 50,
  scale: 1,
  replyTimeoutMs: 1000,
  connectTimeoutMs: 1000,
  hangMs: 12_000,
  leewayMs: 0,
};

/** The same faults in less than a second each. */
export const QUICK: LoadProfile = {
  events: 200,
  perSecond: 400,
  inFlight: 20,
  scale: 0.1,
  replyTimeoutMs: 500,
  connectTimeoutMs: 500,
  hangMs: 8000,
  leewayMs: 5000,
};
