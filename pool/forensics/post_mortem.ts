// Asks a server for evidence, so that the end of a connection gets a cause.
import { type Command, type Reply, ReplyError } from "../../resp/mod.ts";
import type { CloseReport } from "../connection/close_report.ts";
import type { Connection } from "../connection/connection.ts";
import { diagnose } from "./diagnose.ts";
import { isSilent, type Silence } from "./incident.ts";
import type { Verdict } from "./verdict.ts";
import {
  aheadMs,
  infoCommand,
  readConfig,
  readInfo,
  readSlow,
  type ServerSnapshot,
  SLOW_COMMANDS,
} from "./server_snapshot.ts";
import { ask } from "../connection/ask.ts";
import type { ConnectionFacts } from "../connection/push_right.ts";
import { isPassing } from "../connection/refusal.ts";

/** Options of a {@linkcode PostMortem}. */
export interface PostMortemOptions {
  /** The clock, Unix time in milliseconds. @default {Date.now} */
  readonly now?: () => number;
  /** From one investigation to the next, at least, in milliseconds. @default {5000} */
  readonly minIntervalMs?: number;
  /** Gets what was found. What it throws is ignored. @default {ignored} */
  readonly onVerdict?: (verdict: Verdict) => void;
}

/** A connection that may be asked. Only the holder of the right to push on it can make one. */
export interface Source {
  /** Which connection it is. */
  readonly connection: ConnectionFacts;
  /**
   * Pushes a command, before it returns.
   *
   * @returns The reply; an error reply is a value. `undefined` if the connection
   * has changed hands: nothing was sent then.
   */
  ask(command: Command): Promise<Reply> | undefined;
}

/**
 * Why there is no verdict: `"not-due"`, it is too early for another look, or one
 * is under way; `"not-asked"`, the connection changed hands before it could be
 * asked, so that the next one should be.
 */
export type NoVerdict = "not-due" | "not-asked";

/** A connection with one holder for all its life, as a source. */
export const sourceOf = (connection: Connection): Source => ({
  connection,
  ask: (command) => ask(connection, command),
});

/** Thrown where the connection that should be asked has changed hands. */
class Revoked extends Error {}

/** Moments closer than this, in milliseconds, are one. */
const APART_MS = 1000;
/** How many are kept. */
const KEPT = 32;
/** A reply this soon after a silence, in milliseconds, came during it. */
const SOON_MS = 150;
/** A reply in this part of a silence, its first, may have been on its way when it began. */
const BEGINNING = 0.25;

/** ServerSnapshot, where it came from, and when by `performance.now()`. */
interface Look {
  readonly connection: ConnectionFacts;
  readonly evidence: ServerSnapshot;
  readonly at: number;
}

/**
 * Finds out why connections to one endpoint ended.
 *
 * - It only reads: INFO, CONFIG GET, CLIENT LIST; after a silence SLOWLOG GET
 *   and LATENCY LATEST as well.
 * - A probe that the server refuses is never tried again.
 * - One investigation at a time, one in `minIntervalMs`.
 * - It never throws, and no command waits for it.
 */
export class PostMortem {
  readonly #options: Required<PostMortemOptions>;
  readonly #refused = new Set<string>();
  readonly #fenced = new WeakSet<ConnectionFacts>();
  /** What this client did itself, by the counters that it moves. */
  readonly #own: Record<string, number> = {};
  #taken: Look[] = [];
  #idle: CloseReport[] = [];
  /** The connections that were open lately, the newest last. */
  readonly #known = new Set<ConnectionFacts>();
  /** Those that were answered while another one fell silent. */
  readonly #answered = new WeakMap<CloseReport, Set<ConnectionFacts>>();
  #config: ServerSnapshot["config"] | undefined;
  #startedAt = -Infinity;
  #isBusy = false;

  /**
   * Makes one. It asks nothing yet.
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
  }

  /**
   * Takes, or renews, the evidence that the end of a connection will be
   * compared with. All that it asks is pushed before it returns.
   *
   * @param source An open connection.
   */
  takeBaseline(source: Source): void {
    this.#look(source, this.#config === undefined).catch(() => {});
  }

  /**
   * Told at once that a connection has ended, or was refused in its handshake:
   * what the others do meanwhile is evidence.
   *
   * @param report How it ended.
   * @param connection The connection.
   */
  noteEnd(report: CloseReport, connection: ConnectionFacts): void {
    this.#know(connection);
    if (isSilent(report)) this.#noteAnswered(report, performance.now());
  }

