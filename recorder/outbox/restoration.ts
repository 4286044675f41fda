// What earlier processes have left in a store: read step by step, as there is room.
import { ExponentialBackoff } from "../../retry/backoff.ts";
import { messageOf } from "../../retry/failures.ts";
import { OutboxError, type StoredEvent } from "./outbox_store.ts";
import type { Iterates, StoreCalls } from "./store_calls.ts";
import { faultIn } from "./stored_event.ts";

/** After this many entries other work of the process has its turn. */
const PAGE = 1000;

/** Options of a {@linkcode Restoration}. */
export interface RestorationOptions {
  readonly calls: StoreCalls;
  /** Whether there is room for another entry. */
  readonly hasRoom: () => boolean;
  /** Whether nothing can be sent any more. */
  readonly isClosed: () => boolean;
  /** Whether this recorder has made the entry, or holds it already. */
  readonly isKnown: (id: string) => boolean;
  /** Takes an entry. */
  readonly admit: (stored: StoredEvent) => void;
}

/**
 * Reads a store once from the beginning to the end.
 *
 * - It holds one entry at a time, and takes the next when there is room.
 * - What is not a stored event stays in the store, and is reported once.
 * - If the store fails, it begins again, by backoff, until it has come to the end.
 */
export class Restoration {
  readonly #options: RestorationOptions;
  readonly #backoff = new ExponentialBackoff({ capMs: 30_000, jitter: 0.2 });
  readonly #over = Promise.withResolvers<void>();
  readonly #reading: Promise<void>;
  #isOver = false;
  #foreign = 0; // since the beginning of the store
  #firstFault = "";
  // Each of these ends a wait:
  #onRoom: (() => void) | undefined;
  #onHurry: (() => void) | undefined;
  #onEnd: (() => void) | undefined;

  constructor(options: RestorationOptions) {
    this.#options = options;
    this.#reading = this.#restore();
  }

  /** Resolves once the end is reached, or nothing is taken any more. */
  get over(): Promise<void> {
    return this.#over.promise;
  }

  /** There may be room. */
  noteRoom(): void {
    this.#onRoom?.();
  }

  /** A store that has failed is tried again now. */
  hurry(): void {
    this.#onHurry?.();
  }

  /** Takes nothing any more. Resolves once it has let go of the store. */
  end(): Promise<void> {
    this.#isOver = true;
    this.#over.resolve();
    this.#onRoom?.();
    this.#onHurry?.();
    this.#onEnd?.();
    return this.#reading;
  }

  async #restore(): Promise<void> {
    for (let failures = 0; !this.#isOver; failures++) {
      try {
        await this.#readAll();
        this.#options.calls.succeeded("load");
        this.#reportForeign();
        break;
      } catch (cause) {
        if (this.#isOver) break;
        this.#options.calls.failed(
          new OutboxError(
            "load",
            "Cannot load what earlier processes have left in the store, " +
              `trying again: ${messageOf(cause)}`,
            { cause },
          ),
        );
      }
      await this.#pause(this.#backoff.delayMs(failures));
    }
    this.end();
  }

  /** Reads until the end, or until nothing is taken any more. */
  async #readAll(): Promise<void> {
    const { calls } = this.#options;
    this.#foreign = 0;
    const entries = await this.#unlessOver(calls.load());
    if (this.#isOver) return;
    const iterator = iteratorOf(entries!);
    let isAtEnd = false;
    try {
      for (let taken = 1; this.#hasRoom || await this.#room(); taken++) {
        const step = iterator.next();
        const result = "then" in step // not only a Promise of this realm
          ? await this.#unlessOver(step)
          : step;
        if (result === undefined) return;
        isAtEnd = result.done === true;
        if (isAtEnd) return;
        this.#take(result.value);
        if (taken % PAGE === 0) await this.#pause(0);
      }
    } finally {
      if (!isAtEnd) await calls.leave(iterator);
    }
  }

  #take(value: unknown): void {
    const fault = faultIn(value);
    if (fault !== undefined) {
      if (this.#foreign++ === 0) this.#firstFault = fault;
      return;
    }
    const stored = value as StoredEvent;
    if (!this.#options.isKnown(stored.id)) this.#options.admit(stored);
  }

  #reportForeign(): void {
    if (this.#foreign === 0) return;
    const what = this.#foreign === 1
      ? "1 entry of the store is not a queued event: it is"
      : `${this.#foreign} entries of the store are not queued events: they are`;
    this.#options.calls.failed(
      new OutboxError(
        "load",
        `${what} left there and not sent; the first one: ${this.#firstFault}`,
      ),
    );
  }

  get #takesNothing(): boolean {
    return this.#isOver || this.#options.isClosed();
  }

  get #hasRoom(): boolean {
    return !this.#takesNothing && this.#options.hasRoom();
  }

  /** Waits for room. False if nothing is taken any more. */
  async #room(): Promise<boolean> {
    while (!this.#hasRoom) {
      if (this.#takesNothing) return false;
      await new Promise<void>((resolve) => this.#onRoom = resolve);
    }
    return true;
  }

  /** What a promise resolves to; `undefined` once nothing is taken any more. */
  #unlessOver<T>(promise: Promise<T>): Promise<T | undefined> {
    // Not Promise.race with `over`: that would keep something of each step.
    return new Promise((resolve, reject) => {
      if (this.#isOver) resolve(undefined);
      this.#onEnd = () => resolve(undefined);
      promise.then(resolve, reject);
    });
  }

  /** Waits for a time in milliseconds. */
  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.#onHurry = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }
}

/** @throws {TypeError} If it is not iterable. */
function iteratorOf<T>(
  entries: Iterable<T> | AsyncIterable<T>,
): Iterates<T> {
  if (typeof entries === "object" && entries !== null) {
    if (Symbol.asyncIterator in entries) {
      return entries[Symbol.asyncIterator]();
    }
    if (Symbol.iterator in entries) return entries[Symbol.iterator]();
  }
  throw new TypeError("what load() has resolved to is not iterable");
}
