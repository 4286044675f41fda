// The process-wide sink of telemetry. There is none until diagnostics.ts is imported.
import type { CloseReport } from "../pool/connection/close_report.ts";
import type { EvictionReason } from "../pool/pool_stats.ts";
import type { Endpoint } from "../pool/socket/endpoint.ts";
import type { Command } from "../resp/types.ts";
import type { RetryInfo } from "./options.ts";

/**
 * Where a client connects to. Clients pass their endpoint, which can name
 * credentials as well: a sink reads these three fields and no others.
 */
export type Origin = Pick<Endpoint, "hostname" | "port" | "database">;

/** An origin alone, such as that of an endpoint without its credentials. */
export const originOf = ({ hostname, port, database }: Origin): Origin => ({
  hostname,
  port,
  database,
});

/** The message of each channel, by the name of the channel. */
export interface TelemetryEvents {
  /** A connection was opened. */
  "connection:open": {
    /** Sequence number of the connection within its client, starting at 1. */
    readonly connection: number;
    /** The server's id for it (CLIENT ID), if the server sent one. */
    readonly clientId: number | undefined;
    /** Time for DNS, TCP, TLS and handshake together, in milliseconds. */
    readonly tookMs: number;
  };
  /** A connection could not be opened. */
  "connection:fail": { readonly error: unknown };
  /** A connection has left the pool. */
  "connection:evict": {
    readonly connection: number;
    readonly reason: EvictionReason;
  };
  /** A connection has ended. */
  "connection:close": { readonly report: CloseReport };
  /** A call had to wait for a connection. */
  "checkout:wait": {
    readonly waitedMs: number;
    /** Whether it waited for a connection of its own: for a lease or a blocking command. */
    readonly exclusive: boolean;
    /** The connection that it got; `undefined` if it got none. */
    readonly connection: number | undefined;
    /** Why it got none. */
    readonly error?: unknown;
  };
  /** A call is sent again after a wait. */
  "retry": RetryInfo;
  /** A call is sent again that may have run. */
  "replay": RetryInfo;
  /** A server of a cluster has answered that another one serves a hash slot. */
  "cluster:redirect": {
    /** `"ASK"`: for this command alone. */
    readonly code: "MOVED" | "ASK";
    readonly hashSlot: number;
    /** The server that answered, `host:port`. */
    readonly from: string;
    /** The server that it named. */
    readonly to: string;
  };
  /** A cluster was asked which server serves which hash slots. */
  "cluster:topology": {
    /** The primaries known now, each `host:port`. */
    readonly servers: readonly string[];
    /** How many of the 16,384 hash slots are served. */
    readonly covered: number;
    /** The server that was asked, `host:port`. */
    readonly askedOf: string;
    /** How long its answer took, in milliseconds. */
    readonly tookMs: number;
    /** Why it was asked, such as `"MOVED"`. */
    readonly why: string;
  };
  /** Sentinels name another primary than before, or the first one. */
  "sentinel:primary": {
    /** The name of the primary in the configuration of the Sentinels. */
    readonly name: string;
    /** The primary before, `host:port`; `undefined` if it is the first one. */
    readonly from: string | undefined;
    /** The primary now. */
    readonly to: string;
    /** The Sentinel that named it, `host:port`. */
    readonly namedBy: string;
  };
  /** Events entered a recorder's outbox, or left it. */
  "outbox": {
    /** What happened to them. */
    readonly change: "queued" | "recorded" | "dropped" | "restored" | "left";
    /** How many events. */
    readonly count: number;
    /** How many are held now. */
    readonly pending: number;
    /** How many can be held. */
    readonly capacity: number;
    /** Why they were not recorded at once. */
    readonly error?: unknown;
  };
}

/** Receives what all clients of the process publish. */
export interface TelemetrySink {
  /** Receives an event. */
  publish<Name extends keyof TelemetryEvents>(
    name: Name,
    origin: Origin,
    event: TelemetryEvents[Name],
  ): void;
  /**
   * Runs `run`, which sends the commands: one, or those of a pipeline. `origin`
   * is where they go, asked before and after, since redirects change it.
   */
  trace<T>(
    origin: () => Origin,
    commands: readonly Command[],
    isPipeline: boolean,
    run: () => Promise<T>,
  ): Promise<T>;
}

/**
 * The sink of this process, if one is installed. Publishers check it before they
 * build a message, so that without one an event costs a comparison.
 */
export let sink: TelemetrySink | undefined;

/** Installs the sink of this process. */
export function setSink(installed: TelemetrySink): void {
  sink = installed;
}
