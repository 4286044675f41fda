// What happened during a watch, gathered from its events.
import { CauseCounts } from "../watch/cause_counts.ts";
import type {
  CauseRow,
  DeathEvent,
  NodesEvent,
  StartEvent,
  SummaryEvent,
  WatchEvent,
} from "../watch/json_lines.ts";
import { IdleAges } from "./idle_ages.ts";
import { Lines } from "./lines.ts";
import { Moments } from "./moments.ts";

/** A time in which something lasted. Unix times in milliseconds. */
export interface Span {
  readonly from: number;
  /** `undefined` while it lasts. */
  readonly to?: number;
}

/** One server that was watched. */
export interface Server {
  /** `host:port`. */
  readonly node: string;
  readonly start: StartEvent;
  readonly lines: Lines;
  /** When it was away, and why. */
  readonly aways: (Span & { readonly reason: string })[];
  /** When it answered late, and no connection ended. */
  readonly stalls: Required<Span>[];
  /** The end of its watch. */
  summary?: SummaryEvent;
}

/** A watch of a night, or of a minute. */
export class Night {
  readonly #servers = new Map<string, Server>();
  readonly #causes = new CauseCounts();
  readonly #moments = new Moments();
  readonly #idleAges = new IdleAges();
  readonly #freezes: Required<Span>[] = [];
  readonly #changes: { readonly at: number; readonly what: string }[] = [];
  #of: string | undefined;
  #from = Infinity;
  #to = -Infinity;

  /** What was watched: a server, or the name of several. */
  get of(): string {
    return this.#of ?? this.servers[0]?.node ?? "no server";
  }

  /** The servers, in the order of their first appearance. */
  get servers(): readonly Server[] {
    return [...this.#servers.values()];
  }

  /** The first moment of the watch, as a Unix time in milliseconds. */
  get from(): number {
    return this.#from;
  }

  /** The last event, or what {@linkcode Night.isNow} was told last. */
  get to(): number {
    return this.#to;
  }

  /** Whether there has been a start event: without one nothing was watched. */
  get hasBegun(): boolean {
    return this.#servers.size > 0;
  }

  /** Whether the watch has ended. */
  get isOver(): boolean {
    return this.hasBegun && this.servers.every(({ summary }) => summary);
  }

  get deaths(): number {
    return this.#causes.deaths;
  }

  /** A row for each cause, the most frequent first. */
  get causes(): readonly CauseRow[] {
    return this.#causes.rows;
  }

  /** The probes that a server refused. */
  get refused(): readonly string[] {
    return this.#causes.refused;
  }

  get moments(): Moments {
    return this.#moments;
  }

  get idleAges(): IdleAges {
    return this.#idleAges;
  }

  /** When the process of the watch did not run. */
  get freezes(): readonly Required<Span>[] {
    return this.#freezes;
  }

  /** What has gone from one server to another. */
  get changes(): readonly { readonly at: number; readonly what: string }[] {
    return this.#changes;
  }

  /** The watch goes on, and nothing has happened. */
  isNow(at: number): void {
    this.#to = Math.max(this.#to, at);
  }

  /** Adds an event. Events of other types are ignored. */
  add(event: WatchEvent): void {
    const at = Date.parse(event.at);
    this.#from = Math.min(this.#from, at);
    this.isNow(at);
    switch (event.type) {
      case "nodes":
        return this.#addNodes(event, at);
      case "start":
        return this.#addStart(event);
      case "open":
        return this.#servers.get(event.node)?.lines
          .open(event.slot, event.connection, at);
      case "death":
        return this.#addDeath(event);
      case "away":
        this.#servers.get(event.node)?.aways
          .push({ from: at, reason: event.reason });
        return;
      case "back":
        return this.#endAway(event.node, event.afterMs);
      case "stalled":
        this.#servers.get(event.node)?.stalls
          .push({ from: at, to: at + event.forMs });
        return this.isNow(at + event.forMs);
      case "frozen":
        this.#freezes.push({ from: at - event.forMs, to: at });
        return;
      case "summary":
        return this.#addSummary(event, at);
    }
  }

  #addNodes({ of, changes }: NodesEvent, at: number): void {
    this.#of = of;
    for (const { from, what } of changes) {
      this.#changes.push({ at, what: `${from}: ${what}` });
    }
  }

  #addStart(start: StartEvent): void {
    const node = start.endpoint;
    this.#servers.set(node, {
      ...{ node, start, aways: [], stalls: [] },
      lines: new Lines(start),
    });
  }

  #addDeath(death: DeathEvent): void {
    this.#causes.add(death, death.cause === null ? [] : [death.cause]);
    this.#moments.add(death);
    this.#idleAges.add(death);
    this.#servers.get(death.node)?.lines.end(death);
  }

  #endAway(node: string, afterMs: number): void {
    const aways = this.#servers.get(node)?.aways ?? [];
    const last = aways.pop();
    if (last !== undefined) aways.push({ ...last, to: last.from + afterMs });
  }

  #addSummary(summary: SummaryEvent, at: number): void {
    const server = this.#servers.get(summary.endpoint);
    if (server === undefined) return;
    server.summary = summary;
    server.lines.stop(at);
  }
}
