// What a connection needs of a socket and of a dial.
import type { Endpoint } from "./endpoint.ts";

/**
 * What a connection needs of a socket. A `Deno.Conn` is one; bring your own by
 * the option `dial`. Reads and writes may reject with a `SocketError` that says
 * how the socket failed.
 *
 * @example A socket that counts what it reads
 * ```ts
 * import { Redis } from "@unzombie/redis";
 * import { type Dial, dial, type Socket } from "@unzombie/redis/pool";
 * import { assert } from "@std/assert";
 *
 * let bytes = 0;
 * const counting: Dial = async (endpoint, options) => {
 *   const socket = await dial(endpoint, options);
 *   const counted: Socket = {
 *     read: async (buffer) => {
 *       const count = await socket.read(buffer);
 *       bytes += count ?? 0;
 *       return count;
 *     },
 *     write: (bytes) => socket.write(bytes),
 *     close: () => socket.close(),
 *     unref: () => socket.unref?.(),
 *   };
 *   return counted;
 * };
 * await using redis = new Redis(Deno.env.get("REDIS_URL"), { dial: counting });
 * await redis.send(["PING"]);
 * assert(bytes >= "+PONG\r\n".length);
 * ```
 */
export interface Socket {
  /**
   * Reads into `buffer`; resolves to the number of bytes, or `null` at the end.
   *
   * One read is pending at most. Bytes that come while none is must be kept, and
   * the peer be paused before they are too many. The end of the stream, or its
   * error, comes after all bytes that came before it.
   */
  read(buffer: Uint8Array): Promise<number | null>;
  /**
   * Writes some of `bytes`; resolves to their number.
   *
   * One write is pending at most. Each that ends is progress, and a peer that
   * shows none for the reply timeout is given up. So a socket that waits until
   * all is written takes no more than 256 KiB at once: a slow upload would look
   * like silence.
   */
  write(bytes: Uint8Array): Promise<number>;
  /** Closes both directions; pending reads reject. May be called more than once. */
  close(): void;
  /** Lets the process exit while a read is pending. */
  unref?(): void;
}

/**
 * Opens a socket to an endpoint, TLS handshake included. A dial that fails or is
 * given up leaves no socket behind.
 */
export type Dial = (
  endpoint: Endpoint,
  options: DialOptions,
) => Promise<Socket>;

/** Options of a {@linkcode Dial}. */
export interface DialOptions {
  /** Aborts when the time is up or the pool is closed; the dial rejects with its reason. */
  readonly signal: AbortSignal;
  /** To be called when TCP is open and TLS begins, with whether the peer is known to answer TLS: an error that ends the wait then says so. */
  readonly onTls?: (isAnswered?: boolean) => void;
}
