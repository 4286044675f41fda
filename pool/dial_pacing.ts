// When the next connection may be dialed, after one could not be opened.

/** Dials under way at once. */
const MAX_DIALS = 3;
/**
 * The shortest pause after a failed dial, in milliseconds. Chance makes each up to
 * twice as long, so that the clients of a server that is away do not dial in step.
 */
export const DIAL_PAUSE_MS = 50;
/**
 * The pause doubles up to this with each further failure while other
 * connections are open; without any, callers wait for this dial.
 */
const MAX_DIAL_PAUSE_MS = 1000;

/** What a failed dial was like. */
export interface FailedDial {
  /** When it failed, by `performance.now()`. */
  readonly now: number;
  /** Whether it was cut in its handshake. */
  readonly wasCut: boolean;
  /** Whether another connection to the same server is open. */
  readonly isAnyOpen: boolean;
}

/**
 * Paces the dials to one server. Without a clock of its own.
 *
 * - At most {@linkcode MAX_DIALS} dials are under way.
 * - Every dial after a failed one waits for the pause, and has no other beside it.
 * - A dial that was cut in its handshake is repeated at once, once: it was
 *   probably hit by what closed the others.
 */
export class DialPacing {
  readonly #random: () => number;
  #failures = 0; // since the last success
  #readyAt = -Infinity;
  #retriedCutHandshake = false;

  /** @param random Gives numbers of 0 or more, less than 1. */
  constructor(random: () => number = Math.random) {
    this.#random = random;
  }

  /** Whether the last dial has failed. */
  get hasFailed(): boolean {
    return this.#failures > 0;
  }

  /** How many dials may be under way beside each other. */
  get limit(): number {
    return this.#failures === 0 ? MAX_DIALS : 1;
  }

  /** How long to wait before the next dial, in milliseconds; 0 or less: it may begin now. */
  waitMs(now: number): number {
    return this.#failures === 0 ? 0 : this.#readyAt - now;
  }

  /** A dial has opened a connection. */
  succeeded(): void {
    this.#failures = 0;
    this.#retriedCutHandshake = false;
  }

  /**
   * A dial has failed.
   *
   * @returns Whether it is to be repeated at once.
   */
  failed({ now, wasCut, isAnyOpen }: FailedDial): boolean {
    if (wasCut && !this.#retriedCutHandshake) {
      this.#retriedCutHandshake = true;
      return true;
    }
    const leastMs = isAnyOpen
      ? DIAL_PAUSE_MS * 2 ** this.#failures
      : DIAL_PAUSE_MS;
    const pauseMs = Math.min(MAX_DIAL_PAUSE_MS, leastMs * (1 + this.#random()));
    this.#failures++;
    this.#readyAt = now + pauseMs;
    return false;
  }
}
