// The outcomes of all calls, and what is wrong with them: each must have one, in time.
import { type Fate, fateOf, type Reply, ReplyError } from "../../mod.ts";

/** A call's outcome: its value, or `undefined` and what became of a command that failed. */
export interface Outcome<T> {
  readonly value: T | undefined;
  readonly fate: Fate;
}

/** More than all time limits and retries of a call together. */
export const LIMIT_MS = 20_000;
const MOST_SHOWN = 50;

/** Errors that a fault explains; any other is a violation. */
const EXPLAINED = new Set([
  "ConnectionClosedError",
  "DialError",
  "CheckoutTimeoutError",
  "RetryError",
  "TimeoutError", // of the caller's own signal
]);
const REFUSALS = new Set(["LOADING", "READONLY", "MASTERDOWN", "BUSY"]);

/** Whether a server refused the command for a reason that passes. */
export const isRefusal = (reply: unknown): boolean =>
  reply instanceof ReplyError && REFUSALS.has(reply.code);

/** A reply as text, not too long. */
export const show = (reply: Reply | undefined): string =>
  reply instanceof ReplyError
    ? `${reply}`
    : Deno.inspect(reply, { strAbbreviateSize: 80 });

interface OpenCall {
  readonly what: string;
  readonly startedAt: number;
  readonly limitMs: number;
}

/** Counts calls, and keeps violations. */
export class OutcomeLog {
  calls = 0;
  readonly failed: Record<Fate, number> = {
    unsent: 0,
    executed: 0,
    unknown: 0,
  };
  longestMs = 0;
  /** Faults that have come so far. */
  faults = 0;
  /** Connections that died and were not closed on purpose. */
  deaths = 0;
  /** The faults that last at the moment. */
  readonly activeFaults = new Set<string>();
  /** What is wrong, in sentences. */
  readonly violations: string[] = [];
  readonly #open = new Set<OpenCall>();

  /** Keeps what is wrong, and under which faults. */
  violate(sentence: string): void {
    const text = [sentence, ...this.activeFaults].join(", under ");
    if (this.violations.push(text) <= MOST_SHOWN) console.error(`!! ${text}`);
  }

  /** Makes a call and keeps its outcome. Never rejects. */
  async call<T>(
    what: string,
    run: () => Promise<T>,
    limitMs = LIMIT_MS,
  ): Promise<Outcome<T>> {
    const call = { what, startedAt: performance.now(), limitMs };
    this.#open.add(call);
    this.calls++;
    try {
      return { value: await run(), fate: "executed" };
    } catch (error) {
      const name = error instanceof Error ? error.name : "";
      if (!EXPLAINED.has(name) && !isRefusal(error)) {
        this.violate(`${what} failed with ${Deno.inspect(error)}`);
      }
      const fate = fateOf(error);
      this.failed[fate]++;
      return { value: undefined, fate };
    } finally {
      if (this.#open.delete(call)) this.#tooLong(call);
    }
  }

  /** Notes calls that have been open for too long, each once. */
  checkOpenCalls(): void {
    for (const call of this.#open) {
      if (this.#tooLong(call)) this.#open.delete(call);
    }
  }

  /** The figures so far. */
  toString(): string {
    const { unsent, executed, unknown } = this.failed;
    return `${this.calls} calls, ${unsent + executed + unknown} failed ` +
      `(${unsent} unsent, ${executed} executed, ${unknown} unknown), ` +
      `${this.faults} faults, ${this.deaths} connections died, ` +
      `longest call ${this.longestMs.toFixed(0)} ms`;
  }

  #tooLong({ what, startedAt, limitMs }: OpenCall): boolean {
    const ms = performance.now() - startedAt;
    this.longestMs = Math.max(this.longestMs, ms);
    if (ms <= limitMs) return false;
    this.violate(
      `${what} has taken ${ms.toFixed(0)} ms, ${limitMs} are allowed`,
    );
    return true;
  }
}
