// Keeps sets from growing for ever: old members go, by the server's clock, and sets expire.
import type { SendOptions } from "../client/send_options.ts";
import { ReplyError } from "../resp/errors.ts";
import type { Command } from "../resp/types.ts";
import { type Failure, failureIn, failuresIn } from "./outage.ts";
import { type Kept, keptOf } from "./outbox/outbox.ts";
import type { Sender } from "./sender.ts";

/** Sets trimmed in one flush at most. */
const MAX_SETS = 1000;
/** ZREMRANGEBYSCORE and EXPIRE. */
const COMMANDS_PER_SET = 2;

/** Options of a {@linkcode Retention}. */
export interface RetentionOptions {
  /** How long a member stays, in seconds. */
  readonly seconds: number;
  /** The options that everything is sent with. */
  readonly sendOptions: SendOptions;
  /** Called with the first of several refusals in a row, and an entry of the set that was not trimmed. */
  readonly onRefused: (error: unknown, entry: Kept) => void;
}

/**
 * Trims sets that were written, those of the same time together.
 *
 * - Only a set whose ZADD was acknowledged is touched: EXPIRE would be obeyed
 *   for a key of any type.
 * - Time is the server's. However fast this machine's clock is, no member goes
 *   that others have just written. In a cluster it is that of any one of the
 *   servers. Whichever is asked, a set is trimmed by the time of its latest event or
 *   by the server's, the earlier of the two: a server whose clock is fast removes
 *   nothing early, and one whose clock is slow leaves members for longer.
 * - A set is trimmed once in a second of the clock. Written again, it waits for the
 *   first acknowledgement of a later second, or for `flush`: trimming it at once would
 *   remove nothing, and set the same expiry.
 * - No caller waits for it. What is lost with its connection is done again
 *   after the next acknowledgement.
 */
export class Retention {
  readonly #sender: Sender;
  readonly #options: RetentionOptions;
  readonly #clock: ServerClock;
  readonly #isClockShared: boolean;
  /** By key, the entry with the latest time. */
  #written = new Map<string, Kept>();
  /** The second of the last trims. */
  #second = NaN;
  /** The keys that were trimmed in it. */
  readonly #trimmed = new Set<string>();
  /** Of those, the ones that were written again: what `#written` has of the others. */
  readonly #deferred = new Map<string, Kept>();
  #trimming: Promise<void> | undefined;
  #isRefused = false;
  #isOver = false;

  /** @param clock The clock that this one shares with those of other servers. */
  constructor(
    sender: Sender,
    options: RetentionOptions,
    clock?: ServerClock,
  ) {
    this.#sender = sender;
    this.#options = options;
    this.#clock = clock ?? new ServerClock();
    this.#isClockShared = clock !== undefined;
  }

  /** Whether nothing waits to be trimmed, and nothing is under way. */
  get isIdle(): boolean {
    return this.#written.size === 0 && this.#deferred.size === 0 &&
      this.#trimming === undefined;
  }

