// One connection of the watch: how often it is used, and how long it was idle when it ended.
import type { CloseReport } from "../../pool/connection/close_report.ts";
import type { Connection } from "../../pool/connection/connection.ts";
import { ask } from "../../pool/connection/ask.ts";

/** What a connection is kept open for. */
export type Role = "idle" | "busy";

/** What a place is told to do. */
export interface Duty {
  readonly role: Role;
  /** How long it rests before it is used, in milliseconds; `Infinity` for ever. */
  readonly everyMs: number;
}

/** What is called when something happens to it. */
export interface WatchedObserver {
  /** It was used and answered, after it had been idle for so long. */
  onAnswer(connection: Connection, idleMs: number): void;
}

const MOST_TIMER_MS = 2 ** 31 - 1;

/** A place for a connection, which is taken by another one when it ends. */
export class Watched {
  readonly duty: Duty;
  readonly #observer: WatchedObserver;
  #connection: Connection | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;
  /** When the last byte went or came, as far as it was this place's doing, by `performance.now()`. */
  #usedAt = 0;
  /** When its socket was opened, or when the last command that it answered was sent. */
  #wellAt = 0;
  /** How long it had been idle when it was last used, in milliseconds. */
  #gapMs = 0;

  constructor(duty: Duty, observer: WatchedObserver) {
    this.duty = duty;
    this.#observer = observer;
  }

  /** The open connection; `undefined` while there is none. */
  get connection(): Connection | undefined {
    return this.#connection;
  }

  /**
   * When it was last known to be well, by `performance.now()`. A reply read
   * after a freeze may have come before it, so the command's time counts.
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

  /** The connection has ended, or is not wanted any more. */
  release(): void {
    clearTimeout(this.#timer);
    this.#connection = undefined;
  }

  /** How long a connection had been idle when it ended, or when it was used for the last time. */
  idleMsOf({ during, idleMs }: CloseReport): number {
    return during === "idle" ? idleMs : this.#gapMs;
  }

  /** Uses it now: settles when it has answered, or ended. */
  async use(): Promise<void> {
    const connection = this.#connection;
    if (connection === undefined) return;
    clearTimeout(this.#timer);
    this.#gapMs = this.idleMs;
    const sentAt = performance.now();
    try {
      await ask(connection, ["PING"]); // an error reply is an answer, too
    } catch {
      return; // the observer of its end is told
    }
    if (this.#connection !== connection) return;
    this.#wellAt = sentAt;
    this.#usedAt = performance.now();
    this.#observer.onAnswer(connection, this.#gapMs);
    this.#rest();
  }

  #rest(): void {
    const { everyMs } = this.duty;
    clearTimeout(this.#timer); // two uses may have overlapped
    if (everyMs > MOST_TIMER_MS) return;
    this.#timer = setTimeout(() => this.use(), everyMs);
  }
}
