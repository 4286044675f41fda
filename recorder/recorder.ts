// The main job: webhook events to sorted sets, none lost, none doubled.
import { checkCommand } from "../resp/encode.ts";
import { type Command, type Reply, ReplyError } from "../resp/mod.ts";
import type { Redis, SendOptions } from "../client/mod.ts";
import {
  type Check,
  checkOptions,
  ELSEWHERE,
  FUNCTION,
  SIGNAL,
} from "../client/options.ts";
import { type Happenings, listener } from "../client/telemetry.ts";
import { tell } from "../client/tell.ts";
import { ExponentialBackoff } from "../retry/mod.ts";
import { type Batch, batchesOf, trim, zadd } from "./batch.ts";
import {
  checkEvent,
  checkWhole,
  defaultKeyOf,
  deliveryMembers,
  type Entry,
  type WebhookEvent,
} from "./event.ts";
import { Outbox } from "./outbox.ts";

/** What became of a recorded event. */
export interface RecordOutcome {
  /**
   * `"recorded"`: Redis acknowledged it. `"queued"`: it is held in the outbox
   * and sent when Redis is back. `"dropped"`: it is not sent again, since the
   * outbox is full or Redis will never take it; `fateOf(error)` says whether the
   * first attempt may have stored it.
   */
  readonly status: "recorded" | "queued" | "dropped";
  /** How many events it was. */
  readonly count: number;
  /** Why it is not `"recorded"`. */
  readonly error?: unknown;
}

/** What an error was about, ready for an error tracker. */
export interface RecordErrorInfo {
  /** The event. */
  readonly context: {
    readonly mallId: string;
    readonly shopNo: number;
    readonly eventType: string;
  };
  /** What to file it under. */
  readonly tags: { readonly category: "webhook_blacklist" };
}

/** Options of a {@linkcode WebhookRecorder}. */
export interface RecorderOptions {
  /** The sorted set of an event. @default {webhook_frequency_{mallId}_{shopNo}_{eventType}} */
  keyOf?: (event: WebhookEvent) => string;
  /** The time, in milliseconds since 1970. @default {Date.now} */
  now?: () => number;
  /** A member that nobody else writes. @default {crypto.randomUUID} */
  newMember?: () => string;
  /** How many events may wait for Redis to come back. @default {10000} */
  outboxCapacity?: number;
  /** Members older than this are removed, and sets that nobody writes to expire, in seconds. @default {never} */
  retentionSeconds?: number;
  /** Told of each event that is not recorded at once, and of each that is lost later. */
  onError?: (error: unknown, info: RecordErrorInfo) => void;
}

/** An entry in its first attempt, and who waits for the outcome. */
interface Gathered {
  readonly entry: Entry;
  readonly resolve: (outcome: RecordOutcome) => void;
}

/** Somebody who waits for entries to come to their end. */
interface Flush {
  readonly left: Set<Entry>;
  readonly resolve: () => void;
}

const MAKE = "make a recorder";
const OPTIONS = {
  keyOf: FUNCTION,
  now: FUNCTION,
  newMember: FUNCTION,
  onError: FUNCTION,
  outboxCapacity: ELSEWHERE,
  retentionSeconds: ELSEWHERE,
} satisfies Record<keyof RecorderOptions, Check>;
const MOST_COUNT = 10_000;
const CHUNK = 1000;
const DISPOSE_MS = 5000;
/** Error replies that no later attempt will change. */
const PERMANENT: ReadonlySet<string> = new Set(["WRONGTYPE"]);
/** The outbox has a schedule of its own: one attempt at a time. */
const ONE_ATTEMPT: SendOptions = { retry: false };

/**
 * Records webhook events with ZADD: score is the time in whole seconds, the
 * member a fresh UUID, or the UUID v5 of the `deliveryId`.
 *
 * - `record` rejects only on invalid arguments, never because Redis is away.
 * - `"recorded"` means that Redis acknowledged it.
 * - Member and score are made before the first attempt and never remade, so
 *   sending an event again cannot count it twice.
 * - While Redis is away, events wait in the outbox, in order, up to
 *   `outboxCapacity`; who comes later does not wait for a timeout again.
 * - The outbox is in memory: it ends with the process.
 *
 * @example Record an event and ask how many there were
 * ```ts
 * import { Redis, WebhookRecorder } from "@unzombie/redis";
 * import { assertEquals } from "@std/assert";
 *
 * await using redis = new Redis(Deno.env.get("REDIS_URL"));
 * await using recorder = new WebhookRecorder(redis, { retentionSeconds: 3600 });
 *
 * const event = { mallId: "doc", shopNo: 1, eventType: `example-${crypto.randomUUID()}` };
 * const outcome = await recorder.record({ ...event, deliveryId: "delivery-1" });
 * assertEquals(outcome, { status: "recorded", count: 1 });
 * await recorder.record({ ...event, deliveryId: "delivery-1" }); // delivered again
 * assertEquals(await recorder.frequency(event, { windowSeconds: 60 }), 1);
 *
 * await redis.send(["DEL", `webhook_frequency_doc_1_${event.eventType}`]);
 * ```
 */
