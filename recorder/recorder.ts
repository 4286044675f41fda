// The face of the recorder: webhook events to sorted sets, none lost, none doubled.
import {
  CHECKED_ELSEWHERE,
  checkOptions,
  checkWhole,
  MAX_TIMER_MS,
  show,
  SIGNAL,
} from "../client/check.ts";
import type { Failover } from "../client/failover.ts";
import { invokeSafely } from "../client/invoke_safely.ts";
import { lastingAbort } from "../client/lasting_abort.ts";
import type { SendOptions } from "../client/send_options.ts";
import { sink } from "../client/telemetry.ts";
import { runtime } from "../pool/socket/runtime.ts";
import {
  checkEntry,
  Entry,
  type Reading,
  type RecordOutcome,
} from "./entries/entry.ts";
import { Epochs } from "./entries/epochs.ts";
import {
  checkEvent,
  defaultKeyOf,
  MAX_COUNT,
  membersOf,
  type WebhookEvent,
} from "./entries/event.ts";
import { type OutboxChange, Outcomes } from "./entries/outcomes.ts";
import { Lanes, nameOf, type ServerOf, serverOfKey } from "./lanes.ts";
import { LateRepeats } from "./late_repeats.ts";
import {
  checkRecorderOptions,
  errorInfoOf,
  type RecorderOptions,
} from "./options.ts";
import { describeOutages } from "./outage.ts";
import { type Kept, Outbox } from "./outbox/outbox.ts";
import type { OutboxError } from "./outbox/outbox_store.ts";
import { Retention, ServerClock } from "./retention.ts";
import type { Sender } from "./sender.ts";
import type { RecorderStats } from "./stats.ts";

const DRAIN_MS = 5000;
/** How far repeats go back where failovers are noticed, in milliseconds. */
const REPEAT_MS = 3000;

/**
 * Records an event and reads in the same flush. It rejects where `record` does.
 *
 * @param recorder The recorder.
 * @param event The event.
 * @param reading What to read with its first attempt, in place of what the recorder's own `windowSeconds` reads.
 */
export let recordWith: (
  recorder: WebhookRecorder,
  event: WebhookEvent,
  reading: Reading,
) => Promise<RecordOutcome>;

/** What a recorder sends with, its `keyOf` and `now`, how long it keeps events, and where a key goes if there are several servers. */
export let partsOf: (recorder: WebhookRecorder) => {
  readonly client: Sender;
  readonly keyOf: (event: WebhookEvent) => string;
  readonly now: () => number;
  readonly retentionSeconds: number | undefined;
  readonly serverOf: ServerOf;
};

/**
 * Records webhook events in sorted sets, one for each mall, shop and type: the
 * score is the time in whole seconds, the member a fresh UUID, or the UUID v5 of
 * the `deliveryId`.
 *
 * - `record` rejects only on invalid arguments, never because Redis is away.
 * - `"recorded"` means that Redis has acknowledged the event.
 * - Member and score are made before the first attempt and never remade, so
 *   sending an event again cannot count it twice. A redelivered one keeps the
 *   later of its times, on servers before Redis 6.2 the one written last.
 * - While Redis is away, events wait in the outbox, in order, up to
 *   `outboxCapacity`; those that come later do not wait for a timeout again.
 * - Of several servers, in a cluster, each is by itself: one that is away makes
 *   no event of another one wait. After a failover the outbox is sent at once, and
 *   what the server that is gone has acknowledged last is written once more; see
 *   `repeatAfterFailoverMs`.
 * - An event that Redis will never take, such as for lack of a permission, is
 *   dropped; so is one that it has refused for a quarter of an hour.
 * - The outbox is in memory: what it holds is lost when the process ends, unless
 *   there is a store for it, the option `outbox`.
 * - With a store an event is answered `"queued"` once the store has it. What is in
 *   the store is sent by this recorder or, if its process ends, by a later one, with
 *   the same members and times. No event comes to the store that is recorded at once.
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
 * assertEquals(outcome, { status: "recorded", count: 1, isNew: true });
 * await recorder.record({ ...event, deliveryId: "delivery-1" }); // delivered again
 * assertEquals(await recorder.frequency(event, { windowSeconds: 60 }), 1);
 *
 * await redis.send(["DEL", `webhook_frequency_doc_1_${event.eventType}`]);
 * ```
 *
 * @example Record an event and learn in the same flush how many there were
 * ```ts
 * import { Redis, WebhookRecorder } from "@unzombie/redis";
 * import { assertEquals } from "@std/assert";
 *
 * await using redis = new Redis(Deno.env.get("REDIS_URL"));
 * await using recorder = new WebhookRecorder(redis, { windowSeconds: 60 });
 *
 * const event = { mallId: "doc", shopNo: 1, eventType: `example-${crypto.randomUUID()}` };
 * const outcomes = await Promise.all([recorder.record(event), recorder.record(event)]);
 * assertEquals(outcomes, [
 *   { status: "recorded", count: 1, frequency: 1 },
 *   { status: "recorded", count: 1, frequency: 2 },
 * ]);
 * const outcome = await recorder.record(event);
 * if (outcome.status === "recorded" && outcome.frequency! > 100) {
 *   console.log("too many");
 * }
 *
 * await redis.send(["DEL", `webhook_frequency_doc_1_${event.eventType}`]);
 * ```
 */
