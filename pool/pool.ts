// How many connections, which one, whose turn, and when one must go.
import { CheckoutTimeoutError } from "./checkout_error.ts";
import {
  type ClosedHow,
  type CloseReport,
  ConnectionClosedError,
  type PoolState,
} from "./close_report.ts";
import type { Connection, ConnectionObserver } from "./connection.ts";
import { DialError } from "./dial_error.ts";
import { DialProgress } from "./dial_progress.ts";
import { say } from "./handshake.ts";
import { IdleAges } from "./idle_ages.ts";
import { FROZEN_MS, pass } from "./timer.ts";
import { type Checkout, type CheckoutWait, Waiters } from "./waiters.ts";

/** Why a connection left the pool. */
export type EvictionReason =
  | ClosedHow
  | "idle-timeout"
  | "max-age"
  | "readonly"
  | "unclean-lease";

/** What a pool looks like at one moment. */
export interface PoolStats extends PoolState {
  /** The most connections there may be. */
  maxConnections: number;
  /** Of the open ones, with nothing in flight and not leased. */
  idle: number;
  /** Commands written or about to be, without a reply yet. */
  inFlight: number;
  /** Of the open ones, suspected to be dead until they answer a PING. */
  suspect: number;
  /** Connections opened so far. */
  dialed: number;
  /** Dials that failed so far. */
  dialFailures: number;
  /** Connections gone so far, by reason. */
  evicted: Partial<Record<EvictionReason, number>>;
  /** How the last one ended that did not end by our own wish. */
  lastClose: CloseReport | undefined;
}

/** Options of a {@linkcode Pool}. */
export interface PoolOptions {
  /** `host:port`, for errors. */
  readonly endpoint: string;
  /** Opens connection number `number`. */
  readonly open: (
    number: number,
    observer: ConnectionObserver,
    signal: AbortSignal,
    progress: DialProgress,
  ) => Promise<Connection>;
  /** Never more connections than this, those being dialed included. */
  readonly maxConnections: number;
  /** How long a caller waits for a connection, in milliseconds. */
  readonly checkoutTimeoutMs: number;
  /** How many callers may wait. */
  readonly maxWaiting: number;
  /** An idle connection is closed after this, in milliseconds. */
  readonly idleTimeoutMs: number;
  /** A connection is retired at this age less up to a tenth, in milliseconds. */
  readonly maxAgeMs: number;
  /** A connection idle for longer must answer a PING before its next command, in milliseconds. */
  readonly validateAfterIdleMs: number;
  /** Told of each connection, after those who waited for it, and what it took to open it. */
  readonly onOpen?: (
    connection: Connection,
    it: { readonly tookMs: number; readonly isShared: boolean },
  ) => void;
  /** Told that a connection could not be opened. */
  readonly onDialFailed?: (error: unknown) => void;
  /** Told why a connection has left the pool. */
  readonly onEvict?: (reason: EvictionReason, connection: Connection) => void;
  /** Told how each connection ended. */
  readonly onClose: (report: CloseReport, connection: Connection) => void;
  /** Told how one ended that was not through its handshake. */
  readonly onRefused?: (report: CloseReport, connection: Connection) => void;
  /** Told of each wait; who need not wait is not counted. */
  readonly onWait?: (wait: CheckoutWait) => void;
}

/** How often limits of age are checked, and how a jump of the clock shows. */
const TICK_MS = 1000;
/** A failed dial answers for everyone who asks within this time after it. */
const DIAL_PAUSE_MS = 50;
/** A replica is left at most this often: the next dial may lead to it again. */
const READONLY_PAUSE_MS = 250;
/** Dials under way at once. */
const MAX_DIALS = 3;
/** How long a suspect has for its PING: this many times what its handshake took, within bounds. */
const PROOF_FACTOR = 4;
const PROOF_MS = { least: 100, most: 1000 };
/** However slow the way is, one answer takes less than this many handshakes. */
const SLOW_PROOF_FACTOR = 2;

