// What a client has seen of one server and of its connections lately.
import type { CloseReport } from "../connection/close_report.ts";
import type { ConnectionFacts } from "../connection/push_right.ts";
import { isSilent, type Silence } from "./incident.ts";
import type { ServerSnapshot } from "./server_probe.ts";

/** Moments closer than this, in milliseconds, are one. */
const APART_MS = 1000;
/** How many snapshots, ends and connections are kept. */
const KEPT = 32;
/** A reply this soon after a silence, in milliseconds, came during it. */
const SOON_MS = 150;
/** A reply in this part of a silence, its first, may have been on its way when it began. */
const BEGINNING = 0.25;

/** A snapshot, the connection that it was taken on, and when by `performance.now()`. */
interface Taken {
  readonly connection: ConnectionFacts;
  readonly snapshot: ServerSnapshot;
  readonly at: number;
}

/** Keeps snapshots of one server, and the connections to it that were open lately. */
export class History {
  #taken: readonly Taken[] = [];
  /** The reports of connections that ended while idle, one of those that ended together. */
  #idleEnds: readonly CloseReport[] = [];
  /** The connections that were open lately, the newest last. */
  readonly #connections = new Set<ConnectionFacts>();
  /** Those that were answered while another one fell silent. */
  readonly #answered = new WeakMap<CloseReport, Set<ConnectionFacts>>();

  /** Adds a connection, or makes it the newest. */
  addConnection(connection: ConnectionFacts): void {
    this.#connections.delete(connection);
    this.#connections.add(connection);
    const [oldest] = this.#connections;
    if (this.#connections.size > KEPT) this.#connections.delete(oldest!);
  }

  /** Adds a snapshot that was taken just now. */
  addSnapshot(connection: ConnectionFacts, snapshot: ServerSnapshot): void {
    const at = performance.now();
    this.#taken = [...this.#taken.slice(1 - KEPT), {
      connection,
      snapshot,
      at,
    }];
  }

  /** Adds an end. What the other connections were sent just now is read from them at once. */
  addEnd(report: CloseReport, connection: ConnectionFacts): void {
    this.addConnection(connection);
    if (isSilent(report)) this.#noteAnswered(report, performance.now());
  }

  /**
   * Adds the idle age of a connection that ended, and returns those before it, in
   * milliseconds. Ends of one moment count once: a limit shows itself again and again.
   */
  addIdleAge(report: CloseReport): number[] {
    const { during, by, closedAt } = report;
    const earlier = this.#idleEnds
      .filter((end) => Math.abs(closedAt - end.closedAt) > APART_MS)
      .map(({ idleMs }) => idleMs);
    const sinceMs = closedAt - (this.#idleEnds.at(-1)?.closedAt ?? 0);
    if (during === "idle" && by !== "client" && sinceMs > APART_MS) {
      this.#idleEnds = [...this.#idleEnds.slice(1 - KEPT), report];
    }
    return earlier;
  }

  /** The newest snapshot from before the end: the less time has passed, the less others have moved its numbers. */
  snapshotBefore(
    { how, closedAt }: CloseReport,
    ended: ConnectionFacts,
  ): ServerSnapshot | undefined {
    const own = this.#taken
      .findLast(({ connection }) => connection === ended)?.snapshot;
    // Silence may have begun at any time.
    if (how === "silence" && own !== undefined) return own;
    const dueAt = own === undefined ? closedAt : closedAt - APART_MS;
    const newest = this.#taken.findLast(({ snapshot: { takenAt, info } }) =>
      takenAt <= dueAt && takenAt >= (own?.takenAt ?? 0) &&
      info.run_id === (own?.info ?? info).run_id
    );
    return newest?.snapshot ?? own;
  }

  /** How many connections to the run of the server in `before` outlived one that ended. */
  survivors(
    { closedAt }: CloseReport,
    before: ServerSnapshot | undefined,
  ): number {
    const outlived = this.#taken.filter(({ connection, snapshot }) =>
      snapshot.info.run_id === before?.info.run_id &&
      (connection.report?.closedAt ?? Infinity) > closedAt + APART_MS
    );
    return new Set(outlived.map(({ connection }) => connection)).size;
  }

  /**
   * What the other connections did while one fell silent.
   *
   * @param report The report of the silent one.
   * @param before The snapshot before its end.
   * @param fresh The connection that was opened next.
   */
  silenceAround(
    report: CloseReport,
    before: ServerSnapshot | undefined,
    fresh: ConnectionFacts,
  ): Silence {
    const { closedAt, owedMs } = report;
    const endedAt = closedAt - Date.now() + performance.now();
    const beforeAt =
      this.#taken.find(({ snapshot }) => snapshot === before)?.at ?? NaN;
    const answered = this.#noteAnswered(report, endedAt);
    answered.delete(fresh);
    const others = [...this.#connections].filter((other) => other !== fresh);
    const silent = others.flatMap(({ report }) =>
      report !== undefined && isSilent(report) &&
        report.closedAt >= closedAt - Math.max(owedMs, APART_MS)
        ? report
        : []
    );
    const open = silent.filter(({ during }) => during !== "handshake");
    const dials = others.flatMap(({ dialMs }) => dialMs > 0 ? dialMs : [])
      .sort((a, b) => a - b);
    return {
      silent: open.length,
      answered: answered.size,
      unanswered: silent.length - open.length,
      opened:
        [...this.#connections].filter(({ openedAt, identity }) =>
          identity !== undefined && openedAt > beforeAt
        ).length,
      dialMs: fresh.dialMs,
      usualDialMs: dials[dials.length >> 1],
    };
  }

  /** Adds the open connections that were answered in a silence to those noted before. */
  #noteAnswered(report: CloseReport, endedAt: number): Set<ConnectionFacts> {
    const answered = this.#answered.get(report) ?? new Set();
    this.#answered.set(report, answered);
    const since = endedAt - (1 - BEGINNING) * report.owedMs;
    for (const other of this.#connections) {
      if (
        other.report === undefined && other.heardAt >= since &&
        other.heardAt <= endedAt + SOON_MS
      ) answered.add(other);
    }
    return answered;
  }
}
