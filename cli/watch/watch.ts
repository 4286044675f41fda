// Keeps connections open, opens those again that end, and tells why they did.
import { delay } from "@std/async/delay";
import { ExponentialBackoff } from "../../mod.ts";
import type { CloseReport } from "../../pool/connection/close_report.ts";
import type {
  Connection,
  ConnectionObserver,
} from "../../pool/connection/connection.ts";
import { open } from "../../pool/connection/open.ts";
import { dial } from "../../pool/socket/dial.ts";
import type { Endpoint } from "../../pool/socket/endpoint.ts";
import { Coroner, type Dead, unexamined } from "./death_batch.ts";
import { Heartbeat } from "./heartbeat.ts";
import { Tally } from "./cause_counts.ts";
import { adviceOf } from "../target.ts";
import {
  type DeathEvent,
  deathOf,
  isoOf,
  orNull,
  type Status,
  type SummaryEvent,
  type WatchEvent,
} from "./json_lines.ts";
import { type Duty, Watched } from "./watch_slot.ts";

/** How a watch is done. */
export interface WatchOptions {
  /** One connection for each. */
  readonly duties: readonly Duty[];
  /** How long, in milliseconds; `Infinity` until the signal. */
  readonly forMs: number;
  /** For dialing, the handshake and every reply, in milliseconds. @default {5000} */
  readonly timeoutMs?: number;
  /** Ends it in good order. */
  readonly signal: AbortSignal;
  /** Told what happens; the deaths of one moment together. */
  readonly onEvent: (
    event: Exclude<WatchEvent, DeathEvent> | DeathEvent[],
  ) => void;
}

/** What ends within this time, in milliseconds, ends at once. */
const MOMENT_MS = 300;
/** So many connections are opened at the same time. */
const OPENED_AT_ONCE = 10;
const BACKOFF = new ExponentialBackoff({ capMs: 5000, jitter: 0.2 });

/** Connections to one server, idle and busy ones. */
export class Watch {
  readonly #endpoint: Endpoint;
  readonly #options: WatchOptions;
  readonly #coroner = new Coroner();
  readonly #tally = new Tally();
  readonly #places: readonly Watched[];
  readonly #startedAt = performance.now();
  readonly #heartbeat: Heartbeat;
  #dead: Dead[] = [];
  #opened = 0;
  #moments = 0;
  #longestIdleMs = 0;
  #away: { readonly since: number; attempts: number } | undefined;
  #awayTimes = 0;
  #awayReason: string | null = null;
  #awayMs = 0;
  #wake: () => void = () => {};

