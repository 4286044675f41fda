// A watch of several servers: one watch each, for as long as it holds hash slots.
import { delay } from "@std/async/delay";
import { takeoversOf } from "../../client/servers/takeovers.ts";
import type { Topology } from "../../client/servers/topology.ts";
import { type Address, textOfAddress } from "../../pool/socket/address.ts";
import type { Endpoint } from "../../pool/socket/endpoint.ts";
import { Heartbeat } from "./heartbeat.ts";
import {
  frozenEventOf,
  isoOf,
  type NodesEvent,
  type Status,
  type SummaryEvent,
} from "./json_lines.ts";
import type { NodeSource } from "./node_source.ts";
import { Watch, type WatchOptions } from "./watch.ts";

/** What to watch, and for how long. */
export interface NodesWatchOptions
  extends Omit<WatchOptions, "isPatient" | "heartbeat" | "onEvent"> {
  /** Says which servers there are. */
  readonly source: NodeSource;
  /** The endpoint of a server. */
  readonly endpointAt: (address: Address) => Endpoint;
  /** How often to ask which servers there are, in milliseconds. @default {1000} */
  readonly lookEveryMs?: number;
  /** Called with each event; with the deaths of one moment at one server together. */
  readonly onEvent: (
    event: Parameters<WatchOptions["onEvent"]>[0] | NodesEvent,
  ) => void;
}

/** A server that is watched, or was. */
interface Watched {
  readonly watch: Watch;
  readonly summary: Promise<SummaryEvent>;
}

/**
 * Watches every server that holds hash slots.
 *
 * - Which they are is asked once a second. A change counts once two answers in a row
 *   agree: a server that was cut off may describe what was before.
 * - The watch of a server whose hash slots have gone to others ends, with that as
 *   the cause of what has ended and could not be investigated.
 */
export class NodesWatch {
  readonly #options: NodesWatchOptions;
  readonly #startedAt = performance.now();
  readonly #watched = new Map<string, Watched>();
  readonly #replaced: Watched[] = [];
  readonly #over = new AbortController();
  #topology: Topology | undefined;
  /** The last answer, if it was another topology. */
  #seen: string | undefined;

  constructor(options: NodesWatchOptions) {
    this.#options = options;
  }

  /** All watches at this moment. */
  get status(): Status {
    const present = [...this.#watched.values()].map(({ watch }) =>
      watch.status
    );
    const past = this.#replaced.map(({ watch }) => watch.status);
    const sum = (name: "connections" | "open" | "deaths", of = present) =>
      of.reduce((sum, status) => sum + status[name], 0);
    return {
      watchedMs: performance.now() - this.#startedAt,
      connections: sum("connections"),
      open: sum("open"),
      oldestIdleMs: Math.max(0, ...present.map((it) => it.oldestIdleMs)),
      deaths: sum("deaths", [...present, ...past]),
      isAway: present.some(({ isAway }) => isAway),
    };
  }

  /**
   * Watches to the end.
   *
   * @returns The summary of each server, those first that were replaced.
   * @throws If it cannot be found out at the start which servers there are.
   */
  async run(): Promise<SummaryEvent[]> {
    const { forMs, signal, source, onEvent } = this.#options;
    using heartbeat = new Heartbeat((ms) => onEvent(frozenEventOf(ms)));
    const timer = forMs === Infinity
      ? undefined
      : setTimeout(() => this.#over.abort(), forMs);
    const onAbort = () => this.#over.abort();
    signal.addEventListener("abort", onAbort);
    if (signal.aborted) onAbort();
    try {
      this.#follow(await source.look(), heartbeat);
      await this.#lookAgain(heartbeat);
      return await Promise.all(
        [...this.#replaced, ...this.#watched.values()].map(({ summary }) =>
          summary
        ),
      );
    } finally {
      clearTimeout(timer);
      signal.removeEventListener("abort", onAbort);
    }
  }

  /** Asks again and again, until the end. */
  async #lookAgain(heartbeat: Heartbeat): Promise<void> {
    const { source, lookEveryMs = 1000 } = this.#options;
    const { signal } = this.#over;
    while (!signal.aborted) {
      await delay(lookEveryMs, { signal }).catch(() => {});
      if (signal.aborted) return;
      // The watches report servers that are away.
      const found = await source.look().catch(() => undefined);
      if (found === undefined || signal.aborted) continue;
      const seen = describe(found);
      if (seen === describe(this.#topology!)) this.#seen = undefined;
      else if (seen === this.#seen) this.#follow(found, heartbeat);
      else this.#seen = seen;
    }
  }

  /** Watches the servers that are new, and ends the watch of those that hold nothing any more. */
  #follow(found: Topology, heartbeat: Heartbeat): void {
    const { source, onEvent } = this.#options;
    const takeovers = this.#topology === undefined
      ? []
      : takeoversOf(this.#topology, found);
    this.#topology = found;
    this.#seen = undefined;
    onEvent({
      type: "nodes",
      at: isoOf(Date.now()),
      of: source.name,
      nodes: primariesOf(found).map((address) => ({
        node: textOfAddress(address),
        hashSlots: found.rangesOf(address),
      })),
      covered: found.covered,
      changes: takeovers.map((takeover) => ({
        from: textOfAddress(takeover.from),
        to: textOfAddress(takeover.to),
        what: source.evidenceOf(takeover),
      })),
    });
    const names = new Set(primariesOf(found).map(textOfAddress));
    for (const [name, watched] of this.#watched) {
      if (names.has(name)) continue;
      this.#watched.delete(name);
      this.#replaced.push(watched);
      watched.watch.replace(
        takeovers.filter(({ from }) => textOfAddress(from) === name)
          .map((takeover) => source.evidenceOf(takeover)).join(", ") ||
          "its hash slots are not served any more",
      );
    }
    for (const address of primariesOf(found)) this.#watch(address, heartbeat);
  }

  #watch(address: Address, heartbeat: Heartbeat): void {
    const name = textOfAddress(address);
    if (this.#watched.has(name)) return;
    const { endpointAt, ...options } = this.#options;
    const watch = new Watch(endpointAt(address), {
      ...options,
      forMs: Infinity,
      signal: this.#over.signal,
      isPatient: true,
      heartbeat,
    });
    this.#watched.set(name, { watch, summary: watch.run() });
  }
}

const primariesOf = (topology: Topology): Address[] =>
  topology.shards.flatMap(({ primary, hashSlots }) =>
    hashSlots > 0 ? primary : []
  );

const describe = (topology: Topology): string =>
  primariesOf(topology)
    .map((address) => `${textOfAddress(address)} ${topology.rangesOf(address)}`)
    .sort().join("\n");
