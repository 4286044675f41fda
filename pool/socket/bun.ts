// Bun as a runtime: its own sockets for plain TCP, those of Node for all else.
import type { Endpoint } from "./endpoint.ts";
import { ReadQueue } from "./read_queue.ts";
import type { DialOptions, Socket } from "./socket.ts";

/** After how long without a byte the system asks the peer whether it is there, in milliseconds. */
const KEEP_ALIVE_MS = 30_000;

/** From this many received bytes on their memory is freed as soon as they are read. */
const MIN_FREED_BYTES = 64 * 1024;

/** The part of Bun's socket that is needed. */
interface BunTcp {
  /** Returns how many bytes the system has taken, or less than 0 if the socket is closed. */
  write(bytes: Uint8Array): number;
  pause(): void;
  resume(): void;
  setNoDelay(on: boolean): unknown;
  setKeepAlive(on: boolean, initialDelayMs: number): unknown;
  close(): void;
  unref(): void;
}

/** The part of the global `Bun` that is needed. */
interface Bun {
  connect(options: {
    readonly hostname: string;
    readonly port: number;
    readonly socket: {
      readonly open: (tcp: BunTcp) => void;
      readonly data: (tcp: BunTcp, bytes: Uint8Array) => void;
      readonly drain: () => void;
      readonly end: () => void;
      readonly close: (tcp: BunTcp, error?: unknown) => void;
      readonly error: (tcp: BunTcp, error: unknown) => void;
    };
  }): Promise<unknown>;
}

/**
 * Where the last dial has failed or was given up. Bun cannot end a dial: one that waits
 * for TCP keeps the process alive until the system gives up, for two minutes. And
 * up to 1.3 it says of a name without an address that the connection was refused.
 */
const doubtful = new WeakSet<Endpoint>();

/**
 * Opens a TCP socket with no-delay and keep-alive, TLS included, or a Unix socket.
 *
 * By `Bun.connect` a process is ready in half the time that it takes with
 * `node:net`, and versions up to 1.3 tell a reset from a FIN.
 */
export async function connect(
  endpoint: Endpoint,
  options: DialOptions,
): Promise<Socket> {
  const { path, tls } = endpoint;
  if (path === undefined && tls === undefined && !doubtful.has(endpoint)) {
    const socket = new BunSocket(endpoint);
    if (await socket.opens(options.signal)) return socket;
    doubtful.add(endpoint);
    options.signal.throwIfAborted();
  }
  const node = await import("./node.ts");
  const socket = await node.connect(endpoint, options);
  doubtful.delete(endpoint);
  return socket;
}

/** A write that waits for room. */
interface Writer {
  readonly bytes: Uint8Array;
  readonly resolve: (count: number) => void;
  readonly reject: (error: unknown) => void;
}

/** A TCP socket of Bun in the shape that a connection needs. A write ends when the system has taken some of its bytes. */
class BunSocket implements Socket {
  readonly #reads = new ReadQueue(() => this.#tcp?.resume(), free);
  readonly #dialed: Promise<boolean>;
  #tcp: BunTcp | undefined;
  #writer: Writer | undefined;
  #isClosed = false;

  constructor({ hostname, port }: Endpoint) {
    const { Bun } = globalThis as unknown as { readonly Bun: Bun };
    this.#dialed = Bun.connect({
      hostname,
      port,
      socket: {
        open: (tcp) => this.#opened(tcp),
        data: (tcp, bytes) => {
          if (!this.#reads.received(bytes)) tcp.pause();
        },
        drain: () => this.#drained(),
        end: () => this.#ended({}),
        close: (_, error) => this.#ended(error ? { error } : {}),
        error: (_, error) => this.#ended({ error }),
      },
    }).then(() => true, () => false);
  }

  /**
   * Waits until it is open.
   *
   * @param signal Ends the wait. A socket that opens later is closed.
   * @returns Whether it is open.
   */
  async opens(signal: AbortSignal): Promise<boolean> {
    const { promise, resolve } = Promise.withResolvers<boolean>();
    const onAbort = () => {
      this.close();
      resolve(false);
    };
    if (signal.aborted) onAbort();
    signal.addEventListener("abort", onAbort, { once: true });
    try {
      return await Promise.race([this.#dialed, promise]);
    } finally {
      signal.removeEventListener("abort", onAbort);
    }
  }

  read(buffer: Uint8Array): Promise<number | null> {
    return this.#reads.read(buffer);
  }

  write(bytes: Uint8Array): Promise<number> {
    const count = this.#written(bytes);
    if (count > 0) return Promise.resolve(count);
    return new Promise((resolve, reject) => {
      this.#writer = { bytes, resolve, reject };
      if (count < 0) this.#failWrite();
    });
  }

  close(): void {
    this.#isClosed = true;
    this.#reads.close();
    this.#failWrite();
    this.#tcp?.close();
  }

  unref(): void {
    this.#tcp?.unref();
  }

  #opened(tcp: BunTcp): void {
    if (this.#isClosed) return tcp.close();
    this.#tcp = tcp;
    tcp.setNoDelay(true);
    tcp.setKeepAlive(true, KEEP_ALIVE_MS);
  }

  /** How many bytes the system has taken: 0 if it has no room, -1 if the socket is closed. */
  #written(bytes: Uint8Array): number {
    return this.#reads.end === undefined ? this.#tcp!.write(bytes) : -1;
  }

  #drained(): void {
    const writer = this.#writer;
    if (writer === undefined) return;
    const count = this.#written(writer.bytes);
    if (count < 0) return this.#failWrite();
    if (count === 0) return;
    this.#writer = undefined;
    writer.resolve(count);
  }

  #ended(end: { readonly error?: unknown }): void {
    this.#reads.ended(end);
    this.#failWrite();
  }

  #failWrite(): void {
    const writer = this.#writer;
    this.#writer = undefined;
    writer?.reject(this.#reads.end?.error ?? new Error("the socket is closed"));
  }
}

/**
 * Frees the memory of bytes that have been read. Bun hands out each piece that it
 * receives in memory of its own. Left to the garbage collector those of large
 * replies make it run twice as often: values of 1 MB come at 0.6 of the speed
 * of Bun's own client instead of 0.8.
 */
function free(bytes: Uint8Array): void {
  // To ask a short piece for its buffer takes 0.5 µs, a tenth of the work for a reply.
  if (bytes.length < MIN_FREED_BYTES) return;
  (bytes.buffer as ArrayBuffer).transfer(0);
}
