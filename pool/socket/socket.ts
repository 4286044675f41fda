// What a connection needs of a socket, and of what opens one.
import type { Endpoint } from "./endpoint.ts";

/** The part of `Deno.Conn` that a connection needs. Bring your own by the option `dial`. */
export interface Socket {
  /** Reads into `buffer`: how many bytes, or `null` at the end. */
  read(buffer: Uint8Array): Promise<number | null>;
  /** Writes some of `bytes`: how many. */
  write(bytes: Uint8Array): Promise<number>;
  /** Closes both directions; pending reads reject. */
  close(): void;
  /** Lets the process exit while a read is pending. */
  unref?(): void;
}

/** Opens a socket to an endpoint, TLS handshake included. */
export type Dial = (
  endpoint: Endpoint,
  options: DialOptions,
) => Promise<Socket>;

/** What a {@linkcode Dial} is told. */
export interface DialOptions {
  /** The time is up, or the pool was closed. */
  readonly signal: AbortSignal;
  /** To be called when TCP is open and TLS begins, and whether the peer is known to answer that, for the sake of the error. */
  readonly onTls?: (isAnswered?: boolean) => void;
}