  /**
   * Told that the client itself is about to send CLIENT KILL for a connection that has ended.
   *
   * @param ended The connection.
   */
  noteFence(ended: ConnectionFacts): void {
    this.#fenced.add(ended);
    this.#count("cmdstat_client|kill");
    this.#count("cmdstat_client");
  }

  /**
   * Finds out why a connection ended, if it is time for that. All that it asks
   * is pushed before it returns.
   *
   * @param report How it ended.
   * @param ended The connection.
   * @param fresh An open one to the same endpoint, best the next.
   * @returns What was found, or why nothing was. Never rejects.
   */
  async investigate(
    report: CloseReport,
    ended: ConnectionFacts,
    fresh: Source,
  ): Promise<Verdict | NoVerdict> {
    const { minIntervalMs, onVerdict, now } = this.#options;
    // Those that died with it are no other time.
    const earlierIdleMs = this.#idle
      .filter(({ closedAt }) => Math.abs(report.closedAt - closedAt) > APART_MS)
      .map(({ idleMs }) => idleMs);
    this.#remember(report);
    const isEarly = Math.abs(now() - this.#startedAt) < minIntervalMs;
    if (this.#isBusy || isEarly) return "not-due";
    const lastStartedAt = this.#startedAt;
    this.#startedAt = now();
    this.#isBusy = true;
    this.#know(ended);
    const before = this.#before(report, ended);
    let listed: string | undefined, after: ServerSnapshot | undefined;
    try {
      [listed, after] = await Promise.all([
        this.#list(report, ended, fresh),
        this.#look(fresh, true, isSilent(report)),
      ]);
    } catch {
      this.#startedAt = lastStartedAt;
      return "not-asked";
    } finally {
      this.#isBusy = false;
    }
    const verdict = diagnose(
      report,
      before,
      after && (listed === undefined ? after : { ...after, listed }),
      {
        earlierIdleMs,
        survivors: this.#survivors(report, before),
        refused: [...this.#refused],
        ...(isSilent(report)
          ? { silence: this.#silence(report, before, fresh.connection) }
          : {}),
      },
    );
    try {
      onVerdict(verdict);
    } catch {
      // What onVerdict throws is ignored.
    }
    return verdict;
  }

  /** Deaths of one moment are one: a limit is what comes back. */
  #remember(report: CloseReport): void {
    const { during, by, closedAt } = report;
    const sinceMs = closedAt - (this.#idle.at(-1)?.closedAt ?? 0);
    if (during === "idle" && by !== "client" && sinceMs > APART_MS) {
      this.#idle = [...this.#idle.slice(1 - KEPT), report];
    }
  }

  /** The newest evidence from before the end: others had the least time to move its numbers. */
  #before(
    { how, closedAt }: CloseReport,
    ended: ConnectionFacts,
  ): ServerSnapshot | undefined {
    const own = this.#taken.findLast((t) => t.connection === ended)?.evidence;
    // Silence may have begun at any time.
    if (how === "silence" && own !== undefined) return own;
    const dueAt = own === undefined ? closedAt : closedAt - APART_MS;
    const newest = this.#taken.findLast(({ evidence: { takenAt, info } }) =>
      takenAt <= dueAt && takenAt >= (own?.takenAt ?? 0) &&
      info.run_id === (own?.info ?? info).run_id
    );
    return newest?.evidence ?? own;
  }

  #survivors(
    { closedAt }: CloseReport,
    before: ServerSnapshot | undefined,
  ): number {
    const outlived = this.#taken.filter(({ connection, evidence }) =>
      evidence.info.run_id === before?.info.run_id &&
      (connection.report?.closedAt ?? Infinity) > closedAt + APART_MS
    );
    return new Set(outlived.map(({ connection }) => connection)).size;
  }

  #know(connection: ConnectionFacts): void {
    this.#known.delete(connection);
    this.#known.add(connection);
    const [oldest] = this.#known;
    if (this.#known.size > KEPT) this.#known.delete(oldest!);
  }