export class WebhookRecorder implements AsyncDisposable {
  static {
    recordWith = (recorder, event, reading) =>
      recorder.#record(event, 1, reading);
    partsOf = (recorder) => ({
      client: recorder.#client,
      keyOf: recorder.#keyOf,
      now: recorder.#now,
      retentionSeconds: recorder.#retentionSeconds,
      serverOf: recorder.#serverOf,
    });
  }

  readonly #client: Sender;
  readonly #onError: RecorderOptions["onError"];
  readonly #keyOf: (event: WebhookEvent) => string;
  readonly #now: () => number;
  readonly #newMember: () => string;
  readonly #retentionSeconds: number | undefined;
  /** Where a key goes now; `undefined` where there is one server. */
  readonly #serverOf: ServerOf;
  /** Whether `keyOf`, `now` or `newMember` is the user's own: it may make an entry that cannot be sent. */
  readonly #mayBeFlawed: boolean;
  /** What each event reads, if `windowSeconds` is given. */
  readonly #reading: Reading | undefined;
  readonly #oneRequest = runtime.newOneRequest?.("recorder");
  readonly #ending = lastingAbort();
  readonly #epochs = new Epochs();
  readonly #outcomes: Outcomes;
  readonly #outbox: Outbox;
  readonly #clock = new ServerClock();
  readonly #lanes: Lanes;
  readonly #repeats: LateRepeats | undefined;
  readonly #unsubscribe: (() => void) | undefined;
  #state: "open" | "closing" | "closed" = "open";
  #closing: Promise<void> | undefined;