  /** Opens nothing yet. */
  constructor(endpoint: Endpoint, options: WatchOptions) {
    this.#endpoint = endpoint;
    this.#options = options;
    const observer = {
      onAnswer: (connection: Connection, idleMs: number) => {
        this.#longestIdleMs = Math.max(this.#longestIdleMs, idleMs);
        this.#coroner.renew(connection);
      },
    };
    this.#places = options.duties.map((duty) => new Watched(duty, observer));
    this.#heartbeat = new Heartbeat((ms) =>
      options.onEvent({
        type: "frozen",
        at: isoOf(Date.now()),
        forMs: Math.round(ms),
      })
    );
  }

  /** What goes on. */
  get status(): Status {
    const held = this.#places.filter(({ connection }) => connection);
    return {
      watchedMs: performance.now() - this.#startedAt,
      connections: this.#places.length,
      open: held.length,
      oldestIdleMs: Math.max(0, ...held.map(({ idleMs }) => idleMs)),
      deaths: this.#tally.deaths + this.#dead.length,
      isAway: this.#away !== undefined,
    };
  }

  /**
   * Watches to the end.
   *
   * @throws {DialError} If the server cannot be reached at the start.
   */
  async run(): Promise<SummaryEvent> {
    const { forMs, signal, onEvent } = this.#options;
    const timeUp = new AbortController();
    const timer = forMs === Infinity
      ? undefined
      : setTimeout(() => timeUp.abort(), forMs);
    const end = AbortSignal.any([signal, timeUp.signal]);
    end.addEventListener("abort", () => this.#wake());
    try {
      const first = await this.#open(this.#places[0]!, end);
      onEvent({
        type: "start",
        at: isoOf(Date.now()),
        endpoint: `${this.#endpoint}`,
        tls: this.#endpoint.tls !== undefined,
        server: first.identity?.version ?? null,
        connections: this.#options.duties.map(({ role, everyMs }) => ({
          role,
          usedEveryMs: orNull(everyMs),
        })),
        forMs: orNull(forMs),
      });
      await this.#fill(end);
      while (!end.aborted) {
        await this.#untilNeeded(end);
        if (!end.aborted) await this.#attend(end);
      }
      return await this.#conclude();
    } finally {
      clearTimeout(timer);
      this.#heartbeat[Symbol.dispose]();
      for (const place of this.#places) {
        const { connection } = place;
        place.release(); // so that this end is none of the deaths
        connection?.close();
      }
    }
  }

  /** Waits until a connection has ended, or it is time to try again to open one. */
  async #untilNeeded(end: AbortSignal): Promise<void> {
    if (this.#away !== undefined) {
      const ms = BACKOFF.delayMs(this.#away.attempts++);
      return await delay(ms, { signal: end }).catch(() => {});
    }
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#wake = resolve;
    if (this.#dead.length === 0 && !end.aborted) await promise;
    await delay(MOMENT_MS, { signal: end }).catch(() => {});
  }

  /** Opens the next connection, looks with it into the deaths before it, and opens the others. */
  async #attend(end: AbortSignal): Promise<void> {
    const [first] = this.#vacant;
    const failure = first && await this.#tryOpen(first, end);
    const openedAt = performance.now();
    if (end.aborted && first?.connection === undefined) return;
    await this.#bury(first?.connection ?? this.#witness);
    if (failure !== undefined) this.#isAway(failure);
    else if (await this.#fill(end)) this.#isBack(openedAt);
  }

  get #vacant(): Watched[] {
    return this.#places.filter(({ connection }) => connection === undefined);
  }

  /** A busy connection that is open: the idle ones are not to be woken. */
  get #witness(): Connection | undefined {
    return this.#places.find(({ connection, duty }) =>
      connection !== undefined && duty.role === "busy"
    )?.connection;
  }

  /** Opens all that are vacant, until one cannot be opened. Returns whether all could. */
  async #fill(end: AbortSignal): Promise<boolean> {
    const vacant = this.#vacant;
    while (vacant.length > 0 && !end.aborted) {
      const next = vacant.splice(0, OPENED_AT_ONCE);
      const failures = await Promise.all(
        next.map((place) => this.#tryOpen(place, end)),
      );
      const failure = failures.find((failure) => failure !== undefined);
      if (failure === undefined) continue;
      this.#isAway(failure);
      return false;
    }
    return vacant.length === 0;
  }

  /** Opens a connection. Returns why it could not, unless the end was the reason. */
  async #tryOpen(
    place: Watched,
    end: AbortSignal,
  ): Promise<Error | undefined> {
    try {
      await this.#open(place, end);
    } catch (error) {
      if (end.aborted) return undefined;
      return error instanceof Error ? error : new Error(String(error));
    }
  }

  #isAway(error: Error): void {
    const reason = adviceOf(error);
    this.#awayReason = reason;
    if (this.#away !== undefined) return;
    this.#away = { since: performance.now(), attempts: 0 };
    this.#awayTimes++;
    this.#options.onEvent({
      type: "away",
      at: isoOf(Date.now()),
      reason,
      open: this.status.open,
    });
  }

  /** @param openedAt When a connection was opened again, by `performance.now()`. */
  #isBack(openedAt: number): void {
    if (this.#away === undefined) return;
    const afterMs = Math.round(openedAt - this.#away.since);
    this.#away = undefined;
    this.#awayMs += afterMs;
    this.#options.onEvent({ type: "back", at: isoOf(Date.now()), afterMs });
  }

  async #open(place: Watched, signal: AbortSignal): Promise<Connection> {
    const connection = await this.#dial(signal, {
      onClose: (connection, report) => {
        this.#coroner.ended(report, connection);
        if (place.connection === connection) this.#ended(place, report);
      },
    });
    place.adopt(connection);
    if (connection.report !== undefined) this.#ended(place, connection.report);
    this.#coroner.admit(connection);
    return connection;
  }

  #dial(
    signal: AbortSignal,
    observer: ConnectionObserver,
  ): Promise<Connection> {
    const { timeoutMs = 5000 } = this.#options;
    return open(this.#endpoint, {
      dial,
      connectTimeoutMs: timeoutMs,
      replyTimeoutMs: timeoutMs,
      number: ++this.#opened,
      observer,
      signal,
    });
  }

  #ended(place: Watched, report: CloseReport): void {
    const connection = place.connection!;
    const isAtOnce = report.during === "idle";
    this.#dead.push({
      connection,
      report,
      ...place.duty,
      idleMs: place.idleMsOf(report),
      frozenMs: this.#heartbeat.bearingOn(place.wellAt, isAtOnce),
    });
    place.release();
    this.#wake();
  }

  /** Tells which connections ended, and why. Without a connection to ask they wait. */
  async #bury(witness: Connection | undefined): Promise<void> {
    if (this.#dead.length === 0 || witness === undefined) return;
    const dead = this.#dead;
    this.#dead = [];
    this.#tell(await this.#coroner.examine(dead, witness));
  }

  #tell(findings: Awaited<ReturnType<Coroner["examine"]>>): void {
    if (findings.length === 0) return;
    const moment = ++this.#moments;
    const deaths = findings.map((finding) =>
      deathOf(finding, moment, findings.length)
    );
    deaths.forEach((death, i) =>
      this.#tally.add(death, findings[i]!.verdict.causes)
    );
    this.#options.onEvent(deaths);
  }

  /** Asks the idle connections whether they are alive: what was dropped silently shows only so. */
  async #conclude(): Promise<SummaryEvent> {
    const isAway = this.#away !== undefined;
    await Promise.all(this.#places.map((place) => place.use()));
    const { open, watchedMs, connections } = this.status;
    if (this.#dead.length > 0) {
      const guest = this.#witness === undefined && !isAway
        ? await this.#dial(new AbortController().signal, {}).catch(() =>
          undefined
        )
        : undefined;
      await this.#bury(this.#witness ?? guest);
      guest?.close();
      this.#tell(this.#dead.map((dead) => ({
        dead,
        verdict: unexamined(dead),
      })));
    }
    if (this.#away !== undefined) {
      this.#awayMs += performance.now() - this.#away.since;
    }
    return {
      type: "summary",
      at: isoOf(Date.now()),
      endpoint: `${this.#endpoint}`,
      watchedMs: Math.round(watchedMs),
      connections,
      open,
      deaths: this.#tally.deaths,
      causes: this.#tally.rows,
      longestIdleMs: Math.round(this.#longestIdleMs),
      awayTimes: this.#awayTimes,
      awayMs: Math.round(this.#awayMs),
      awayReason: this.#awayReason,
      frozenMs: Math.round(this.#heartbeat.frozenMs),
      refused: this.#tally.refused,
    };
  }
}
