// One server: its endpoint, the connections to it, and the forensics of these.
import type { ParserLimits } from "../../resp/limits.ts";
import type { CloseReport } from "../../pool/connection/close_report.ts";
import { modeHint } from "../../pool/connection/identity.ts";
import { open } from "../../pool/connection/open.ts";
import { printException } from "../../pool/connection/print_exception.ts";
import type {
  ConnectionFacts,
  PushRight,
} from "../../pool/connection/push_right.ts";
import type { PostMortemTrigger } from "../../pool/forensics/post_mortem_trigger.ts";
import type { Verdict } from "../../pool/forensics/verdict.ts";
import { Pool } from "../../pool/pool.ts";
import type { PoolOptions } from "../../pool/pool_options.ts";
import type { PoolStats } from "../../pool/pool_stats.ts";
import type { Endpoint } from "../../pool/socket/endpoint.ts";
import type { Dial } from "../../pool/socket/socket.ts";
import type { Checkout, CheckoutKind } from "../../pool/waiters.ts";
import { ConnectionsBeside } from "./connections_beside.ts";

/** How many hash slots a cluster has, and so a server without one. */
export const HASH_SLOTS = 16384;

/** What a call needs a connection for: a kind of checkout, or `beside`, a new connection beside the pool. */
export type ConnectionNeed = CheckoutKind | "beside";

/** Options of a {@linkcode Server}. */
export interface ServerOptions extends
  Pick<
    PoolOptions,
    | "maxConnections"
    | "checkoutTimeoutMs"
    | "maxWaiting"
    | "idleTimeoutMs"
    | "maxAgeMs"
    | "validateAfterIdleMs"
  > {
  /** For name, TCP, TLS and handshake together, in milliseconds. */
  readonly connectTimeoutMs: number;
  /** How long a reply may be owed without a byte coming, in milliseconds. */
  readonly replyTimeoutMs: number;
  /** Opens sockets. */
  readonly dial: Dial;
  /** The largest reply to accept. */
  readonly limits: ParserLimits;
  /** Whether to look for the cause when a connection has ended. */
  readonly postMortem: boolean;
  /** The role that it must have, or a dial fails. @default {any} */
  readonly expects?: "primary";
  /** Whether it is known to be a node of a cluster: then that is no surprise. @default {false} */
  readonly isClusterNode?: boolean;
}

/** Called with what happens to the connections of a server. None may throw. */
export interface ServerEvents
  extends Required<Pick<PoolOptions, "onDialFailed" | "onEvict" | "onWait">> {
  /** A connection was opened; `tookMs` is for name, TCP, TLS and handshake together. */
  onOpen(connection: ConnectionFacts, tookMs: number): void;
  /** A connection has ended. */
  onClose(report: CloseReport): void;
  /** A post-mortem has come to a verdict. */
  onVerdict(verdict: Verdict): void;
}

/** What one server has done and holds, or several together. */
export interface Tally {
  /** Counts are sums, what was last is the newest; `awaySince` is that of the server that is away for longest. */
  readonly stats: PoolStats;
  /** The newest verdict. */
  readonly lastVerdict: Verdict | undefined;
  /** When the last dial failed, by `performance.now()`; before that `-Infinity`. */
  readonly dialFailedAt: number;
}

/** The tally of a server that was never used. */
export const NOTHING: Tally = {
  stats: {
    maxConnections: 0,
    open: 0,
    idle: 0,
    inFlight: 0,
    suspect: 0,
    leased: 0,
    dialing: 0,
    waiting: 0,
    dialed: 0,
    dialFailures: 0,
    evicted: {},
    lastClose: undefined,
    lastDialError: undefined,
    awaySince: undefined,
  },
  lastVerdict: undefined,
  dialFailedAt: -Infinity,
};

/**
 * A server, and the connections to it.
 *
 * - Nothing is dialed before the first call that needs a connection.
 * - After {@linkcode Server.close} there is no connection left, and no dial.
 */
