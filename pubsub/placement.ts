// Which server each channel is subscribed at, now and after each loss.
import { ReplyError } from "../resp/errors.ts";
import { ConnectionClosedError } from "../pool/connection/close_report.ts";
import { fateOfReply, isPassing } from "../pool/connection/refusal.ts";
import { DialError } from "../pool/socket/dial_error.ts";
import { runtime, type Timer } from "../pool/socket/runtime.ts";
import type { Directory, Routed } from "../client/servers/directory.ts";
import type { Server } from "../client/servers/server.ts";
import { type Channel, COMMANDS, type Listener } from "./channel.ts";
import type { Loss } from "./items.ts";
import { Link, type LinkEvents, type OpenLink } from "./link.ts";

/** While subscribed, Sentinels are asked this often whether the primary is another one, and a cluster which server holds which hash slots, in milliseconds. */
const RENEW_MS = { sentinel: 1000, cluster: 10_000 };

/** Options of a {@linkcode Placement}. */
export interface PlacementOptions {
  readonly directory: Directory;
  readonly open: OpenLink;
  readonly pingIntervalMs: number;
  /** The wait before the next attempt, by how many have failed in a row, less one. */
  readonly backoff: { delayMs(attempt: number): number };
  /** An attempt to subscribe has failed; the next one follows after `delayMs`. */
  readonly onError: (error: Error, attempt: number, delayMs: number) => void;
  readonly onMessage: () => void;
  /** A connection was lost, after its channels were told. */
  readonly onLost: (loss: Loss) => void;
}

/** What a search for a server is about: the directory changes it. */
interface Search extends Routed {
  server: Server | undefined;
}

/** A search under way, and what ends it. */
interface Finding {
  cancel: ((reason: unknown) => void) | undefined;
}

/**
 * Puts channels where they belong: shard channels on the server that holds their hash
 * slot, all others together on one server.
 *
 * - A channel without a place is given one, again and again, with backoff, for
 *   as long as something listens to it.
 * - A server that is not in charge any more is left.
 */
export class Placement {
  readonly #options: PlacementOptions;
  readonly #links = new Map<Server, Link>();
  readonly #unplaced = new Set<Channel>(); // to be placed at the end of the turn
  readonly #waiting = new Set<Channel>(); // to be placed when the timer fires
  readonly #finding = new Set<Finding>(); // searches under way
  readonly #searches = new WeakMap<Channel, Search>();
  readonly #timer: Timer;
  readonly #events: LinkEvents;
  #common: Search | undefined; // of channels that any server takes
  #dueAt = Infinity;
  #renewedAt = 0;
  #closedFor: { readonly reason: unknown } | undefined;

