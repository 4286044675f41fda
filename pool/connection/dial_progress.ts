// How far a dial under way has come.
import { DialError, type DialPhase } from "../socket/dial_error.ts";

const WAITED_FOR: Record<DialPhase, string> = {
  connect: "no connection",
  tls: "connected, but no TLS handshake",
  handshake: "connected, but no answer to the Redis handshake",
};

/**
 * Follows one dial, so that a wait which ends before the dial does can say
 * what the dial waits for.
 */
export class DialProgress {
  readonly #endpoint: string;
  #isTls = false;
  #isAnswered = false; // in TLS
  #phase: DialPhase = "connect";
  #since: number = performance.now();

  /**
   * Starts with the name look-up and TCP.
   *
   * @param endpoint `host:port`.
   */
  constructor(endpoint: string) {
    this.#endpoint = endpoint;
  }

  /** What the dial waits for. */
  get phase(): DialPhase {
    return this.#phase;
  }

  /** Since when, by `performance.now()`. */
  get since(): number {
    return this.#since;
  }

  /**
   * The dial has come as far as `phase`.
   *
   * @param phase How far.
   * @param isAnswered Whether the peer is known to answer TLS.
   */
  reach(phase: DialPhase, isAnswered = false): void {
    this.#isTls ||= phase === "tls";
    this.#isAnswered = isAnswered;
    this.#phase = phase;
    this.#since = performance.now();
  }

  /**
   * What is missing, and what it may mean.
   *
   * @param when `"yet"`, or `"within 5000 ms"`.
   * @returns Such as `connected, but no TLS handshake yet: is this a plain port (redis://)?`.
   */
  describe(when = "yet"): string {
    return this.#isAnswered
      ? `connected, and the server answers TLS, but its handshake has not ended ${when}`
      : `${WAITED_FOR[this.#phase]} ${when}${this.#question()}`;
  }

  /**
   * The state as an error, for the `cause` of one that ends a wait.
   *
   * @returns An error that may pass by itself.
   */
  toError(): DialError {
    const ms = Math.round(performance.now() - this.#since);
    return new DialError(
      this.#endpoint,
      this.#phase,
      `${this.describe()} (for ${ms} ms so far)`,
    );
  }

  #question(): string {
    if (this.#phase === "tls") return ": is this a plain port (redis://)?";
    return this.#phase === "handshake" && !this.#isTls
      ? ": is this a TLS port (rediss://)?"
      : "";
  }
}
