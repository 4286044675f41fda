// The face of pub/sub: what its user calls.
import type { CloseReport } from "../pool/connection/close_report.ts";
import { open } from "../pool/connection/open.ts";
import type { Connection } from "../pool/connection/connection.ts";
import type { Verdict } from "../pool/forensics/verdict.ts";
import { ClosedError } from "../pool/errors.ts";
import { dial } from "../pool/socket/dial.ts";
import { Endpoint } from "../pool/socket/endpoint.ts";
import { runtime } from "../pool/socket/runtime.ts";
import { whenAborted } from "../pool/when_aborted.ts";
import { ExponentialBackoff } from "../retry/backoff.ts";
import { directoryOf } from "../client/choose_directory.ts";
import type { BulkOf } from "../client/commands/replies.ts";
import { DeadlineError, Deadlines } from "../client/deadlines.ts";
import { invokeSafely } from "../client/invoke_safely.ts";
import { publishedEvents } from "../client/server_events.ts";
import type { Directory } from "../client/servers/directory.ts";
import {
  Server,
  type ServerEvents,
  type ServerOptions,
} from "../client/servers/server.ts";
import { type Origin, originOf } from "../client/telemetry.ts";
import { Channel, type ChannelKind, COMMANDS } from "./channel.ts";
import { Inbox } from "./inbox.ts";
import type { Loss } from "./items.ts";
import {
  checkSubscribeOptions,
  namesOf,
  settingsOf,
  type SubscribeOptions,
  type SubscriberOptions,
} from "./options.ts";
import { Placement } from "./placement.ts";
import { Subscription } from "./subscription.ts";

const DEFAULTS = {
  maxQueued: 5000, // more than one read can bring: 64 KiB of messages
  maxQueuedBytes: 16 * 1024 * 1024,
  whenFull: "block",
  deadlineMs: 10_000,
} as const;

/** Beside those with subscriptions: for CLUSTER SLOTS and post-mortems. */
const MAX_OTHER_CONNECTIONS = 2;

/** What a subscriber has done so far, and what it holds now. */
export interface SubscriberStats {
  /** Subscriptions that have not ended. */
  subscriptions: number;
  /** Channels, patterns and shard channels that are subscribed or to be. */
  channels: number;
  /** Of these, those that the server has acknowledged: messages of the others do not come now. */
  active: number;
  /** Connections with subscriptions that are open. */
  open: number;
  /** Messages that have come. */
  messages: number;
  /** Messages that were dropped because a queue was full. */
  dropped: number;
  /** Gaps that were delivered, or wait. */
  gaps: number;
  /** Connections that were lost. */
  losses: number;
  /** Attempts to subscribe that have failed. */
  failures: number;
  /** What the last one failed with. */
  lastError: Error | undefined;
  /** How the last connection ended. */
  lastClose: CloseReport | undefined;
  /** The verdict of the last post-mortem. */
  lastVerdict: Verdict | undefined;
}

/**
 * A subscriber of Redis pub/sub, on connections of its own.
 *
 * - A subscription is active once its promise has resolved: the server has
 *   acknowledged it, and what is published from then on is delivered, once, in
 *   the order of its channel.
 * - Where that cannot be held there is a {@linkcode Gap} in the stream, between what was
 *   delivered before and after: when, how long, why. Silence without an {@linkcode Away} is peace.
 * - A lost connection is replaced, with backoff, for as long as something is subscribed. A
 *   peer that is silently gone is found by PING within `pingIntervalMs` and
 *   `replyTimeoutMs`, 10 seconds by default; after a freeze of this process within 2.
 * - Subscriptions of one channel share one on the server. One that comes or goes
 *   costs the others no message.
 * - What waits for a slow reader is bounded, and so is each message; see {@linkcode WhenFull}.
 * - In a cluster a shard channel is subscribed at the server that holds its hash slot, wherever that moves.
 * - The password is in no error, report or text.
 *
 * It has no `send`: commands are sent by a `Redis`.
 *
 * @example Messages by callback
 * ```ts
 * import { Redis } from "@unzombie/redis";
 * import { Subscriber } from "@unzombie/redis/pubsub";
 * import { assertEquals } from "@std/assert";
 *
 * const url = Deno.env.get("REDIS_URL");
 * await using redis = new Redis(url);
 * await using subscriber = new Subscriber(url);
 * const { promise: heard, resolve } = Promise.withResolvers<string>();
 * await subscriber.subscribe("news", {
 *   onMessage: ({ payload }) => resolve(payload),
 *   onGap: ({ ms, reason }) => console.warn(`${ms} ms may be missing: ${reason}`),
 * });
 * await redis.send(["PUBLISH", "news", "hello"]);
 * assertEquals(await heard, "hello");
 * ```
 */
