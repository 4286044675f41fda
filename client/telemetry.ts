// The sink of what clients publish; there is none until diagnostics.ts is imported.
import type { CloseReport } from "../pool/connection/close_report.ts";
import type { EvictionReason } from "../pool/pool.ts";
import type { Endpoint } from "../pool/socket/endpoint.ts";
import type { Command } from "../resp/mod.ts";
import type { RetryInfo } from "./options.ts";

/** Where a client connects to. It has no credentials. */
export type Origin = Pick<Endpoint, "hostname" | "port" | "database">;

/** What happens, by the name of its channel. */
export interface Happenings {
  /** A connection was opened. */
  "connection:open": {
    /** Sequence number of the connection within its client, starting at 1. */
    readonly connection: number;
    /** The server's id for it, if the server said it. */
    readonly clientId: number | undefined;
    /** For name, TCP, TLS and handshake together, in milliseconds. */
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
    /** Whether for a connection that is not shared: of a lease or a blocking command. */
    readonly exclusive: boolean;
    /** The connection; `undefined` if there was none in the end. */
    readonly connection: number | undefined;
    /** Why there was none. */
    readonly error?: unknown;
  };
  /** A call is sent again after a wait. */
  "retry": RetryInfo;
  /** A call is sent again that may have run. */
  "replay": RetryInfo;
  /** Events went into the outbox of a recorder, or left it. */
  "outbox": {
    /** What became of them. */
    readonly change: "queued" | "recorded" | "dropped";
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

/** A sink for what all clients of the process publish. */
export interface Listener {
  /** Something has happened. */
  tell<Name extends keyof Happenings>(
    name: Name,
    origin: Origin,
    what: Happenings[Name],
  ): void;
  /** Commands are about to be sent by `run`: one, or those of a pipeline. */
  trace<T>(
    origin: Origin,
    commands: readonly Command[],
    isPipeline: boolean,
    run: () => Promise<T>,
  ): Promise<T>;
}

/**
 * The sink of this process, if one is installed. Publishers check it before they
 * build a message, so that without one an event costs a comparison.
 */
export let listener: Listener | undefined;

/** Installs the sink of this process. */
export function listen(sink: Listener): void {
  listener = sink;
}
