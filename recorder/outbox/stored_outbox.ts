// Keeps queued entries in a store, and queues again what earlier processes have left there.
import { fateOf, withFate } from "../../client/fate.ts";
import { ExponentialBackoff } from "../../retry/backoff.ts";
import { messageOf } from "../../retry/failures.ts";
import { Entry } from "../entries/entry.ts";
import { Epoch } from "../entries/epochs.ts";
import type { Outcomes, Refused } from "../entries/outcomes.ts";
import { EntryQueue, writtenBytesOf } from "../entries/queue.ts";
import { EventIds } from "./event_ids.ts";
import {
  OutboxError,
  type OutboxStore,
  type StoredEvent,
} from "./outbox_store.ts";
import { Removals } from "./removals.ts";
import { Restoration } from "./restoration.ts";
import { StoreCalls } from "./store_calls.ts";
import { storedEventOf } from "./stored_event.ts";

/** Options of a {@linkcode StoredOutbox}. */
export interface StoredOutboxOptions {
  readonly store: OutboxStore;
  /** Whether an entry that the store does not take stays in memory. */
  readonly usesMemory: boolean;
  /** Called for trouble of the store that is not about a single event. */
  readonly onError: (error: OutboxError) => void;
  readonly outcomes: Outcomes;
  /** Whether there is room for an entry of an earlier process. */
  readonly hasRoom: () => boolean;
  /** Whether nothing can be sent any more. */
  readonly isClosed: () => boolean;
  /** Takes an entry of an earlier process, to be sent. */
  readonly restore: (entry: Entry) => void;
  /** An entry is not sent, since the store has not taken it: it is counted no more. */
  readonly release: (entry: Entry) => void;
}

/** An entry, and where it is. */
interface Held {
  readonly entry: Entry;
  readonly id: string;
  /** Why it was not recorded at once. */
  readonly error: unknown;
  /** `memory`: not in the store; `uncertain`: an append is under way, or has failed; `store`: it is durable. */
  place: "memory" | "uncertain" | "store";
  /** Whether its caller has an answer. */
  isAnswered: boolean;
  /** Whether it is not sent by this recorder any more: once it is in the store it is left there. */
  isLeaving: boolean;
}

/** How much of a call an entry takes: one that may be too large for a store goes alone. */
const storedBytesOf = (entry: Entry): number => {
  const { mallId, eventType, deliveryId = "" } = entry.event;
  return writtenBytesOf(entry) +
    mallId.length + eventType.length + deliveryId.length;
};

/**
 * Keeps the queued entries of a recorder in a store.
 *
 * - One append is under way; the entries that come meanwhile go together with the next.
 * - An entry is answered `queued` once it is in the store. If the store fails it
 *   is dropped, or answered as one that is in memory alone and appended later. If the
 *   store hangs, that is so at once, until the append that hangs has ended.
 * - What was recorded or dropped is removed, also where its append has failed: that
 *   may take effect nevertheless.
 */
export class StoredOutbox {
  readonly #options: StoredOutboxOptions;
  readonly #outcomes: Outcomes;
  readonly #calls: StoreCalls;
  readonly #removals: Removals;
  readonly #restoration: Restoration;
  readonly #ids = new EventIds();
  readonly #held = new Map<Entry, Held>();
  readonly #restoredIds = new Set<string>(); // of those that are held
  readonly #restored = new Epoch();
  readonly #queue = new EntryQueue(storedBytesOf); // not in the store
  readonly #backoff = new ExponentialBackoff({ jitter: 0.2 });
  #appending: Promise<void> | undefined;
  #failure: OutboxError | undefined; // of the last append
  #stored = 0;
  #wake: (() => void) | undefined; // ends the wait between two appends