/**
 * A pool of connections.
 *
 * - `shared` and `checkout` hand out only connections that are open and not suspect.
 * - A connection leaves the moment it ends, idle or not.
 * - Waiters are served in order, as far as what they wait for is there.
 * - A leased connection is nobody else's until it is released.
 * - One dial serves all who wait for a shared connection.
 * - When one dies silently its siblings must answer a PING first; so must one
 *   that was idle for long, or that slept while the process was frozen.
 */
export class Pool {
  readonly #options: PoolOptions;
  readonly #shared = new Set<Connection>();
  readonly #suspects = new Map<Connection, { provingNow: boolean }>();
  readonly #leased = new Set<Connection>();
  readonly #retiring = new Map<Connection, EvictionReason>();
  readonly #handshakeMs = new WeakMap<Connection, number>();
  readonly #retireAt = new WeakMap<Connection, number>();
  readonly #waiters: Waiters;
  readonly #closing = new AbortController();
  #reserved: Connection | undefined; // goes to the first lease as soon as it is idle
  #proven: Connection | undefined; // has just answered: not to be suspected again
  #readonlyAt = -Infinity;
  #dialing = 0;
  #isCutAgain = false;
  #dials = 0;
  #dialed = 0;
  readonly #idleAges = new IdleAges();
  #lastDialFailure: { error: unknown; at: number } | undefined;
  #evicted: Partial<Record<EvictionReason, number>> = {};
  #lastClose: CloseReport | undefined;
  #isTicking = false;
  #tickedAt = 0;

  /**
   * Makes a pool. It dials on first use.
   *
   * @param options See {@linkcode PoolOptions}.
   */
  constructor(options: PoolOptions) {
    this.#options = options;
    this.#waiters = new Waiters(() => this.#waitersDue(), options.onWait);
  }

  /**
   * The connection with the least in flight, at once, or `undefined` if the
   * caller has to wait: see {@linkcode Pool.checkout}.
   */
  shared(): Connection | undefined {
    return this.#waiters.count(false) > 0 ? undefined : this.#pick();
  }

  /**
   * Waits for a connection; `take` may be called before this returns.
   *
   * @param checkout Who wants it.
   */
  checkout(checkout: Checkout): void {
    const { checkoutTimeoutMs, maxWaiting } = this.#options;
    const { signal } = checkout;
    const now = performance.now();
    const failure = this.#lastDialFailure;
    if (signal?.aborted) return checkout.fail(signal.reason);
    if (this.#closing.signal.aborted) {
      return checkout.fail(this.#closing.signal.reason);
    }
    if (
      failure !== undefined && this.#open === 0 && this.#dialing === 0 &&
      now - failure.at < DIAL_PAUSE_MS
    ) return checkout.fail(failure.error);
    if (this.#waiters.size >= maxWaiting) {
      return checkout.fail(
        this.#waitedInVain(
          `${maxWaiting} callers wait already (maxWaiting)`,
          false,
        ),
      );
    }
    const { exclusive } = checkout;
    const connection = this.#waiters.count(exclusive) > 0
      ? undefined
      : this.#take(exclusive);
    if (connection !== undefined) return checkout.take(connection);
    this.#waiters.add(checkout, now, checkoutTimeoutMs);
    this.#dialAsNeeded();
  }