  /**
   * Makes a recorder.
   *
   * @param client The client to record with: a `Redis`, or anything else that is
   * a {@linkcode Sender}. The recorder does not close it.
   * @param options See {@linkcode RecorderOptions}.
   * @throws {TypeError} If `client` is not a client, or an option is unknown or not of its type.
   */
  constructor(client: Sender, options: RecorderOptions = {}) {
    if (typeof client?.send !== "function" || client.origin === undefined) {
      throw new TypeError(
        `Cannot make a recorder: client is ${
          show(client)
        }, expected a Redis or another Sender`,
      );
    }
    checkRecorderOptions(options);
    const { keyOf, now, newMember, retentionSeconds, deadlineMs } = options;
    const { windowSeconds } = options;
    this.#client = client;
    this.#onError = options.onError;
    this.#keyOf = keyOf ?? defaultKeyOf;
    this.#now = now ?? Date.now;
    this.#retentionSeconds = retentionSeconds;
    this.#newMember = newMember ?? (() => crypto.randomUUID());
    this.#reading = windowSeconds === undefined ? undefined : { windowSeconds };
    this.#mayBeFlawed = Boolean(keyOf ?? now ?? newMember);
    // Sending them twice does no harm: members and scores are never remade.
    const sendOptions: SendOptions = {
      replay: "always",
      signal: this.#ending.signal,
    };
    this.#outcomes = new Outcomes({
      onError: (error, status, entry) => this.#report(error, status, entry),
      onChange: (change, count, error) => this.#publish(change, count, error),
    });
    this.#outbox = new Outbox(
      this.#outcomes,
      options.outboxCapacity ?? 10_000,
      options.outbox && {
        store: options.outbox,
        usesMemory: options.whenStoreFails === "memory",
        onError: (error) => reportOutbox(error, options.onOutboxError),
        isClosed: () => client.isClosed,
        restore: (entry) => this.#lanes.of(entry.key).backlog.restore(entry),
      },
    );
    this.#unsubscribe = client.onFailover?.((failover) =>
      this.#onFailover(failover)
    );
    const serverOf = this.#unsubscribe && serverOfKey(client);
    this.#serverOf = serverOf;
    const spanMs = options.repeatAfterFailoverMs ?? REPEAT_MS;
    if (serverOf !== undefined && spanMs > 0) {
      this.#repeats = new LateRepeats({
        sender: client,
        spanMs,
        sendOptions,
        serverOf,
        onRepeated: (entries) =>
          this.#lanes.of(entries[0]!.key).retention?.add(entries),
      });
    }
    this.#lanes = new Lanes({
      sender: client,
      sendOptions,
      outcomes: this.#outcomes,
      outbox: this.#outbox,
      deadlineMs,
      makeRetention: retentionSeconds === undefined
        ? undefined
        : () =>
          new Retention(client, {
            seconds: retentionSeconds,
            sendOptions,
            onRefused: (error, entry) => this.#report(error, "recorded", entry),
          }, serverOf && this.#clock),
      notesOf: this.#repeats && ((server) => this.#repeats!.notesOf(server)),
      reads: {
        now: this.#now,
        onUnread: (error, entry) => this.#report(error, "recorded", entry),
      },
    }, serverOf);
  }

  /** Events held in the outbox. */
  get pending(): number {
    return this.#outbox.pending;
  }

  /** What the recorder has done and holds, and why events are not recorded. */
  stats(): RecorderStats {
    const { pending, capacity, stored, lastError } = this.#outbox;
    return {
      pending,
      capacity,
      ...this.#outcomes.counts,
      stored,
      lastOutboxError: lastError,
      repeated: this.#repeats?.repeated ?? 0,
      ...describeOutages(this.#lanes.outages()),
    };
  }

  /**
   * Records an event. Events of one turn of the event loop travel together.
   *
   * @param event The event.
   * @param count How many times it counts, 1 to 10000. @default {1}
   * @returns What became of it.
   * @throws {TypeError} If an argument is invalid, or the recorder is closed. What
   * `keyOf`, `now` or `newMember` throw is the `error` of an event that is dropped.
   */
  record(event: WebhookEvent, count = 1): Promise<RecordOutcome> {
    return this.#record(event, count, this.#reading);
  }

  #record(
    event: WebhookEvent,
    count: number,
    reading: Reading | undefined,
  ): Promise<RecordOutcome> {
    return new Promise((resolve) => {
      checkEvent(event);
      checkWhole("record event", "count", count, { most: MAX_COUNT });
      if (this.#state !== "open") {
        throw new TypeError("Cannot record event: this recorder is closed");
      }
      this.#oneRequest?.assert("record event");
      const entry = new Entry(event, count, this.#epochs.current, resolve);
      entry.reading = reading;
      this.#accept(entry);
    });
  }

  /**
   * How many events Redis holds of the last seconds. Events in the outbox are not counted.
   *
   * @param event Which events: its `deliveryId` and `receivedAt` do not matter.
   * @param options `windowSeconds`: how far to look back, in seconds.
   * @returns The number of events.
   * @throws {TypeError} If an argument is invalid.
   * @throws What `Redis.send` throws.
   */
  async frequency(
    event: WebhookEvent,
    options: { windowSeconds: number },
  ): Promise<number> {
    checkEvent(event);
    checkOptions(options ?? {}, { windowSeconds: CHECKED_ELSEWHERE });
    checkWhole("count events", "windowSeconds", options?.windowSeconds, {
      most: 1e9,
    });
    const since = Math.floor(this.#now() / 1000) - options.windowSeconds;
    const reply = await this.#client.send([
      "ZCOUNT",
      this.#keyOf(event),
      `(${since}`,
      "+inf",
    ]);
    return Number(reply);
  }

  /**
   * Waits until every event that was accepted before is recorded or dropped, and
   * its set is trimmed; with a store also all that earlier processes have left there.
   * The outbox is sent at once, then by backoff.
   *
   * @param options `signal` ends the wait, not the attempts.
   * @throws {TypeError} If an option is invalid.
   * @throws The reason of the signal.
   */
  async flush(options: { signal?: AbortSignal } = {}): Promise<void> {
    checkOptions(options, { signal: SIGNAL });
    const { signal } = options;
    signal?.throwIfAborted();
    this.#oneRequest?.assert("flush the recorder");
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const onAbort = () => reject(signal?.reason);
    signal?.addEventListener("abort", onAbort, { once: true });
    this.#flush().then(resolve, reject);
    try {
      await promise;
    } finally {
      signal?.removeEventListener("abort", onAbort);
    }
  }

  /**
   * Refuses new events and flushes. What is left after that is dropped, its
   * attempts are ended, and `onError` is called for each event that is lost.
   * Called again, it returns the same promise.
   *
   * With a store it takes nothing more from there, and what is left after the flush is
   * left in the store. Events that are not there yet are appended, and answered
   * `"queued"`. A call of the store that does not end is waited for 5 seconds more.
   * Afterwards the store is not used any more, and can be closed.
   *
   * @param options `drainMs`: how long to flush, in milliseconds. @default {5000}
   * @throws {TypeError} If an option is invalid.
   */
  close(options: { drainMs?: number } = {}): Promise<void> {
    return this.#closing ??= this.#close(options);
  }

  async #close(options: { drainMs?: number }): Promise<void> {
    checkOptions(options, { drainMs: CHECKED_ELSEWHERE });
    const { drainMs = DRAIN_MS } = options;
    checkWhole("close the recorder", "drainMs", drainMs, {
      least: 0,
      most: MAX_TIMER_MS,
    });
    this.#state = "closing";
    this.#outbox.endRestoration();
    try {
      await this.flush({ signal: AbortSignal.timeout(drainMs) });
    } catch (reason) {
      this.#giveUp(reason);
    } finally {
      this.#unsubscribe?.();
      if (this.#outbox.isDurable) {
        await this.#outbox.end(this.#epochs.flushed());
      }
      this.#state = "closed";
    }
  }

  /** The same as {@linkcode WebhookRecorder.close}. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  /** What the recorder holds and has lost, and why. */
  [Symbol.for("nodejs.util.inspect.custom")](): string {
    const { pending, capacity, dropped, reason, lastOutboxError } = this
      .stats();
    return `WebhookRecorder ${this.#state}, ` +
      `${pending} of ${capacity} events in the outbox` +
      (dropped > 0 ? `, ${dropped} lost so far` : "") +
      (reason === undefined ? "" : `, ${reason}`) +
      (lastOutboxError === undefined ? "" : `, ${lastOutboxError.message}`);
  }

  async #flush(): Promise<void> {
    this.#lanes.wake();
    const settled = this.#epochs.flushed();
    await (this.#outbox.isDurable ? this.#outbox.flush(settled) : settled);
    await this.#repeats?.flush();
    await this.#lanes.trimmed();
  }

  #giveUp(reason: unknown): void {
    const loss = this.#lanes.giveUp(reason);
    this.#repeats?.end();
    this.#ending.abort(loss);
  }

  /** What waits is sent at once; what the server that is gone has acknowledged last is written once more. */
  #onFailover({ from }: Failover): void {
    const server = nameOf(from);
    this.#clock.forget();
    this.#repeats?.failover(server, this.#lanes.awayMs(server));
    this.#lanes.reroute();
  }

  /** Gives an entry its key, time and members, and hands it to the delivery. */
  #accept(entry: Entry): void {
    const { event, count } = entry;
    try {
      entry.score = Math.floor((event.receivedAt ?? this.#now()) / 1000);
      entry.key = this.#keyOf(event);
      if (event.deliveryId !== undefined) {
        return void this.#acceptLater(entry, event.deliveryId);
      }
      entry.members = count === 1
        ? [this.#newMember()]
        : Array.from({ length: count }, () => this.#newMember());
      if (this.#mayBeFlawed) checkEntry(entry);
    } catch (error) {
      return this.#outcomes.dropped(entry, error);
    }
    this.#lanes.accept(entry);
  }

  async #acceptLater(entry: Entry, deliveryId: string): Promise<void> {
    try {
      entry.members = await membersOf(deliveryId, entry.count);
      if (this.#mayBeFlawed) checkEntry(entry);
    } catch (error) {
      return this.#outcomes.dropped(entry, error);
    }
    this.#lanes.accept(entry);
  }

  #report(
    error: unknown,
    status: RecordOutcome["status"],
    entry: Kept,
  ): void {
    if (this.#onError === undefined) return;
    const info = errorInfoOf(entry, status);
    invokeSafely("onError of WebhookRecorder", this.#onError, error, info);
  }

  #publish(
    change: OutboxChange,
    count: number,
    error?: unknown,
  ): void {
    if (sink === undefined) return;
    const { pending, capacity } = this.#outbox;
    const what = { change, count, pending, capacity };
    sink.publish(
      "outbox",
      this.#client.origin,
      error === undefined ? what : { ...what, error },
    );
  }
}

/** What a store of the outbox has failed with, but for single events. */
function reportOutbox(
  error: OutboxError,
  onOutboxError = (error: OutboxError): void => console.error(error),
): void {
  invokeSafely("onOutboxError of WebhookRecorder", onOutboxError, error);
}
