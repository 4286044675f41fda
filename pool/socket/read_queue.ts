// Bytes that come when the peer sends them, for reads that wait for them or come later.

/** From this many bytes on that no read has taken the peer is paused. To pause it for less, and resume it at once, costs more than to keep them. */
const MAX_KEPT_BYTES = 512 * 1024;

/** How a stream ended: by its end, or by an error. */
export interface StreamEnd {
  readonly error?: unknown;
}

/** A read that waits for bytes. */
interface Reader {
  readonly buffer: Uint8Array;
  readonly resolve: (count: number | null) => void;
  readonly reject: (error: unknown) => void;
}

/**
 * The received bytes of a socket.
 *
 * - Bytes that no read waits for are kept; from half a megabyte on the peer is paused until they are read.
 * - The end of the stream or its error comes after all bytes that came before it.
 */
export class ReadQueue {
  readonly #resume: () => void;
  readonly #given: ((bytes: Uint8Array) => void) | undefined;
  readonly #kept: Uint8Array[] = [];
  #keptBytes = 0;
  #isPaused = false;
  #reader: Reader | undefined;
  #end: StreamEnd | undefined;

  /**
   * Makes an empty one.
   *
   * @param resume Lets the peer go on after a pause.
   * @param given Whether received bytes are given away, and need not be copied
   * to be kept: called with them when all have been read. Else the next ones may come into
   * the same memory.
   */
  constructor(resume: () => void, given?: (bytes: Uint8Array) => void) {
    this.#resume = resume;
    this.#given = given;
  }

  /** How the stream ended, or `undefined` while it has not. */
  get end(): StreamEnd | undefined {
    return this.#end;
  }

  /** See `Socket.read`. */
  read(buffer: Uint8Array): Promise<number | null> {
    const kept = this.#kept[0];
    if (kept !== undefined) return Promise.resolve(this.#take(kept, buffer));
    return new Promise((resolve, reject) => {
      if (this.#end !== undefined) return settle(this.#end, resolve, reject);
      this.#reader = { buffer, resolve, reject };
    });
  }

  /**
   * Bytes have come.
   *
   * @returns Whether the peer may go on; if not it is to be paused. Those of TLS may come after that.
   */
  received(bytes: Uint8Array, count: number = bytes.length): boolean {
    const reader = this.#reader;
    let taken = 0;
    if (reader !== undefined) {
      this.#reader = undefined;
      taken = Math.min(count, reader.buffer.length);
      reader.buffer.set(
        taken === bytes.length ? bytes : bytes.subarray(0, taken),
      );
      reader.resolve(taken);
    }
    if (taken === count) {
      this.#given?.(bytes);
      return true;
    }
    const left = bytes.subarray(taken, count);
    // Not by slice(), which makes no copy of a Buffer.
    this.#kept.push(this.#given === undefined ? new Uint8Array(left) : left);
    this.#keptBytes += count - taken;
    this.#isPaused ||= this.#keptBytes >= MAX_KEPT_BYTES;
    return !this.#isPaused;
  }

  /** The stream has ended. Without effect if it had already. */
  ended(end: StreamEnd): void {
    if (this.#end !== undefined) return;
    this.#end = end;
    const reader = this.#reader;
    this.#reader = undefined;
    if (reader !== undefined) settle(end, reader.resolve, reader.reject);
  }

  /** The socket is closed on this side: what was not read is dropped, and reads reject. */
  close(): void {
    this.ended({ error: new Error("the socket was closed") });
    this.#kept.length = 0;
  }

  #take(kept: Uint8Array, buffer: Uint8Array): number {
    const count = Math.min(kept.length, buffer.length);
    buffer.set(kept.subarray(0, count));
    this.#keptBytes -= count;
    if (count < kept.length) {
      this.#kept[0] = kept.subarray(count);
    } else {
      this.#kept.shift();
      this.#given?.(kept);
    }
    if (this.#isPaused && this.#keptBytes === 0) {
      this.#isPaused = false;
      this.#resume();
    }
    return count;
  }
}

function settle(
  end: StreamEnd,
  resolve: Reader["resolve"],
  reject: Reader["reject"],
): void {
  if ("error" in end) reject(end.error);
  else resolve(null);
}
