// An event accepted: what is written for it, and how far it has come.
import type { Cohort } from "./cohorts.ts";
import type { WebhookEvent } from "./event.ts";

/** What became of a recorded event. */
export interface RecordOutcome {
  /**
   * `"recorded"`: Redis acknowledged it. `"queued"`: it is held in the outbox
   * and sent when Redis takes it. `"dropped"`: it is not sent again, since the
   * outbox is full or no later attempt can succeed; `fateOf(error)` says whether
   * the first attempt may have stored it.
   */
  readonly status: "recorded" | "queued" | "dropped";
  /** How many events it was. */
  readonly count: number;
  /** Why it is not `"recorded"`. */
  readonly error?: unknown;
}

/** An event is given up after so many refusals, if they have gone on for so long. */
const MOST_REFUSALS = 10;
const REFUSED_MS = 900_000;
/** What a member costs on its way beside its text: the score and the headers of both. */
const OVERHEAD = 40;

/** What an event without members has: it could not be made. */
const NONE: readonly string[] = [];

/**
 * An event on its way. Key, score and members are set once, before the first
 * attempt, and never remade: that is what makes sending it again harmless.
 */
export class Delivery {
  /** The sorted set. */
  key = "";
  /** Unix time in whole seconds. */
  score = NaN;
  /** One for each count. */
  members: readonly string[] = NONE;
  /** When its first attempt must be over, by `performance.now()`. */
  dueAt = Infinity;
  /** Whether it has come to its end: recorded, or given up. */
  isOver = false;
  /** Whether it was held in the outbox. */
  wasQueued = false;
  #refusals = 0;
  #refusedAt = 0;

  /**
   * @param event The event.
   * @param count How many times it counts.
   * @param cohort The events accepted with it.
   * @param answer Settles what the caller was given; all calls but the first are ignored.
   */
  constructor(
    readonly event: WebhookEvent,
    readonly count: number,
    readonly cohort: Cohort,
    readonly answer: (outcome: RecordOutcome) => void,
  ) {}

  /** About how many bytes its ZADD takes. */
  get bytes(): number {
    const { key, members } = this;
    if (members.length === 1) return key.length + members[0]!.length + OVERHEAD;
    return members.reduce(
      (sum, member) => sum + member.length + OVERHEAD,
      key.length,
    );
  }

  /**
   * Counts that the server has refused it once more.
   *
   * @param now By `performance.now()`, in milliseconds.
   * @returns Whether that was often enough, and for long enough, to give it up.
   */
  refuse(now: number): boolean {
    if (this.#refusals++ === 0) this.#refusedAt = now;
    return this.#refusals >= MOST_REFUSALS &&
      now - this.#refusedAt >= REFUSED_MS;
  }
}