export class Subscriber implements AsyncDisposable {
  readonly #options: SubscriberOptions;
  readonly #directory: Directory;
  readonly #placement: Placement;
  readonly #deadlines = new Deadlines();
  readonly #oneRequest = runtime.newOneRequest?.("subscriber");
  readonly #channels: Readonly<Record<ChannelKind, Map<string, Channel>>> = {
    channel: new Map(),
    pattern: new Map(),
    shard: new Map(),
  };
  readonly #inboxes = new Set<Inbox>();
  #messages = 0;
  #dropped = 0;
  #gaps = 0;
  #losses = 0;
  #failures = 0;
  #dialed = 0;
  #lastError: Error | undefined;
  #lastClose: CloseReport | undefined;
  #lastVerdict: Verdict | undefined;
  #closed: Promise<void> | undefined;

  /**
   * Makes a subscriber. Nothing is dialed before the first subscription.
   *
   * @param url As for `Redis`. @default {"redis://127.0.0.1:6379"}
   * @param options See {@linkcode SubscriberOptions}.
   * @throws {TypeError} If the URL or an option cannot be used.
   * @throws {RangeError} If a number is out of its range.
   */
  constructor(url?: string | URL, options: SubscriberOptions = {}) {
    const settings = settingsOf(options);
    const { pingIntervalMs = 5000, postMortem = false } = options;
    this.#options = options;
    const common = {
      ...settings,
      maxConnections: MAX_OTHER_CONNECTIONS,
      dial: options.dial ?? dial,
      limits: options.limits ?? {},
      postMortem,
    };
    const made = new WeakMap<Server, [ServerOptions, ServerEvents]>();
    this.#directory = directoryOf(new Endpoint(url, options), {
      serverAt: (endpoint, role) => {
        const serverOptions = { ...common, ...role };
        const events = publishedEvents(endpoint, {
          ...options.onClose === undefined ? {} : { onClose: options.onClose },
          onVerdict: (verdict) => {
            this.#lastVerdict = verdict;
            options.onVerdict?.(verdict);
          },
        });
        const server = new Server(endpoint, serverOptions, events);
        made.set(server, [serverOptions, events]);
        return server;
      },
      connectTimeoutMs: settings.connectTimeoutMs,
      maxWaiting: Infinity,
      sentinel: {
        ...options.sentinel,
        dial: common.dial,
        limits: common.limits,
      },
      hasCalls: () => false, // it is asked to renew instead, which is enough four times less often
      onFailover: () => this.#placement.leaveDeparted(),
    });
    this.#placement = new Placement({
      directory: this.#directory,
      open: async (server, onClose, signal) => {
        const [serverOptions, events] = made.get(server)!;
        const startedAt = performance.now();
        let connection: Connection;
        try {
          connection = await open(server.endpoint, {
            ...serverOptions,
            number: ++this.#dialed,
            signal,
            observer: {
              onClose: (connection, report) => {
                if (connection.identity === undefined) return; // the dial fails
                server.noteEnd(report, connection);
                events.onClose(report);
                onClose(report);
              },
            },
          });
        } catch (error) {
          events.onDialFailed(error);
          throw error;
        }
        events.onOpen(connection, performance.now() - startedAt);
        // A post-mortem needs a connection that takes commands.
        if (postMortem) server.connect("shared", { take() {}, fail() {} });
        return connection;
      },
      pingIntervalMs,
      backoff: options.backoff ??
        new ExponentialBackoff({ capMs: 5000, jitter: 0.5 }),
      onError: (error, attempt, delayMs) => {
        this.#failures++;
        this.#lastError = error;
        // The 1st, the 2nd, the 4th, …
        if ((attempt & (attempt - 1)) !== 0) return;
        invokeSafely("onError of Subscriber", options.onError, error, {
          attempt,
          delayMs,
        });
      },
      onMessage: () => this.#messages++,
      onLost: (loss) => this.#noteLoss(loss),
    });
  }

  /**
   * Subscribes to channels.
   *
   * @param channels A channel, or several; their messages come in one stream.
   * @param options See {@linkcode SubscribeOptions}.
   * @returns The subscription, once the server has acknowledged it.
   * @throws {CommandError} If the server refuses it.
   * @throws {DialError} If no connection can be opened, and never will be.
   * @throws {DeadlineError} If the server has not acknowledged it in time; `cause` is what kept it.
   * @throws {ClosedError} If the subscriber is closed.
   * @throws {TypeError} If a name or an option cannot be used.
   */
  subscribe<const Binary extends boolean = false>(
    channels: string | readonly string[],
    options?: SubscribeOptions<Binary>,
  ): Promise<Subscription<BulkOf<Binary>>> {
    return this.#subscribe("channel", channels, options);
  }

  /**
   * Subscribes to patterns of channels, such as `"news.*"`.
   *
   * @param patterns A pattern, or several: https://redis.io/docs/latest/commands/psubscribe/
   * @param options See {@linkcode SubscribeOptions}.
   * @returns The subscription, once the server has acknowledged it.
   * @throws What {@linkcode Subscriber.subscribe} throws.
   *
   * @example A pattern
   * ```ts
   * import { Redis } from "@unzombie/redis";
   * import { Subscriber } from "@unzombie/redis/pubsub";
   * import { assertEquals } from "@std/assert";
   *
   * const url = Deno.env.get("REDIS_URL");
   * await using redis = new Redis(url);
   * await using subscriber = new Subscriber(url);
   * using subscription = await subscriber.psubscribe("news.*");
   * await redis.send(["PUBLISH", "news.sports", "1:0"]);
   * const { value } = await subscription.next();
   * assertEquals(value, {
   *   type: "message",
   *   channel: "news.sports",
   *   pattern: "news.*",
   *   payload: "1:0",
   * });
   * ```
   */
  psubscribe<const Binary extends boolean = false>(
    patterns: string | readonly string[],
    options?: SubscribeOptions<Binary>,
  ): Promise<Subscription<BulkOf<Binary>>> {
    return this.#subscribe("pattern", patterns, options);
  }

  /**
   * Subscribes to shard channels, those of SPUBLISH, since Redis 7: in a cluster they stay
   * with the servers that hold their hash slots.
   *
   * @param channels A shard channel, or several; their hash slots may differ.
   * @param options See {@linkcode SubscribeOptions}.
   * @returns The subscription, once the servers have acknowledged it.
   * @throws What {@linkcode Subscriber.subscribe} throws.
   */
  ssubscribe<const Binary extends boolean = false>(
    channels: string | readonly string[],
    options?: SubscribeOptions<Binary>,
  ): Promise<Subscription<BulkOf<Binary>>> {
    return this.#subscribe("shard", channels, options);
  }

  /** Where it connects to: `hostname`, `port` and `database`, no credentials. */
  get origin(): Origin {
    return originOf(this.#directory.endpoint);
  }

  /** Whether {@linkcode Subscriber.close} was called. */
  get isClosed(): boolean {
    return this.#closed !== undefined;
  }

  /** What it has done and holds. */
  stats(): SubscriberStats {
    const channels = Object.values(this.#channels).flatMap((some) => [
      ...some.values(),
    ]);
    return {
      subscriptions: this.#inboxes.size,
      channels: channels.length,
      active: channels.filter(({ activeSince }) => activeSince !== undefined)
        .length,
      open: this.#placement.open,
      messages: this.#messages,
      dropped: this.#dropped,
      gaps: this.#gaps,
      losses: this.#losses,
      failures: this.#failures,
      lastError: this.#lastError,
      lastClose: this.#lastClose,
      lastVerdict: this.#lastVerdict,
    };
  }

  /**
   * Ends every subscription, and closes every connection. What waits can still be read;
   * then the iterators end. Once it has resolved nothing of the subscriber is left.
   */
  close(): Promise<void> {
    return this.#closed ??= this.#close();
  }

  async #close(): Promise<void> {
    const reason = new ClosedError(
      `Cannot go on: this subscriber of ${this.#directory.name} is closed`,
    );
    const closed = this.#placement.close(reason);
    for (const inbox of [...this.#inboxes]) inbox.end(reason);
    await closed;
    await this.#directory.close(reason);
  }

  /** The same as {@linkcode Subscriber.close}. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  /** What it holds, in a line; never the password. */
  [Symbol.for("nodejs.util.inspect.custom")](): string {
    const { subscriptions, channels, active, open } = this.stats();
    return `Subscriber ${this.#directory.name}, ${
      this.isClosed ? "closed" : "open"
    }: ${subscriptions} subscriptions, ${active} of ${channels} channels active, ${open} connections`;
  }

  async #subscribe<Binary extends boolean>(
    kind: ChannelKind,
    given: string | readonly string[],
    options: SubscribeOptions<Binary> = {},
  ): Promise<Subscription<BulkOf<Binary>>> {
    const names = namesOf(given);
    checkSubscribeOptions(options);
    const { signal, deadlineMs = DEFAULTS.deadlineMs } = options;
    if (this.isClosed) {
      throw new ClosedError(
        `Cannot subscribe: this subscriber of ${this.#directory.name} is closed`,
      );
    }
    this.#oneRequest?.assert("subscribe");
    signal?.throwIfAborted();
    const inbox = this.#newInbox(kind, names, options);
    const detach = signal &&
      whenAborted(signal, () => inbox.abort(signal.reason));
    if (detach !== undefined) inbox.onEnd(detach);
    const startedAt = performance.now();
    const removeDeadline = deadlineMs === Infinity ? undefined : this.#deadlines
      .add(
        { expire: () => inbox.refuse(this.#late(kind, deadlineMs, inbox)) },
        startedAt + deadlineMs,
      );
    try {
      await inbox.active;
    } finally {
      removeDeadline?.();
    }
    return new Subscription<BulkOf<Binary>>(inbox, this.#oneRequest);
  }

  #newInbox(
    kind: ChannelKind,
    names: readonly string[],
    options: SubscribeOptions<boolean>,
  ): Inbox {
    const own = this.#options;
    const channels = names.map((name) => this.#channelOf(kind, name));
    const inbox = new Inbox({
      options,
      maxQueued: options.maxQueued ?? own.maxQueued ?? DEFAULTS.maxQueued,
      maxQueuedBytes: options.maxQueuedBytes ?? own.maxQueuedBytes ??
        DEFAULTS.maxQueuedBytes,
      whenFull: options.whenFull ?? own.whenFull ?? DEFAULTS.whenFull,
      channels,
      leave: () => this.#leave(inbox, channels),
      onDropped: () => this.#dropped++,
      onGap: () => this.#gaps++,
    });
    this.#inboxes.add(inbox);
    const now = Date.now();
    for (const channel of channels) {
      const isNew = !channel.isWanted;
      channel.add(inbox);
      if (isNew) this.#placement.place(channel);
      else if (inbox.binary) channel.place?.needBytes();
      if (channel.activeSince !== undefined) inbox.back(channel, now);
    }
    return inbox;
  }

  #channelOf(kind: ChannelKind, name: string): Channel {
    let channel = this.#channels[kind].get(name);
    if (channel === undefined) {
      channel = new Channel(kind, name);
      this.#channels[kind].set(name, channel);
    }
    return channel;
  }

  #leave(inbox: Inbox, channels: readonly Channel[]): void {
    this.#inboxes.delete(inbox);
    for (const channel of channels) {
      channel.remove(inbox);
      if (channel.isWanted) continue;
      this.#channels[channel.kind].delete(channel.name);
      this.#placement.remove(channel);
    }
  }

  #late(kind: ChannelKind, deadlineMs: number, inbox: Inbox): DeadlineError {
    const cause = inbox.failure;
    return new DeadlineError(
      COMMANDS[kind].add,
      deadlineMs,
      "unknown",
      "the server had not acknowledged it",
      cause === undefined ? undefined : { cause },
    );
  }

  #noteLoss({ report }: Loss): void {
    if (
      report === undefined ||
      report.by === "client" && report.how === "requested"
    ) return;
    this.#losses++;
    this.#lastClose = report;
  }
}
