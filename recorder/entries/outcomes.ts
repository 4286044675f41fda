// What becomes of entries, for the caller, the statistics, onError and telemetry.
import type { TelemetryEvents } from "../../client/telemetry.ts";
import { messageOf } from "../../retry/failures.ts";
import type { Entry, RecordOutcome } from "./entry.ts";
import { countOf } from "./queue.ts";

/** What became of events so far, counted. */
export type Counts = Readonly<
  Record<
    "recorded" | "queued" | "sent" | "dropped" | "restored" | "left",
    number
  >
>;

/** What happens to entries of the outbox, as telemetry has it. */
export type OutboxChange = TelemetryEvents["outbox"]["change"];

/** Callbacks for what becomes of entries. */
export interface OutcomeListener {
  /** An entry is queued or dropped. */
  onError(
    error: unknown,
    status: RecordOutcome["status"],
    entry: Entry,
  ): void;
  /** The outbox has changed, or entries are dropped. */
  onChange(
    change: OutboxChange,
    count: number,
    error?: unknown,
  ): void;
}

/** An entry that the server has refused, and its answer. */
export type Refused = readonly [entry: Entry, error: unknown];

/** The outcomes of a recorder's entries. */
export class Outcomes {
  readonly #listener: OutcomeListener;
  #recorded = 0;
  #queued = 0;
  #sent = 0;
  #dropped = 0;
  #restored = 0;
  #left = 0;

  constructor(listener: OutcomeListener) {
    this.#listener = listener;
  }

  /** The numbers so far. */
  get counts(): Counts {
    return {
      recorded: this.#recorded,
      queued: this.#queued,
      sent: this.#sent,
      dropped: this.#dropped,
      restored: this.#restored,
      left: this.#left,
    };
  }

  /** Redis has acknowledged entries. */
  recorded(entries: readonly Entry[]): void {
    let sent = 0;
    for (const entry of entries) {
      const before = entry.enter("recorded");
      this.#recorded += entry.count;
      if (before === "queued") sent += entry.count;
      entry.answer("recorded");
    }
    if (sent === 0) return;
    this.#sent += sent;
    this.#listener.onChange("recorded", sent);
  }

  /** An entry is in the outbox. */
  queued(entry: Entry): void {
    entry.enter("queued");
    this.#queued += entry.count;
  }

  /** An entry of an earlier process is in the outbox. */
  restored(entry: Entry): void {
    entry.enter("queued");
    this.#restored += entry.count;
    this.#listener.onChange("restored", entry.count);
  }

  /** An entry stays in the store, for a later process to send. */
  left(entry: Entry): void {
    entry.enter("left");
    this.#left += entry.count;
    this.#listener.onChange("left", entry.count);
  }

  /** An entry is in the outbox and, where there is a store, durable there or known not to be. */
  stored(entry: Entry, error: unknown): void {
    entry.answer("queued", error);
    this.#listener.onChange("queued", entry.count, error);
    this.#listener.onError(error, "queued", entry);
  }

  /** An entry is not sent again. */
  dropped(entry: Entry, error: unknown): void {
    this.#listener.onChange("dropped", entry.count, error);
    this.#drop(entry, error);
  }

  /** The server has refused queued entries for good, each with an error of its own. */
  refused(refusals: readonly Refused[]): void {
    const count = countOf(refusals.map(([entry]) => entry));
    if (count > 0) this.#listener.onChange("dropped", count);
    for (const [entry, error] of refusals) this.#drop(entry, error);
  }

  /**
   * Entries are lost together: nothing will send them any more.
   *
   * @returns The error that they are dropped with.
   */
  lost(entries: readonly Entry[], cause: unknown): Error {
    const count = countOf(entries);
    const loss = endOf(count, "lost", cause);
    if (count > 0) this.#listener.onChange("dropped", count, loss);
    for (const entry of entries) this.#drop(entry, loss);
    return loss;
  }

  #drop(entry: Entry, error: unknown): void {
    entry.enter("dropped");
    this.#dropped += entry.count;
    entry.answer("dropped", error);
    this.#listener.onError(error, "dropped", entry);
  }
}

/** What events have in common that are not sent any more. */
export const endOf = (count: number, what: string, cause: unknown): Error =>
  new Error(
    `${count} ${count === 1 ? "event is" : "events are"} ${what}: ` +
      messageOf(cause),
    { cause },
  );
