// What a subscription delivers: messages, and where messages are missing.
import type { CloseReport } from "../pool/connection/close_report.ts";

/** A message of a channel. */
export interface Message<Payload extends string | Uint8Array = string> {
  /** Always `"message"`. */
  readonly type: "message";
  /** The channel that it was published to. */
  readonly channel: string;
  /** The pattern that the channel matches; `undefined` if the subscription names the channel. */
  readonly pattern: string | undefined;
  /** What was published. */
  readonly payload: Payload;
}

/**
 * The connection was lost: from now on nothing comes, until a {@linkcode Gap}
 * says that messages come again.
 */
export interface Away {
  /** Always `"away"`. */
  readonly type: "away";
  /** The channels or patterns of the subscription that are silent. */
  readonly channels: readonly string[];
  /** Up to here nothing is missing, Unix time in milliseconds: see {@linkcode Gap.from}. */
  readonly from: number;
  /** What has happened, as a sentence. */
  readonly reason: string;
  /** How the connection ended; `undefined` if it has not. */
  readonly report: CloseReport | undefined;
}

/**
 * Messages may be missing here: those published between `from` and `until`.
 * Every one that was published before or after has been delivered, or will be.
 */
export interface Gap {
  /** Always `"gap"`. */
  readonly type: "gap";
  /** The channels or patterns of the subscription that it is about. */
  readonly channels: readonly string[];
  /**
   * What was published before this is not missing, Unix time in milliseconds: the last
   * PING that was answered had been sent by then. Messages that came later may
   * have been delivered, too.
   */
  readonly from: number;
  /** What is published after this is not missing, Unix time in milliseconds: the server has acknowledged the new subscription. */
  readonly until: number;
  /** `until` less `from`, in milliseconds. */
  readonly ms: number;
  /** How many messages this client has dropped because the queue was full; 0 if the connection was lost. */
  readonly dropped: number;
  /** What has happened, as a sentence. */
  readonly reason: string;
  /** How the connection ended: the same object that `onClose` and a verdict get. `undefined` if it has not. */
  readonly report: CloseReport | undefined;
}

/** What a subscription delivers. */
export type Item<Payload extends string | Uint8Array = string> =
  | Message<Payload>
  | Away
  | Gap;

/** What was lost, before it is known when messages come again. */
export type Loss = Pick<Gap, "from" | "reason" | "report">;

/** One gap in place of two that follow each other without a message between them. */
export const mergedGap = (first: Gap, second: Gap): Gap =>
  gapOf(
    {
      from: Math.min(first.from, second.from),
      reason: first.reason === second.reason
        ? first.reason
        : `${first.reason}; then: ${lastReason(second.reason)}`,
      report: first.report ?? second.report,
    },
    Math.max(first.until, second.until),
    first.channels === second.channels
      ? first.channels
      : [...new Set([...first.channels, ...second.channels])],
    first.dropped + second.dropped,
  );

/** A reason grows with each merge: only its last part is kept. */
const lastReason = (reason: string): string =>
  reason.slice(reason.lastIndexOf("; then: ") + 1).replace(/^ then: /, "");

/** The gap that a loss has become. */
export const gapOf = (
  { from, reason, report }: Loss,
  until: number,
  channels: readonly string[],
  dropped = 0,
): Gap => ({
  type: "gap",
  channels,
  from,
  until,
  ms: Math.max(0, until - from),
  dropped,
  reason,
  report,
});
