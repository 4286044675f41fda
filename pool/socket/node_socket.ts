// A socket of Node in the shape that a connection needs.
import type { Socket } from "./socket.ts";

/** The part of Node's `Duplex` that is needed. */
interface Duplex {
  readonly readableLength: number;
  on(event: string, listener: (error: unknown) => void): unknown;
  read(size: number): Uint8Array | null;
  write(bytes: Uint8Array, done: (error?: unknown) => void): unknown;
  destroy(): unknown;
  unref(): unknown;
}

/** Wraps an open socket of Node and owns it: reads wait for bytes, a write ends when its bytes were handed to the system. */
export class NodeSocket implements Socket {
  readonly #socket: Duplex;
  #end: { readonly error?: unknown } | undefined;
  #wake: (() => void) | undefined;

  constructor(socket: Duplex) {
    this.#socket = socket;
    socket.on("readable", () => this.#wake?.());
    socket.on("end", () => this.#ended({}));
    socket.on("close", () => this.#ended({}));
    socket.on("error", (error) => this.#ended({ error }));
  }

  async read(buffer: Uint8Array): Promise<number | null> {
    while (true) {
      const length = Math.min(buffer.length, this.#socket.readableLength);
      const bytes = this.#socket.read(length); // of 0 bytes: asks for more
      if (bytes !== null && bytes.length > 0) {
        buffer.set(bytes);
        return bytes.length;
      }
      if (this.#end !== undefined) {
        if ("error" in this.#end) throw this.#end.error;
        return null;
      }
      await new Promise<void>((resolve) => this.#wake = resolve);
    }
  }

  write(bytes: Uint8Array): Promise<number> {
    return new Promise((resolve, reject) =>
      // Node may use them after it has called back.
      this.#socket.write(
        bytes.slice(),
        (error) => error ? reject(error) : resolve(bytes.length),
      )
    );
  }

  close(): void {
    this.#socket.destroy();
  }

  unref(): void {
    this.#socket.unref();
  }

  #ended(end: { readonly error?: unknown }): void {
    this.#end ??= end;
    this.#wake?.();
  }
}
