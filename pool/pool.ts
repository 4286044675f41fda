// The connections to one server: how many, which one a caller gets, when one must go.
import { Allocation } from "./allocation.ts";
import type { CloseReport, PoolState } from "./connection/close_report.ts";
import type {
  Connection,
  ConnectionObserver,
} from "./connection/connection.ts";
import type { ConnectionFacts, PushRight } from "./connection/push_right.ts";
import { Dialer } from "./dialer.ts";
import { checkoutError, type CheckoutTimeoutError } from "./errors.ts";
import { Liveness } from "./liveness.ts";
import {
  Member,
  Members,
  Replacement,
  type RetirementReason,
} from "./member.ts";
import type { PoolOptions } from "./pool_options.ts";
import type { EvictionReason, PoolStats } from "./pool_stats.ts";
import { runtime } from "./socket/runtime.ts";
import { type Checkout, Waiters } from "./waiters.ts";

/** How often limits of age are checked. */
const TICK_MS = 1000;
/** The share of the connections that are replaced in one tick because their login ends. */
const LOGINS_A_TICK = 0.1;

/**
 * A pool of connections.
 *
 * - A caller gets the right to push, not the connection. The right is revoked
 *   when the connection changes hands.
 * - `shared` and `checkout` hand out only connections that are open and not suspect.
 * - A connection leaves the moment it ends, idle or not.
 * - Waiters are served in order, as far as what they wait for is there. A
 *   failed dial fails them only when nothing is open and nothing else is being dialed.
 * - One dial serves all callers that wait for a shared connection.
 * - A connection that may have died unnoticed takes no command before it has
 *   answered a PING: see {@linkcode Liveness}.
 */
export class Pool {
  readonly #options: PoolOptions;
  readonly #members = new Members();
  readonly #waiters: Waiters;
  readonly #dialer: Dialer;
  readonly #liveness: Liveness;
  readonly #allocation: Allocation;
  readonly #sleep = runtime.newUnrefSleep();
  readonly #evicted: Partial<Record<EvictionReason, number>> = {};
  readonly #replacement = new Replacement();
  readonly #empty = Promise.withResolvers<void>();
  #refusal: { readonly reason: unknown } | undefined; // of checkouts, for good
  #isClosed = false;
  #lastClose: CloseReport | undefined;
  #isTicking = false;