  /**
   * Takes a leased connection back.
   *
   * @param connection The leased connection.
   * @param clean Whether its state is as the handshake left it; if not, it is closed.
   */
  release(connection: Connection, clean: boolean): void {
    if (!this.#leased.delete(connection)) return;
    if (clean && connection.inFlight === 0) this.#shared.add(connection);
    else this.#bury(connection, "unclean-lease");
    this.#serve();
  }

  /** Lets a connection finish what is in flight, gives it nothing more, and closes it. */
  retire(connection: Connection, reason: EvictionReason): void {
    if (reason === "readonly") {
      const now = performance.now();
      if (connection.openedAt > this.#readonlyAt) { // not one of the old ones
        if (now - this.#readonlyAt < READONLY_PAUSE_MS) return;
        this.#readonlyAt = now;
      }
    }
    if (!this.#shared.delete(connection)) return;
    if (connection.inFlight === 0) this.#bury(connection, reason);
    else this.#retiring.set(connection, reason);
  }

  /** What the pool looks like now. */
  stats(): PoolStats {
    let inFlight = 0;
    for (const connection of this.#all()) inFlight += connection.inFlight;
    return {
      ...this.#state(),
      maxConnections: this.#options.maxConnections,
      idle: [...this.#shared].filter((c) => c.inFlight === 0).length,
      inFlight,
      suspect: this.#suspects.size,
      dialed: this.#dialed,
      dialFailures: this.#dials - this.#dialed - this.#dialing,
      evicted: { ...this.#evicted },
      lastClose: this.#lastClose,
    };
  }

  /**
   * Closes everything now: dials end, waiters are rejected, commands in flight are lost.
   *
   * @param reason What those who wait are told.
   */
  close(reason: unknown): void {
    if (this.#closing.signal.aborted) return;
    this.#closing.abort(reason);
    this.#waiters.failAll(reason);
    for (const connection of [...this.#all()]) {
      connection.close("the pool was closed");
    }
  }

  #state(): PoolState {
    return {
      open: this.#open,
      leased: this.#leased.size,
      dialing: this.#dialing,
      waiting: this.#waiters.size,
    };
  }

  get #open(): number {
    return this.#shared.size + this.#suspects.size + this.#leased.size +
      this.#retiring.size + (this.#reserved === undefined ? 0 : 1);
  }

  *#all(): Generator<Connection> {
    yield* this.#shared;
    yield* this.#suspects.keys();
    yield* this.#leased;
    yield* this.#retiring.keys();
    if (this.#reserved !== undefined) yield this.#reserved;
  }

  /** How long a connection may have been idle at a tick. */
  get #idleTimeoutMs(): number {
    // By the next tick the server would have closed it.
    const learnedMs = this.#idleAges.limitMs - TICK_MS;
    return Math.min(this.#options.idleTimeoutMs, learnedMs);
  }

  get #validateAfterIdleMs(): number {
    return Math.min(this.#options.validateAfterIdleMs, this.#idleAges.limitMs);
  }

  /** The least loaded connection that is not full. Sends idle ones that may be zombies to prove themselves. */
  #pick(): Connection | undefined {
    let best: Connection | undefined;
    for (const connection of this.#shared) {
      if (connection.isFull) continue;
      if (best === undefined || connection.inFlight < best.inFlight) {
        best = connection;
      }
    }
    if (best === undefined || best.inFlight > 0 || best === this.#proven) {
      return best;
    }
    const now = performance.now();
    if (!this.#thaw(now)) {
      if (now - best.lastByteAt <= this.#validateAfterIdleMs) return best;
      this.#suspect(best);
    }
    return this.#pick();
  }

  #serve(): void {
    if (this.#waiters.size === 0) return;
    const isDry = { shared: false, exclusive: false };
    // Whoever asks while the others are served comes after them.
    for (const waiter of this.#waiters) {
      const kind = waiter.exclusive ? "exclusive" : "shared";
      const connection = isDry[kind] ? undefined : this.#take(waiter.exclusive);
      if (connection !== undefined) waiter.take(connection);
      else isDry[kind] = true;
      if (isDry.shared && isDry.exclusive) break;
    }
    this.#dialAsNeeded();
    this.#waiters.arm();
  }

  #take(exclusive: boolean): Connection | undefined {
    return exclusive ? this.#takeIdle() : this.#pick();
  }

  #takeIdle(): Connection | undefined {
    const connection = this.#pick();
    if (connection === undefined || connection.inFlight > 0) return undefined;
    this.#shared.delete(connection);
    this.#leased.add(connection);
    return connection;
  }

  #dialAsNeeded(): void {
    const leases = this.#waiters.count(true);
    // A suspect that is about to prove itself serves every sharer.
    const hopeful = [...this.#suspects.values()].some((s) => s.provingNow);
    const wanted = leases +
      (this.#waiters.count(false) > 0 && !hopeful ? 1 : 0) -
      this.#dialing;
    const allowed = Math.min(
      this.#options.maxConnections - this.#open - this.#dialing,
      MAX_DIALS - this.#dialing,
    );
    for (let i = 0; i < Math.min(wanted, allowed); i++) this.#dial();
    if (leases > 0 && wanted > 0 && allowed <= 0) this.#reserve();
  }

  /** Full, and somebody wants a connection alone: the least loaded one gets nothing new until it is idle. */
  #reserve(): void {
    if (this.#reserved !== undefined) return;
    const connection = this.#pick();
    if (connection === undefined) return;
    this.#shared.delete(connection);
    this.#reserved = connection;
  }

  async #dial(): Promise<void> {
    this.#dialing++;
    const startedAt = performance.now();
    if (!this.#isTicking) this.#startTicking();
    let connection: Connection;
    try {
      connection = await this.#options.open(
        ++this.#dials,
        this.#observer,
        this.#closing.signal,
        new DialProgress(this.#options.endpoint),
      );
    } catch (error) {
      this.#dialing--;
      return this.#dialFailed(error);
    }
    this.#dialing--;
    this.#dialed++;
    this.#welcome(connection, performance.now() - startedAt);
  }

  #welcome(connection: Connection, handshakeMs: number): void {
    const { report } = connection;
    if (report !== undefined) {
      this.#count(report.how, connection);
      this.#closed(report, connection);
      return this.#dialFailed(
        new DialError(
          this.#options.endpoint,
          "handshake",
          "the connection ended right after the handshake",
          { cause: new ConnectionClosedError(report, "unsent") },
        ),
      );
    }
    if (this.#closing.signal.aborted) {
      return connection.close("the pool was closed");
    }
    this.#lastDialFailure = undefined;
    this.#isCutAgain = false;
    this.#handshakeMs.set(connection, handshakeMs);
    const { maxAgeMs } = this.#options;
    this.#retireAt.set(
      connection,
      connection.openedAt + maxAgeMs * (1 - Math.random() / 10),
    );
    this.#shared.add(connection);
    this.#serve();
    const isShared = this.#shared.has(connection);
    this.#options.onOpen?.(connection, { tookMs: handshakeMs, isShared });
  }

  #dialFailed(error: unknown): void {
    this.#options.onDialFailed?.(error);
    // Killed with all the others, before it had said hello: once, that is no reason to wait.
    const isCut = wasCut(error) && !this.#isCutAgain;
    this.#isCutAgain ||= isCut;
    if (isCut) return this.#serve();
    this.#lastDialFailure = { error, at: performance.now() };
    // No dial in its place: whoever waits is told as soon as none is left that may succeed.
    if (this.#dialing === 0) this.#waiters.failAll(error);
  }

  readonly #observer: ConnectionObserver = {
    state: () => this.#state(),
    onIdle: (connection) => {
      const reason = this.#retiring.get(connection);
      if (this.#reserved === connection) {
        this.#reserved = undefined;
        this.#shared.add(connection);
      } else if (reason !== undefined) this.#bury(connection, reason);
      this.#serve();
    },
    onRoom: () => this.#serve(),
    onStall: () => {
      if (
        this.#dialing === 0 && this.#open < this.#options.maxConnections
      ) this.#dial();
    },
    onClose: (connection, report) => {
      if (!this.#forget(connection)) {
        // Not ours yet: the dial fails instead. Else it is buried already.
        if (report.during !== "handshake") return;
        return this.#options.onRefused?.(report, connection);
      }
      this.#count(report.how, connection);
      this.#closed(report, connection);
      if (report.how === "silence") this.#suspectAll();
      if (report.during === "idle" && report.by !== "client") {
        this.#idleAges.observe(report.idleMs, performance.now());
      }
      // Not at once: the commands it lost go first.
      queueMicrotask(() => this.#serve());
    },
  };

  #forget(connection: Connection): boolean {
    const reserved = this.#reserved === connection;
    if (reserved) this.#reserved = undefined;
    return [this.#shared, this.#suspects, this.#leased, this.#retiring]
      .map((set) => set.delete(connection)).includes(true) || reserved;
  }

  /** Closes a connection that is idle, or that nobody may use again. */
  #bury(connection: Connection, reason: EvictionReason): void {
    this.#forget(connection);
    if (connection.report !== undefined) return;
    this.#count(reason, connection);
    connection.close(reason);
    if (connection.report !== undefined) {
      this.#closed(connection.report, connection);
    }
  }

  #closed(report: CloseReport, connection: Connection): void {
    if (report.how !== "requested") this.#lastClose = report;
    this.#options.onClose(report, connection);
  }