  /** Takes down the open connections that were answered in a silence. */
  #noteAnswered(report: CloseReport, endedAt: number): Set<ConnectionFacts> {
    const answered = this.#answered.get(report) ?? new Set();
    this.#answered.set(report, answered);
    const since = endedAt - (1 - BEGINNING) * report.owedMs;
    for (const other of this.#known) {
      if (
        other.report === undefined && other.heardAt >= since &&
        other.heardAt <= endedAt + SOON_MS
      ) answered.add(other);
    }
    return answered;
  }

  /** What the other connections did while one fell silent. */
  #silence(
    report: CloseReport,
    before: ServerSnapshot | undefined,
    fresh: ConnectionFacts,
  ): Silence {
    const { closedAt, owedMs } = report;
    const endedAt = closedAt - Date.now() + performance.now();
    const lookedAt = this.#taken.find(({ evidence }) => evidence === before)
      ?.at ?? NaN;
    const answered = this.#noteAnswered(report, endedAt);
    answered.delete(fresh);
    const others = [...this.#known].filter((other) => other !== fresh);
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
        [...this.#known].filter(({ openedAt, identity }) =>
          identity !== undefined && openedAt > lookedAt
        ).length,
      dialMs: fresh.dialMs,
      usualDialMs: dials[dials.length >> 1],
    };
  }

  /** The old connection in CLIENT LIST, unless this client has fenced it off itself. */
  async #list(
    { clientId }: CloseReport,
    ended: ConnectionFacts,
    fresh: Source,
  ): Promise<string | undefined> {
    if (clientId === undefined || this.#fenced.has(ended)) return undefined;
    const list = await this.#probe(fresh, ["CLIENT", "LIST", "ID", clientId]);
    if (typeof list !== "string" || this.#fenced.has(ended)) return undefined;
    this.#count("cmdstat_client");
    const [, ...parts] = /^(id=\d+).*( age=\d+ idle=\d+)/m.exec(list) ?? [];
    return parts.join("");
  }

  async #look(
    source: Source,
    asksConfig: boolean,
    asksSlow = false,
  ): Promise<ServerSnapshot | undefined> {
    const { connection } = source;
    this.#know(connection);
    // INFO goes last: its numbers count what the others cause.
    const names = asksConfig ? ["timeout", "client-*-buffer-limit"] : [];
    const [configs, slow, info] = await Promise.all([
      Promise.all(
        names.map((name) => this.#probe(source, ["CONFIG", "GET", name])),
      ),
      Promise.all(
        (asksSlow ? SLOW_COMMANDS : []).map(async (command) =>
          [nameOf(command), await this.#probe(source, command)] as const
        ),
      ),
      this.#probe(source, infoCommand(connection.identity?.version)),
    ]);
    const told = configs.filter((reply) => reply !== undefined);
    if (told.length > 0) {
      this.#config = Object.assign({}, ...told.map(readConfig));
    }
    if (typeof info !== "string") return undefined;
    const evidence: ServerSnapshot = {
      takenAt: this.#options.now(),
      info: readInfo(info),
      own: { ...this.#own },
      config: this.#config ?? {},
    };
    const look = { connection, evidence, at: performance.now() };
    this.#taken = [...this.#taken.slice(1 - KEPT), look];
    if (!asksSlow) return evidence;
    const ahead = aheadMs(evidence);
    return {
      ...evidence,
      slow: Object.fromEntries(
        slow.flatMap(([name, reply]) =>
          reply === undefined ? [] : [[name, readSlow(reply, ahead)]]
        ),
      ),
    };
  }

  /**
   * The reply; `undefined` if the server refuses it, now or once before, or the connection ends.
   *
   * @throws {Revoked} If the connection has changed hands.
   */
  async #probe(
    source: Source,
    command: Command,
  ): Promise<Reply | undefined> {
    const name = nameOf(command);
    if (this.#refused.has(name)) return undefined;
    const asked = source.ask(command);
    if (asked === undefined) throw new Revoked();
    try {
      const reply = await asked;
      if (!(reply instanceof ReplyError)) return reply;
      this.#count(`errorstat_${reply.code}`);
      if (!isPassing(reply)) this.#refused.add(name);
    } catch {
      // It ended.
    }
    return undefined;
  }

  #count(counter: string): void {
    this.#own[counter] = (this.#own[counter] ?? 0) + 1;
  }
}

/** A probe's name, as verdicts tell it. */
const nameOf = ([name, part]: Command): string =>
  name === "INFO" ? name : `${name} ${part}`;
