// An accepted event: what is written for it, by which command, and its one state.
import { checkCommand } from "../../resp/command.ts";
import type { Command } from "../../resp/types.ts";
import type { Epoch } from "./epochs.ts";
import type { WebhookEvent } from "./event.ts";

/** An event that Redis has acknowledged. */
export interface RecordedOutcome {
  /** Redis has acknowledged it. */
  readonly status: "recorded";
  /** How many events it was. */
  readonly count: number;
  /**
   * Of an event with a `deliveryId`: whether none of its members was in the set
   * before. Missing where that cannot be known, since the write was sent again after a
   * lost reply.
   */
  readonly isNew?: boolean;
  /**
   * With `windowSeconds`: how many events of its set there were in the window when it
   * was recorded, this one included unless its own time is before the window. Missing
   * where the write was acknowledged and the count was refused or lost.
   */
  readonly frequency?: number;
  /** There is none. */
  readonly error?: undefined;
}

/** An event that is held in the outbox. */
export interface QueuedOutcome {
  /**
   * It is held in the outbox, and sent as soon as Redis takes it. With a store it is
   * there, and a later process sends it if this one ends, unless `error` is an `OutboxError`:
   * then it is in memory alone.
   */
  readonly status: "queued";
  /** How many events it was. */
  readonly count: number;
  /** Why it was not recorded at once. */
  readonly error: unknown;
}

/** An event that is lost. */
export interface DroppedOutcome {
  /**
   * It is not sent again: the outbox is full, the store has not taken it, or no later
   * attempt can succeed.
   * `fateOf(error)` says whether the first attempt may have stored it.
   */
  readonly status: "dropped";
  /** How many events it was. */
  readonly count: number;
  /** Why it was not recorded. */
  readonly error: unknown;
}

/** What became of an event, by its `status`. */
export type RecordOutcome = RecordedOutcome | QueuedOutcome | DroppedOutcome;

/**
 * - `accepted`: its key, time and members are being made.
 * - `pending`: it waits for the end of its turn of the event loop, or for room.
 * - `in flight`: its first attempt is under way.
 * - `queued`: it is in the outbox, until a later attempt succeeds.
 * - `recorded`: Redis has acknowledged it.
 * - `dropped`: it is not sent again.
 * - `left`: it is in the store, for a later process to send.
 */
export type EntryState =
  | "accepted"
  | "pending"
  | "in flight"
  | "queued"
  | "recorded"
  | "dropped"
  | "left";

/**
 * The transitions there are. A switch: three look-ups in a table take 200 of
 * the 1900 nanoseconds of an event.
 */
function isTransition(before: EntryState, next: EntryState): boolean {
  switch (before) {
    case "accepted":
      return next === "pending" || next === "queued" || next === "dropped";
    case "pending":
      return next === "in flight" || next === "queued" || next === "dropped";
    case "in flight":
      return next === "recorded" || next === "queued" || next === "dropped";
    case "queued":
      return next === "recorded" || next === "dropped" || next === "left";
    case "recorded":
    case "dropped":
    case "left":
      return false;
  }
}

/** What is read together with the write of an event. */
export interface Reading {
  /** How far back its frequency reaches, in seconds. */
  readonly windowSeconds: number;
  /** Only later times count, in Unix seconds, if that is later than the start of the window. */
  readonly since?: number | undefined;
  /**
   * A key whose value is read, after each ZADD and before each ZCOUNT of the flush;
   * once for all events that have the same.
   */
  readonly key?: string | undefined;
  /** Called with that value, or the error in its place, before the outcome; not called for an event that is queued without an attempt. */
  onValue?(value: unknown): void;
  /** Called with why there is no frequency, if the write was acknowledged. */
  onUncounted?(error: unknown): void;
}

/** An event is given up after this many refusals, if they have gone on for this long, in milliseconds. */
const MAX_REFUSALS = 10;
const REFUSED_MS = 900_000;

