// The main job: webhook events to sorted sets, none lost, none doubled.
import { checkCommand } from "../resp/command.ts";
import {
  CHECKED_ELSEWHERE,
  checkOptions,
  FUNCTION,
  type OptionRule,
  show,
  SIGNAL,
} from "../client/check.ts";
import { sink } from "../client/telemetry.ts";
import { invokeSafely } from "../client/invoke_safely.ts";
import { zadd } from "./batch.ts";
import type { Delivery, RecordOutcome } from "./delivery.ts";
import { Dispatcher, type RecorderStats } from "./dispatcher.ts";
import {
  checkEvent,
  checkWhole,
  defaultKeyOf,
  deliveryMembers,
  type WebhookEvent,
} from "./event.ts";
import type { Sender } from "./sender.ts";

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
    /** What became of it, once more: some trackers keep the context alone. */
    readonly status: RecordOutcome["status"];
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
  /** A member that nothing else writes. @default {crypto.randomUUID} */
  newMember?: () => string;
  /**
   * How many events may wait until Redis takes them. With 0 each event is
   * tried and then dropped.
   * @default {10000}
   */
  outboxCapacity?: number;
  /**
   * How long an event is kept, in seconds. Each write that Redis has
   * acknowledged trims older members, by the server's clock, and sets the
   * expiry of the set to this value, with the next events that are sent or in a
   * flush of its own: a process that ends in between leaves it to the next write
   * of that set.
   * @default {for ever}
   */
  retentionSeconds?: number;
  /**
   * How long `record` may take, in milliseconds; then the event is queued.
   * @default {as long as the attempts of the client}
   */
  deadlineMs?: number;
  /**
   * Told once of each event that is not recorded at once, with what became of
   * it as `status`; once more, with `"dropped"`, if a queued one is lost later;
   * and that a set cannot be trimmed.
   */
  onError?: (error: unknown, info: RecordErrorInfo) => void;
}

const MAKE = "make a recorder";
const OPTIONS = {
  keyOf: FUNCTION,
  now: FUNCTION,
  newMember: FUNCTION,
  onError: FUNCTION,
  outboxCapacity: CHECKED_ELSEWHERE,
  retentionSeconds: CHECKED_ELSEWHERE,
  deadlineMs: CHECKED_ELSEWHERE,
} satisfies Record<keyof RecorderOptions, OptionRule>;
const MOST_COUNT = 10_000;
const DRAIN_MS = 5000;

