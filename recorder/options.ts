// The options of a recorder, with the argument of its onError.
import {
  CHECKED_ELSEWHERE,
  checkOptions,
  checkWhole,
  FUNCTION,
  isObject,
  MAX_TIMER_MS,
  type OptionRule,
} from "../client/check.ts";
import type { RecordOutcome } from "./entries/entry.ts";
import type { WebhookEvent } from "./entries/event.ts";
import type { Kept } from "./outbox/outbox.ts";
import type { OutboxError, OutboxStore } from "./outbox/outbox_store.ts";

/** Options of a {@linkcode WebhookRecorder}. */
export interface RecorderOptions {
  /**
   * The key of the sorted set that an event belongs to.
   * @default {webhook_frequency_{mallId}_{shopNo}_{eventType}}
   */
  keyOf?: ((event: WebhookEvent) => string) | undefined;
  /** The time, in milliseconds since 1970. @default {Date.now} */
  now?: (() => number) | undefined;
  /**
   * Makes the member of an event without a `deliveryId`. No two events may have
   * the same.
   * @default {crypto.randomUUID}
   */
  newMember?: (() => string) | undefined;
  /**
   * How many events the outbox can hold. With 0 an event that cannot be
   * recorded is dropped.
   * @default {10000}
   */
  outboxCapacity?: number | undefined;
  /**
   * Keeps the outbox beyond the end of the process. An event is answered `"queued"`
   * once the store has it. What an earlier process has left there is sent, oldest
   * first, from the start of this one. An event that is recorded at once never comes
   * to the store.
   * @default {in memory}
   */
  outbox?: OutboxStore | undefined;
  /**
   * What becomes of an event that the store fails to keep, or does not keep within 5
   * seconds. `"drop"`: it is dropped, with the store's error; its sender can send it
   * again. `"memory"`: it stays in memory and is answered `"queued"`, with an
   * `OutboxError` that says so; the store is tried again, by backoff and with the next
   * events.
   * @default {"drop"}
   */
  whenStoreFails?: "drop" | "memory" | undefined;
  /**
   * Retention in seconds. Within 10 milliseconds after Redis has acknowledged a
   * write, members older than this are removed, by the server's clock, and the
   * expiry of the set is set to this value. A process that ends in between
   * leaves it to the next write of that set. A set that is written several times in
   * one second is trimmed in that second once, and again after a write in a later
   * second, or by `flush` or `close`.
   * @default {for ever}
   */
  retentionSeconds?: number | undefined;
  /**
   * How far back the `frequency` of a recorded outcome reaches, in seconds. It is read
   * in the flush that writes the event: one ZCOUNT for each set and flush. Outcomes of
   * events that are queued or dropped have none.
   * @default {none: nothing is read}
   */
  windowSeconds?: number | undefined;
  /**
   * After a failover, how much is written once more of what the server that is gone
   * has acknowledged last, in milliseconds before its last acknowledgement; 0 for
   * nothing. Replication is asynchronous: these events may be missing on the
   * replica that was promoted. Writing them again counts nothing twice, but a member
   * that was removed since by anything else comes back. Not covered is what a server
   * acknowledged earlier and never replicated, what it acknowledged to a process
   * that has ended, and all but the last 50,000 events.
   * @default {3000 in a cluster and with Sentinels; without effect on one server}
   */
  repeatAfterFailoverMs?: number | undefined;
  /**
   * How long the first attempt of an event may take, in milliseconds, with the
   * retries of the client; then the event is queued.
   * @default {as long as the client tries}
   */
  deadlineMs?: number | undefined;
  /**
   * Called once for each event that is not recorded at once, with what became of
   * it as `status`; a second time, with `"dropped"`, if a queued one is lost
   * later; and if a set cannot be trimmed or counted. What it throws goes to the console.
   */
  onError?: ((error: unknown, info: RecordErrorInfo) => void) | undefined;
  /**
   * Called for trouble of the store that is not about a single event: it cannot be
   * loaded, it holds what is not a queued event, or events that were sent cannot be
   * removed. Of several failures in a row only for the first.
   * @default {to the console}
   */
  onOutboxError?: ((error: OutboxError) => void) | undefined;
}

/** What an error was about, ready for an error tracker. */
export interface RecordErrorInfo {
  /**
   * What became of the event: `"queued"`, `"dropped"`, or `"recorded"` if its set
   * was written and could not be trimmed or counted.
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

/** The three methods that every store has. */
const STORE: OptionRule = [
  (value) =>
    isObject(value) &&
    [value.load, value.append, value.remove].every((method) =>
      typeof method === "function"
    ),
  "an OutboxStore, with the methods load, append and remove",
];

const RULES = {
  keyOf: FUNCTION,
  now: FUNCTION,
  newMember: FUNCTION,
  onError: FUNCTION,
  onOutboxError: FUNCTION,
  outbox: STORE,
  whenStoreFails: [
    (value) => value === "drop" || value === "memory",
    '"drop" or "memory"',
  ],
  outboxCapacity: CHECKED_ELSEWHERE,
  retentionSeconds: CHECKED_ELSEWHERE,
  windowSeconds: CHECKED_ELSEWHERE,
  deadlineMs: CHECKED_ELSEWHERE,
  repeatAfterFailoverMs: CHECKED_ELSEWHERE,
} satisfies Record<keyof RecorderOptions, OptionRule>;

/** @throws {TypeError} If an option is unknown or breaks its rule. */
export function checkRecorderOptions(options: RecorderOptions): void {
  checkOptions(options, RULES);
  const check = (
    name:
      | "outboxCapacity"
      | "retentionSeconds"
      | "windowSeconds"
      | "deadlineMs"
      | "repeatAfterFailoverMs",
    range: { least?: number; most: number },
  ) => {
    if (options[name] === undefined) return;
    checkWhole("make a recorder", name, options[name], range);
  };
  check("outboxCapacity", { least: 0, most: 1e9 });
  check("retentionSeconds", { most: 1e9 });
  check("windowSeconds", { most: 1e9 });
  check("deadlineMs", { most: MAX_TIMER_MS });
  check("repeatAfterFailoverMs", { least: 0, most: MAX_TIMER_MS });
}

/** What onError is called with. */
export function errorInfoOf(
  { event, score, count }: Kept,
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
