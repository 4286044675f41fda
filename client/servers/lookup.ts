// A lookup: one question at a time, not too often, for the calls that wait for its answer.
import { CheckoutTimeoutError } from "../../pool/errors.ts";
import { runtime, type Timer } from "../../pool/socket/runtime.ts";

/** The pause after a question, in milliseconds; the second half of it is by chance. */
const PAUSE_MS = 200;
/** The same after questions without a useful answer: it doubles up to this. */
const MAX_PAUSE_MS = 1000;
/** So many questions in a row may be without a useful answer before the pause grows. */
const PATIENCE = 3;

/**
 * Paces questions such as CLUSTER SLOTS: one at a time, at most 5 to 10 a second,
 * fewer while they are fruitless. Without a clock of its own.
 */
export class QuestionPacing {
  readonly #random: () => number;
  #readyAt = -Infinity;
  #fruitless = 0;

  /** @param random Gives numbers of 0 or more, less than 1. */
  constructor(random: () => number = Math.random) {
    this.#random = random;
  }

  /** How long to wait before the next question, in milliseconds; 0 or less: it may be asked now. */
  waitMs(now: number): number {
    return this.#readyAt - now;
  }

  /**
   * A question has ended.
   *
   * @param now When, by `performance.now()`.
   * @param wasFruitful Whether the answer was of use.
   */
  ended(now: number, wasFruitful: boolean): void {
    this.#fruitless = wasFruitful ? 0 : this.#fruitless + 1;
    const doublings = Math.max(0, this.#fruitless - PATIENCE + 1);
    const pauseMs = Math.min(MAX_PAUSE_MS, PAUSE_MS * 2 ** doublings);
    this.#readyAt = now + pauseMs * (1 - this.#random() / 2);
  }
}

/** Options of a {@linkcode Lookup}. */
export interface LookupOptions {
  /**
   * Asks, and takes the answer.
   *
   * @returns Whether the answer was of use: it was new, or covers what was sought.
   * @throws Why there was no answer: what calls that wait fail with.
   */
  readonly ask: () => Promise<boolean>;
  /** How many calls may wait for the answer. */
  readonly maxWaiting: number;
  /** What a call that waits needs, for errors: such as `a server of the cluster of h:7000`. */
  readonly what: string;
}

/** What is called when a question has ended; `failure` is why it was not answered. */
type Waiter = (failure: { readonly reason: unknown } | undefined) => void;

/**
 * Asks a question again whenever a newer answer is needed.
 *
 * - One question is under way at a time, and none without need.
 * - Between two there is a pause: see {@linkcode QuestionPacing}.
 * - The end of a question ends the wait of every call that waits by then.
 */
export class Lookup {
  readonly #ask: () => Promise<boolean>;
  readonly #pacing = new QuestionPacing();
  readonly #pause: Timer;
  readonly #maxWaiting: number;
  readonly #what: string;
  readonly #waiters = new Set<Waiter>();
  #underWay: Promise<void> | undefined;
  #isWanted = false;
  #asked = 0;
  #closedFor: { readonly reason: unknown } | undefined;

  /** @param options See {@linkcode LookupOptions}. */
  constructor({ ask, maxWaiting, what }: LookupOptions) {
    this.#ask = ask;
    this.#maxWaiting = maxWaiting;
    this.#what = what;
    this.#pause = runtime.newTimer(() => this.#start());
  }

  /** How many questions were asked. */
  get asked(): number {
    return this.#asked;
  }

  /** Asks again: at once, or as soon as the question under way and the pause after it are over. */
  renew(): void {
    this.#isWanted = true;
    this.#start();
  }

  /**
   * Waits for the end of the next question. A call too many does not wait: its
   * failure is a `CheckoutTimeoutError`.
   *
   * @returns Ends the wait; the waiter is not called then.
   */
  wait(waiter: Waiter): () => void {
    if (this.#waiters.size >= this.#maxWaiting) return this.#refuse(waiter);
    this.#waiters.add(waiter);
    if (this.#closedFor !== undefined) {
      queueMicrotask(() => this.#end(this.#closedFor));
    } else if (this.#underWay === undefined) this.renew();
    return () => this.#waiters.delete(waiter);
  }

  /** Asks nothing any more. Resolves when the question under way is over. */
  async close(reason: unknown): Promise<void> {
    this.#closedFor = { reason };
    this.#pause.stop();
    this.#end({ reason });
    await this.#underWay;
  }

  #refuse(waiter: Waiter): () => void {
    let isCancelled = false;
    queueMicrotask(() => {
      if (isCancelled) return;
      waiter({
        reason: new CheckoutTimeoutError(
          `Cannot find ${this.#what}: ${this.#maxWaiting} callers wait already (maxWaiting)`,
          { isRetriable: false },
        ),
      });
    });
    return () => {
      isCancelled = true;
    };
  }

  #start(): void {
    if (!this.#isWanted || this.#closedFor !== undefined) return;
    if (this.#underWay !== undefined) return; // begins anew at its end
    const now = performance.now();
    const waitMs = this.#pacing.waitMs(now);
    if (waitMs > 0) return this.#pause.start(waitMs, now);
    this.#isWanted = false;
    this.#asked++;
    this.#underWay = this.#askNow();
  }

  async #askNow(): Promise<void> {
    let failure: { readonly reason: unknown } | undefined;
    let wasFruitful = false;
    try {
      wasFruitful = await this.#ask();
    } catch (reason) {
      failure = { reason };
    }
    this.#underWay = undefined;
    this.#pacing.ended(performance.now(), wasFruitful);
    this.#end(failure);
    this.#start();
  }

  /** Ends every wait. A waiter that waits again waits for the next question. */
  #end(failure: { readonly reason: unknown } | undefined): void {
    for (const waiter of [...this.#waiters]) {
      if (this.#waiters.delete(waiter)) waiter(failure);
    }
  }
}
