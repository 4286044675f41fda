// A socket whose owner hears late that the server has closed it.
import { dial } from "../../pool/socket/dial.ts";
import type { Dial, Socket } from "../../pool/socket/socket.ts";

/** How late at most, when nothing is written meanwhile. */
const LATE_MS = 1000;

/**
 * The client keeps a read armed and learns of a close within milliseconds, so
 * on a quiet machine it hardly ever writes to a zombie. A frozen isolate or a
 * slow network makes it one: the server has closed the connection, and the
 * news is read only after the next request was written. This socket is that
 * and nothing more. The close is the server's own; a close that cuts a
 * request short which was written before it is news at once.
 */
export class LateSocket implements Socket {
  readonly #socket: Socket;
  readonly #ended = Promise.withResolvers<void>();
  #awaitsReply = false;
  #isShut = false;
  #tell: () => void = () => {};

  /** @param socket The socket that is read and written. */
  constructor(socket: Socket) {
    this.#socket = socket;
  }

  /** Settles when the connection has ended, though its owner may not know yet. */
  get ended(): Promise<void> {
    return this.#ended.promise;
  }

  async read(buffer: Uint8Array): Promise<number | null> {
    const outcome = this.#socket.read(buffer);
    if (await outcome.catch(() => null) === null) {
      this.#ended.resolve();
      if (!this.#awaitsReply) await this.#untilWritten();
    } else {
      this.#awaitsReply = false;
    }
    return outcome;
  }

  async write(bytes: Uint8Array): Promise<number> {
    this.#awaitsReply = true;
    try {
      // The system refuses to write where writing was shut down. A server
      // that closes by itself lets the first write pass, so this one does.
      return this.#isShut ? bytes.length : await this.#socket.write(bytes);
    } finally {
      this.#tell();
    }
  }

  /** Shuts the writing half down, upon which the server closes the connection. */
  async shutdown(): Promise<void> {
    this.#isShut = true;
    if (canShutDown(this.#socket)) await this.#socket.closeWrite();
  }

  close(): void {
    this.#socket.close();
    this.#ended.resolve();
    this.#tell();
  }

  unref(): void {
    this.#socket.unref?.();
  }

  async #untilWritten(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, LATE_MS);
    this.#tell = resolve;
    await promise;
    clearTimeout(timer);
  }
}

/** Dials late sockets and remembers those that are open. */
export class LateSockets {
  readonly #open = new Set<LateSocket>();

  /** For the option `dial` of a client. */
  readonly dial: Dial = async (endpoint, options) => {
    const socket = new LateSocket(await dial(endpoint, options));
    this.#open.add(socket);
    socket.ended.then(() => this.#open.delete(socket));
    return socket;
  };

  /** Those that have not ended. */
  get open(): LateSocket[] {
    return [...this.#open];
  }
}

const canShutDown = (
  socket: Socket,
): socket is Socket & Pick<Deno.Conn, "closeWrite"> => "closeWrite" in socket;