  #count(reason: EvictionReason, connection: Connection): void {
    this.#evicted[reason] = (this.#evicted[reason] ?? 0) + 1;
    this.#options.onEvict?.(reason, connection);
  }

  #suspectAll(): void {
    for (const connection of [...this.#shared]) this.#suspect(connection);
  }

  /** Takes a connection out until it has answered a PING. */
  #suspect(connection: Connection): void {
    this.#shared.delete(connection);
    const provingNow = connection.inFlight === 0;
    this.#suspects.set(connection, { provingNow });
    const handshakeMs = this.#handshakeMs.get(connection) ?? 0;
    const proofMs = Math.max(
      PROOF_MS.least,
      SLOW_PROOF_FACTOR * handshakeMs,
      Math.min(PROOF_MS.most, PROOF_FACTOR * handshakeMs),
    );
    // One that is busy is watched by its reply timer.
    const timer = provingNow
      ? setTimeout(
        () =>
          connection.condemn(
            `suspected dead, no PONG for ${Math.ceil(proofMs)} ms`,
          ),
        Math.ceil(proofMs),
      )
      : undefined;
    say(connection, ["PING"]).then(() => {
      if (this.#suspects.delete(connection)) this.#shared.add(connection);
      this.#proven = connection;
      this.#serve();
      this.#proven = undefined;
    }, () => {}).finally(() => clearTimeout(timer));
  }

  /** Ticks as long as there are connections, or may be soon. */
  async #startTicking(): Promise<void> {
    this.#isTicking = true;
    this.#tickedAt = performance.now();
    while (this.#open > 0 || this.#dialing > 0) {
      await pass(TICK_MS);
      if (this.#closing.signal.aborted) break;
      this.#tick();
    }
    this.#isTicking = false;
  }

  #tick(): void {
    const now = performance.now();
    this.#thaw(now);
    this.#tickedAt = now;
    for (const connection of [...this.#shared]) {
      if (now > (this.#retireAt.get(connection) ?? Infinity)) {
        this.retire(connection, "max-age");
      } else if (
        connection.inFlight === 0 &&
        now - connection.lastByteAt > this.#idleTimeoutMs
      ) this.#bury(connection, "idle-timeout");
    }
  }

  /** If the clock has jumped, whoever was idle may have been closed meanwhile, unheard. */
  #thaw(now: number): boolean {
    const frozenMs = now - this.#tickedAt - TICK_MS;
    if (frozenMs <= FROZEN_MS) return false;
    this.#waiters.forgive(frozenMs);
    this.#tickedAt = now;
    this.#suspectAll();
    return true;
  }

  #waitersDue(): void {
    const now = performance.now();
    this.#thaw(now);
    this.#waiters.failDue(
      now,
      () =>
        this.#waitedInVain(
          `no connection for ${this.#options.checkoutTimeoutMs} ms (checkoutTimeoutMs)`,
        ),
    );
    this.#serve();
  }

  #waitedInVain(what: string, isRetriable = true): CheckoutTimeoutError {
    const { maxConnections, open, leased, dialing, inFlight, waiting } = this
      .stats();
    return new CheckoutTimeoutError(
      `Cannot check out a connection to ${this.#options.endpoint}: ${what}, ` +
        `${open} of ${maxConnections} open, ${leased} leased, ` +
        `${dialing} being dialed, ${inFlight} in flight, ${waiting} waiting`,
      { isRetriable },
    );
  }
}

/** Whether a connection was closed in the middle of its handshake. */
const wasCut = (error: unknown): boolean =>
  error instanceof DialError &&
  error.cause instanceof ConnectionClosedError &&
  ["fin", "rst"].includes(error.cause.report.how);