export class WebhookRecorder implements AsyncDisposable {
  readonly #redis: Redis;
  readonly #options: RecorderOptions;
  readonly #keyOf: (event: WebhookEvent) => string;
  readonly #now: () => number;
  readonly #newMember: () => string;
  readonly #outbox: Outbox;
  readonly #backoff = new ExponentialBackoff({ jitter: 0.2 });
  #gathered: Gathered[] = [];
  readonly #open = new Set<Entry>(); // accepted, and neither recorded nor given up
  readonly #flushes = new Set<Flush>();
  #draining: Promise<void> | undefined;
  #wake: (() => void) | undefined; // ends the wait between two attempts
  #lastError: unknown;
  #isAway = false; // the last attempt to reach Redis failed
  #state: "open" | "closing" | "closed" = "open";

  /**
   * Makes a recorder.
   *
   * @param redis The client to record with. It stays the caller's to close.
   * @param options See {@linkcode RecorderOptions}.
   * @throws {TypeError} If the client is none, or an option is unknown or not of its type.
   */
  constructor(redis: Redis, options: RecorderOptions = {}) {
    // Not `instanceof`: a service may hold two copies of this module.
    if (typeof redis?.send !== "function" || redis.origin === undefined) {
      throw new TypeError(`Cannot ${MAKE}: redis is no Redis client`);
    }
    checkOptions(options, OPTIONS);
    const { outboxCapacity = 10_000, retentionSeconds } = options;
    checkWhole(MAKE, "outboxCapacity", outboxCapacity, 1e9, 0);
    if (retentionSeconds !== undefined) {
      checkWhole(MAKE, "retentionSeconds", retentionSeconds, 1e9);
    }
    this.#redis = redis;
    this.#options = options;
    this.#keyOf = options.keyOf ?? defaultKeyOf;
    this.#now = options.now ?? Date.now;
    this.#newMember = options.newMember ?? (() => crypto.randomUUID());
    this.#outbox = new Outbox(outboxCapacity);
  }

  /** Events held in the outbox. */
  get pending(): number {
    return this.#outbox.pending;
  }

