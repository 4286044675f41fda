// The course of a post-mortem: a snapshot before, a snapshot after, a verdict.
import type { CloseReport } from "../connection/close_report.ts";
import type { ConnectionFacts } from "../connection/push_right.ts";
import { diagnose } from "./diagnose.ts";
import { History } from "./history.ts";
import { isSilent } from "./incident.ts";
import {
  ServerProbe,
  type ServerSnapshot,
  type SnapshotOptions,
  type Source,
} from "./server_probe.ts";
import type { Verdict } from "./verdict.ts";

/** Options of a {@linkcode PostMortem}. */
export interface PostMortemOptions {
  /** The clock, Unix time in milliseconds. @default {Date.now} */
  readonly now?: () => number;
  /** The least time from one investigation to the next, in milliseconds. @default {5000} */
  readonly minIntervalMs?: number;
  /** Receives each verdict. What it throws is ignored. @default {ignored} */
  readonly onVerdict?: (verdict: Verdict) => void;
}

/**
 * Why there is no verdict: `"not-due"`, the last investigation was a moment ago,
 * or is under way; `"not-asked"`, the connection changed hands before it could be
 * asked, so that the next one should be.
 */
export type NoVerdict = "not-due" | "not-asked";

/**
 * Finds out why connections to one endpoint ended.
 *
 * - It only reads: INFO, CONFIG GET, CLIENT LIST; after a silence SLOWLOG GET
 *   and LATENCY LATEST as well.
 * - A question that the server refuses is never asked again.
 * - One investigation at a time, one in `minIntervalMs`.
 * - It never throws, and no command waits for it.
 */
export class PostMortem {
  readonly #options: Required<PostMortemOptions>;
  readonly #probe: ServerProbe;
  readonly #history = new History();
  /** Connections that this client has sent CLIENT KILL for, to be sure that they are closed. */
  readonly #fenced = new WeakSet<ConnectionFacts>();
  #startedAt = -Infinity;
  #isBusy = false;

  /**
   * Makes a post-mortem. It asks nothing yet.
   *
   * @param options See {@linkcode PostMortemOptions}.
   */
  constructor(options: PostMortemOptions = {}) {
    this.#options = {
      now: Date.now,
      minIntervalMs: 5000,
      onVerdict: () => {},
      ...options,
    };
    this.#probe = new ServerProbe(this.#options.now);
  }

  /**
   * Takes, or renews, the snapshot that the end of a connection will be compared
   * with. All that it asks is pushed before it returns.
   *
   * @param source An open connection.
   */
  takeBaseline(source: Source): void {
    this.#snapshot(source, { config: !this.#probe.hasConfig, slow: false })
      .catch(() => {});
  }

  /**
   * Notes that a connection has ended, or was refused in its handshake. To be
   * called at once: what the other connections do meanwhile is evidence.
   *
   * @param report How it ended.
   * @param connection The connection.
   */
  noteEnd(report: CloseReport, connection: ConnectionFacts): void {
    this.#history.addEnd(report, connection);
  }

  /**
   * Notes that this client is about to send CLIENT KILL for a connection that has ended.
   *
   * @param ended The connection.
   */
  noteFence(ended: ConnectionFacts): void {
    this.#fenced.add(ended);
    this.#probe.countOwn("cmdstat_client|kill");
    this.#probe.countOwn("cmdstat_client");
  }

  /**
   * Finds out why a connection ended, if it is time for that. All that it asks
   * is pushed before it returns.
   *
   * @param report How it ended.
   * @param ended The connection.
   * @param fresh An open connection to the same endpoint, preferably the next one.
   * @returns The verdict, or why there is none. Never rejects.
   */
  async investigate(
    report: CloseReport,
    ended: ConnectionFacts,
    fresh: Source,
  ): Promise<Verdict | NoVerdict> {
    const { minIntervalMs, now } = this.#options;
    const earlierIdleMs = this.#history.addIdleAge(report);
    const isEarly = Math.abs(now() - this.#startedAt) < minIntervalMs;
    if (this.#isBusy || isEarly) return "not-due";
    const lastStartedAt = this.#startedAt;
    this.#startedAt = now();
    this.#isBusy = true;
    this.#history.addConnection(ended);
    const before = this.#history.snapshotBefore(report, ended);
    let listed: string | undefined, after: ServerSnapshot | undefined;
    try {
      [listed, after] = await Promise.all([
        this.#listing(report, ended, fresh),
        this.#snapshot(fresh, { config: true, slow: isSilent(report) }),
      ]);
    } catch {
      this.#startedAt = lastStartedAt;
      return "not-asked";
    } finally {
      this.#isBusy = false;
    }
    const { connection } = fresh;
    const verdict = diagnose(
      report,
      before,
      after && (listed === undefined ? after : { ...after, listed }),
      {
        earlierIdleMs,
        survivors: this.#history.survivors(report, before),
        refused: this.#probe.refused,
        ...isSilent(report)
          ? { silence: this.#history.silenceAround(report, before, connection) }
          : {},
      },
    );
    this.#publish(verdict);
    return verdict;
  }

  /**
   * Concludes why a connection ended to a server that another one has replaced.
   * Nothing is asked: the server is never dialed again.
   *
   * @param report How it ended.
   * @param ended The connection.
   * @param evidence What has gone where, such as `"hash slots 0-5460 went to h:7004"`.
   */
  concludeTakeover(
    report: CloseReport,
    ended: ConnectionFacts,
    evidence: string,
  ): Verdict {
    const verdict = diagnose(
      report,
      this.#history.snapshotBefore(report, ended),
      undefined,
      {
        earlierIdleMs: this.#history.addIdleAge(report),
        refused: this.#probe.refused,
        takeover: { evidence, at: this.#options.now() },
      },
    );
    this.#publish(verdict);
    return verdict;
  }

  #publish(verdict: Verdict): void {
    try {
      this.#options.onVerdict(verdict);
    } catch {
      // What onVerdict throws is ignored.
    }
  }

  async #snapshot(
    source: Source,
    options: SnapshotOptions,
  ): Promise<ServerSnapshot | undefined> {
    const { connection } = source;
    this.#history.addConnection(connection);
    const snapshot = await this.#probe.snapshot(source, options);
    if (snapshot !== undefined) {
      this.#history.addSnapshot(connection, snapshot);
    }
    return snapshot;
  }

  /** The ended connection in CLIENT LIST, unless this client has fenced it off itself. */
  async #listing(
    { clientId }: CloseReport,
    ended: ConnectionFacts,
    fresh: Source,
  ): Promise<string | undefined> {
    if (clientId === undefined || this.#fenced.has(ended)) return undefined;
    const listing = await this.#probe.listing(fresh, clientId);
    return this.#fenced.has(ended) ? undefined : listing;
  }
}
