// What onError learns of an event.
import type { Entry, RecordOutcome } from "./entry.ts";

/** What an error was about, ready for an error tracker. */
export interface RecordErrorInfo {
  /**
   * What became of the event: `"queued"`, `"dropped"`, or `"recorded"` if its set
   * was written and could not be trimmed.
   */
  readonly status: RecordOutcome["status"];
  /** The event. */
  readonly context: {
    readonly mallId: string;
    readonly shopNo: number;
    readonly eventType: string;
    /** Its delivery id, if it has one. */
    readonly deliveryId?: string;
    /** Its time: Unix time in whole seconds. */
    readonly score: number;
    /** How many times it counts. */
    readonly count: number;
    /** The same as `status` above: some trackers keep the context alone. */
    readonly status: RecordOutcome["status"];
  };
  /** What to file it under. */
  readonly tags: { readonly category: "webhook_blacklist" };
}

/** What onError is called with. */
export function errorInfoOf(
  { event, score, count }: Entry,
  status: RecordOutcome["status"],
): RecordErrorInfo {
  const { mallId, shopNo, eventType, deliveryId } = event;
  return {
    status,
    context: {
      mallId,
      shopNo,
      eventType,
      ...(deliveryId === undefined ? {} : { deliveryId }),
      score,
      count,
      status,
    },
    tags: { category: "webhook_blacklist" },
  };
}