  /**
   * Records an event. Events of one turn of the event loop travel together.
   *
   * @param event The event.
   * @param count How many times it counts, 1 to 10000. @default {1}
   * @returns What became of it.
   * @throws {TypeError} If an argument is invalid. Nothing else is thrown.
   */
  async record(event: WebhookEvent, count = 1): Promise<RecordOutcome> {
    checkEvent(event);
    checkWhole("record event", "count", count, MOST_COUNT);
    if (this.#state !== "open") {
      throw new TypeError("Cannot record event: this recorder is closed");
    }
    const { deliveryId } = event;
    const key = this.#keyOf(event);
    const score = Math.floor(this.#now() / 1000);
    const entry: Entry = { key, score, members: [], event };
    if (deliveryId === undefined) {
      entry.members = count === 1
        ? [this.#newMember()]
        : Array.from({ length: count }, this.#newMember);
      this.#open.add(entry);
    } else {
      this.#open.add(entry);
      try {
        entry.members = await deliveryMembers(deliveryId, count);
      } catch (error) {
        this.#settle(entry);
        throw error;
      }
    }
    return this.#accept(entry);
  }

  /**
   * How many events Redis has of the last seconds; those in the outbox are not counted.
   *
   * @param event Which events; a `deliveryId` plays no part.
   * @param options `windowSeconds`: how far to look back, in seconds.
   * @returns The number of events.
   * @throws {TypeError} If an argument is invalid.
   * @throws What `Redis.send` throws.
   */
  async frequency(
    event: Omit<WebhookEvent, "deliveryId">,
    options: { windowSeconds: number },
  ): Promise<number> {
    checkEvent(event);
    checkOptions(options ?? {}, { windowSeconds: ELSEWHERE });
    checkWhole("count events", "windowSeconds", options?.windowSeconds, 1e9);
    const since = Math.floor(this.#now() / 1000) - options.windowSeconds;
    const reply = await this.#redis.send([
      "ZCOUNT",
      this.#keyOf(event),
      `(${since}`,
      "+inf",
    ]);
    return Number(reply);
  }

  /**
   * Waits until every event accepted so far is recorded or given up. Tries at once, then by backoff.
   *
   * @param options The signal ends the waiting, not the trying; its reason is thrown.
   */
  async flush(options: { signal?: AbortSignal } = {}): Promise<void> {
    checkOptions(options, { signal: SIGNAL });
    const { signal } = options;
    signal?.throwIfAborted();
    this.#wake?.();
    if (this.#open.size === 0) return;
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const flush: Flush = { left: new Set(this.#open), resolve };
    const onAbort = () => reject(signal?.reason);
    signal?.addEventListener("abort", onAbort, { once: true });
    this.#flushes.add(flush);
    try {
      await promise;
    } finally {
      this.#flushes.delete(flush);
      signal?.removeEventListener("abort", onAbort);
    }
  }

  /** An entry has come to its end: recorded, or given up. */
  #settle(entry: Entry): void {
    this.#open.delete(entry);
    for (const { left, resolve } of this.#flushes) {
      if (left.delete(entry) && left.size === 0) resolve();
    }
  }

  /** What it holds, and why. */
  [Symbol.for("Deno.customInspect")](): string {
    const { pending, capacity } = this.#outbox;
    const why = this.#isAway && this.#lastError instanceof Error
      ? `, Redis is away: ${this.#lastError.message}`
      : "";
    return `WebhookRecorder ${this.#state}, ${pending} of ${capacity} events in the outbox${why}`;
  }

  /**
   * Refuses new events and flushes, for at most 5 seconds. What is left then
   * is lost, and `onError` is told of each event.
   */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#state !== "open") return;
    this.#state = "closing";
    try {
      await this.flush({ signal: AbortSignal.timeout(DISPOSE_MS) });
    } catch (reason) {
      this.#giveUp(this.#lastError ?? reason);
    } finally {
      this.#state = "closed";
    }
  }

  #accept(entry: Entry): RecordOutcome | Promise<RecordOutcome> {
    // Alone, so that it takes no other event of its shop along.
    const flaw = flawOf(entry);
    if (flaw !== undefined) return this.#hold(entry, flaw);
    // Behind the others, without waiting for another timeout.
    if (this.#isAway) return this.#hold(entry, this.#lastError);
    return new Promise((resolve) => {
      if (this.#gathered.length === 0) queueMicrotask(() => this.#sendTurn());
      this.#gathered.push({ entry, resolve });
    });
  }

  /** Sends what one turn gathered: one ZADD a key. */
  #sendTurn(): void {
    const gathered = this.#gathered;
    this.#gathered = [];
    const resolvers = new Map(gathered.map((g) => [g.entry, g.resolve]));
    for (const batch of batchesOf(gathered.map(({ entry }) => entry))) {
      const conclude = (outcomeOf: (entry: Entry) => RecordOutcome) => {
        for (const entry of batch.entries) {
          const outcome = outcomeOf(entry);
          if (outcome.status === "recorded") this.#settle(entry);
          resolvers.get(entry)!(outcome);
        }
      };
      this.#write(batch).then(
        () =>
          conclude(({ members: { length: count } }) => ({
            status: "recorded",
            count,
          })),
        (error) => conclude((entry) => this.#hold(entry, error)),
      );
    }
  }

  /** Writes a batch, with the client's retries. Rejects if its ZADD did not succeed. */
  async #write(batch: Batch): Promise<void> {
    const { retentionSeconds } = this.#options;
    if (retentionSeconds === undefined) {
      await this.#redis.send(zadd(batch));
      return;
    }
    const replies = await this.#redis.pipeline(
      [zadd(batch), ...trim(batch, retentionSeconds)],
    );
    this.#acceptTrim(replies.slice(1), batch);
    if (replies[0] instanceof ReplyError) throw replies[0];
  }

  /** A set that was written and not trimmed is an event recorded, and an error to be told. */
  #acceptTrim(replies: readonly Reply[], batch: Batch): void {
    const error = replies.find((reply) => reply instanceof ReplyError);
    if (error !== undefined) this.#report(error, batch.entries[0]!);
  }

