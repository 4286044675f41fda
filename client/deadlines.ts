// Deadlines of calls: one timer for all of them, and the error of a call that misses its own.
import type { Fate } from "../pool/connection/fate.ts";
import { GRACE_MS, LATE_MS } from "../pool/socket/fair_timeout.ts";
import { runtime } from "../pool/socket/runtime.ts";

/** What has a deadline. */
export interface Expirable {
  /** Called when the deadline has passed. */
  expire(): void;
}

/** Calls due within this many milliseconds of each other are ended together. */
const GRAIN_MS = 4;

/**
 * The deadlines of calls under way, in slots of a few milliseconds: adding and
 * removing one costs the same however many there are.
 */
export class Deadlines {
  readonly #slots = new Map<number, Set<Expirable>>();
  readonly #timer = runtime.newTimer((lateMs) => this.#fired(lateMs));
  #first = Infinity; // the earliest slot: the timer is set for it
  #isGrace = false;

  /**
   * Calls `expire` at the deadline, unless it is removed before.
   *
   * @param call What has the deadline.
   * @param at When, by `performance.now()`.
   * @returns Removes it.
   */
  add(call: Expirable, at: number): () => void {
    const slot = Math.ceil(at / GRAIN_MS);
    let calls = this.#slots.get(slot);
    if (calls === undefined) this.#slots.set(slot, calls = new Set());
    calls.add(call);
    if (slot < this.#first) this.#arm(slot);
    return () => {
      calls.delete(call);
      if (calls.size > 0 || this.#slots.get(slot) !== calls) return;
      this.#slots.delete(slot);
      if (this.#slots.size > 0) return;
      this.#first = Infinity;
      this.#timer.stop();
    };
  }

  #arm(slot: number): void {
    this.#first = slot;
    this.#timer.start(slot * GRAIN_MS - performance.now());
  }

  #fired(lateMs: number): void {
    const now = performance.now();
    const due = [...this.#slots.keys()]
      .filter((slot) => slot * GRAIN_MS <= now)
      .sort((a, b) => a - b);
    // The process was busy or frozen: the replies may only need to be read.
    this.#isGrace = due.length > 0 && lateMs > LATE_MS && !this.#isGrace;
    if (this.#isGrace) return this.#timer.start(GRACE_MS);
    for (const slot of due) {
      const calls = this.#slots.get(slot);
      this.#slots.delete(slot);
      for (const call of calls ?? []) call.expire();
    }
    this.#first = Infinity;
    if (this.#slots.size > 0) this.#arm(Math.min(...this.#slots.keys()));
  }
}

/**
 * The deadline of a call has passed: `deadlineMs` of its options, or of its
 * retry policy. `fate` says what became of the command; `cause` is what its
 * last attempt failed with, if one did.
 *
 * @example A command that was never sent
 * ```ts
 * import { DeadlineError } from "@unzombie/redis";
 * import { assertEquals } from "@std/assert";
 *
 * const error = new DeadlineError("GET", 250, "unsent", "no connection was free");
 * assertEquals(
 *   error.message,
 *   "GET was not done within 250 ms (deadlineMs): no connection was free; the command did not run",
 * );
 * ```
 */
export class DeadlineError extends Error {
  /** Always `"DeadlineError"`. */
  override readonly name = "DeadlineError";
  /** The deadline, in milliseconds after the start of the call. */
  readonly deadlineMs: number;
  /** What became of the command. */
  readonly fate: Fate;

  /**
   * Makes the error.
   *
   * @param command The command's name, or `"lease"`.
   * @param deadlineMs The deadline, in milliseconds after the start of the call.
   * @param fate What became of the command.
   * @param state What was waited for when it passed.
   * @param options `cause`: what the last attempt failed with.
   */
  constructor(
    command: string,
    deadlineMs: number,
    fate: Fate,
    state: string,
    options?: ErrorOptions,
  ) {
    super(
      `${command} was not done within ${deadlineMs} ms (deadlineMs): ${state}; the command ${
        fate === "unsent" ? "did not run" : "may have run"
      }`,
      options,
    );
    this.deadlineMs = deadlineMs;
    this.fate = fate;
  }
}
