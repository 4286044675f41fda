// A link: one server, and the connection to it on which channels are subscribed.
import type { ReplyError } from "../resp/errors.ts";
import {
  type CloseReport,
  describeClose,
} from "../pool/connection/close_report.ts";
import type { Connection } from "../pool/connection/connection.ts";
import { FreezeDetector } from "../pool/liveness.ts";
import { FairTimeout } from "../pool/socket/fair_timeout.ts";
import { runtime, type Timer } from "../pool/socket/runtime.ts";
import type { Server } from "../client/servers/server.ts";
import type { Channel, ChannelKind, Listener, Place } from "./channel.ts";
import type { Loss } from "./items.ts";
import { SubscribedConnection } from "./subscribed_connection.ts";

/** How often a link is looked at, in milliseconds. */
const TICK_MS = 1000;
/** How long the answer to a PING may take after this process was frozen, in milliseconds: its peer may be gone by then. */
const PROOF_MS = 1000;
/** A link without channels is closed after this, in milliseconds. */
const UNUSED_MS = 2000;
/** For so long before a server gives a hash slot up another one may have had it, in milliseconds: the nodes of a cluster learn it one after the other. */
const OVERLAP_MS = 5000;
/**
 * Readers get so long to take what has come before more is read, in milliseconds.
 * Reads would outrun an iterator, and its queue would always be full: then each
 * message lives long enough to cost the garbage collector as much as all the rest.
 */
const READER_MS = 2;
/** So many names go into one command, so that a server is not held up by one. */
const NAMES_AT_ONCE = 1000;

/** Opens a connection to a server. */
export type OpenLink = (
  server: Server,
  onClose: (report: CloseReport) => void,
  signal: AbortSignal,
) => Promise<Connection>;

/** What a link calls. */
export interface LinkEvents {
  /** Channels are subscribed. */
  onActive(channels: readonly Channel[]): void;
  /** No connection could be opened: nothing is subscribed. The link is over. */
  onFailed(link: Link, channels: readonly Channel[], error: unknown): void;
  /** The server refuses a channel: the link has let go of it. */
  onRefused(channel: Channel, error: ReplyError): void;
  /** Channels are silent from now on. With a report the link is over. */
  onLost(link: Link, channels: readonly Channel[], loss: Loss): void;
  /** It had no channel for a while, and has closed. */
  onUnused(link: Link): void;
  /** A second has passed. */
  onTick(link: Link): void;
  /** A message has come. */
  onMessage(): void;
}

/** Options of a {@linkcode Link}. */
export interface LinkOptions {
  readonly server: Server;
  readonly open: OpenLink;
  readonly pingIntervalMs: number;
  /** Whether each channel needs a command of its own: its hash slot may differ. */
  readonly isCluster: boolean;
  readonly events: LinkEvents;
}

/**
 * A server, and the connection to it on which channels are subscribed.
 *
 * - It is opened once, and over when its connection has ended.
 * - A PING goes out every `pingIntervalMs`, whatever comes meanwhile: its answer
 *   shows that everything published before it has come.
 * - While a listener has no room nothing is read, and no PING is sent.
 */
export class Link implements Place {
  /** Where it leads. */
  readonly server: Server;
  readonly #options: LinkOptions;
  readonly #dial = new AbortController();
  readonly #channels = new Set<Channel>();
  readonly #holders = new Set<Listener>(); // have no room
  readonly #readers = new Set<Listener>(); // have something to be read
  readonly #readerTimer: Timer = runtime.newTimer(() => this.#goOn());
  #awaitsReaders = false;
  #hasAwaited = false; // what is handed on next was read before the wait
  readonly #unsettled = new Set<Listener>();
  readonly #freezes = new FreezeDetector();
  readonly #timer: Timer;
  readonly #proof: FairTimeout;
  #connection: Connection | undefined;
  #subscribed: SubscribedConnection | undefined;
  #opening: Promise<void> | undefined;
  #report: CloseReport | undefined;
  #provenAt = 0; // everything published before this has come, Unix time in milliseconds
  #pingedAt = 0; // by performance.now()
  #isPingOwed = false;
  #now = 0; // 0: to be read
  #unusedSince: number | undefined;