  constructor(options: StoredOutboxOptions) {
    this.#options = options;
    this.#outcomes = options.outcomes;
    this.#calls = new StoreCalls(
      options.store,
      options.onError,
      () => this.#wake?.(),
    );
    this.#removals = new Removals(this.#calls, () => this.noteRoom());
    this.#restoration = new Restoration({
      calls: this.#calls,
      hasRoom: () => options.hasRoom() && !this.#removals.isBehind,
      isClosed: options.isClosed,
      isKnown: (id) => this.#ids.has(id) || this.#restoredIds.has(id),
      admit: (stored) => this.#restore(stored),
    });
    this.#restoration.over.then(() => this.#restored.end());
  }

  /** Events that are queued and in the store. */
  get stored(): number {
    return this.#stored;
  }

  /** What the store has failed with last. */
  get lastError(): OutboxError | undefined {
    return this.#calls.lastError;
  }

  /** Takes an entry that was queued. */
  keep(entry: Entry, error: unknown): void {
    if (entry.state === "queued") this.#keep(entry, error, false);
  }

  /** Entries are recorded. */
  recorded(entries: readonly Entry[]): void {
    this.#removals.add(this.#forget(entries));
    this.noteRoom();
  }

  /** Redis has refused entries for good. */
  refused(refusals: readonly Refused[]): void {
    const byReason = new Map<string, Entry[]>();
    for (const [entry, error] of refusals) {
      const reason = messageOf(error);
      const entries = byReason.get(reason) ?? [];
      byReason.set(reason, entries);
      entries.push(entry);
    }
    for (const [reason, entries] of byReason) {
      this.#removals.setAside(this.#forget(entries), reason);
    }
    this.noteRoom();
  }

  /** Entries are not sent any more. Those that are not in the store are appended, without regard to capacity. */
  leave(entries: readonly Entry[], error: unknown): void {
    for (const entry of entries) {
      const held = this.#held.get(entry);
      if (held === undefined) {
        if (entry.state !== "queued") this.#outcomes.queued(entry);
        this.#keep(entry, error, true);
      } else if (held.place === "store") this.#leave(held);
      else held.isLeaving = true;
    }
    this.#wake?.();
    this.noteRoom();
  }

  /** There may be room for entries of an earlier process. */
  noteRoom(): void {
    this.#restoration.noteRoom();
  }

  /**
   * Resolves once everything that earlier processes have left is loaded, and each of that
   * recorded, dropped or left; and what was sent is removed, or cannot be.
   *
   * @param settled Resolves once each entry of this process is.
   */
  async flush(settled: Promise<void>): Promise<void> {
    this.#restoration.hurry();
    this.#wake?.();
    await settled;
    await this.#restored.ended;
    await this.#removals.flush();
  }

  /** Takes nothing from the store any more. */
  endRestoration(): void {
    this.#restoration.end();
  }

  /**
   * Resolves once no call of the store is under way, and none will be made.
   *
   * @param settled Resolves once each entry is recorded, dropped or left.
   */
  async end(settled: Promise<void>): Promise<void> {
    this.#calls.hurry();
    this.#wake?.();
    await settled;
    await this.#appending;
    await this.#removals.end();
    await this.#restoration.end();
  }

  #keep(entry: Entry, error: unknown, isLeaving: boolean): void {
    const held: Held = {
      entry,
      id: this.#ids.next(),
      error,
      place: "memory",
      isAnswered: false,
      isLeaving,
    };
    this.#held.set(entry, held);
    this.#queue.push(entry);
    if (this.#failure !== undefined && this.#staysInMemory(held)) {
      this.#answer(held, this.#errorOf(held, this.#failure));
    }
    this.#appending ??= this.#appendAll();
  }

  #restore({ id, key, score, members, event }: StoredEvent): void {
    const entry = new Entry(event, members.length, this.#restored, () => {});
    entry.key = key;
    entry.score = score;
    entry.members = members;
    this.#held.set(entry, {
      entry,
      id,
      error: undefined,
      place: "store",
      isAnswered: true,
      isLeaving: false,
    });
    this.#restoredIds.add(id);
    this.#stored += entry.count;
    this.#options.restore(entry);
  }

  /** Entries are held no more. @returns The ids of those that may be in the store. */
  #forget(entries: readonly Entry[]): string[] {
    const ids: string[] = [];
    for (const entry of entries) {
      const held = this.#held.get(entry);
      if (held === undefined) continue;
      this.#held.delete(entry);
      this.#restoredIds.delete(held.id);
      if (held.place === "store") this.#stored -= entry.count;
      if (held.place !== "memory") ids.push(held.id);
    }
    return ids;
  }

  /** An entry that is in the store stays there. */
  #leave({ entry }: Held): void {
    this.#forget([entry]);
    this.#outcomes.left(entry);
  }

  #answer(held: Held, error: unknown): void {
    if (held.isAnswered) return;
    held.isAnswered = true;
    this.#outcomes.stored(held.entry, error);
  }

  /** Appends what is queued, by backoff while entries stay in memory since the store fails. */
  async #appendAll(): Promise<void> {
    await undefined; // the other entries of this turn
    for (let failures = 0; this.#queue.events > 0;) {
      if (failures > 0) await this.#pause(this.#backoff.delayMs(failures - 1));
      const group = this.#take();
      if (group.length === 0) continue; // all of them are recorded by now
      const failure = await this.#calls.append(
        group.map(({ id, entry }) => storedEventOf(id, entry)),
      );
      this.#failure = failure;
      if (failure === undefined) {
        failures = 0;
        for (const held of group) this.#onStored(held);
      } else {
        failures = this.#onFailure(group, failure) ? failures + 1 : 0;
      }
    }
    this.#appending = undefined;
  }

  /** The first entries that wait, but those that are recorded or dropped by now. */
  #take(): Held[] {
    const group: Held[] = [];
    for (const entry of this.#queue.take()) {
      const held = this.#held.get(entry);
      if (held === undefined) continue;
      held.place = "uncertain";
      group.push(held);
    }
    return group;
  }

  #onStored(held: Held): void {
    if (!this.#isHeld(held)) return;
    held.place = "store";
    this.#stored += held.entry.count;
    this.#answer(held, held.error);
    if (held.isLeaving) this.#leave(held);
  }

  /** The store has not taken entries. @returns Whether some of them stay in memory. */
  #onFailure(group: readonly Held[], failure: OutboxError): boolean {
    const held = group.filter((one) => this.#isHeld(one));
    const staying = held.filter((one) => this.#staysInMemory(one));
    const entries = staying.map(({ entry }) => entry);
    // One that the store never takes must not hold up the others.
    if (group.length === 1) entries.forEach((entry) => this.#queue.push(entry));
    else this.#queue.putBack(entries);
    const errors = new Map<unknown, OutboxError>();
    const errorFor = (one: Held): OutboxError => {
      const error = errors.get(one.error) ?? this.#errorOf(one, failure);
      errors.set(one.error, error);
      return error;
    };
    // The next attempt may be long in coming: nothing waits for it to be answered or given up.
    for (const one of this.#held.values()) {
      if (one.place === "store") continue;
      if (this.#staysInMemory(one)) this.#answer(one, errorFor(one));
      else if (one.isLeaving && one.place === "memory") held.push(one);
    }
    for (const one of held) {
      if (!this.#staysInMemory(one)) this.#drop(one, errorFor(one));
    }
    return staying.length > 0;
  }

  #drop({ entry, isLeaving }: Held, error: OutboxError): void {
    this.#removals.add(this.#forget([entry]));
    if (!isLeaving) this.#options.release(entry);
    this.#outcomes.dropped(entry, error);
  }

  #isHeld(held: Held): boolean {
    return this.#held.get(held.entry) === held;
  }

  /** Whether an entry that is not in the store can be sent nevertheless. */
  #staysInMemory({ isLeaving }: Held): boolean {
    return this.#options.usesMemory && !isLeaving;
  }

  /** What an entry is answered with that the store has not taken: with the fate of its first attempt. */
  #errorOf(held: Held, { message, cause }: OutboxError): OutboxError {
    const what = this.#staysInMemory(held)
      ? `Event is in memory alone, until the store takes it: ${message}`
      : message;
    const error = new OutboxError("append", what, { cause });
    return withFate(error, fateOf(held.error));
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
}
