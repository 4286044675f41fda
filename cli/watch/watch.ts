// Keeps connections to a server open, and finds out why each one ends.
import { delay } from "@std/async/delay";
import type { CloseReport } from "../../pool/connection/close_report.ts";
import type {
  Connection,
  ConnectionObserver,
} from "../../pool/connection/connection.ts";
import { open } from "../../pool/connection/open.ts";
import { dial } from "../../pool/socket/dial.ts";
import type { Endpoint } from "../../pool/socket/endpoint.ts";
import { adviceOf } from "../target.ts";
import {
  BatchPostMortem,
  type Death,
  type ExaminedDeath,
  unexamined,
} from "./batch_post_mortem.ts";
import { CauseCounts } from "./cause_counts.ts";
import { Heartbeat } from "./heartbeat.ts";
import {
  type DeathEvent,
  deathEventOf,
  frozenEventOf,
  isoOf,
  orNull,
  type Status,
  type SummaryEvent,
  type WatchEvent,
} from "./json_lines.ts";
import { Outages } from "./outages.ts";
import { type Duty, WatchSlot } from "./watch_slot.ts";

/** What to watch, and for how long. */
export interface WatchOptions {
  /** What each connection does. */
  readonly duties: readonly Duty[];
  /** How long, in milliseconds; `Infinity` until the signal. */
  readonly forMs: number;
  /** For dialing, the handshake and every reply, in milliseconds. @default {5000} */
  readonly timeoutMs?: number;
  /** Ends the watch in good order. */
  readonly signal: AbortSignal;
  /** Whether to wait for a server that cannot be reached at the start, as for one that is away later. @default {false} */
  readonly isPatient?: boolean;
  /** Notes when this process did not run, if that is not up to the watch itself. */
  readonly heartbeat?: Heartbeat;
  /** Called with each event; with the deaths of one moment together. */
  readonly onEvent: (
    event: Exclude<WatchEvent, DeathEvent> | DeathEvent[],
  ) => void;
}

/** Connections that end within this time, in milliseconds, end at the same moment. */
const MOMENT_MS = 300;
/** A server that has been silent for this long, in milliseconds, when it is replaced, has not just been slow. */
const SILENT_MS = 500;
/** An answer that took this long, in milliseconds, was late. */
const STALLED_MS = 1000;
/** How many connections are opened at the same time. */
const OPENED_AT_ONCE = 10;

/** Connections to one server, idle and busy ones. */
export class Watch {
  readonly #endpoint: Endpoint;
  readonly #options: WatchOptions;
  readonly #postMortem = new BatchPostMortem();
  readonly #causes = new CauseCounts();
  readonly #outages = new Outages();
  readonly #slots: readonly WatchSlot[];
  readonly #startedAt = performance.now();
  readonly #heartbeat: Heartbeat;
  readonly #replaced = new AbortController();
  /** Deaths that are not investigated yet. */
  #deaths: Death[] = [];
  #dialed = 0;
  #moments = 0;
  #longestIdleMs = 0;
  /** When the last late answer came, by `performance.now()`. */
  #stalledUntil = -Infinity;
  #hasStarted = false;
  #wake: () => void = () => {};

