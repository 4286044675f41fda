// One slot of a watch: holds a connection, uses it at intervals, and measures its idle time.
import type { CloseReport } from "../../pool/connection/close_report.ts";
import type { Connection } from "../../pool/connection/connection.ts";
import { ask } from "../../pool/connection/in_flight.ts";

/** Whether a connection is kept idle, or used all the time. */
export type Role = "idle" | "busy";

/** What the connection of a slot does. */
export interface Duty {
  readonly role: Role;
  /** How long it rests before it is used, in milliseconds; `Infinity`: it is never used. */
  readonly everyMs: number;
}

/** Called when a connection has answered: how long it had been idle before, in milliseconds, and when the command was sent, by `performance.now()`. */
export type OnAnswer = (
  connection: Connection,
  idleMs: number,
  sentAt: number,
) => void;

const MOST_TIMER_MS = 2 ** 31 - 1;

/** Holds one connection; when that ends, the next one takes its slot. */
export class WatchSlot {
  /** Its place among the slots, starting at 1. */
  readonly number: number;
  readonly duty: Duty;
  readonly #onAnswer: OnAnswer;
  #connection: Connection | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;
  /** When this slot last used the connection, or took it over, by `performance.now()`. */
  #usedAt = 0;
  /** When its socket was opened, or the last command that it answered was sent, by `performance.now()`. */
  #wellAt = 0;
  /** How long it had been idle when it was last used, in milliseconds. */
  #gapMs = 0;

  constructor(number: number, duty: Duty, onAnswer: OnAnswer) {
    this.number = number;
    this.duty = duty;
    this.#onAnswer = onAnswer;
  }

  /** The open connection; `undefined` while there is none. */
  get connection(): Connection | undefined {
    return this.#connection;
  }

  /**
   * When the connection was last known to be open, by `performance.now()`. A reply
   * that was read after a freeze may have come before it, so the time of its
   * command counts.
   */
  get wellAt(): number {
    return this.#wellAt;
  }

  /** How long it has been idle, in milliseconds. */
  get idleMs(): number {
    return performance.now() - this.#usedAt;
  }

  /** Takes over a fresh connection. */
  adopt(connection: Connection): void {
    this.#connection = connection;
    this.#usedAt = performance.now();
    this.#wellAt = connection.openedAt; // a freeze may have hit the handshake
    this.#gapMs = 0;
    this.#rest();
  }

  /** Gives the connection up: it has ended, or the watch has. */
  release(): void {
    clearTimeout(this.#timer);
    this.#connection = undefined;
  }

  /** How long a connection had been idle when it ended, or when it was used for the last time. */
  idleMsOf({ during, idleMs }: CloseReport): number {
    return during === "idle" ? idleMs : this.#gapMs;
  }

  /** Uses the connection now. Resolves when it has answered, or ended. */
  async use(): Promise<void> {
    const connection = this.#connection;
    if (connection === undefined) return;
    clearTimeout(this.#timer);
    this.#gapMs = this.idleMs;
    const sentAt = performance.now();
    try {
      await ask(connection, ["PING"]); // an error reply is an answer, too
    } catch {
      return; // the end is reported by onClose
    }
    if (this.#connection !== connection) return;
    this.#wellAt = sentAt;
    this.#usedAt = performance.now();
    this.#onAnswer(connection, this.#gapMs, sentAt);
    this.#rest();
  }

  #rest(): void {
    const { everyMs } = this.duty;
    clearTimeout(this.#timer); // two uses may have overlapped
    if (everyMs > MOST_TIMER_MS) return;
    this.#timer = setTimeout(() => this.use(), everyMs);
  }
}
