// The events of a watch: `--json` prints these objects, one a line.
import { describeClose } from "../../pool/connection/close_report.ts";
import type { ExaminedDeath } from "./batch_post_mortem.ts";
import type { Role } from "./watch_slot.ts";

/** The servers that are watched, at the start and when they change: of a cluster, or of Sentinels. */
export interface NodesEvent {
  readonly type: "nodes";
  readonly at: string;
  /** Such as `the cluster of h:7000`. */
  readonly of: string;
  readonly nodes: readonly {
    /** `host:port`. */
    readonly node: string;
    /** Such as `0-5460`. */
    readonly hashSlots: string;
  }[];
  /** How many of the 16,384 hash slots have a server. */
  readonly covered: number;
  /** What has gone from one server to another since the last of these events. */
  readonly changes: readonly {
    readonly from: string;
    readonly to: string;
    /** Such as `hash slots 0-5460 went to h:7004`. */
    readonly what: string;
  }[];
}

/** The watch of a server has begun. Times are ISO 8601, durations end in `Ms`, `null` is "never" or "not known". */
export interface StartEvent {
  readonly type: "start";
  readonly at: string;
  /** `host:port`. */
  readonly endpoint: string;
  readonly tls: boolean;
  /** The server's version. */
  readonly server: string | null;
  readonly connections: readonly {
    readonly role: Role;
    readonly usedEveryMs: number | null;
  }[];
  /** How long the watch will last. */
  readonly forMs: number | null;
}

/** A connection was opened. */
export interface OpenEvent {
  readonly type: "open";
  /** The server, `host:port`. */
  readonly node: string;
  readonly at: string;
  /** Its place among the connections of the start event, starting at 1. The next connection takes the same one. */
  readonly slot: number;
  readonly connection: number;
}

/** A connection has ended, and was investigated. */
export interface DeathEvent {
  readonly type: "death";
  /** The server, `host:port`. */
  readonly node: string;
  /** When it ended. */
  readonly at: string;
  /** Sequence number of the moment at which connections ended, starting at 1. */
  readonly event: number;
  /** How many ended at that moment. */
  readonly together: number;
  readonly connection: number;
  /** Its place among the connections of the start event, starting at 1. */
  readonly slot: number;
  readonly role: Role;
  readonly usedEveryMs: number | null;
  /** How long it had been idle when it ended, or when it was used for the last time. */
  readonly idleMs: number;
  readonly ageMs: number;
  readonly by: string;
  readonly how: string;
  readonly during: string;
  /** The close report as a sentence. */
  readonly close: string;
  readonly cause: string | null;
  readonly confidence: "likely" | "possible" | "none";
  readonly evidence: readonly string[];
  readonly advice: string | null;
  /** The verdict as a sentence. */
  readonly verdict: string;
  /** The same without the connection's name. */
  readonly outcome: string;
  /** Probes that the server refuses. */
  readonly refused: readonly string[];
  /** How much of the idle time this process may have been frozen. */
  readonly frozenMs: number;
}

/** A connection could not be opened: the server is away, or accepts no more of them. */
export interface AwayEvent {
  readonly type: "away";
  /** The server, `host:port`. */
  readonly node: string;
  readonly at: string;
  readonly reason: string;
  /** How many connections are still open. */
  readonly open: number;
}

/** Every connection is open again. */
export interface BackEvent {
  readonly type: "back";
  /** The server, `host:port`. */
  readonly node: string;
  readonly at: string;
  /** From the first connection that could not be opened to one that could. */
  readonly afterMs: number;
}

/** The server answered late, and no connection ended. */
export interface StalledEvent {
  readonly type: "stalled";
  /** The server, `host:port`. */
  readonly node: string;
  /** When the command was sent that it answered late. */
  readonly at: string;
  readonly forMs: number;
}

/** This process did not run. */
export interface FrozenEvent {
  readonly type: "frozen";
  readonly at: string;
  readonly forMs: number;
}

/** Deaths of one cause. */
export interface CauseRow {
  /** Such as `"client-kill"`; `"client-kill or acl-change"` where both fit. */
  readonly cause: string | null;
  readonly deaths: number;
  /** How many of each confidence. */
  readonly confidence: Readonly<Record<"likely" | "possible" | "none", number>>;
  /** Whether this process was frozen before, so that the idle ages say nothing. */
  readonly afterFreeze: boolean;
  readonly idleMs: { readonly min: number; readonly max: number };
  readonly advice: string | null;
}

/** The watch has ended. */
export interface SummaryEvent {
  readonly type: "summary";
  readonly at: string;
  readonly endpoint: string;
  readonly watchedMs: number;
  readonly connections: number;
  /** How many were open at the end. */
  readonly open: number;
  readonly deaths: number;
  readonly causes: readonly CauseRow[];
  /** The longest that a connection was idle and still answered. */
  readonly longestIdleMs: number;
  readonly awayTimes: number;
  readonly awayMs: number;
  /** Why a connection could not be opened, the last time. */
  readonly awayReason: string | null;
  readonly frozenMs: number;
  readonly refused: readonly string[];
}

/** A line of `--json`. */
export type WatchEvent =
  | NodesEvent
  | StartEvent
  | OpenEvent
  | DeathEvent
  | AwayEvent
  | BackEvent
  | StalledEvent
  | FrozenEvent
  | SummaryEvent;

/** A watch at one moment, between two events. */
export interface Status {
  readonly watchedMs: number;
  readonly connections: number;
  readonly open: number;
  readonly oldestIdleMs: number;
  readonly deaths: number;
  readonly isAway: boolean;
}

/** JSON has no number for Infinity. */
export const orNull = (ms: number): number | null =>
  ms === Infinity ? null : Math.round(ms);

export const isoOf = (ms: number): string => new Date(ms).toISOString();

/** The event of a freeze of this process. */
export const frozenEventOf = (ms: number): FrozenEvent => ({
  type: "frozen",
  at: isoOf(Date.now()),
  forMs: Math.round(ms),
});

/** The event of a death. */
export function deathEventOf(
  { death, verdict }: ExaminedDeath,
  event: number,
  together: number,
): DeathEvent {
  const { report, slot, role, everyMs, idleMs, frozenMs } = death;
  return {
    type: "death",
    node: report.endpoint,
    at: isoOf(report.closedAt),
    event,
    together,
    connection: report.connection,
    slot,
    role,
    usedEveryMs: orNull(everyMs),
    idleMs: Math.round(idleMs),
    ageMs: Math.round(report.ageMs),
    by: report.by,
    how: report.how,
    during: report.during,
    close: describeClose(report),
    cause: verdict.cause ?? null,
    confidence: verdict.confidence,
    evidence: verdict.evidence,
    advice: verdict.advice ?? null,
    verdict: verdict.text,
    outcome: verdict.outcome,
    refused: verdict.refused,
    frozenMs: Math.round(frozenMs),
  };
}
