// How a connection ended: what is known of it, as data.

/** Which side ended it. `"network"`: neither that is known, such as a reset or silence on the way. */
export type ClosedBy = "server" | "network" | "client";

/** How the end showed itself. */
export type ClosedHow =
  | "fin"
  | "rst"
  | "silence"
  | "protocol-error"
  | "tls-alert"
  | "requested";

/** What the connection was doing. */
export type ClosedDuring =
  | "handshake"
  | "idle"
  | "awaiting-reply"
  | "inside-reply"
  | "writing";

/** What is known of a connection's end. Made once, shared by every error it causes. */
export interface CloseReport {
  /** Which side ended it. */
  readonly by: ClosedBy;
  /** How it ended. */
  readonly how: ClosedHow;
  /** When in its life. */
  readonly during: ClosedDuring;
  /** Further evidence: the text of an error reply, of a protocol error, of the system. */
  readonly cause: string | undefined;
  /** `host:port`. */
  readonly endpoint: string;
  /** Sequence number of the connection within its pool, starting at 1. */
  readonly connection: number;
  /** The server's id for it (CLIENT ID), if the server told. */
  readonly clientId: number | undefined;
  /** When it ended, Unix time in milliseconds. */
  readonly closedAt: number;
  /** Since it was opened, in milliseconds. */
  readonly ageMs: number;
  /** Since the last byte either way, in milliseconds. */
  readonly idleMs: number;
  /** Since the last byte came, in milliseconds. */
  readonly silentMs: number;
  /** How long a reply had been owed without a byte coming, in milliseconds; 0 while none was. */
  readonly owedMs: number;
  /** Commands answered after the handshake. */
  readonly commandsServed: number;
  /** Bytes received. */
  readonly bytesIn: number;
  /** Bytes handed to the socket. */
  readonly bytesOut: number;
  /** Commands that had no reply yet. */
  readonly inFlight: number;
  /** The first of them: its name and how many arguments it had, never their values. */
  readonly firstInFlight:
    | { readonly name: string; readonly args: number }
    | undefined;
  /** Bytes that had come of a reply that was cut. */
  readonly replyBytes: number;
  /** Its pool at that moment, itself included. */
  readonly pool?: PoolState | undefined;
}

/** What a pool held when one of its connections ended. */
export interface PoolState {
  /** Connections open. */
  readonly open: number;
  /** Of these, leased. */
  readonly leased: number;
  /** Connections being dialed. */
  readonly dialing: number;
  /** Callers waiting for a connection. */
  readonly waiting: number;
}
