// What a pool holds, and what has become of its connections so far.
import type {
  ClosedHow,
  CloseReport,
  PoolState,
} from "./connection/close_report.ts";
import type { RetirementReason } from "./member.ts";

/** Why a connection left the pool. */
export type EvictionReason = ClosedHow | RetirementReason;

/** What a pool looks like at one moment. */
export interface PoolStats extends PoolState {
  /** The most connections there may be. */
  maxConnections: number;
  /** Of the open ones, with nothing in flight and not leased. */
  idle: number;
  /** Commands written or about to be, without a reply yet. */
  inFlight: number;
  /** Of the open ones, suspected to be dead until they answer a PING. */
  suspect: number;
  /** Connections opened so far. */
  dialed: number;
  /** Dials that failed so far. */
  dialFailures: number;
  /** Connections gone so far, by reason. */
  evicted: Partial<Record<EvictionReason, number>>;
  /** How the last connection ended that the client did not close itself. */
  lastClose: CloseReport | undefined;
  /** What the last failed dial failed with. */
  lastDialError: unknown;
  /** Since when no connection is open and none can be opened, Unix time in milliseconds. */
  awaySince: number | undefined;
}