  /**
   * Makes a pool. It dials on first use.
   *
   * @param options See {@linkcode PoolOptions}.
   */
  constructor(options: PoolOptions) {
    this.#options = options;
    this.#waiters = new Waiters(
      options.checkoutTimeoutMs,
      () => this.#failDueWaiters(),
      options.onWait,
    );
    this.#liveness = new Liveness({
      members: this.#members,
      validateAfterIdleMs: options.validateAfterIdleMs,
      tickMs: TICK_MS,
      onProven: (member) => {
        if (member.state === "suspect") this.#share(member);
        this.#serve();
      },
    });
    this.#allocation = new Allocation(
      this.#members,
      this.#liveness,
      this.#waiters,
      options.maxConnections,
    );
    this.#dialer = new Dialer({
      endpoint: options.endpoint,
      open: (number, observer, signal, progress) => {
        if (!this.#isTicking) this.#startTicking();
        return options.open(number, observer, signal, progress);
      },
      observer: this.#observer,
      onOpen: (connection, tookMs) => this.#admit(connection, tookMs),
      onFailed: (error, isRepeated) => this.#dialFailed(error, isRepeated),
      onReady: () => this.#serve(),
      isAnyOpen: () => this.#members.size > 0,
    });
  }

  /**
   * The right to push on the connection with the least in flight, at once, or
   * `undefined` if the caller has to wait: see {@linkcode Pool.checkout}.
   */
  shared(): PushRight | undefined {
    return this.#waiters.count("shared") > 0
      ? undefined
      : this.#allocation.take("shared");
  }

  /**
   * Waits for a connection; `take` may be called before this returns.
   *
   * @param checkout What the caller needs, and what to call.
   * @returns Ends the wait, if there is one: its reason is the failure.
   */
  checkout(checkout: Checkout): ((reason: unknown) => void) | undefined {
    const { maxWaiting } = this.#options;
    const { kind, signal } = checkout;
    if (signal?.aborted) return void checkout.fail(signal.reason);
    if (this.#refusal !== undefined) {
      return void checkout.fail(this.#refusal.reason);
    }
    if (this.#waiters.size >= maxWaiting) {
      const reason = `${maxWaiting} callers wait already (maxWaiting)`;
      return void checkout.fail(this.#checkoutError(reason, false));
    }
    const right = this.#waiters.count(kind) > 0
      ? undefined
      : this.#allocation.take(kind);
    if (right !== undefined) return void checkout.take(right);
    const end = this.#waiters.add(checkout, performance.now());
    this.#allocation.provide(this.#dialer);
    return end;
  }

  /**
   * Takes a leased connection back.
   *
   * @param right The right that its lease held. It is revoked.
   * @param clean Whether its state is as the handshake left it; if not, it is closed.
   */
  release(right: PushRight, clean: boolean): void {
    const member = this.#members.heldBy(right);
    if (member?.state !== "leased") return;
    const reason = member.retirement ??
      (clean && member.isIdle ? undefined : "unclean-lease");
    if (reason === undefined) member.enter("shared");
    else this.#evict(member, reason);
    this.#serve();
  }

  /**
   * Replaces a connection that leads to the wrong server: it gets nothing more, and
   * closes once its lease or what is in flight has ended. Without effect, for a
   * moment, on one that was opened after others were replaced.
   *
   * @param reason What has shown that it leads to the wrong one.
   */
  replace(connection: ConnectionFacts, reason: "readonly" | "moved"): void {
    const member = this.#members.of(connection);
    if (member === undefined) return;
    const now = performance.now();
    if (!this.#replacement.mayTake(connection.openedAt, now)) return;
    this.#retire(member, reason);
  }

  /** Replaces all that were opened before a moment, by `performance.now()`: the address leads to another server by now. */
  replaceOlder(than: number): void {
    for (const { connection } of this.#members) {
      if (connection.openedAt < than) this.replace(connection, "moved");
    }
  }

  /** Whether a connection that takes commands of every caller is open. */
  get hasShared(): boolean {
    return this.#members.count("shared") > 0;
  }

  /** Whether no connection is open and none is being dialed. */
  get isEmpty(): boolean {
    return this.#members.size === 0 && this.#dialer.dialing === 0;
  }

  /** When a byte last came on any connection, by `performance.now()`; `-Infinity` before the first. */
  get heardAt(): number {
    return this.#members.heardAt;
  }

  /** How long a connection has owed a reply in silence at most, in milliseconds: see {@linkcode Connection.silentMs}. Dials are in no count. */
  silentMs(now: number): number {
    return this.#members.silentMs(now);
  }

  /**
   * Ends every connection, leased ones too, on which a reply has been owed in silence
   * for a time. What was in flight on it is lost, and no late reply settles it.
   *
   * @param ms The time in milliseconds, more than 0.
   * @param cause Why, for the reports.
   */
  closeSilent(ms: number, cause: string): void {
    const now = performance.now();
    for (const { connection } of this.#members) {
      if (connection.silentMs(now) >= ms) connection.timeOut(cause);
    }
  }

  /** The same as {@linkcode closeSilent}, whatever a command may take: those that block end as well. */
  closeOwing(ms: number, cause: string): void {
    const now = performance.now();
    for (const { connection } of this.#members) {
      if (connection.owedMs(now) >= ms) connection.timeOut(cause);
    }
  }

  /** What the pool looks like now. */
  stats(): PoolStats {
    return {
      ...this.#state(),
      maxConnections: this.#options.maxConnections,
      idle: this.#members.countIdle(),
      inFlight: this.#members.inFlight,
      suspect: this.#members.count("suspect"),
      dialed: this.#dialer.opened,
      dialFailures: this.#dialer.failed,
      evicted: { ...this.#evicted },
      lastClose: this.#lastClose,
      lastDialError: this.#dialer.lastError,
      awaySince: this.#dialer.awaySince,
    };
  }

  /**
   * Takes the server out of use, for good. Waiters fail at once, and so does every
   * later checkout; dials end, and no other begins; an idle connection closes now,
   * a busy one when what is in flight is answered, a leased one when it is released.
   *
   * @param reason What checkouts fail with.
   * @returns When nothing is left.
   */
  leave(reason: unknown): Promise<void> {
    if (this.#refusal === undefined) {
      this.#refusal = { reason };
      this.#dialer.stop(reason).then(() => this.#noteEmpty());
      for (const member of this.#members) this.#retire(member, "moved");
      this.#waiters.failAll(reason);
    }
    return this.#empty.promise;
  }

  /**
   * Closes everything now: dials end, waiters are rejected, commands in flight are lost.
   *
   * @param reason What waiters are rejected with.
   * @returns When the last dial is over, too.
   */
  async close(reason: unknown): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#refusal = { reason };
    const dialsOver = this.#dialer.stop(reason);
    this.#waiters.failAll(reason);
    for (const { connection } of this.#members) {
      connection.close("the pool was closed");
    }
    this.#sleep.end();
    await dialsOver;
    this.#noteEmpty();
  }

  /** The end of the last connection, if the pool is out of use. */
  #noteEmpty(): void {
    if (this.#refusal === undefined || !this.isEmpty) return;
    this.#sleep.end();
    this.#empty.resolve();
  }

  /** Gives a connection nothing more, and closes it once its lease or what is in flight has ended. */
  #retire(member: Member, reason: RetirementReason): void {
    if (member.state === "retiring") return;
    member.retirement ??= reason;
    if (member.state === "leased") return; // until it is released
    if (member.isIdle) this.#evict(member, reason);
    else member.enter("retiring");
  }

  #state(): PoolState {
    return {
      open: this.#members.size,
      leased: this.#members.count("leased"),
      dialing: this.#dialer.dialing,
      waiting: this.#waiters.size,
    };
  }

  #serve(): void {
    if (this.#waiters.size === 0) return;
    this.#waiters.serve((kind) => this.#allocation.take(kind));
    this.#allocation.provide(this.#dialer);
  }

  #admit(connection: Connection, tookMs: number): void {
    const { report } = connection;
    if (report !== undefined) { // it ended right after the handshake
      this.#countEviction(report.how, connection);
      return this.#ended(report, connection);
    }
    const { maxAgeMs } = this.#options;
    const retireAt = connection.openedAt + maxAgeMs * (1 - Math.random() / 10);
    const member = new Member(connection, connection.dialMs, retireAt);
    this.#members.add(member);
    if (this.#refusal !== undefined) {
      return connection.close("the pool was closed");
    }
    this.#serve();
    const right = member.state === "shared" ? member.right : undefined;
    this.#options.onOpen?.(connection, { tookMs, right });
  }

  #dialFailed(error: unknown, isRepeated: boolean): void {
    this.#options.onDialFailed?.(error);
    const mayBeServed = isRepeated || this.#members.size > 0 ||
      this.#dialer.dialing > 0;
    if (mayBeServed) this.#allocation.provide(this.#dialer);
    else this.#waiters.failAll(error);
  }

  readonly #observer: ConnectionObserver = {
    state: () => this.#state(),
    onIdle: (connection) => {
      const member = this.#members.of(connection);
      if (member === undefined) return; // in its handshake
      if (member.state === "reserved") this.#share(member);
      else if (member.state === "retiring") {
        this.#evict(member, member.retirement!);
      }
      this.#serve();
    },
    onRoom: () => this.#serve(),
    onStall: () => {
      const { dialing } = this.#dialer;
      if (dialing === 0 && this.#members.size < this.#options.maxConnections) {
        this.#dialer.request(1);
      }
    },
    onClose: (connection, report) => {
      const member = this.#members.of(connection);
      if (member === undefined) {
        // In its handshake: the dial fails instead. Else it was evicted already.
        if (report.during !== "handshake") return;
        return this.#options.onRefused?.(report, connection);
      }
      this.#members.remove(member);
      this.#countEviction(report.how, connection);
      this.#ended(report, connection);
      this.#liveness.onClose(report);
      // Not at once: the commands it lost go first.
      queueMicrotask(() => this.#serve());
    },
  };

  /** A connection is free again: it is shared, unless it is to leave. */
  #share(member: Member): void {
    const { retirement } = member;
    if (retirement === undefined) member.enter("shared");
    else if (member.isIdle) this.#evict(member, retirement);
    else member.enter("retiring");
  }

  /** Closes a connection that is idle, or that must not be used again. */
  #evict(member: Member, reason: EvictionReason): void {
    const { connection } = member;
    this.#members.remove(member);
    if (connection.report !== undefined) return;
    this.#countEviction(reason, connection);
    connection.close(reason);
    if (connection.report !== undefined) {
      this.#ended(connection.report, connection);
    }
  }

  #ended(report: CloseReport, connection: ConnectionFacts): void {
    if (report.how !== "requested") this.#lastClose = report;
    this.#options.onClose(report, connection);
    this.#noteEmpty();
  }

  #countEviction(reason: EvictionReason, connection: ConnectionFacts): void {
    this.#evicted[reason] = (this.#evicted[reason] ?? 0) + 1;
    this.#options.onEvict?.(reason, connection);
  }

  /** Ticks as long as there are connections, or may be soon. */
  async #startTicking(): Promise<void> {
    this.#isTicking = true;
    this.#liveness.restart();
    while (this.#members.size > 0 || this.#dialer.dialing > 0) {
      await this.#sleep.wait(TICK_MS);
      if (this.#isClosed) break;
      this.#tick();
    }
    this.#isTicking = false;
  }

  #tick(): void {
    this.#liveness.tick();
    const now = performance.now();
    const idleTimeoutMs = Math.min(
      this.#options.idleTimeoutMs,
      this.#liveness.expectedIdleLimitMs(now),
    );
    // Credentials that all share end for all at once: not all of them are replaced then.
    let logins = Math.ceil(this.#members.size * LOGINS_A_TICK);
    for (const member of this.#members) {
      if (member.state !== "shared") continue;
      const { connection } = member;
      if (now > member.retireAt) this.#retire(member, "max-age");
      else if (logins > 0 && connection.isLoginDue) {
        logins--;
        this.#retire(member, "credentials");
      } else if (
        member.isIdle && now - connection.lastByteAt > idleTimeoutMs
      ) this.#evict(member, "idle-timeout");
    }
  }

  #failDueWaiters(): void {
    const now = performance.now();
    this.#liveness.detectFreeze(now);
    const { checkoutTimeoutMs } = this.#options;
    this.#waiters.failDue(now, (kind) =>
      this.#checkoutError(
        `no connection for ${checkoutTimeoutMs} ms (checkoutTimeoutMs)${
          kind === "blocking" && this.#allocation.isBlockingFull
            ? ", blocking commands leave one of maxConnections to others"
            : ""
        }`,
      ));
    this.#serve();
  }

  #checkoutError(reason: string, isRetriable = true): CheckoutTimeoutError {
    return checkoutError(
      this.#options.endpoint,
      reason,
      this.stats(),
      this.#dialer.obstacle(),
      isRetriable,
    );
  }
}
