// What the load of a row calls, so that other clients can be measured in the place of ours.
import {
  type CloseReport,
  type Fate,
  fateOf,
  PipelineError,
  Redis,
  type RedisOptions,
  type Retry,
  WebhookRecorder,
} from "../../../mod.ts";
import type { Site } from "./site.ts";

/** The name of the connections at the servers. */
export const CLIENT_NAME = "faults";

/** What became of an event: in Redis, kept by the client, or neither. */
export type Recorded = "recorded" | "queued" | "dropped";

/** What became of an INCR: success, or its fate. */
export type Outcome = "success" | Fate;

/** The death of a connection that the client did not close on purpose. */
export interface RoutedDeath {
  /** When, by `performance.now()`. */
  readonly at: number;
  /** `host:port` of the server; `undefined` if the client does not say. */
  readonly server: string | undefined;
}

/** A client under load. */
export interface RoutedClient {
  /** Adds an event to the sorted set of a shop, as the member that {@linkcode memberOf} says. */
  record(shop: number, id: string): Promise<Recorded>;
  increment(key: string): Promise<Outcome>;
  /** INCR of each key, in one pipeline if the client has such over several servers. */
  incrementAll(keys: readonly string[]): Promise<Outcome[]>;
  /** Events that are kept and not in Redis yet. */
  readonly pending: number;
  readonly deaths: readonly RoutedDeath[];
  /** `host:port` of the server that a shop's events go to now; `undefined` if the client does not say. */
  serverOf(shop: number): string | undefined;
  /** Waits until everything kept is in Redis. */
  flush(signal: AbortSignal): Promise<void>;
  close(): Promise<void>;
}

/** Makes a client for a site. */
export type MakeClient = (
  site: Site,
  how: { readonly retry?: Retry; readonly bySend?: boolean },
) => RoutedClient | Promise<RoutedClient>;

/** The sorted set of a shop. */
export const eventsKey = (shop: number | "*"): string =>
  `webhook_frequency_faults_${shop}_orders`;

/** The member of an event, or the n-th of them. */
export const memberOf = (id: number | string, n = 1): string => `${id}:${n}`;

/** The client of this module, with a recorder; with `bySend` events are sent as ZADD by `send`. */
export const ours: MakeClient = (site, { retry, bySend = false }) => {
  const deaths: RoutedDeath[] = [];
  const options: RedisOptions = {
    ...site.options,
    clientName: CLIENT_NAME,
    onClose: ({ how, endpoint }: CloseReport) => {
      if (how === "requested") return;
      deaths.push({ at: performance.now(), server: endpoint });
    },
    ...retry === undefined ? {} : { retry },
  };
  const redis = new Redis(site.url, options);
  // A second member for the same event shows by its number.
  let nextEvent = "";
  let made = 0;
  const recorder = new WebhookRecorder(redis, {
    newMember: () => memberOf(nextEvent, ++made),
    onError: () => {},
  });
  return {
    deaths,
    get pending() {
      return recorder.pending;
    },
    async record(shop, id) {
      if (bySend) {
        const member = memberOf(id);
        const command = ["ZADD", eventsKey(shop), "1", member] as const;
        return await redis.send(command).then(
          () => "recorded" as const,
          () => "dropped" as const,
        );
      }
      nextEvent = id;
      made = 0;
      const event = { mallId: "faults", shopNo: shop, eventType: "orders" };
      return (await recorder.record(event)).status;
    },
    increment: (key) =>
      redis.send(["INCR", key]).then(() => "success" as const, fateOf),
    async incrementAll(keys) {
      const commands = keys.map((key) => ["INCR", key] as const);
      const outcomeOf = (reply: unknown): Outcome =>
        typeof reply === "number" ? "success" : fateOf(reply);
      try {
        return (await redis.pipeline(commands)).map(outcomeOf);
      } catch (error) {
        return error instanceof PipelineError
          ? error.outcomes.map(outcomeOf)
          : keys.map(() => fateOf(error));
      }
    },
    serverOf: (shop) => {
      const { hostname, port } = redis.originOf(eventsKey(shop));
      return `${hostname}:${port}`;
    },
    flush: (signal) => recorder.flush({ signal }),
    async close() {
      await recorder[Symbol.asyncDispose]();
      await redis.close({ drainMs: 0 });
    },
  };
};