export class Server {
  /** Where it is. */
  readonly endpoint: Endpoint;
  readonly #pool: Pool;
  readonly #beside: ConnectionsBeside;
  /** Resolves when the post-mortem is loaded, if there is one. */
  readonly #isReady: Promise<void> | undefined;
  #postMortem: PostMortemTrigger | undefined;
  #note: string | undefined;
  #lastVerdict: Verdict | undefined;
  #dialFailedAt = -Infinity;

  /**
   * @param endpoint Where it is.
   * @param options See {@linkcode ServerOptions}.
   * @param events See {@linkcode ServerEvents}.
   */
  constructor(
    endpoint: Endpoint,
    options: ServerOptions,
    events: ServerEvents,
  ) {
    this.endpoint = endpoint;
    // A server that is busy with a script refuses SELECT. One endpoint for all
    // dials: what a dial learns of its peer is kept with it.
    let endpointBeside: Endpoint | undefined;
    this.#beside = new ConnectionsBeside((signal) =>
      open(endpointBeside ??= endpoint.withDatabase(0), {
        ...options,
        number: 0,
        signal,
      })
    );
    if (options.postMortem) {
      this.#isReady = this.#loadPostMortem((verdict) => {
        this.#lastVerdict = verdict;
        events.onVerdict(verdict);
      });
    }
    this.#pool = new Pool({
      ...options,
      endpoint: `${endpoint}`,
      onOpen: (connection, { tookMs, right }) => {
        events.onOpen(connection, tookMs);
        const { identity } = connection;
        this.#note = identity?.note ?? modeHint(identity ?? {});
        if (right !== undefined) this.#postMortem?.onOpen(right);
      },
      onDialFailed: (error) => {
        this.#dialFailedAt = performance.now();
        events.onDialFailed(error);
      },
      onEvict: events.onEvict,
      onWait: events.onWait,
      onRefused: (report, connection) =>
        this.#postMortem?.onClose(report, connection),
      onClose: (report, connection) => {
        this.#postMortem?.onClose(report, connection);
        events.onClose(report);
      },
      open: async (number, observer, signal, progress) => {
        await this.#isReady;
        return open(endpoint, {
          ...options,
          number,
          observer,
          signal,
          progress,
        });
      },
    });
  }

  /**
   * Loads the post-mortem, so that a client without one does not. Never rejects. A
   * dial waits for it, so that the commands of the post-mortem can be pushed as soon as the
   * connection is open, while it is still shared. After an `await` they could end
   * up in a transaction of the next holder.
   */
  async #loadPostMortem(onVerdict: (verdict: Verdict) => void): Promise<void> {
    try {
      const { PostMortemTrigger } = await import(
        "../../pool/forensics/post_mortem_trigger.ts"
      );
      this.#postMortem = new PostMortemTrigger(onVerdict);
    } catch (error) {
      printException("postMortem of Redis", error);
    }
  }

  /** What the last handshake has shown that may surprise. */
  get note(): string | undefined {
    return this.#note;
  }

  /** What its pool looks like now. */
  stats(): PoolStats {
    return this.#pool.stats();
  }

  /** What it has done and holds. */
  tally(): Tally {
    return {
      stats: this.#pool.stats(),
      lastVerdict: this.#lastVerdict,
      dialFailedAt: this.#dialFailedAt,
    };
  }

  /** The right to push on a shared connection, if there is one at once. */
  shared(): PushRight | undefined {
    return this.#pool.shared();
  }

  /**
   * Waits for a connection; `take` may be called before this returns.
   *
   * @param need What it is needed for.
   * @param ends `take` gets the right to push on it, and must push on a shared
   * one before it returns; `fail` gets the reason why there is none.
   * @returns Ends the wait, if there is one: its reason is the failure.
   */
  connect(
    need: ConnectionNeed,
    ends: Pick<Checkout, "take" | "fail">,
  ): ((reason: unknown) => void) | undefined {
    return need === "beside"
      ? this.#beside.connect(ends)
      : this.#pool.checkout({ kind: need, ...ends });
  }

  /**
   * Takes a connection back that is not shared.
   *
   * @param right The right that `take` got. It is revoked.
   * @param clean Whether the state of the connection is as the handshake left it; if not, it is closed.
   */
  release(right: PushRight, clean: boolean): void {
    if (!this.#beside.release(right)) this.#pool.release(right, clean);
  }

  /** Lets go of a connection to a replica: the next one may lead to the primary. */
  leaveReplica(connection: ConnectionFacts): void {
    this.#pool.replace(connection, "readonly");
  }

  /**
   * Lets go of every connection that was opened before a moment: each closes when it
   * is idle, and the next attempt dials anew. Without effect, for a moment, on those
   * that were opened after others were let go.
   *
   * @param than The moment, by `performance.now()`.
   */
  replaceOlder(than: number): void {
    this.#pool.replaceOlder(than);
  }

  /** Whether a shared connection is open now. */
  get hasOpen(): boolean {
    return this.#pool.hasShared;
  }

  /** Whether no connection to it is open and none is being dialed. */
  get isEmpty(): boolean {
    return this.#pool.isEmpty && this.#beside.isEmpty;
  }

  /** When a byte last came on any of its connections, by `performance.now()`; `-Infinity` before the first. */
  get heardAt(): number {
    return this.#pool.heardAt;
  }

  /**
   * How long one of its connections has owed a reply without a byte at most, beyond
   * what its command may take, in milliseconds; 0 if none does.
   *
   * @param now The present, by `performance.now()`.
   */
  silentMs(now: number): number {
    return Math.max(this.#pool.silentMs(now), this.#beside.silentMs(now));
  }

  /**
   * Ends every connection on which a reply has been owed in silence for a time,
   * leased ones too. What was in flight on it is lost, and no late reply settles it.
   *
   * @param ms The time in milliseconds, more than 0.
   * @param cause Why, for the reports.
   */
  closeSilent(ms: number, cause: string): void {
    this.#pool.closeSilent(ms, cause);
    this.#beside.closeSilent(ms, cause);
  }

  /**
   * The same as {@linkcode Server.closeSilent}, whatever a command may take: those
   * that block end as well. They have their connections from the pool.
   */
  closeOwing(ms: number, cause: string): void {
    this.#pool.closeOwing(ms, cause);
  }

  /**
   * Takes the server out of use, for good: waits fail at once, and so does every later
   * one; dials end, and no other begins; an idle connection closes now, a busy one
   * when what is in flight is answered, a leased one when it is released.
   *
   * @param reason What waits fail with.
   * @param takeover What has gone to another server, for the verdict on connections
   * that have ended, such as `"hash slots 0-5460 went to h:7004"`.
   * @returns When nothing is left: see {@linkcode Server.isEmpty}.
   */
  async leave(reason: unknown, takeover?: string): Promise<void> {
    if (takeover !== undefined) this.#postMortem?.onTakeover(takeover);
    await Promise.all([this.#pool.leave(reason), this.#beside.leave(reason)]);
  }

  /** Notes that a connection to it has ended that was in no pool, for the post-mortem. */
  noteEnd(report: CloseReport, connection: ConnectionFacts): void {
    this.#postMortem?.onClose(report, connection);
  }

  /** Notes that this client is about to send CLIENT KILL for a connection that ended. */
  noteFence(connection: ConnectionFacts): void {
    this.#postMortem?.onFence(connection);
  }

  /**
   * Closes every connection now: dials end, waits fail, commands in flight are lost.
   *
   * @param reason What waits and dials fail with.
   * @returns When the last dial is over, too.
   */
  async close(reason: unknown): Promise<void> {
    await Promise.all([this.#pool.close(reason), this.#beside.close(reason)]);
  }
}
