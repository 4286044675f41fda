// A socket of `node:net` or `node:tls` in the shape that a connection needs.
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

/** From this many bytes on that no read has taken the peer is paused. To pause it for less, and resume it at once, costs more than to keep them. */
const MAX_KEPT_BYTES = 512 * 1024;

/** A read that waits for bytes. */
interface Reader {
  readonly buffer: Uint8Array;
  readonly resolve: (count: number | null) => void;
  readonly reject: (error: unknown) => void;
}

/**
 * Owns a socket of Node from the moment it is made: bytes may come before it is
 * known to be open.
 *
 * - Bytes that no read waits for are kept; from half a megabyte on the socket is paused until they are read.
 * - The end of the stream or its error comes after all bytes that came before it.
 * - A write ends when the socket no longer needs its bytes.
 */
export class NodeSocket implements Socket {
  readonly #socket: NetSocket;
  readonly #kept: Uint8Array[] = [];
  #keptBytes = 0;
  #isPaused = false;
  readonly #opening = Promise.withResolvers<void>();
  #reader: Reader | undefined;
  #end: { readonly error?: unknown } | undefined;

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
      callback: (count, bytes) => this.#received(count, bytes),
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
    const kept = this.#kept[0];
    if (kept !== undefined) return Promise.resolve(this.#take(kept, buffer));
    return new Promise((resolve, reject) => {
      if (this.#end !== undefined) return settle(this.#end, resolve, reject);
      this.#reader = { buffer, resolve, reject };
    });
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
    this.#kept.length = 0;
    this.#socket.destroy();
  }

  unref(): void {
    this.#socket.unref();
  }

  /** Bytes have come. Those of TLS may come after the socket was paused, too, and all come into one buffer, from which they are copied. */
  #received(count: number, bytes: Uint8Array): boolean {
    const reader = this.#reader;
    let taken = 0;
    if (reader !== undefined) {
      this.#reader = undefined;
      taken = Math.min(count, reader.buffer.length);
      reader.buffer.set(bytes.subarray(0, taken));
      reader.resolve(taken);
    }
    if (taken === count) return true;
    this.#kept.push(new Uint8Array(bytes.subarray(taken, count)));
    this.#keptBytes += count - taken;
    this.#isPaused ||= this.#keptBytes >= MAX_KEPT_BYTES;
    return !this.#isPaused;
  }

  #take(kept: Uint8Array, buffer: Uint8Array): number {
    const count = Math.min(kept.length, buffer.length);
    buffer.set(kept.subarray(0, count));
    this.#keptBytes -= count;
    if (count < kept.length) this.#kept[0] = kept.subarray(count);
    else this.#kept.shift();
    if (this.#isPaused && this.#keptBytes === 0) {
      this.#isPaused = false;
      this.#socket.resume();
    }
    return count;
  }

  #ended(end: { readonly error?: unknown }): void {
    if (this.#end !== undefined) return;
    this.#end = end;
    this.#opening.promise.catch(() => {});
    this.#opening.reject(
      "error" in end ? end.error : new Error("the server closed"),
    );
    const reader = this.#reader;
    this.#reader = undefined;
    if (reader !== undefined) settle(end, reader.resolve, reader.reject);
  }
}

function settle(
  end: { readonly error?: unknown },
  resolve: Reader["resolve"],
  reject: Reader["reject"],
): void {
  if ("error" in end) reject(end.error);
  else resolve(null);
}