/** What an entry has before its members are made. */
const NONE: readonly string[] = [];

/**
 * An accepted event. Key, score and members are set once, before its first
 * attempt, and never remade: that is what makes sending it again harmless.
 */
export class Entry {
  readonly event: WebhookEvent;
  /** How many times it counts. */
  readonly count: number;
  /** The sorted set. */
  key = "";
  /** Unix time in whole seconds. */
  score = NaN;
  /** One for each count. */
  members: readonly string[] = NONE;
  /** When its first attempt must be over, by `performance.now()`. */
  dueAt = Infinity;
  /** What its first attempt reads. */
  reading: Reading | undefined;
  /** What its outcome says of its delivery id. */
  isNew: boolean | undefined;
  /** What its outcome says of its set. */
  frequency: number | undefined;
  readonly #epoch: Epoch;
  readonly #resolve: (outcome: RecordOutcome) => void;
  #state: EntryState = "accepted";
  #refusals = 0;
  #refusedAt = 0;

  /**
   * @param event The event.
   * @param count How many times it counts.
   * @param epoch When it was accepted.
   * @param resolve Resolves the caller's promise; all calls but the first are ignored.
   */
  constructor(
    event: WebhookEvent,
    count: number,
    epoch: Epoch,
    resolve: (outcome: RecordOutcome) => void,
  ) {
    this.event = event;
    this.count = count;
    this.#epoch = epoch;
    this.#resolve = resolve;
    epoch.enter();
  }

  get state(): EntryState {
    return this.#state;
  }

  /**
   * The only way from one state to another.
   *
   * @returns The state before.
   * @throws {Error} If there is no such transition: a fault of the recorder.
   */
  enter(state: EntryState): EntryState {
    const before = this.#state;
    if (!isTransition(before, state)) {
      throw new Error(`no transition from ${before} to ${state}`);
    }
    this.#state = state;
    if (state === "recorded" || state === "dropped" || state === "left") {
      this.#epoch.leave();
    }
    return before;
  }

  /** Answers the caller; all calls but the first are ignored. */
  answer(status: RecordOutcome["status"], error?: unknown): void {
    const { count, isNew, frequency } = this;
    if (status !== "recorded") return this.#resolve({ status, count, error });
    if (isNew === undefined && frequency === undefined) {
      return this.#resolve({ status, count });
    }
    this.#resolve({
      status,
      count,
      ...(isNew === undefined ? undefined : { isNew }),
      ...(frequency === undefined ? undefined : { frequency }),
    });
  }

  /**
   * Counts one more refusal of the server.
   *
   * @param now By `performance.now()`, in milliseconds.
   * @returns Whether there were enough of them, over a time long enough, to give it up.
   */
  refuse(now: number): boolean {
    if (this.#refusals++ === 0) this.#refusedAt = now;
    return this.#refusals >= MAX_REFUSALS &&
      now - this.#refusedAt >= REFUSED_MS;
  }
}

/**
 * The ZADD of entries that have the same key.
 *
 * @param entries One or more.
 * @param keepsLater Whether a member that is there already keeps the later of its two times.
 * @see {@link https://redis.io/docs/latest/commands/zadd/}
 */
export function zadd(
  entries: readonly Pick<Entry, "key" | "score" | "members">[],
  keepsLater = false,
): Command {
  const { key } = entries[0]!;
  const command: [string, ...(string | number)[]] = keepsLater
    ? ["ZADD", key, "GT"]
    : ["ZADD", key];
  for (const { score, members } of entries) {
    for (const member of members) command.push(score, member);
  }
  return command;
}

/** @throws {TypeError} If the entry can never be sent, since `keyOf`, `now` or `newMember` have made it so. */
export function checkEntry(entry: Entry): void {
  const { key, score, members } = entry;
  const isText = (word: unknown) => typeof word === "string";
  if (isText(key) && Number.isFinite(score) && members.every(isText)) return;
  checkCommand(zadd([entry]));
}