  /** Puts an entry that could not be written into the outbox, or gives it up. */
  #hold(entry: Entry, error: unknown): RecordOutcome {
    const isQueued = !isPermanent(error) && this.#state !== "closed" &&
      !this.#redis.isClosed && this.#outbox.offer(entry);
    if (!isQueued) this.#settle(entry);
    const change = isQueued ? "queued" : "dropped";
    this.#publish(change, entry.members.length, error);
    this.#report(error, entry);
    if (!isPermanent(error)) {
      this.#lastError = error;
      // An answer about one key, such as NOPERM, says nothing of the others.
      if (!(error instanceof ReplyError)) this.#isAway = true;
      this.#drain();
    }
    return {
      status: change,
      count: entry.members.length,
      error,
    };
  }

  #drain(): void {
    this.#draining ??= this.#drainAll().finally(() => {
      this.#draining = undefined;
      if (this.#outbox.pending > 0) this.#drain();
    });
  }

  /** Sends the outbox until it is empty, by backoff while nothing goes through. */
  async #drainAll(): Promise<void> {
    let failures = 1; // what filled it
    while (this.#outbox.pending > 0) {
      if (failures > 0) {
        await this.#pause(this.#backoff.delayMs(failures - 1));
        if (this.#outbox.pending === 0) break;
      }
      failures = await this.#drainChunk() ? 0 : failures + 1;
    }
    this.#isAway = false;
  }

  /** Sends the first events of the outbox. False if some or all must wait. */
  async #drainChunk(): Promise<boolean> {
    const entries = this.#outbox.peek(CHUNK);
    const batches = batchesOf(entries);
    const { retentionSeconds } = this.#options;
    const trims = (batch: Batch): Command[] =>
      retentionSeconds === undefined ? [] : trim(batch, retentionSeconds);
    const commands = batches.map((batch) => [zadd(batch), ...trims(batch)]);
    let replies: Reply[];
    try {
      replies = await this.#redis.pipeline(commands.flat(), ONE_ATTEMPT);
    } catch (error) {
      this.#lastError = error;
      if (this.#redis.isClosed) this.#giveUp(error);
      return false;
    }
    this.#isAway = false;
    if (this.#outbox.pending === 0) return false; // given up meanwhile
    const again: Entry[] = [];
    const ended = { recorded: 0, dropped: 0 };
    batches.forEach((batch, i) => {
      const [reply, ...trimmed] = replies.splice(0, commands[i]!.length);
      this.#acceptTrim(trimmed, batch);
      if (reply instanceof ReplyError && !isPermanent(reply)) {
        again.push(...batch.entries);
        return;
      }
      for (const entry of batch.entries) {
        this.#settle(entry);
        const change = reply instanceof ReplyError ? "dropped" : "recorded";
        ended[change] += entry.members.length;
        if (reply instanceof ReplyError) this.#report(reply, entry);
      }
    });
    this.#outbox.acknowledge(entries.length, again);
    for (const change of ["recorded", "dropped"] as const) {
      if (ended[change] > 0) this.#publish(change, ended[change]);
    }
    return again.length === 0;
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  #report(error: unknown, { event }: Entry): void {
    const { mallId, shopNo, eventType } = event;
    tell("onError of WebhookRecorder", this.#options.onError, error, {
      context: { mallId, shopNo, eventType },
      tags: { category: "webhook_blacklist" },
    });
  }

  #publish(
    change: Happenings["outbox"]["change"],
    count: number,
    error?: unknown,
  ): void {
    const { pending, capacity } = this.#outbox;
    const what = { change, count, pending, capacity };
    listener?.tell(
      "outbox",
      this.#redis.origin,
      error === undefined ? what : { ...what, error },
    );
  }

  /** Nobody will ever send what the outbox holds. */
  #giveUp(error: unknown): void {
    const left = this.#outbox.peek(Infinity);
    const { pending } = this.#outbox;
    this.#outbox.acknowledge(left.length);
    if (pending > 0) this.#publish("dropped", pending, error);
    for (const entry of left) {
      this.#settle(entry);
      this.#report(error, entry);
    }
    this.#wake?.();
  }
}

/** Why an entry can never be sent, where `keyOf`, `now` or `newMember` have made it so. */
function flawOf(entry: Entry): unknown {
  const { key, score, members } = entry;
  const isText = (word: unknown) => typeof word === "string";
  if (isText(key) && Number.isFinite(score) && members.every(isText)) {
    return undefined;
  }
  try {
    checkCommand(zadd({ key: entry.key, entries: [entry] }));
  } catch (error) {
    return error;
  }
}

const isPermanent = (error: unknown): boolean =>
  error instanceof ReplyError
    ? PERMANENT.has(error.code)
    : error instanceof TypeError || error instanceof RangeError;
