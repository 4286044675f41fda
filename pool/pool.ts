// The connections to one server: how many, which one a caller gets, when one must go.
import { CheckoutTimeoutError } from "./errors.ts";
import { FairTimeout } from "./socket/fair_timeout.ts";
import { FreezeDetector } from "./freeze_detector.ts";
import type {
  ClosedHow,
  CloseReport,
  PoolState,
} from "./connection/close_report.ts";
import type {
  Connection,
  ConnectionObserver,
} from "./connection/connection.ts";
import { Dialer } from "./dialer.ts";
import type { DialProgress } from "./connection/dial_progress.ts";
import { ask } from "./connection/ask.ts";
import { IdleAges } from "./forensics/idle_ages.ts";
import { Member, type RetirementReason } from "./member.ts";
import type { ConnectionFacts, PushRight } from "./connection/push_right.ts";
import { runtime } from "./socket/runtime.ts";
import {
  type Checkout,
  type CheckoutKind,
  type CheckoutWait,
  Waiters,
} from "./waiters.ts";

/** Why a connection left the pool. */
export type EvictionReason = ClosedHow | RetirementReason;

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
  /** How the last connection ended that the client did not close itself. */
  lastClose: CloseReport | undefined;
  /** What the last failed dial failed with. */
  lastDialError: unknown;
  /** Since when no connection is open and none can be opened, Unix time in milliseconds. */
  awaySince: number | undefined;
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
  /**
   * Called for each new connection, after the callers that waited for it were
   * served, with what it took to open it. Its right is there while it is
   * shared: what is to be sent must be pushed before this returns.
   */
  readonly onOpen?: (
    connection: ConnectionFacts,
    it: { readonly tookMs: number; readonly right: PushRight | undefined },
  ) => void;
  /** Called when a connection could not be opened. */
  readonly onDialFailed?: (error: unknown) => void;
  /** Called with the reason for which a connection has left the pool. */
  readonly onEvict?: (
    reason: EvictionReason,
    connection: ConnectionFacts,
  ) => void;
  /** Called when a connection has ended. */
  readonly onClose: (report: CloseReport, connection: ConnectionFacts) => void;
  /** Called when a connection has ended before its handshake was over. */
  readonly onRefused?: (
    report: CloseReport,
    connection: ConnectionFacts,
  ) => void;
  /** Called for each wait that has ended; a checkout served at once is none. */
  readonly onWait?: (wait: CheckoutWait) => void;
}

/** How often limits of age are checked, and how a jump of the clock shows. */
const TICK_MS = 1000;
/** A replica is left at most this often: the next dial may lead to it again. */
const READONLY_PAUSE_MS = 250;
/** How long a suspect has for its PING: this many times what its handshake took, within bounds. */
const PROOF_FACTOR = 4;
const PROOF_MS = { least: 100, most: 1000 };
/** Upper bound on one PING over a slow link: twice the handshake time. */
const SLOW_PROOF_FACTOR = 2;

/**
 * A pool of connections.
 *
 * - A caller gets the right to push, not the connection. The right is revoked
 *   when the connection changes hands.
 * - `shared` and `checkout` hand out only connections that are open and not suspect.
 * - A connection leaves the moment it ends, idle or not.
 * - Waiters are served in order, as far as what they wait for is there. A
 *   failed dial fails them only when nothing is open and nothing else is being dialed.
 * - Blocking commands leave one connection to callers that share.
 * - One dial serves all callers that wait for a shared connection.
 * - When one connection dies silently the others must answer a PING first; so must one
 *   that was idle for long, or that slept while the process was frozen.
 */
export class Pool {
  readonly #options: PoolOptions;
  readonly #members: Member[] = [];
  readonly #waiters: Waiters;
  readonly #dialer: Dialer;
  readonly #idleAges = new IdleAges();
  #closedFor: { readonly reason: unknown } | undefined;
  #justValidated: Member | undefined; // has answered its PING: not to be suspected again
  #readonlyAt = -Infinity;
  #evicted: Partial<Record<EvictionReason, number>> = {};
  #lastClose: CloseReport | undefined;
  #isTicking = false;
  readonly #freezes = new FreezeDetector();
  readonly #sleep = runtime.newUnrefSleep();