  /** Entries of one key were acknowledged. */
  add(entries: readonly Kept[]): void {
    if (this.#isOver) return;
    this.#keep(entries);
    this.#start();
  }

  #keep(entries: readonly Kept[]): void {
    if (this.#isOver) return;
    keepLatest(this.#written, entries);
  }

  /** What was written again is trimmed now, though its second is not over. */
  #recall(): void {
    this.#trimmed.clear();
    for (const entry of this.#deferred.values()) {
      keepLatest(this.#written, [entry]);
    }
    this.#deferred.clear();
  }

  /** Trims now. Resolves once every set that was written is trimmed, or cannot be. */
  async flush(): Promise<void> {
    this.#recall();
    this.#start();
    await this.#trimming;
  }

  /** Removes what waits to be trimmed, and returns an entry of each set. */
  takeWaiting(): Kept[] {
    this.#recall();
    const waiting = [...this.#written.values()];
    this.#written.clear();
    return waiting;
  }

  /** Trims nothing any more. */
  end(): void {
    this.#isOver = true;
    this.#written.clear();
    this.#deferred.clear();
  }

  /** A write has failed, and the next may reach another server: its clock is asked for again. A clock that is shared is not that of this server. */
  forgetClock(): void {
    if (!this.#isClockShared) this.#clock.forget();
  }

  /** At once: a process may be frozen as soon as its caller has an answer. */
  #start(): void {
    if (this.#written.size > 0) this.#trimming ??= this.#trimAll();
  }

  async #trimAll(): Promise<void> {
    try {
      await undefined; // sets that are acknowledged together are trimmed together
      while (this.#written.size > 0) await this.#trimSome();
    } catch {
      // The next acknowledgement tries again.
    } finally {
      this.#trimming = undefined;
    }
  }

  async #trimSome(): Promise<void> {
    if (this.#clock.isStale(performance.now())) await this.#askTime();
    const sets = this.#take();
    if (sets.length === 0) return;
    const commands = sets.flatMap((set) => this.#trim(set));
    let failures: readonly Failure[];
    try {
      const replies = await this.#pipeline(commands);
      if (!replies.some(isError)) {
        this.#isRefused = false;
        return;
      }
      failures = replies.map(failureIn);
    } catch (error) {
      failures = failuresIn(error, commands.length);
    }
    this.#conclude(sets, failures);
    const loss = failures.find(isLoss);
    if (loss !== undefined) throw loss.error;
  }

  /** Without an answer the clock goes on from the one before: of several servers it may be another one that is away. */
  async #askTime(): Promise<void> {
    try {
      const [time] = await this.#pipeline([["TIME"]]);
      this.#clock.set(time);
    } catch (error) {
      if (!this.#isClockShared || !this.#clock.wasAsked) throw error;
    }
  }

  /** Sets that were not trimmed wait for the next time, unless the server refuses. */
  #conclude(sets: readonly Kept[], failures: readonly Failure[]): void {
    let refused: Failure;
    sets.forEach((set, i) => {
      const ofSet = failures.slice(
        i * COMMANDS_PER_SET,
        (i + 1) * COMMANDS_PER_SET,
      );
      if (ofSet.some(isLoss)) {
        this.#trimmed.delete(set.key);
        return this.#keep([set]);
      }
      const refusal = ofSet.find((failure) => failure !== undefined);
      if (refusal === undefined || refused !== undefined) return;
      refused = refusal;
      if (!this.#isRefused) this.#options.onRefused(refusal.error, set);
    });
    this.#isRefused = refused !== undefined;
  }

  #take(): Kept[] {
    const second = Math.floor(this.#clock.seconds(performance.now()));
    if (second !== this.#second) this.#recall();
    this.#second = second;
    const taken: Kept[] = [];
    for (const [key, entry] of this.#batch()) {
      if (this.#trimmed.has(key)) {
        this.#defer(entry);
      } else {
        this.#trimmed.add(key);
        taken.push(entry);
      }
    }
    return taken;
  }

  /**
   * Takes what is trimmed next. The map is replaced, not emptied key by key: the tables
   * that it would leave behind keep their entries until a full collection of garbage, and
   * each small one takes 15 ms in place of 1.
   */
  #batch(): Map<string, Kept> {
    const written = this.#written;
    if (written.size <= MAX_SETS) {
      this.#written = new Map();
      return written;
    }
    const batch = new Map<string, Kept>();
    for (const [key, entry] of written) {
      if (batch.size === MAX_SETS) break;
      written.delete(key);
      batch.set(key, entry);
    }
    return batch;
  }

  /** A copy is kept: an entry would keep the promise of its caller, for a second. */
  #defer(entry: Kept): void {
    const before = this.#deferred.get(entry.key);
    if (before !== undefined && before.score >= entry.score) return;
    this.#deferred.set(entry.key, keptOf(entry));
  }

  #trim({ key, score }: Kept): Command[] {
    const { seconds } = this.#options;
    const now = Math.floor(this.#clock.seconds(performance.now()));
    const latest = Math.min(score, now);
    return [
      ["ZREMRANGEBYSCORE", key, "-inf", `(${latest - seconds}`],
      ["EXPIRE", key, seconds],
    ];
  }

  #pipeline(commands: readonly Command[]): Promise<readonly unknown[]> {
    return this.#sender.pipeline(commands, this.#options.sendOptions);
  }
}

/** Of the entries of one key, and the one that is there, the one with the latest time stays. */
function keepLatest(by: Map<string, Kept>, entries: readonly Kept[]): void {
  const { key } = entries[0]!;
  const before = by.get(key);
  let latest = before;
  for (const entry of entries) {
    if (latest === undefined || entry.score > latest.score) latest = entry;
  }
  if (latest !== before) by.set(key, latest!);
}

const isError = (reply: unknown): boolean => reply instanceof Error;

/** Refusals of a cluster that moves hash slots, or misses some. */
const MOVING: readonly string[] = ["MOVED", "ASK", "TRYAGAIN", "CLUSTERDOWN"];

/** Whether a set should be trimmed later: there was no answer, or it is with no server for now. */
const isLoss = (failure: Failure): boolean =>
  failure !== undefined &&
  !(failure.error instanceof ReplyError &&
    !MOVING.includes(failure.error.code));

/** How long an answer of TIME is used, in milliseconds. */
const REFRESH_MS = 60_000;

/**
 * The server's clock, by the answer of TIME and the time that has passed since.
 * That time is taken from `performance.now()`, which nothing sets ahead: the
 * clock may be slow, after a sleep of this machine, but it is never fast.
 *
 * Where TIME is refused, it is this machine's clock.
 *
 * @see {@link https://redis.io/docs/latest/commands/time/}
 */
export class ServerClock {
  #atServer: number | undefined; // in seconds
  #askedAt = -Infinity;
  #isForgotten = false;

  /** Whether there was an answer. */
  get wasAsked(): boolean {
    return this.#askedAt > -Infinity;
  }

  /** Whether TIME should be asked again, at `now` by `performance.now()`. */
  isStale(now: number): boolean {
    return this.#isForgotten || now - this.#askedAt > REFRESH_MS;
  }

  /** Takes the reply of TIME: an array of seconds and microseconds, or a refusal. */
  set(reply: unknown): void {
    const seconds = Array.isArray(reply) ? Number(reply[0]) : NaN;
    this.#atServer = Number.isSafeInteger(seconds) ? seconds : undefined;
    this.#askedAt = performance.now();
    this.#isForgotten = false;
  }

  /** The next server may have another clock. */
  forget(): void {
    this.#isForgotten = true;
  }

  /** Unix time in seconds, at `now` by `performance.now()`. */
  seconds(now: number): number {
    return this.#atServer === undefined
      ? Date.now() / 1000
      : this.#atServer + (now - this.#askedAt) / 1000;
  }
}
