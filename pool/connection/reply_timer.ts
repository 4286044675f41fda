// The timer of a wire: how long a reply may be owed.
import { FairTimeout } from "../socket/fair_timeout.ts";

/**
 * A reply that has been arriving for `timeouts` reply timeouts must go on by
 * `leastBytes` in each further one. With less it could hold the connection, and
 * its other callers, for ever.
 */
const DRIP = { timeouts: 6, leastBytes: 1024 };

/**
 * One timer for all commands of a wire.
 *
 * - It runs while a reply is owed, and for the rest of the turn in which the
 *   last one arrived: most callers send their next command in that turn, and a
 *   timer that goes on costs nothing.
 * - Every byte received, and every partial write, starts it anew, unless a
 *   single reply drips.
 */
export class ReplyTimer {
  readonly #replyTimeoutMs: number;
  readonly #timeout: FairTimeout;
  #isOwed = false;
  #isPartial = false; // the reply that is owed has arrived in part
  #partialSince = 0;
  #bytes = 0; // received since the timer was last started anew

  /**
   * Makes a timer that does not run.
   *
   * @param replyTimeoutMs How long a reply may be owed without a byte, in milliseconds.
   * @param extraMs How much longer the reply that is owed first may take, in milliseconds.
   * @param onSilent Called when the time is up, with the reason in words.
   */
  constructor(
    replyTimeoutMs: number,
    extraMs: () => number,
    onSilent: (reason: string) => void,
  ) {
    this.#replyTimeoutMs = replyTimeoutMs;
    this.#timeout = new FairTimeout(
      () => replyTimeoutMs + extraMs(),
      () => onSilent(this.#reason()),
    );
  }

  /** When it was last started, by `performance.now()`. */
  get since(): number {
    return this.#timeout.since;
  }

  /** How long a reply has been owed without a byte, in milliseconds; 0 if none is. */
  owedMs(now: number): number {
    return this.#isOwed ? now - this.#timeout.since : 0;
  }

  /** A reply is owed: the timer starts, unless one was owed already. */
  replyOwed(): void {
    if (this.#isOwed) return;
    this.#isOwed = true;
    this.#timeout.start();
  }

  /** No reply is owed any more. The timer goes on until {@linkcode stopIfIdle}. */
  noneOwed(): void {
    this.#isOwed = false;
  }

  /** Stops the timer if no reply is owed. */
  stopIfIdle(): void {
    if (!this.#isOwed) this.#timeout.stop();
  }

  /** Stops the timer. */
  stop(): void {
    this.#timeout.stop();
  }

  /** The reply that is owed first is another one now, and may have less time. */
  shorten(): void {
    this.#timeout.shorten();
  }

  /** A part of a large write was written. A small write proves nothing: it only fills a buffer of the system. */
  partWritten(now: number): void {
    this.#timeout.progressed(now);
  }

  /** Bytes were received. */
  received(bytes: number, now: number): void {
    this.#bytes += bytes;
    if (!this.#isPartial || !this.#isDrip(now)) this.#startAnew(now);
  }

  /** A reply has arrived whole. */
  replyReceived(now: number): void {
    if (!this.#isPartial) return;
    this.#isPartial = false;
    this.#startAnew(now);
  }

  /** A reply has arrived in part. */
  partReceived(now: number): void {
    if (this.#isPartial) return;
    this.#isPartial = true;
    this.#partialSince = now;
  }

  #startAnew(now: number): void {
    this.#timeout.progressed(now);
    this.#bytes = 0;
  }

  #isDrip(now: number): boolean {
    return this.#bytes < DRIP.leastBytes &&
      now - this.#partialSince > DRIP.timeouts * this.#replyTimeoutMs;
  }

  #reason(): string {
    return this.#bytes > 0
      ? `only ${this.#bytes} bytes came of a reply that had taken ${DRIP.timeouts} times as long already, replyTimeoutMs is ${this.#replyTimeoutMs}`
      : `no byte came, replyTimeoutMs is ${this.#replyTimeoutMs}`;
  }
}
