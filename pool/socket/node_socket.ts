// A socket of `node:net` or `node:tls` in the shape that a connection needs.
import { ReadQueue, type StreamEnd } from "./read_queue.ts";
import type { Socket } from "./socket.ts";

/** The part of `net.Socket` that is needed. */
export interface NetSocket {
  on(event: string, listener: (error: unknown) => void): unknown;
  write(bytes: Uint8Array, done: (error?: unknown) => void): unknown;
  resume(): unknown;
  setNoDelay(on: boolean): unknown;
  setKeepAlive(on: boolean, initialDelayMs: number): unknown;
  destroy(): unknown;
  unref(): unknown;
}

/** The option `onread` of `net.connect` and `tls.connect`: one buffer for every read. */
export interface OnRead {
  readonly buffer: Uint8Array;
  /** Called with how many bytes were read, and where: up to Bun 1.3 not in `buffer`. `false` pauses the socket. */
  readonly callback: (count: number, bytes: Uint8Array) => boolean;
}

/** After how long without a byte the system asks the peer whether it is there, in milliseconds. */
export const KEEP_ALIVE_MS = 30_000;

const READ_BYTES = 64 * 1024;
/** No more is handed over at once: a write that ends is progress, of which a connection must see some while a slow peer reads. */
const MAX_WRITE_BYTES = 256 * 1024;

/**
 * Owns a socket of Node from the moment it is made: bytes may come before it is
 * known to be open.
 *
 * - Bytes that no read waits for are kept, see `ReadQueue`.
 * - A write ends when the socket no longer needs its bytes.
 */
export class NodeSocket implements Socket {
  readonly #socket: NetSocket;
  readonly #reads = new ReadQueue(() => this.#socket.resume());
  readonly #opening = Promise.withResolvers<void>();

  /**
   * Makes a socket, which may not be open yet.
   *
   * @param connect Makes the socket of Node.
   * @param event What it emits when it is open.
   */
  constructor(
    connect: (onread: OnRead) => NetSocket,
    event: "connect" | "secureConnect",
  ) {
    this.#socket = connect({
      buffer: new Uint8Array(READ_BYTES),
      callback: (count, bytes) => this.#reads.received(bytes, count),
    });
    this.#socket.on(event, () => this.#opening.resolve());
    this.#socket.on("end", () => this.#ended({}));
    this.#socket.on("error", (error) => this.#ended({ error }));
    this.#socket.on("close", () => this.#ended({}));
  }

  /**
   * Waits until it is open. It is closed if that fails.
   *
   * @param signal Ends the wait with its reason.
   * @returns Itself.
   */
  async opened(signal: AbortSignal): Promise<this> {
    const onAbort = () => this.#opening.reject(signal.reason);
    if (signal.aborted) onAbort();
    signal.addEventListener("abort", onAbort, { once: true });
    try {
      await this.#opening.promise;
      return this;
    } catch (error) {
      this.close();
      throw error;
    } finally {
      signal.removeEventListener("abort", onAbort);
    }
  }

  read(buffer: Uint8Array): Promise<number | null> {
    return this.#reads.read(buffer);
  }

  write(bytes: Uint8Array): Promise<number> {
    const part = bytes.length > MAX_WRITE_BYTES
      ? bytes.subarray(0, MAX_WRITE_BYTES)
      : bytes;
    return new Promise((resolve, reject) =>
      this.#socket.write(
        part,
        (error) => error ? reject(error) : resolve(part.length),
      )
    );
  }

  close(): void {
    this.#ended({ error: new Error("the socket was closed") });
    this.#reads.close();
    this.#socket.destroy();
  }

  unref(): void {
    this.#socket.unref();
  }

  #ended(end: StreamEnd): void {
    this.#reads.ended(end);
    this.#opening.promise.catch(() => {});
    this.#opening.reject(
      "error" in end ? end.error : new Error("the server closed"),
    );
  }
}