  /** Opens nothing yet. */
  constructor(endpoint: Endpoint, options: WatchOptions) {
    this.#endpoint = endpoint;
    this.#options = options;
    const onAnswer = (
      connection: Connection,
      idleMs: number,
      sentAt: number,
    ) => {
      this.#longestIdleMs = Math.max(this.#longestIdleMs, idleMs);
      this.#postMortem.renewBaseline(connection);
      this.#noteAnswer(sentAt);
    };
    this.#slots = options.duties.map((duty, i) =>
      new WatchSlot(i + 1, duty, onAnswer)
    );
    this.#heartbeat = options.heartbeat ??
      new Heartbeat((ms) => options.onEvent(frozenEventOf(ms)));
  }

  /** The watch at this moment. */
  get status(): Status {
    const held = this.#slots.filter(({ connection }) => connection);
    return {
      watchedMs: performance.now() - this.#startedAt,
      connections: this.#slots.length,
      open: held.length,
      oldestIdleMs: Math.max(0, ...held.map(({ idleMs }) => idleMs)),
      deaths: this.#causes.deaths + this.#deaths.length,
      isAway: this.#outages.isAway,
    };
  }

  /**
   * Ends the watch: another server has taken this one's place. What has ended and was
   * not investigated is concluded from that, and so is what does not answer now.
   *
   * @param evidence What has gone where, such as `"hash slots 0-5460 went to h:7004"`.
   */
  replace(evidence: string): void {
    const now = performance.now();
    for (const { connection } of this.#slots) {
      if (connection !== undefined && connection.silentMs(now) >= SILENT_MS) {
        connection.timeOut("its server was replaced meanwhile");
      }
    }
    this.#replaced.abort(evidence);
  }

  /**
   * Watches to the end.
   *
   * @throws {DialError} If the server cannot be reached at the start, and the watch is not patient.
   */
  async run(): Promise<SummaryEvent> {
    const { forMs, signal, isPatient, heartbeat } = this.#options;
    const timeUp = new AbortController();
    const timer = forMs === Infinity
      ? undefined
      : setTimeout(() => timeUp.abort(), forMs);
    const end = AbortSignal.any([signal, timeUp.signal, this.#replaced.signal]);
    end.addEventListener("abort", () => this.#wake());
    try {
      const [first] = this.#slots as [WatchSlot];
      const failure = isPatient
        ? await this.#tryOpen(first, end)
        : void await this.#open(first, end);
      this.#publishStart(first.connection);
      if (failure !== undefined) this.#noteAway(failure);
      else await this.#fill(end);
      while (!end.aborted) {
        await this.#untilNeeded(end);
        if (!end.aborted) await this.#repair(end);
      }
      return await this.#conclude();
    } finally {
      clearTimeout(timer);
      if (heartbeat === undefined) this.#heartbeat[Symbol.dispose]();
      for (const slot of this.#slots) {
        const { connection } = slot;
        slot.release(); // so that this end is not counted as a death
        connection?.close();
      }
    }
  }

  #publishStart(first: Connection | undefined): void {
    const { duties, forMs, onEvent } = this.#options;
    onEvent({
      type: "start",
      at: isoOf(Date.now()),
      endpoint: `${this.#endpoint}`,
      tls: this.#endpoint.tls !== undefined,
      server: first?.identity?.version ?? null,
      connections: duties.map(({ role, everyMs }) => ({
        role,
        usedEveryMs: orNull(everyMs),
      })),
      forMs: orNull(forMs),
    });
    this.#hasStarted = true;
    for (const slot of this.#slots) this.#publishOpen(slot);
  }

  /** The start event comes first. */
  #publishOpen({ number, connection }: WatchSlot): void {
    if (!this.#hasStarted || connection === undefined) return;
    this.#options.onEvent({
      type: "open",
      node: `${this.#endpoint}`,
      at: isoOf(Date.now()),
      slot: number,
      connection: connection.number,
    });
  }

  /** Publishes that the server answered late. Connections that wait at the same time wait for the same reason. */
  #noteAnswer(sentAt: number): void {
    const now = performance.now();
    const forMs = Math.round(now - sentAt);
    if (forMs < STALLED_MS || sentAt < this.#stalledUntil) return;
    if (this.#heartbeat.bearingOn(sentAt, false) > 0) return;
    this.#stalledUntil = now;
    this.#options.onEvent({
      type: "stalled",
      node: `${this.#endpoint}`,
      at: isoOf(Date.now() - forMs),
      forMs,
    });
  }

  /** Waits until a connection has ended, or it is time for the next attempt to open one. */
  async #untilNeeded(end: AbortSignal): Promise<void> {
    const delayMs = this.#outages.nextDelayMs();
    if (delayMs !== undefined) {
      return await delay(delayMs, { signal: end }).catch(() => {});
    }
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#wake = resolve;
    if (this.#deaths.length === 0 && !end.aborted) await promise;
    await delay(MOMENT_MS, { signal: end }).catch(() => {});
  }

  /** Opens one connection, investigates the deaths on it, and opens the others. */
  async #repair(end: AbortSignal): Promise<void> {
    const [first] = this.#vacant;
    const failure = first && await this.#tryOpen(first, end);
    const openedAt = performance.now();
    if (end.aborted && first?.connection === undefined) return;
    await this.#investigate(first?.connection ?? this.#busyConnection);
    if (failure !== undefined) this.#noteAway(failure);
    else if (await this.#fill(end)) this.#noteBack(openedAt);
  }

  get #vacant(): WatchSlot[] {
    return this.#slots.filter(({ connection }) => connection === undefined);
  }

  /** A busy connection that is open. A question on an idle one would end its idle time. */
  get #busyConnection(): Connection | undefined {
    return this.#slots.find(({ connection, duty }) =>
      connection !== undefined && duty.role === "busy"
    )?.connection;
  }

  /** Opens all vacant connections, until one cannot be opened. Returns whether all could. */
  async #fill(end: AbortSignal): Promise<boolean> {
    const vacant = this.#vacant;
    while (vacant.length > 0 && !end.aborted) {
      const next = vacant.splice(0, OPENED_AT_ONCE);
      const failures = await Promise.all(
        next.map((slot) => this.#tryOpen(slot, end)),
      );
      const failure = failures.find((failure) => failure !== undefined);
      if (failure === undefined) continue;
      this.#noteAway(failure);
      return false;
    }
    return vacant.length === 0;
  }

  /** Opens a connection. Returns why it could not, unless the end of the watch is the reason. */
  async #tryOpen(
    slot: WatchSlot,
    end: AbortSignal,
  ): Promise<Error | undefined> {
    try {
      await this.#open(slot, end);
    } catch (error) {
      if (end.aborted) return undefined;
      return error instanceof Error ? error : new Error(String(error));
    }
  }

  #noteAway(error: Error): void {
    const reason = adviceOf(error);
    if (!this.#outages.begin(reason)) return;
    this.#options.onEvent({
      type: "away",
      node: `${this.#endpoint}`,
      at: isoOf(Date.now()),
      reason,
      open: this.status.open,
    });
  }

  /** @param openedAt When a connection was opened again, by `performance.now()`. */
  #noteBack(openedAt: number): void {
    const afterMs = this.#outages.end(openedAt);
    if (afterMs === undefined) return;
    this.#options.onEvent({
      type: "back",
      node: `${this.#endpoint}`,
      at: isoOf(Date.now()),
      afterMs,
    });
  }

  async #open(slot: WatchSlot, signal: AbortSignal): Promise<Connection> {
    const connection = await this.#dial(signal, {
      onClose: (connection, report) => {
        this.#postMortem.noteEnd(report, connection);
        if (slot.connection === connection) this.#noteDeath(slot, report);
      },
    });
    slot.adopt(connection);
    this.#publishOpen(slot);
    const { report } = connection;
    if (report !== undefined) this.#noteDeath(slot, report);
    this.#postMortem.takeBaseline(connection);
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
      number: ++this.#dialed,
      observer,
      signal,
    });
  }

  #noteDeath(slot: WatchSlot, report: CloseReport): void {
    const connection = slot.connection!;
    const isAtOnce = report.during === "idle";
    this.#deaths.push({
      connection,
      report,
      slot: slot.number,
      ...slot.duty,
      idleMs: slot.idleMsOf(report),
      frozenMs: this.#heartbeat.bearingOn(slot.wellAt, isAtOnce),
    });
    slot.release();
    this.#wake();
  }

  /** Investigates the deaths so far. Without a connection to ask they wait for the next. */
  async #investigate(fresh: Connection | undefined): Promise<void> {
    if (this.#deaths.length === 0 || fresh === undefined) return;
    const deaths = this.#deaths;
    this.#deaths = [];
    this.#publishDeaths(await this.#postMortem.investigate(deaths, fresh));
  }

  #publishDeaths(examined: readonly ExaminedDeath[]): void {
    if (examined.length === 0) return;
    const moment = ++this.#moments;
    const events = examined.map((death) =>
      deathEventOf(death, moment, examined.length)
    );
    events.forEach((event, i) =>
      this.#causes.add(event, examined[i]!.verdict.causes)
    );
    this.#options.onEvent(events);
  }

  /** Sends a PING on the idle connections: only a use shows that one was dropped silently. */
  async #conclude(): Promise<SummaryEvent> {
    const { isAway } = this.#outages;
    const { aborted: isReplaced, reason } = this.#replaced.signal;
    if (!isReplaced) {
      await Promise.all(this.#slots.map((slot) => slot.use()));
    }
    const { open, watchedMs, connections } = this.status;
    if (isReplaced) {
      this.#publishDeaths(
        this.#postMortem.concludeTakeover(this.#deaths, reason),
      );
    } else if (this.#deaths.length > 0) await this.#concludeDeaths(isAway);
    return {
      type: "summary",
      at: isoOf(Date.now()),
      endpoint: `${this.#endpoint}`,
      watchedMs: Math.round(watchedMs),
      connections: isReplaced ? 0 : connections,
      open: isReplaced ? 0 : open,
      deaths: this.#causes.deaths,
      causes: this.#causes.rows,
      longestIdleMs: Math.round(this.#longestIdleMs),
      awayTimes: this.#outages.count,
      awayMs: Math.round(this.#outages.totalMs),
      awayReason: this.#outages.reason,
      frozenMs: Math.round(this.#heartbeat.frozenMs),
      refused: this.#causes.refused,
    };
  }

  /** Investigates the last deaths; if the server is away, publishes them without a cause. */
  async #concludeDeaths(isAway: boolean): Promise<void> {
    const extra = this.#busyConnection === undefined && !isAway
      ? await this.#dial(new AbortController().signal, {}).catch(() =>
        undefined
      )
      : undefined;
    await this.#investigate(this.#busyConnection ?? extra);
    extra?.close();
    this.#publishDeaths(this.#deaths.map((death) => ({
      death,
      verdict: unexamined(death),
    })));
  }
}