/**
 * Records webhook events with ZADD: score is the time in whole seconds, the
 * member a fresh UUID, or the UUID v5 of the `deliveryId`.
 *
 * - `record` rejects only on invalid arguments, never because Redis is away.
 * - `"recorded"` means that Redis acknowledged it.
 * - Member and score are made before the first attempt and never remade, so
 *   sending an event again cannot count it twice. A redelivered one keeps the
 *   later of its times (on servers before Redis 6.2: the one written last).
 * - While Redis is away, events wait in the outbox, in order, up to
 *   `outboxCapacity`; those that come later do not wait for a timeout again.
 * - An event that Redis will never take, such as for want of a permission, is
 *   dropped; one that it refuses for more than a quarter of an hour, too.
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
  readonly #client: Sender;
  readonly #onError: RecorderOptions["onError"];
  readonly #keyOf: (event: WebhookEvent) => string;
  readonly #now: () => number;
  readonly #newMember: () => string;
  readonly #mayBeFlawed: boolean;
  readonly #dispatcher: Dispatcher;
  #state: "open" | "closing" | "closed" = "open";
  #closing: Promise<void> | undefined;

  /**
   * Makes a recorder.
   *
   * @param client The client to record with. It stays the caller's to close.
   * @param options See {@linkcode RecorderOptions}.
   * @throws {TypeError} If the client is none, or an option is unknown or not of its type.
   */
  constructor(client: Sender, options: RecorderOptions = {}) {
    if (typeof client?.send !== "function" || client.origin === undefined) {
      throw new TypeError(
        `Cannot ${MAKE}: client is ${
          show(client)
        }, expected a Redis or another Sender`,
      );
    }
    checkOptions(options, OPTIONS);
    const {
      keyOf,
      now,
      newMember,
      outboxCapacity = 10_000,
      retentionSeconds,
      deadlineMs,
    } = options;
    checkWhole(MAKE, "outboxCapacity", outboxCapacity, 1e9, 0);
    if (retentionSeconds !== undefined) {
      checkWhole(MAKE, "retentionSeconds", retentionSeconds, 1e9);
    }
    if (deadlineMs !== undefined) {
      checkWhole(MAKE, "deadlineMs", deadlineMs, 2 ** 31 - 1);
    }
    this.#client = client;
    this.#onError = options.onError;
    this.#keyOf = keyOf ?? defaultKeyOf;
    this.#now = now ?? Date.now;
    this.#newMember = newMember ?? (() => crypto.randomUUID());
    this.#mayBeFlawed = Boolean(keyOf ?? now ?? newMember);
    this.#dispatcher = new Dispatcher(client, {
      outboxCapacity,
      retentionSeconds,
      deadlineMs,
      onError: (error, status, delivery) => this.#tell(error, status, delivery),
      onChange: (change, count, error) => this.#publish(change, count, error),
    });
  }

  /** Events held in the outbox. */
  get pending(): number {
    return this.#dispatcher.pending;
  }

  /** What it has done and holds, and why events are not recorded. */
  stats(): RecorderStats {
    return this.#dispatcher.stats();
  }

  /**
   * Records an event. Events of one turn of the event loop travel together.
   *
   * @param event The event.
   * @param count How many times it counts, 1 to 10000. @default {1}
   * @returns What became of it.
   * @throws {TypeError} If an argument is invalid, or the recorder is closed.
   */
  record(event: WebhookEvent, count = 1): Promise<RecordOutcome> {
    return new Promise((resolve) => {
      checkEvent(event);
      checkWhole("record event", "count", count, MOST_COUNT);
      if (this.#state !== "open") {
        throw new TypeError("Cannot record event: this recorder is closed");
      }
      const delivery = this.#dispatcher.open(event, count, resolve);
      try {
        this.#make(delivery);
      } catch (error) {
        this.#dispatcher.drop(delivery, error);
      }
    });
  }

  /**
   * How many events Redis has of the last seconds; those in the outbox are not counted.
   *
   * @param event Which events; `deliveryId` and `receivedAt` play no part.
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
    checkWhole("count events", "windowSeconds", options?.windowSeconds, 1e9);
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
   * Waits until every event accepted so far is recorded or dropped. Tries at once, then by backoff.
   *
   * @param options The signal ends the waiting, not the trying; its reason is thrown.
   */
  async flush(options: { signal?: AbortSignal } = {}): Promise<void> {
    checkOptions(options, { signal: SIGNAL });
    const { signal } = options;
    signal?.throwIfAborted();
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const onAbort = () => reject(signal?.reason);
    signal?.addEventListener("abort", onAbort, { once: true });
    this.#dispatcher.flush().then(resolve);
    try {
      await promise;
    } finally {
      signal?.removeEventListener("abort", onAbort);
    }
  }

  /**
   * Refuses new events and flushes. What is left in the end is dropped, its
   * attempts are ended, and `onError` is told of each event that is lost.
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
    checkWhole("close the recorder", "drainMs", drainMs, 2 ** 31 - 1, 0);
    this.#state = "closing";
    try {
      await this.flush({ signal: AbortSignal.timeout(drainMs) });
    } catch (reason) {
      this.#dispatcher.giveUp(reason);
    } finally {
      this.#state = "closed";
    }
  }

  /** The same as {@linkcode WebhookRecorder.close}. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  /** What it holds and has lost, and why. */
  [Symbol.for("nodejs.util.inspect.custom")](): string {
    const { pending, capacity, dropped, reason } = this.stats();
    return `WebhookRecorder ${this.#state}, ` +
      `${pending} of ${capacity} events in the outbox` +
      (dropped > 0 ? `, ${dropped} lost so far` : "") +
      (reason === undefined ? "" : `, ${reason}`);
  }

  /** Gives a delivery its key, time and members, and sends it. */
  #make(delivery: Delivery): void {
    const { event, count } = delivery;
    delivery.score = Math.floor((event.receivedAt ?? this.#now()) / 1000);
    delivery.key = this.#keyOf(event);
    if (event.deliveryId !== undefined) {
      return void this.#makeMembers(delivery, event.deliveryId);
    }
    delivery.members = count === 1
      ? [this.#newMember()]
      : Array.from({ length: count }, () => this.#newMember());
    this.#accept(delivery);
  }

  async #makeMembers(delivery: Delivery, deliveryId: string): Promise<void> {
    try {
      delivery.members = await deliveryMembers(deliveryId, delivery.count);
      this.#accept(delivery);
    } catch (error) {
      this.#dispatcher.drop(delivery, error);
    }
  }

  #accept(delivery: Delivery): void {
    // Alone, so that it takes no other event of its shop along.
    if (this.#mayBeFlawed) checkDelivery(delivery);
    this.#dispatcher.accept(delivery);
  }

  #tell(
    error: unknown,
    status: RecordOutcome["status"],
    { event, score, count }: Delivery,
  ): void {
    if (this.#onError === undefined) return;
    const { mallId, shopNo, eventType, deliveryId } = event;
    invokeSafely("onError of WebhookRecorder", this.#onError, error, {
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
    });
  }

  #publish(
    change: RecordOutcome["status"],
    count: number,
    error?: unknown,
  ): void {
    if (sink === undefined) return;
    const { pending, capacity } = this.#dispatcher;
    const what = { change, count, pending, capacity };
    sink.publish(
      "outbox",
      this.#client.origin,
      error === undefined ? what : { ...what, error },
    );
  }
}

/** @throws {TypeError} If it can never be sent, since `keyOf`, `now` or `newMember` have made it so. */
function checkDelivery(delivery: Delivery): void {
  const { key, score, members } = delivery;
  const isText = (word: unknown) => typeof word === "string";
  if (isText(key) && Number.isFinite(score) && members.every(isText)) return;
  checkCommand(zadd({ key, deliveries: [delivery] }));
}
