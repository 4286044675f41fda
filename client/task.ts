// Work of several steps that its caller's signal, its deadline or the client's end cuts short.
import { DeadlineError } from "./deadline_error.ts";
import type { Expirable } from "./deadlines.ts";
import type { Fate } from "../pool/connection/close_report.ts";
import { fateOf, noteAbort, worstOf } from "./fate.ts";

/** A lease on its way, a blocking command, a look at what became of a command. */
export class Task implements Expirable {
  /** Whether a connection has its command, so that it may run. */
  isInFlight = false;
  /** What attempts failed with. */
  readonly failures: unknown[] = [];
  /** Whether it was ended because the client is closed. */
  isClosed = false;
  readonly #ending = new AbortController();
  readonly #name: string;
  readonly #deadlineMs: number;

  /**
   * @param name The command's name, or `"lease"`.
   * @param deadlineMs When it must be over, in milliseconds after its start.
   */
  constructor(name: string, deadlineMs = Infinity) {
    this.#name = name;
    this.#deadlineMs = deadlineMs;
  }

  /** Aborts when the task must end. */
  get signal(): AbortSignal {
    return this.#ending.signal;
  }

  /** What has become of its command so far, over all attempts. */
  get fate(): Fate {
    return this.isInFlight ? "unknown" : worstOf(this.failures.map(fateOf));
  }

  /** Its caller's signal has aborted. */
  end(reason: unknown): void {
    noteAbort(reason, this.fate);
    this.#ending.abort(reason);
  }

  /** Its deadline has passed. */
  expire(): void {
    this.#ending.abort(
      new DeadlineError(
        this.#name,
        this.#deadlineMs,
        this.fate,
        this.isInFlight ? "its reply had not come" : "no connection was free",
      ),
    );
  }

  /** The client is closed: nothing more is begun, and what is written is lost with its connection. */
  close(reason: unknown): void {
    this.isClosed = true;
    this.#ending.abort(reason);
  }
}
