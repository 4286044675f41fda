// Calls of a store: all but `load` end in bounded time without rejecting, failures are reported, and none is made while one like it hangs.
import { messageOf } from "../../retry/failures.ts";
import {
  OutboxError,
  type OutboxOperation,
  type OutboxStore,
  type StoredEvent,
} from "./outbox_store.ts";

/** How long a call may take, in milliseconds: then it has failed. Not that of `load`, which no event waits for. */
const CALL_MS = 5000;
/** How long a removal may take once the recorder is closed: one that is missed does no harm. */
const LAST_REMOVAL_MS = 1000;

/** What a store is read with. */
export type Iterates<T> = Pick<
  Iterator<T> | AsyncIterator<T>,
  "next" | "return"
>;

/** A call that was given up and has not ended. */
interface Hung {
  readonly operation: OutboxOperation;
  /** When it was made, by `performance.now()`. */
  readonly since: number;
}

/**
 * Calls the methods of a store. A call that takes too long has failed. Until it ends, no
 * other one of its method is made, and all of them fail at once: a store whose calls wait for
 * each other would hold what each was given.
 */
export class StoreCalls {
  readonly #store: OutboxStore;
  readonly #onError: (error: OutboxError) => void;
  readonly #onAnswer: () => void;
  readonly #hung = new Set<Hung>();
  /** What each method has failed with, unless it has succeeded since; the last failure comes last. */
  readonly #failures = new Map<OutboxOperation, OutboxError>();
  #removalMs = CALL_MS;

  /**
   * @param onError Called for the first of several failures in a row, but those of `append`: events have that as their error.
   * @param onAnswer Called when a call ends that was given up.
   */
  constructor(
    store: OutboxStore,
    onError: (error: OutboxError) => void,
    onAnswer: () => void = () => {},
  ) {
    this.#store = store;
    this.#onError = onError;
    this.#onAnswer = onAnswer;
  }

  /** What a method has failed with last; `undefined` if all have succeeded since. */
  get lastError(): OutboxError | undefined {
    return [...this.#failures.values()].at(-1);
  }

  /** Removals take less time from now on: the recorder is closed. */
  hurry(): void {
    this.#removalMs = LAST_REMOVAL_MS;
  }

  /** @throws What the store throws. */
  async load(): ReturnType<OutboxStore["load"]> {
    return await this.#store.load();
  }

  /** Ends a reading before its end, so that the store can let go of what it holds open for it. */
  async leave(iterator: Iterates<StoredEvent>): Promise<void> {
    try {
      await inTime(async () => void await iterator.return?.(), LAST_REMOVAL_MS);
    } catch {
      // There is nothing more to read.
    }
  }

  /** @returns Why they are not in the store; `undefined` if they are. */
  append(entries: readonly StoredEvent[]): Promise<OutboxError | undefined> {
    return this.#call(
      "append",
      "Cannot store events",
      () => this.#store.append(entries),
    );
  }

  /** @returns Why they may still be in the store. */
  remove(ids: readonly string[]): Promise<OutboxError | undefined> {
    return this.#call(
      "remove",
      "Cannot remove events from the store, a later process may send them " +
        "once more, which does no harm",
      () => this.#store.remove(ids),
      this.#removalMs,
    );
  }

  /** The same as {@linkcode StoreCalls.remove} where the store cannot set aside. */
  setAside(
    ids: readonly string[],
    reason: string,
  ): Promise<OutboxError | undefined> {
    if (this.#store.setAside === undefined) return this.remove(ids);
    return this.#call(
      "setAside",
      "Cannot set events aside, a later process will try to send them",
      () => this.#store.setAside!(ids, reason),
      this.#removalMs,
    );
  }

  /** A method has failed. */
  failed(error: OutboxError): void {
    const { operation } = error;
    const isFirst = !this.#failures.delete(operation);
    this.#failures.set(operation, error);
    if (isFirst && operation !== "append") this.#onError(error);
  }

  /** A method has succeeded. */
  succeeded(operation: OutboxOperation): void {
    this.#failures.delete(operation);
  }

  async #call(
    operation: OutboxOperation,
    what: string,
    call: () => Promise<void>,
    limitMs = CALL_MS,
  ): Promise<OutboxError | undefined> {
    try {
      this.#checkAnswers(operation);
      const since = performance.now();
      await inTime(call, limitMs, (calling) => {
        this.#watch({ operation, since }, calling);
      });
      this.succeeded(operation);
      return undefined;
    } catch (cause) {
      const message = `${what}: ${messageOf(cause)}`;
      const error = new OutboxError(operation, message, { cause });
      this.failed(error);
      return error;
    }
  }

  /** @throws {Error} If a call of a method was given up and has not ended. */
  #checkAnswers(operation: OutboxOperation): void {
    for (const hung of this.#hung) {
      if (hung.operation !== operation) continue;
      const seconds = Math.round((performance.now() - hung.since) / 1000);
      throw new Error(`the store has not answered for ${seconds} s`);
    }
  }

  /** Keeps a call that was given up until it ends, whatever it comes to. */
  async #watch(hung: Hung, calling: Promise<void>): Promise<void> {
    this.#hung.add(hung);
    await calling.catch(() => {});
    this.#hung.delete(hung);
    this.#onAnswer();
  }
}

/**
 * @param onLate Called with the promise of a call that takes too long.
 * @throws {Error} If it does. What it comes to later is ignored.
 */
async function inTime(
  call: () => Promise<void>,
  limitMs: number,
  onLate: (calling: Promise<void>) => void = () => {},
): Promise<void> {
  const late = Promise.withResolvers<never>();
  const calling = Promise.resolve(call());
  const timer = setTimeout(() => {
    onLate(calling);
    late.reject(new Error(`no answer for ${limitMs} ms`));
  }, limitMs);
  try {
    await Promise.race([calling, late.promise]);
  } finally {
    clearTimeout(timer);
  }
}