  /**
   * Makes a pool. It dials on first use.
   *
   * @param options See {@linkcode PoolOptions}.
   */
  constructor(options: PoolOptions) {
    this.#options = options;
    this.#waiters = new Waiters(
      options.checkoutTimeoutMs,
      () => this.#waitersDue(),
      options.onWait,
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
      isAnyOpen: () => this.#members.length > 0,
    });
  }

  /**
   * The right to push on the connection with the least in flight, at once, or
   * `undefined` if the caller has to wait: see {@linkcode Pool.checkout}.
   */
  shared(): PushRight | undefined {
    return this.#waiters.count("shared") > 0 ? undefined : this.#pick()?.right;
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
    if (this.#closedFor !== undefined) {
      return void checkout.fail(this.#closedFor.reason);
    }
    if (this.#waiters.size >= maxWaiting) {
      return void checkout.fail(
        this.#checkoutError(
          `${maxWaiting} callers wait already (maxWaiting)`,
          false,
        ),
      );
    }
    const right = this.#waiters.count(kind) > 0 ? undefined : this.#take(kind);
    if (right !== undefined) return void checkout.take(right);
    const end = this.#waiters.add(checkout, performance.now());
    this.#dialAsNeeded();
    return end;
  }

  /**
   * Takes a leased connection back.
   *
   * @param right The right that its lease held. It is revoked.
   * @param clean Whether its state is as the handshake left it; if not, it is closed.
   */
  release(right: PushRight, clean: boolean): void {
    const member = this.#members.find((member) => member.right === right);
    if (member?.state !== "leased") return;
    const reason = member.retirement ??
      (clean && member.isIdle ? undefined : "unclean-lease");
    if (reason === undefined) member.enter("shared");
    else this.#evict(member, reason);
    this.#serve();
  }

  /** Lets a connection finish what is in flight, or its lease, gives it nothing more, and closes it. */
  retire(connection: ConnectionFacts, reason: RetirementReason): void {
    if (reason === "readonly") {
      const now = performance.now();
      if (connection.openedAt > this.#readonlyAt) { // not one of the old ones
        if (now - this.#readonlyAt < READONLY_PAUSE_MS) return;
        this.#readonlyAt = now;
      }
    }
    const member = this.#memberOf(connection);
    if (member === undefined || member.state === "retiring") return;
    member.retirement ??= reason;
    if (member.state === "leased") return; // until it is released
    if (member.isIdle) this.#evict(member, reason);
    else member.enter("retiring");
  }

  /** What the pool looks like now. */
  stats(): PoolStats {
    let inFlight = 0;
    for (const { connection } of this.#members) inFlight += connection.inFlight;
    return {
      ...this.#state(),
      maxConnections: this.#options.maxConnections,
      idle:
        this.#members.filter((member) =>
          member.state === "shared" && member.isIdle
        ).length,
      inFlight,
      suspect: this.#countOf("suspect"),
      dialed: this.#dialer.opened,
      dialFailures: this.#dialer.failed,
      evicted: { ...this.#evicted },
      lastClose: this.#lastClose,
      lastDialError: this.#dialer.lastError,
      awaySince: this.#dialer.awaySince,
    };
  }

  /**
   * Closes everything now: dials end, waiters are rejected, commands in flight are lost.
   *
   * @param reason What waiters are rejected with.
   * @returns When the last dial is over, too.
   */
  async close(reason: unknown): Promise<void> {
    if (this.#closedFor !== undefined) return;
    this.#closedFor = { reason };
    const dialsOver = this.#dialer.stop(reason);
    this.#waiters.failAll(reason);
    for (const { connection } of [...this.#members]) {
      connection.close("the pool was closed");
    }
    this.#sleep.end();
    await dialsOver;
  }

  #state(): PoolState {
    return {
      open: this.#members.length,
      leased: this.#countOf("leased"),
      dialing: this.#dialer.dialing,
      waiting: this.#waiters.size,
    };
  }

  #countOf(state: Member["state"]): number {
    let count = 0;
    for (const member of this.#members) if (member.state === state) count++;
    return count;
  }

  #memberOf(connection: ConnectionFacts): Member | undefined {
    return this.#members.find((member) => member.connection === connection);
  }

  /** How long a connection may have been idle at a tick. */
  #idleTimeoutMs(now: number): number {
    // By the next tick the server would have closed it.
    const learnedMs = this.#idleAges.evictAfterMs(now) - TICK_MS;
    return Math.min(this.#options.idleTimeoutMs, learnedMs);
  }

  get #validateAfterIdleMs(): number {
    return Math.min(this.#options.validateAfterIdleMs, this.#idleAges.limitMs);
  }

  /** The least loaded shared connection that is not full. Idle ones that may be zombies become suspects. */
  #pick(): Member | undefined {
    let best: Member | undefined;
    for (const member of this.#members) {
      if (member.state !== "shared" || member.connection.isFull) continue;
      if (
        best === undefined ||
        member.connection.inFlight < best.connection.inFlight
      ) best = member;
    }
    if (best === undefined || !best.isIdle || best === this.#justValidated) {
      return best;
    }
    const now = performance.now();
    if (!this.#detectFreeze(now)) {
      const idleMs = now - best.connection.lastByteAt;
      if (idleMs <= this.#validateAfterIdleMs) return best;
      this.#suspect(best);
    }
    return this.#pick();
  }

  #serve(): void {
    if (this.#waiters.size === 0) return;
    const canServe: Record<CheckoutKind, boolean> = {
      shared: this.#waiters.count("shared") > 0,
      lease: this.#waiters.count("lease") > 0,
      blocking: this.#waiters.count("blocking") > 0,
    };
    // Callers that ask while others are served come after them.
    for (const waiter of this.#waiters) {
      if (!canServe[waiter.kind]) continue;
      const right = this.#take(waiter.kind);
      if (right !== undefined) waiter.take(right);
      else {
        canServe[waiter.kind] = false;
        if (!canServe.shared && !canServe.lease && !canServe.blocking) break;
      }
    }
    this.#dialAsNeeded();
    this.#waiters.arm();
  }

  #take(kind: CheckoutKind): PushRight | undefined {
    if (kind === "blocking" && this.#blockingRoom <= 0) return undefined;
    const member = this.#pick();
    if (kind === "shared" || member === undefined) return member?.right;
    return member.isIdle ? member.enter("leased") : undefined;
  }

  /** How many more connections blocking commands may take: one stays for callers that share. */
  get #blockingRoom(): number {
    const most = Math.max(1, this.#options.maxConnections - 1);
    return most - this.#countOf("leased") - this.#countOf("reserved");
  }

  #dialAsNeeded(): void {
    const { dialing } = this.#dialer;
    const exclusive = this.#waiters.count("lease") +
      Math.max(
        0,
        Math.min(this.#waiters.count("blocking"), this.#blockingRoom),
      );
    // A suspect that is about to answer its PING serves every sharer.
    const needsShared = this.#waiters.count("shared") > 0 &&
      !this.#members.some((m) => m.state === "suspect" && m.isAnsweringNow);
    const wanted = exclusive + (needsShared ? 1 : 0) - dialing;
    const room = this.#options.maxConnections - this.#members.length - dialing;
    this.#dialer.request(Math.min(wanted, room));
    if (exclusive > 0 && wanted > 0 && room <= 0) this.#reserve();
  }

  /** The pool is full and a lease is wanted: the least loaded connection gets nothing new until it is idle. */
  #reserve(): void {
    if (this.#countOf("reserved") > 0) return;
    this.#pick()?.enter("reserved");
  }

  #admit(connection: Connection, tookMs: number): void {
    const { report } = connection;
    if (report !== undefined) { // it ended right after the handshake
      this.#count(report.how, connection);
      return this.#ended(report, connection);
    }
    const { maxAgeMs } = this.#options;
    const retireAt = connection.openedAt + maxAgeMs * (1 - Math.random() / 10);
    const member = new Member(connection, tookMs, retireAt);
    this.#members.push(member);
    if (this.#closedFor !== undefined) {
      return connection.close("the pool was closed");
    }
    this.#serve();
    const right = member.state === "shared" ? member.right : undefined;
    this.#options.onOpen?.(connection, { tookMs, right });
  }

  #dialFailed(error: unknown, isRepeated: boolean): void {
    this.#options.onDialFailed?.(error);
    const mayBeServed = isRepeated || this.#members.length > 0 ||
      this.#dialer.dialing > 0;
    if (mayBeServed) this.#dialAsNeeded();
    else this.#waiters.failAll(error);
  }

  readonly #observer: ConnectionObserver = {
    state: () => this.#state(),
    onIdle: (connection) => {
      const member = this.#memberOf(connection);
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
      if (
        dialing === 0 && this.#members.length < this.#options.maxConnections
      ) this.#dialer.request(1);
    },
    onClose: (connection, report) => {
      const member = this.#memberOf(connection);
      if (member === undefined) {
        // In its handshake: the dial fails instead. Else it was evicted already.
        if (report.during !== "handshake") return;
        return this.#options.onRefused?.(report, connection);
      }
      this.#remove(member);
      this.#count(report.how, connection);
      this.#ended(report, connection);
      if (report.how === "silence") this.#suspectAll();
      if (report.during === "idle" && report.by !== "client") {
        this.#idleAges.observe(report.idleMs, performance.now());
      }
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

  #remove(member: Member): void {
    this.#members.splice(this.#members.indexOf(member), 1);
    member.enter("gone");
  }

  /** Closes a connection that is idle, or that must not be used again. */
  #evict(member: Member, reason: EvictionReason): void {
    const { connection } = member;
    this.#remove(member);
    if (connection.report !== undefined) return;
    this.#count(reason, connection);
    connection.close(reason);
    if (connection.report !== undefined) {
      this.#ended(connection.report, connection);
    }
  }

  #ended(report: CloseReport, connection: ConnectionFacts): void {
    if (report.how !== "requested") this.#lastClose = report;
    this.#options.onClose(report, connection);
  }

  #count(reason: EvictionReason, connection: ConnectionFacts): void {
    this.#evicted[reason] = (this.#evicted[reason] ?? 0) + 1;
    this.#options.onEvict?.(reason, connection);
  }

  #suspectAll(): void {
    for (const member of this.#members) {
      if (member.state === "shared") this.#suspect(member);
    }
  }

  /** Takes a connection out until it has answered a PING. */
  #suspect(member: Member): void {
    const { connection, handshakeMs } = member;
    member.isAnsweringNow = member.isIdle;
    const right = member.enter("suspect");
    const proofMs = Math.ceil(Math.max(
      PROOF_MS.least,
      SLOW_PROOF_FACTOR * handshakeMs,
      Math.min(PROOF_MS.most, PROOF_FACTOR * handshakeMs),
    ));
    const proof = new FairTimeout(
      () => proofMs,
      () => connection.timeOut(`suspected dead, no PONG for ${proofMs} ms`),
    );
    // One that is busy is watched by its reply timer.
    const now = performance.now();
    const idleMs = member.isIdle ? now - connection.lastByteAt : 0;
    if (member.isAnsweringNow) proof.start(now);
    ask(right, ["PING"]).then(() => {
      this.#idleAges.survived(idleMs);
      if (member.state === "suspect") this.#share(member);
      this.#justValidated = member;
      this.#serve();
      this.#justValidated = undefined;
    }, () => {}).finally(() => proof.stop());
  }

  /** Ticks as long as there are connections, or may be soon. */
  async #startTicking(): Promise<void> {
    this.#isTicking = true;
    this.#freezes.restart();
    while (this.#members.length > 0 || this.#dialer.dialing > 0) {
      await this.#sleep.wait(TICK_MS);
      if (this.#closedFor !== undefined) break;
      this.#tick();
    }
    this.#isTicking = false;
  }

  #tick(): void {
    if (this.#freezes.beat(TICK_MS) !== undefined) this.#suspectAll();
    const now = performance.now();
    const idleTimeoutMs = this.#idleTimeoutMs(now);
    for (const member of [...this.#members]) {
      if (member.state !== "shared") continue;
      const { connection } = member;
      if (now > member.retireAt) this.retire(connection, "max-age");
      else if (
        member.isIdle && now - connection.lastByteAt > idleTimeoutMs
      ) this.#evict(member, "idle-timeout");
    }
  }

  /** While the process was frozen, idle connections may have been closed unnoticed. */
  #detectFreeze(now: number): boolean {
    if (this.#freezes.look(TICK_MS, now) === undefined) return false;
    this.#suspectAll();
    return true;
  }

  #waitersDue(): void {
    const now = performance.now();
    this.#detectFreeze(now);
    const { checkoutTimeoutMs } = this.#options;
    this.#waiters.failDue(now, (kind) =>
      this.#checkoutError(
        `no connection for ${checkoutTimeoutMs} ms (checkoutTimeoutMs)${
          kind === "blocking" && this.#blockingRoom <= 0
            ? ", blocking commands leave one of maxConnections to others"
            : ""
        }`,
      ));
    this.#serve();
  }

  #checkoutError(what: string, isRetriable = true): CheckoutTimeoutError {
    const { maxConnections, open, leased, dialing, inFlight, waiting } = this
      .stats();
    const dial = this.#dialer.obstacle();
    return new CheckoutTimeoutError(
      `Cannot check out a connection to ${this.#options.endpoint}: ${what}, ` +
        `${open} of ${maxConnections} open, ${leased} leased, ` +
        `${dialing} being dialed, ${inFlight} in flight, ${waiting} waiting` +
        (dial === undefined ? "" : `; ${dial.text}`),
      { isRetriable, cause: dial?.error },
    );
  }
}
