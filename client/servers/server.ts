// One server: its endpoint, the connections to it, and the forensics of these.
import type { ParserLimits } from "../../resp/limits.ts";
import type { CloseReport } from "../../pool/connection/close_report.ts";
import type { Connection } from "../../pool/connection/connection.ts";
import { modeHint } from "../../pool/connection/identity.ts";
import { open } from "../../pool/connection/open.ts";
import {
  type ConnectionFacts,
  PushRight,
} from "../../pool/connection/push_right.ts";
import { PostMortemTrigger } from "../../pool/forensics/post_mortem_trigger.ts";
import type { Verdict } from "../../pool/forensics/verdict.ts";
import { Pool, type PoolOptions } from "../../pool/pool.ts";
import type { PoolStats } from "../../pool/pool_stats.ts";
import type { Endpoint } from "../../pool/socket/endpoint.ts";
import type { Dial } from "../../pool/socket/socket.ts";
import type { Checkout, CheckoutKind } from "../../pool/waiters.ts";

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
  readonly #postMortem: PostMortemTrigger | undefined;
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
    const postMortem = options.postMortem
      ? new PostMortemTrigger((verdict) => {
        this.#lastVerdict = verdict;
        events.onVerdict(verdict);
      })
      : undefined;
    this.#postMortem = postMortem;
    this.#pool = new Pool({
      ...options,
      endpoint: `${endpoint}`,
      onOpen: (connection, { tookMs, right }) => {
        events.onOpen(connection, tookMs);
        const { identity } = connection;
        this.#note = identity?.note ?? modeHint(identity ?? {});
        if (right !== undefined) postMortem?.onOpen(right);
      },
      onDialFailed: (error) => {
        this.#dialFailedAt = performance.now();
        events.onDialFailed(error);
      },
      onEvict: events.onEvict,
      onWait: events.onWait,
      onRefused: (report, connection) =>
        postMortem?.onClose(report, connection),
      onClose: (report, connection) => {
        postMortem?.onClose(report, connection);
        events.onClose(report);
      },
      open: async (number, observer, signal, progress) => {
        await postMortem?.ready;
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

  /** What the last handshake has shown that may surprise. */
  get note(): string | undefined {
    return this.#note;
  }

  /** What the last post-mortem has found. */
  get lastVerdict(): Verdict | undefined {
    return this.#lastVerdict;
  }

  /** When the last dial failed, by `performance.now()`; before that `-Infinity`. */
  get dialFailedAt(): number {
    return this.#dialFailedAt;
  }

  /** What its pool looks like now. */
  stats(): PoolStats {
    return this.#pool.stats();
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
    this.#pool.retire(connection, "readonly");
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

/** Dials a connection; the signal ends the dial. */
type Open = (signal: AbortSignal) => Promise<Connection>;

/**
 * Connections beside a pool.
 *
 * - Each is opened when it is needed, and closed when its command was answered.
 * - After {@linkcode ConnectionsBeside.close} none is left, and no dial.
 */
export class ConnectionsBeside {
  readonly #open: Open;
  /** The dials under way, each with what ends it. */
  readonly #dials = new Map<AbortController, Promise<void>>();
  readonly #rights = new Set<PushRight>();

  /** @param open Dials a connection. */
  constructor(open: Open) {
    this.#open = open;
  }

  /**
   * Opens a connection.
   *
   * @param ends What gets the right to push on it, or the reason why there is none.
   * @returns Ends the dial: its reason is the failure.
   */
  connect(
    { take, fail }: Pick<Checkout, "take" | "fail">,
  ): (reason: unknown) => void {
    const dial = new AbortController();
    const over = this.#open(dial.signal).then((connection) => {
      this.#dials.delete(dial);
      const right = new PushRight(connection);
      if (dial.signal.aborted) { // in the turn in which it was opened
        right.close("its command has ended");
        return fail(dial.signal.reason);
      }
      this.#rights.add(right);
      take(right);
    }, (reason) => {
      this.#dials.delete(dial);
      fail(reason);
    });
    this.#dials.set(dial, over);
    return (reason) => dial.abort(reason);
  }

  /**
   * Closes a connection whose command was answered.
   *
   * @returns Whether it is one of these.
   */
  release(right: PushRight): boolean {
    if (!this.#rights.delete(right)) return false;
    right.close("its command was answered");
    return true;
  }

  /**
   * Closes every connection now, and ends the dials.
   *
   * @param reason What the dials fail with.
   * @returns When the last dial is over.
   */
  async close(reason: unknown): Promise<void> {
    const dials = [...this.#dials.values()];
    for (const dial of this.#dials.keys()) dial.abort(reason);
    for (const right of this.#rights) right.close("the client was closed");
    this.#rights.clear();
    await Promise.all(dials);
  }
}
