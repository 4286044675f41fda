// The way of entries to one server: first attempts, backlog, trimming.
import type { SendOptions } from "../client/send_options.ts";
import { Availability } from "./availability.ts";
import { Backlog, type HomeOf } from "./backlog.ts";
import { Delivery } from "./delivery.ts";
import type { Holding } from "./holding.ts";
import type { Outcomes } from "./outcomes.ts";
import type { Notes } from "./late_repeats.ts";
import type { Retention } from "./retention.ts";
import type { Sender } from "./sender.ts";
import { Writer } from "./writer.ts";

/** What all lanes have in common. */
export interface LaneOptions {
  readonly sender: Sender;
  /** The options that everything is sent with. */
  readonly sendOptions: SendOptions;
  readonly outcomes: Outcomes;
  readonly holding: Holding;
  /** How long a first attempt may take, in milliseconds. */
  readonly deadlineMs: number | undefined;
  /** Makes what trims the sets of a lane; `undefined` if they are kept for ever. */
  readonly makeRetention: (() => Retention) | undefined;
  /** What notes the writes to a server; `undefined` if nothing is repeated. */
  readonly notesOf: ((server: string) => Notes) | undefined;
}

/** The way of entries to one server. Nothing that happens on it holds up another one. */
export class Lane {
  /** The server: `hostname:port`. */
  readonly server: string;
  readonly availability: Availability;
  readonly retention: Retention | undefined;
  readonly backlog: Backlog;
  readonly delivery: Delivery;

  /** @param homeOf Where there are several servers. */
  constructor(server: string, options: LaneOptions, homeOf?: HomeOf) {
    const { sender, sendOptions, outcomes, holding, deadlineMs } = options;
    this.server = server;
    this.availability = new Availability(homeOf !== undefined);
    this.retention = options.makeRetention?.();
    const writer = new Writer(
      sender,
      sendOptions,
      this.retention,
      options.notesOf?.(server),
    );
    this.backlog = new Backlog(
      writer,
      outcomes,
      holding,
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
