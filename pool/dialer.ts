// The dials to one server: those under way, and the one that is due after a pause, as long as its pacing demands.
import { ConnectionClosedError } from "./connection/close_report.ts";
import type {
  Connection,
  ConnectionObserver,
} from "./connection/connection.ts";
import { wasCut } from "./connection/handshake.ts";
import { DialProgress } from "./connection/open.ts";
import { DialError } from "./socket/dial_error.ts";
import { runtime, type Timer } from "./socket/runtime.ts";

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

/** Options of a {@linkcode Dialer}. */
export interface DialerOptions {
  /** `host:port`, for errors. */
  readonly endpoint: string;
  /** Opens connection number `number`. */
  readonly open: (
    number: number,
    observer: ConnectionObserver,
    signal: AbortSignal,
    progress: DialProgress,
  ) => Promise<Connection>;
  /** Called with what happens to the connections. */
  readonly observer: ConnectionObserver;
  /** Called with each connection, and what its dial took in milliseconds. It may have ended already. */
  readonly onOpen: (connection: Connection, tookMs: number) => void;
  /** Called when a dial has failed, and whether the next one need not wait. */
  readonly onFailed: (error: unknown, isRepeated: boolean) => void;
  /** Called when the pause after a failed dial is over. */
  readonly onReady: () => void;
  /** Whether the pool holds an open connection. */
  readonly isAnyOpen: () => boolean;
}

/** Opens connections, no faster than a {@linkcode DialPacing} allows. */
export class Dialer {
  readonly #options: DialerOptions;
  readonly #pacing = new DialPacing();
  readonly #closing = new AbortController();
  readonly #pause: Timer;
  readonly #underWay = new Set<DialProgress>(); // the oldest first
  readonly #dials = new Set<Promise<void>>(); // resolve when the dials are over
  #started = 0;
  #opened = 0;
  #lastError: unknown;
  #awaySince: number | undefined;

  constructor(options: DialerOptions) {
    this.#options = options;
    this.#pause = runtime.newTimer(() => options.onReady());
  }

  /** Dials under way. */
  get dialing(): number {
    return this.#underWay.size;
  }

  /** Connections opened so far. */
  get opened(): number {
    return this.#opened;
  }

  /** Dials that failed so far. */
  get failed(): number {
    return this.#started - this.#opened - this.#underWay.size;
  }

  /** What the last failed dial failed with. */
  get lastError(): unknown {
    return this.#lastError;
  }

  /** Since when no connection can be opened while none is open, Unix time in milliseconds. */
  get awaySince(): number | undefined {
    return this.#awaySince;
  }

  /** Dials up to `wanted` connections, or later as many as are wanted then. */
  request(wanted: number): void {
    if (wanted <= 0 || this.#closing.signal.aborted) return;
    const room = this.#pacing.limit - this.#underWay.size;
    if (room <= 0) return;
    const now = performance.now();
    const waitMs = this.#pacing.waitMs(now);
    if (waitMs > 0) return this.#pause.start(waitMs, now);
    for (let i = Math.min(wanted, room); i > 0; i--) this.#start();
  }

  /**
   * What keeps callers from a new connection: how far the oldest dial under
   * way has come, or what the last one failed with.
   */
  obstacle(): { text: string; error: unknown } | undefined {
    for (const progress of this.#underWay) {
      const error = progress.toError();
      return { text: `the dial under way: ${progress.describe()}`, error };
    }
    if (!this.#pacing.hasFailed) return undefined;
    const error = this.#lastError;
    return {
      text: `the last dial failed: ${
        error instanceof Error ? error.message : String(error)
      }`,
      error,
    };
  }

  /**
   * Ends the dials under way, and begins no other.
   *
   * @param reason What the dials fail with.
   * @returns When the last one is over.
   */
  async stop(reason: unknown): Promise<void> {
    this.#closing.abort(reason);
    this.#pause.stop();
    await Promise.all(this.#dials);
  }

  #start(): void {
    const dial = this.#dial().finally(() => this.#dials.delete(dial));
    this.#dials.add(dial);
  }

  async #dial(): Promise<void> {
    const { endpoint, open, observer, onOpen } = this.#options;
    const startedAt = performance.now();
    const progress = new DialProgress(endpoint);
    this.#underWay.add(progress);
    let connection: Connection;
    try {
      connection = await open(
        ++this.#started,
        observer,
        this.#closing.signal,
        progress,
      );
    } catch (error) {
      this.#underWay.delete(progress);
      return this.#fail(error);
    }
    this.#underWay.delete(progress);
    this.#opened++;
    const { report } = connection;
    if (report === undefined) {
      this.#pacing.succeeded();
      this.#awaySince = undefined;
    }
    onOpen(connection, performance.now() - startedAt);
    if (report === undefined) return;
    this.#fail(
      new DialError(
        endpoint,
        "handshake",
        "the connection ended right after the handshake",
        { cause: new ConnectionClosedError(report, "unsent") },
      ),
    );
  }

  #fail(error: unknown): void {
    if (this.#closing.signal.aborted) return; // no caller waits, and no dial follows
    const { onFailed, isAnyOpen } = this.#options;
    this.#lastError = error;
    const isOpen = isAnyOpen();
    const isRepeated = this.#pacing.failed({
      now: performance.now(),
      wasCut: wasCut(error),
      isAnyOpen: isOpen,
    });
    if (!isRepeated && !isOpen) this.#awaySince ??= Date.now();
    onFailed(error, isRepeated);
  }
}
