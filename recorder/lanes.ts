// The ways of entries to their servers: for each server a lane, with first attempts, backlog and trimming.
import type { SendOptions } from "../client/send_options.ts";
import type { Origin } from "../client/telemetry.ts";
import { Backlog, type HomeOf } from "./backlog.ts";
import { Delivery } from "./delivery.ts";
import type { Entry } from "./entries/entry.ts";
import type { Outcomes } from "./entries/outcomes.ts";
import type { Notes } from "./late_repeats.ts";
import { Availability, type Outage } from "./outage.ts";
import type { Outbox } from "./outbox/outbox.ts";
import type { Retention } from "./retention.ts";
import type { Sender } from "./sender.ts";
import { type ReadOptions, Writer } from "./writer.ts";

/** What all lanes have in common. */
export interface LaneOptions {
  readonly sender: Sender;
  /** The options that everything is sent with. */
  readonly sendOptions: SendOptions;
  readonly outcomes: Outcomes;
  readonly outbox: Outbox;
  /** How long a first attempt may take, in milliseconds. */
  readonly deadlineMs: number | undefined;
  /** Makes what trims the sets of a lane; `undefined` if they are kept for ever. */
  readonly makeRetention: (() => Retention) | undefined;
  /** What notes the writes to a server; `undefined` if nothing is repeated. */
  readonly notesOf: ((server: string) => Notes) | undefined;
  /** What the reads of a flush need. */
  readonly reads: ReadOptions;
}

/** The way of entries to one server. Nothing that happens on it holds up another one. */
class Lane {
  /** The server: `hostname:port`. */
  readonly server: string;
  readonly availability: Availability;
  readonly retention: Retention | undefined;
  readonly backlog: Backlog;
  readonly delivery: Delivery;

  /** @param homeOf Where there are several servers. */
  constructor(server: string, options: LaneOptions, homeOf?: HomeOf) {
    const { sender, sendOptions, outcomes, outbox, deadlineMs } = options;
    this.server = server;
    this.availability = new Availability(homeOf !== undefined);
    this.retention = options.makeRetention?.();
    const writer = new Writer(
      sender,
      sendOptions,
      this.retention,
      options.notesOf?.(server),
      options.reads,
    );
    this.backlog = new Backlog(
      writer,
      outcomes,
      outbox,
      this.availability,
      homeOf,
    );
    this.delivery = new Delivery(
      writer,
      outcomes,
      this.availability,
      this.backlog,
      deadlineMs,
      homeOf,
    );
  }

  /** Whether nothing is on it, and nothing is known of its server. */
  get isUnused(): boolean {
    return this.delivery.isIdle && this.backlog.isEmpty &&
      this.availability.outage === undefined &&
      this.retention?.isIdle !== false;
  }
}

/** Where a key goes now; `undefined` where there is one server. */
export type ServerOf = ((key: string) => string) | undefined;

/** The name of a server. */
export const nameOf = ({ hostname, port }: Origin): string =>
  `${hostname}:${port}`;

/**
 * The lanes of a recorder. A client of one server has one; in a cluster an entry
 * takes that of the server that its key goes to now.
 */
export class Lanes {
  readonly #options: LaneOptions;
  readonly #serverOf: ServerOf;
  readonly #byServer = new Map<string, Lane>();
  readonly #only: Lane | undefined;
  #loss: Error | undefined; // what the rest was dropped or left with, once it has given up

  constructor(options: LaneOptions, serverOf: ServerOf) {
    this.#options = options;
    this.#serverOf = serverOf;
    if (serverOf !== undefined) return;
    const { sender } = options;
    this.#only = new Lane(nameOf(sender.origin), options);
    this.#byServer.set(this.#only.server, this.#only);
  }

  /** The lane of a key. */
  of(key: string): Lane {
    if (this.#only !== undefined) return this.#only;
    const server = this.#serverOf!(key);
    let lane = this.#byServer.get(server);
    if (lane === undefined) {
      lane = new Lane(server, this.#options, (key) => this.of(key).backlog);
      this.#byServer.set(server, lane);
    }
    return lane;
  }

  /** Takes an entry whose key, score and members are made. */
  accept(entry: Entry): void {
    if (this.#loss === undefined) this.of(entry.key).delivery.accept(entry);
    else if (this.#options.outbox.isDurable) {
      this.#options.outbox.giveUp([entry], this.#loss);
    } else this.#options.outcomes.dropped(entry, this.#loss);
  }

  /** The servers that take no events, each with the reason; the one that has taken none for longest first. */
  outages(): readonly (readonly [server: string, outage: Outage])[] {
    const outages: [string, Outage][] = [];
    for (const { server, availability } of this.#byServer.values()) {
      const { outage, key } = availability;
      if (outage === undefined) continue;
      // In charge of that key no more: no attempt would ever end its outage.
      if (this.of(key).server !== server) availability.clear();
      else outages.push([server, outage]);
    }
    return outages.sort(([, a], [, b]) => a.since - b.since);
  }

  /** For how long a server has been away, in milliseconds. */
  awayMs(server: string): number {
    const outage = this.#byServer.get(server)?.availability.outage;
    return outage === undefined ? 0 : Math.max(0, Date.now() - outage.since);
  }

  /** Sends each backlog now. */
  wake(): void {
    for (const { backlog } of this.#byServer.values()) backlog.wake();
  }

  /** Each entry that waits takes the lane of its key anew, at once: another server may be in charge. */
  reroute(): void {
    this.outages(); // forgets those of servers that have left
    const lanes = [...this.#byServer.values()];
    const waiting = lanes.flatMap(({ backlog }) => backlog.takeWaiting());
    const untrimmed = lanes.flatMap(({ retention }) =>
      retention?.takeWaiting() ?? []
    );
    for (const entry of waiting) this.of(entry.key).backlog.admit(entry);
    for (const entry of untrimmed) this.of(entry.key).retention!.add([entry]);
    for (const [server, lane] of this.#byServer) {
      if (lane.isUnused) this.#byServer.delete(server);
      else lane.backlog.startOver();
    }
  }

  /** Resolves once every set that was written is trimmed, or cannot be. */
  async trimmed(): Promise<void> {
    await Promise.all(
      Array.from(
        this.#byServer.values(),
        ({ retention }) => retention?.flush(),
      ),
    );
  }

  /**
   * Drops all that is not recorded yet, or leaves it to the store, and takes no more.
   *
   * @returns The error that they are dropped or queued with.
   */
  giveUp(reason: unknown): Error {
    const cause = this.outages()[0]?.[1].error ?? reason;
    const lanes = [...this.#byServer.values()];
    const entries = lanes.flatMap(({ delivery }) => delivery.end());
    for (const { retention } of lanes) retention?.end();
    return this.#loss = this.#options.outbox.giveUp(entries, cause);
  }
}

/** Where a key goes now, if the client says so. */
export function serverOfKey(client: Sender): ServerOf {
  if (client.originOf === undefined) return undefined;
  return (key) => {
    try {
      return nameOf(client.originOf!(key));
    } catch {
      return nameOf(client.origin); // sent there, it fails with what is wrong with the key
    }
  };
}
