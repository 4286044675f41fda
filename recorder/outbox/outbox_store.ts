// What a store of queued events is: what it keeps, what it does, and the error of one that fails.
import type { WebhookEvent } from "../entries/event.ts";

/** The id of a queued event. */
export const EVENT_ID = /^[0-9a-z-]{1,40}$/;
/** The most characters of it. */
export const MAX_ID = 40;

/** A queued event as a store keeps it: plain JSON data. */
export interface StoredEvent {
  /**
   * Made when the event is queued, and different for each, in whatever process.
   * It consists of digits, `a` to `z` and hyphens, 40 characters at most, and sorts by
   * the time when it was made.
   */
  readonly id: string;
  /** The sorted set. */
  readonly key: string;
  /** Unix time in whole seconds. */
  readonly score: number;
  /** One for each time that the event counts. */
  readonly members: readonly string[];
  /** The event, for `onError`. */
  readonly event: WebhookEvent;
}

/**
 * Keeps queued events beyond the end of a process, for {@linkcode RecorderOptions.outbox}.
 * An event that is recorded at once never comes here.
 *
 * - Calls may overlap. They take effect in the order in which they are made.
 * - Several recorders, in several processes, may share a store. Each sends what it
 *   finds: an event that is sent twice counts once.
 * - A recorder does not close its store, and makes no call to it once its `close()` has
 *   resolved.
 * - Any method may reject. What a recorder does then is said at
 *   {@linkcode RecorderOptions.whenStoreFails} and {@linkcode RecorderOptions.onOutboxError}.
 * - A call other than `load` that takes longer than 5 seconds has failed. Until it ends no
 *   other call of its method is made.
 *
 * @example A store of one's own
 * ```ts
 * import { type OutboxStore, type StoredEvent, WebhookRecorder } from "@unzombie/redis";
 * import { assertEquals } from "@std/assert";
 *
 * // Outlives a recorder, but not the process: a real one writes to a disk or a database.
 * class MapStore implements OutboxStore {
 *   readonly #entries = new Map<string, StoredEvent>();
 *
 *   async load() {
 *     return [...this.#entries.values()];
 *   }
 *
 *   async append(entries: readonly StoredEvent[]) {
 *     for (const entry of entries) this.#entries.set(entry.id, entry);
 *   }
 *
 *   async remove(ids: readonly string[]) {
 *     for (const id of ids) this.#entries.delete(id);
 *   }
 * }
 *
 * const members: unknown[] = [];
 * const redis = { // in place of a Redis that is away at first
 *   origin: { hostname: "localhost", port: 6379, database: 0 },
 *   isClosed: false,
 *   isAway: true,
 *   async send(command: readonly unknown[]) {
 *     if (this.isAway) throw new Error("away");
 *     members.push(command[3]);
 *     return 1;
 *   },
 *   pipeline: () => Promise.reject(new Error("not used")),
 * };
 * const outbox = new MapStore();
 *
 * const before = new WebhookRecorder(redis, { outbox, newMember: () => "member" });
 * const event = { mallId: "doc", shopNo: 1, eventType: "orders/create" };
 * assertEquals((await before.record(event)).status, "queued");
 * await before.close({ drainMs: 0 }); // the process ends
 *
 * redis.isAway = false;
 * await using after = new WebhookRecorder(redis, { outbox }); // the next one begins
 * await after.flush();
 * assertEquals(members, ["member"]);
 * assertEquals(await outbox.load(), []);
 * ```
 */
export interface OutboxStore {
  /**
   * What is in it now, oldest first. It is read step by step, with pauses while the
   * recorder has no room; the iterator's `return` is called if it is not read to its
   * end. Whether it holds what is appended or removed meanwhile does not matter.
   */
  load(): Promise<Iterable<StoredEvent> | AsyncIterable<StoredEvent>>;
  /**
   * Keeps events. They are durable when it resolves: all of them or, if it rejects,
   * none that anything relies on.
   *
   * @param entries At most 1000 events in all, and rarely more than 512 KiB; or a single
   * entry, which may have 10,000 members. An entry whose append has failed before may
   * come again, with the same id.
   */
  append(entries: readonly StoredEvent[]): Promise<void>;
  /**
   * Forgets events. Ids that are not there are ignored.
   *
   * @param ids At most 1000.
   */
  remove(ids: readonly string[]): Promise<void>;
  /**
   * Moves events that Redis will never take to where `load` does not find them, for a
   * person to look at. Without this method they are removed. Ids that are not there
   * are ignored.
   *
   * @param ids At most 1000.
   * @param reason What Redis has refused them with.
   */
  setAside?(ids: readonly string[], reason: string): Promise<void>;
}

/** What a store was doing when it failed. */
export type OutboxOperation = "load" | "append" | "remove" | "setAside";

/**
 * A store of queued events has failed, or holds what is not a queued event.
 *
 * Exported as a type: the class is loaded only with a store. Compare `error.name` with
 * `"OutboxError"` in place of `instanceof`.
 */
export class OutboxError extends Error {
  /** Always `"OutboxError"`. */
  override readonly name = "OutboxError";
  /** The method of the store. */
  readonly operation: OutboxOperation;

  /**
   * Makes an error.
   *
   * @param operation The method of the store.
   * @param message What has failed, and what comes of it.
   * @param options `cause`: what the store has failed with.
   */
  constructor(
    operation: OutboxOperation,
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
    this.operation = operation;
  }
}