  /** @param options See {@linkcode LinkOptions}. */
  constructor(options: LinkOptions) {
    this.server = options.server;
    this.#options = options;
    this.#timer = runtime.newTimer(() => this.#tick());
    this.#proof = new FairTimeout(
      () => PROOF_MS,
      () =>
        this.#connection?.timeOut(
          `this process was frozen, and no PONG came for ${PROOF_MS} ms`,
        ),
    );
  }

  /** The present, Unix time in milliseconds: read once for what has come together. */
  get now(): number {
    return this.#now ||= Date.now();
  }

  /** Whether it can take no more channels. */
  get isOver(): boolean {
    return this.#report !== undefined || this.#dial.signal.aborted;
  }

  /** Whether it is open. */
  get isOpen(): boolean {
    return this.#subscribed !== undefined && !this.isOver;
  }

  /** The channels that are subscribed on it, or will be. */
  get channels(): ReadonlySet<Channel> {
    return this.#channels;
  }

  /** Subscribes channels, as soon as it is open. */
  take(channels: readonly Channel[]): void {
    this.#unusedSince = undefined;
    for (const channel of channels) {
      channel.place = this;
      this.#channels.add(channel);
    }
    if (this.#subscribed !== undefined) this.#subscribe(channels);
    else this.#opening ??= this.#open();
  }

  /** Lets go of channels that nothing listens to. */
  drop(channels: readonly Channel[]): void {
    const here = channels.filter((channel) => this.#channels.has(channel));
    for (const channel of here) this.#remove(channel);
    const subscribed = this.#subscribed;
    if (subscribed === undefined || this.isOver) return;
    for (const [kind, some] of this.#batches(here)) {
      subscribed.unsubscribe(kind, some);
    }
    if (this.#channels.size === 0) this.#unusedSince = performance.now();
  }

  /** A listener that takes bytes has come: from now on payloads are received as bytes. */
  needBytes(): void {
    if (this.#subscribed !== undefined) this.#subscribed.binary = true;
  }

  /** A listener that had no room has some. */
  resume(listener: Listener): void {
    if (!this.#holders.delete(listener) || this.#holders.size > 0) return;
    this.#connection?.resume();
  }

  waitFor(listener: Listener): void {
    this.#readers.add(listener);
  }

  drained(listener: Listener): void {
    if (this.#readers.delete(listener) && this.#readers.size === 0) {
      this.#goOn();
    }
  }

  /** All that has come was handed on: its readers are awaited, for a moment. */
  #awaitReaders(): void {
    const hasAwaited = this.#hasAwaited;
    this.#hasAwaited = false;
    if (hasAwaited || this.#readers.size === 0 || this.#holders.size > 0) {
      return;
    }
    this.#awaitsReaders = true;
    this.#connection!.hold();
    this.#readerTimer.start(READER_MS);
  }

  #goOn(): void {
    if (!this.#awaitsReaders) return;
    this.#awaitsReaders = false;
    this.#hasAwaited = true;
    this.#readerTimer.stop();
    if (this.#holders.size === 0) this.#connection?.resume();
  }

  /**
   * Closes it. Its channels are lost, if it has any.
   *
   * @param cause Why.
   * @param sinceMs For how long before now it may have missed messages, whatever PING has shown.
   */
  close(cause: string, sinceMs = 0): void {
    this.#provenAt = Math.min(this.#provenAt, Date.now() - sinceMs);
    this.#end();
    this.#dial.abort(new Error(cause));
    this.#connection?.close(cause);
  }

  /** When its dial is over. */
  async over(): Promise<void> {
    await this.#opening;
  }

  async #open(): Promise<void> {
    const { open, events } = this.#options;
    let connection: Connection;
    try {
      connection = await open(
        this.server,
        (report) => this.#closed(report),
        this.#dial.signal,
      );
    } catch (error) {
      this.#dial.abort(error);
      this.#end();
      return events.onFailed(this, this.#leave(), error);
    }
    this.#connection = connection;
    if (connection.report !== undefined) return this.#closed(connection.report);
    if (this.#dial.signal.aborted) return connection.close("it was closed");
    this.#subscribed = new SubscribedConnection(connection, {
      onMessage: (channel, name, pattern, payload) => {
        events.onMessage();
        channel.deliver(name, pattern, payload, this, this.#onFull);
      },
      onActive: (channels, sentAt) => this.#activate(channels, sentAt),
      onRefused: (channel, error) => {
        this.#remove(channel);
        if (this.#channels.size === 0) this.#unusedSince = performance.now();
        events.onRefused(channel, error);
      },
      onRevoked: (channel) => this.#revoke(channel),
      onPong: (sentAt) => {
        this.#provenAt = sentAt;
        this.#isPingOwed = false;
        this.#proof.stop();
      },
      onTaken: () => {
        this.#now = 0;
        this.#settle();
        this.#awaitReaders();
      },
    });
    this.#pingedAt = performance.now();
    this.#freezes.restart();
    if (this.#channels.size === 0) this.#unusedSince = performance.now();
    else this.#subscribe([...this.#channels]);
    this.#timer.start(this.#tickMs);
  }

  get #tickMs(): number {
    return Math.min(TICK_MS, this.#options.pingIntervalMs);
  }

  /** Made once, not for each message. */
  readonly #onFull = (listener: Listener): void => {
    this.#holders.add(listener);
    this.#connection!.hold();
  };

  #subscribe(channels: readonly Channel[]): void {
    if (channels.some(({ needsBytes }) => needsBytes)) this.needBytes();
    for (const [kind, some] of this.#batches(channels)) {
      this.#subscribed!.subscribe(kind, some);
    }
  }

  /** The channels by the command that takes them. */
  #batches(channels: readonly Channel[]): [ChannelKind, Channel[]][] {
    const batches: [ChannelKind, Channel[]][] = [];
    for (const kind of ["channel", "pattern", "shard"] as const) {
      const some = channels.filter((channel) => channel.kind === kind);
      const size = kind === "shard" && this.#options.isCluster
        ? 1
        : NAMES_AT_ONCE;
      for (let i = 0; i < some.length; i += size) {
        batches.push([kind, some.slice(i, i + size)]);
      }
    }
    return batches;
  }

  #activate(channels: readonly Channel[], sentAt: number): void {
    const now = Date.now();
    if (this.#provenAt === 0) this.#provenAt = sentAt;
    for (const channel of channels) {
      channel.activeSince = sentAt;
      for (const listener of channel.listeners) {
        listener.back(channel, now);
        this.#unsettled.add(listener);
      }
    }
    this.#options.events.onActive(channels);
  }

  #settle(): void {
    if (this.#unsettled.size === 0) return;
    const all = [...this.#unsettled];
    this.#unsettled.clear();
    for (const listener of all) listener.settle();
  }

  /**
   * Gives up a shard channel whose hash slot is somewhere else now.
   *
   * @param reason Why, as a sentence.
   * @param sinceMs For how long before now messages may have gone there, in milliseconds.
   */
  giveUp(channel: Channel, reason: string, sinceMs: number): void {
    const from = Math.min(this.#fromOf([channel]), Date.now() - sinceMs);
    this.drop([channel]);
    channel.activeSince = undefined;
    const loss = { from, reason, report: undefined };
    this.#options.events.onLost(this, [channel], loss);
  }

  /** The server has ended a subscription. */
  #revoke(channel: Channel): void {
    this.#remove(channel); // nothing is to be dropped
    const reason =
      `${this.server.endpoint} does not hold the hash slot of shard channel ${
        JSON.stringify(channel.name)
      } any more`;
    this.giveUp(channel, reason, OVERLAP_MS);
  }

  /** Up to when nothing of these channels is missing, Unix time in milliseconds. */
  #fromOf(channels: readonly Channel[]): number {
    let first = Infinity;
    for (const { activeSince = Infinity } of channels) {
      first = Math.min(first, activeSince);
    }
    return first === Infinity
      ? this.#provenAt
      : Math.max(first, this.#provenAt);
  }

  #tick(): void {
    if (this.isOver) return;
    this.#timer.start(this.#tickMs);
    const now = performance.now();
    const { events, pingIntervalMs } = this.#options;
    const wasFrozen = this.#freezes.beat(this.#tickMs) !== undefined;
    const unusedMs = now - (this.#unusedSince ?? now);
    if (unusedMs >= UNUSED_MS && this.#channels.size === 0) {
      this.close("nothing is subscribed");
      return events.onUnused(this);
    }
    if (this.#connection!.isLoginDue) return this.close("its login ends soon");
    const isDue = now - this.#pingedAt >= pingIntervalMs - this.#tickMs / 2;
    const isHeld = this.#holders.size > 0;
    if ((isDue || wasFrozen) && !isHeld) {
      if (!this.#isPingOwed) {
        this.#pingedAt = now;
        this.#isPingOwed = true;
        this.#subscribed!.ping();
      }
      if (wasFrozen) this.#proof.start();
    }
    events.onTick(this);
  }

  #closed(report: CloseReport): void {
    if (this.#connection === undefined) return; // in the handshake: the dial fails
    if (this.#report !== undefined) return;
    this.#report = report;
    this.#end();
    const channels = this.#leave();
    const from = this.#fromOf(channels);
    const reason = describeClose(report);
    for (const channel of channels) channel.activeSince = undefined;
    this.#options.events.onLost(this, channels, { from, reason, report });
  }

  #end(): void {
    this.#timer.stop();
    this.#readerTimer.stop();
    this.#proof.stop();
  }

  /** Lets go of every channel, and returns those that are wanted. */
  #leave(): Channel[] {
    const channels = [...this.#channels];
    for (const channel of channels) this.#remove(channel);
    return channels.filter(({ isWanted }) => isWanted);
  }

  #remove(channel: Channel): void {
    this.#channels.delete(channel);
    if (channel.place === this) channel.place = undefined;
  }
}