  /** @param options See {@linkcode PlacementOptions}. */
  constructor(options: PlacementOptions) {
    this.#options = options;
    this.#timer = runtime.newTimer(() => this.#retry());
    this.#events = {
      onActive: (channels) => {
        for (const channel of channels) {
          channel.failures = 0;
          channel.failure = undefined;
        }
      },
      onFailed: (link, channels, error) => {
        this.#forget(link);
        this.#failed(channels, error);
      },
      onRefused: (channel, error) => void this.#refused(channel, error),
      onLost: (link, channels, loss) => this.#lost(link, channels, loss),
      onUnused: (link) => this.#forget(link),
      onTick: () => this.#renew(),
      onMessage: options.onMessage,
    };
  }

  /** The links that are open. */
  get open(): number {
    let open = 0;
    for (const link of this.#links.values()) if (link.isOpen) open++;
    return open;
  }

  /** Gives a channel a place, by the end of the turn. */
  place(channel: Channel): void {
    if (this.#unplaced.size === 0) queueMicrotask(() => this.#placeAll());
    this.#unplaced.add(channel);
  }

  /** Takes a channel from its place, by the end of the turn. */
  remove(channel: Channel): void {
    this.#unplaced.delete(channel);
    this.#waiting.delete(channel);
    channel.activeSince = undefined;
    channel.place?.drop([channel]);
  }

  /**
   * Another server has taken over: links to servers that are not in charge any more
   * are closed, and shard channels go where their hash slots are.
   */
  leaveDeparted(): void {
    const { directory } = this.#options;
    const { isCluster, name } = directory;
    const sinceMs = 2 * (isCluster ? RENEW_MS.cluster : RENEW_MS.sentinel);
    const inCharge = new Set(directory.entries().map(({ server }) => server));
    if (inCharge.size === 0) return; // nothing is known
    for (const link of [...this.#links.values()]) {
      const { endpoint } = link.server;
      if (!inCharge.has(link.server)) {
        link.close(`${endpoint} is not in charge any more of ${name}`, sinceMs);
        continue;
      }
      if (!isCluster) continue;
      for (const channel of [...link.channels]) {
        if (channel.kind !== "shard") continue;
        const holder = directory.serverOfKey(channel.name);
        if (holder === undefined || holder === link.server) continue;
        link.giveUp(
          channel,
          `${holder.endpoint} holds the hash slot of shard channel ${
            JSON.stringify(channel.name)
          } now, and not ${endpoint}`,
          sinceMs,
        );
      }
    }
  }

  /** Closes every link. Resolves when the last dial is over. */
  async close(reason: unknown): Promise<void> {
    this.#closedFor = { reason };
    this.#timer.stop();
    for (const { cancel } of [...this.#finding]) cancel?.(reason);
    const links = [...this.#links.values()];
    for (const link of links) link.close("closed by the caller");
    await Promise.all(links.map((link) => link.over()));
  }

  #placeAll(): void {
    if (this.#closedFor !== undefined) return;
    const channels = [...this.#unplaced].filter(({ isWanted }) => isWanted);
    this.#unplaced.clear();
    const { isCluster } = this.#options.directory;
    const common = channels.filter(({ kind }) =>
      kind !== "shard" || !isCluster
    );
    if (common.length > 0) this.#placeCommon(common);
    if (common.length === channels.length) return;
    const byServer = new Map<Server, Channel[]>();
    for (const channel of channels) {
      if (channel.kind !== "shard") continue;
      const search = this.#searchOf(channel);
      const server = this.#options.directory.serverOf(search);
      if (server === undefined) this.#find([channel], search);
      else {
        search.server = server;
        const some = byServer.get(server);
        if (some === undefined) byServer.set(server, [channel]);
        else some.push(channel);
      }
    }
    for (const [server, some] of byServer) this.#placeAt(server, some);
  }

  /** Places channels that any server takes, where the others of their kind are. */
  #placeCommon(channels: readonly Channel[]): void {
    const search = this.#common ??= {
      command: ["PING"],
      routing: undefined,
      server: undefined,
    };
    const used = search.server && this.#links.get(search.server);
    if (used !== undefined && !used.isOver) return used.take(channels);
    const server = this.#options.directory.serverOf(search);
    if (server === undefined) return this.#find(channels, search);
    search.server = server;
    this.#placeAt(server, channels);
  }

  #searchOf(channel: Channel): Search {
    if (channel.kind !== "shard" || !this.#options.directory.isCluster) {
      return this.#common!;
    }
    let search = this.#searches.get(channel);
    if (search === undefined) {
      search = {
        command: undefined,
        key: channel.name,
        routing: undefined,
        server: undefined,
      };
      this.#searches.set(channel, search);
    }
    return search;
  }

  #find(channels: readonly Channel[], search: Search): void {
    const under: Finding = { cancel: undefined };
    this.#finding.add(under);
    under.cancel = this.#options.directory.find(search, {
      found: (server) => {
        this.#finding.delete(under);
        if (this.#closedFor !== undefined) return;
        search.server = server;
        this.#placeAt(server, channels.filter(({ isWanted }) => isWanted));
      },
      fail: (reason) => {
        this.#finding.delete(under);
        search.server = undefined;
        this.#failed(channels, reason);
      },
    });
  }

  #placeAt(server: Server, channels: readonly Channel[]): void {
    if (channels.length === 0) return;
    let link = this.#links.get(server);
    if (link === undefined || link.isOver) {
      const { open, pingIntervalMs, directory } = this.#options;
      link = new Link({
        server,
        open,
        pingIntervalMs,
        isCluster: directory.isCluster,
        events: this.#events,
      });
      this.#links.set(server, link);
    }
    link.take(channels);
  }

  #forget(link: Link): void {
    if (this.#links.get(link.server) === link) this.#links.delete(link.server);
  }

  #lost(link: Link, channels: readonly Channel[], loss: Loss): void {
    const { report } = loss;
    if (report !== undefined) this.#forget(link);
    const byListener = new Map<Listener, Channel[]>();
    for (const channel of channels) {
      for (const listener of channel.listeners) {
        const some = byListener.get(listener);
        if (some === undefined) byListener.set(listener, [channel]);
        else some.push(channel);
      }
    }
    if (this.#closedFor === undefined) {
      for (const [listener, some] of byListener) listener.lost(some, loss);
    }
    this.#options.onLost(loss);
    if (this.#closedFor !== undefined || channels.length === 0) return;
    if (report !== undefined) {
      const error = new ConnectionClosedError(report, "unknown");
      this.#heed(channels, error);
    }
    // At once: the first attempt after a loss waits for nothing.
    for (const channel of channels) this.#searches.delete(channel);
    for (const channel of channels) this.place(channel);
  }

  async #refused(channel: Channel, reply: ReplyError): Promise<void> {
    // Loaded where it is needed: it brings the table of all commands.
    const { CommandError } = await import("../client/command_error.ts");
    const error = new CommandError(
      reply.message,
      COMMANDS[channel.kind].add,
      fateOfReply(reply),
    );
    this.#failed([channel], error);
  }

  /** Reports to the directory what has failed. Returns whether to try again at once. */
  #heed(channels: readonly Channel[], error: Error): boolean {
    const { directory } = this.#options;
    const searches = new Set(
      channels.map((channel) => this.#searchOf(channel)),
    );
    let isAtOnce = searches.size > 0;
    for (const search of searches) {
      const advice = directory.heed(search, error);
      if (advice !== "at-once") isAtOnce = false;
    }
    return isAtOnce;
  }

  #failed(channels: readonly Channel[], reason: unknown): void {
    if (this.#closedFor !== undefined) return;
    const wanted = channels.filter(({ isWanted }) => isWanted);
    if (wanted.length === 0) return;
    const error = reason instanceof Error ? reason : new Error(String(reason));
    if (this.#heed(wanted, error)) {
      for (const channel of wanted) this.place(channel);
      return;
    }
    const isRefusal = error instanceof ReplyError;
    const isFinal = isRefusal
      ? !isPassing(error) && !["MOVED", "ASK"].includes(error.code)
      : error instanceof DialError && !error.isRetriable;
    for (const channel of wanted) {
      for (const listener of channel.listeners) {
        if (isFinal) listener.refused(channel, error, isRefusal);
      }
    }
    const left = wanted.filter(({ isWanted }) => isWanted);
    if (left.length === 0) return;
    let attempt = 0;
    for (const channel of left) {
      attempt = Math.max(attempt, ++channel.failures);
      channel.failure = error;
      this.#waiting.add(channel);
    }
    const delayMs = this.#options.backoff.delayMs(attempt - 1);
    this.#options.onError(error, attempt, delayMs);
    const now = performance.now();
    if (now + delayMs >= this.#dueAt) return;
    this.#dueAt = now + delayMs;
    this.#timer.start(delayMs, now);
  }

  #retry(): void {
    const leftMs = this.#dueAt - performance.now();
    if (leftMs > 0) return this.#timer.start(leftMs);
    this.#dueAt = Infinity;
    const channels = [...this.#waiting];
    this.#waiting.clear();
    for (const channel of channels) this.place(channel);
  }

  #renew(): void {
    const { directory } = this.#options;
    const { isCluster, endpoint } = directory;
    if (!isCluster && endpoint.sentinel === undefined) return;
    this.leaveDeparted();
    const now = performance.now();
    const everyMs = isCluster ? RENEW_MS.cluster : RENEW_MS.sentinel;
    if (now - this.#renewedAt < everyMs / 2) return;
    this.#renewedAt = now;
    directory.renew();
  }
}
