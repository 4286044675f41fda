// A socket whose end the client reads late.
import { dial } from "../../pool/socket/dial.ts";
import type { Dial, Socket } from "../../pool/socket/socket.ts";

/** How late at most, in milliseconds, if nothing is written meanwhile. */
const LATE_MS = 1000;

/**
 * The client always has a read pending and sees a close within milliseconds, so
 * on a quiet machine it hardly ever writes to a zombie. A frozen isolate or a
 * slow network makes it possible: the server has closed the connection, and the
 * client reads the close only after it wrote the next request. This socket does
 * that and nothing else. The close is the server's own. A close while a reply is
 * owed is read at once.
 */
export class LateSocket implements Socket {
  readonly #socket: Socket;
  readonly #ended = Promise.withResolvers<void>();
  #awaitsReply = false;
  #isShut = false;
  #endDelay: () => void = () => {};

  /** @param socket The socket that is read and written. */
  constructor(socket: Socket) {
    this.#socket = socket;
  }

  /** Resolves when the connection has ended, which the client may read later. */
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
      // The system refuses to write after a shutdown. Where the server closes by
      // itself, the first write succeeds, so here it does, too.
      return this.#isShut ? bytes.length : await this.#socket.write(bytes);
    } finally {
      this.#endDelay();
    }
  }

  /** Shuts the writing half down, so that the server closes the connection. */
  async shutdown(): Promise<void> {
    this.#isShut = true;
    if (canShutDown(this.#socket)) await this.#socket.closeWrite();
  }

  close(): void {
    this.#socket.close();
    this.#ended.resolve();
    this.#endDelay();
  }

  unref(): void {
    this.#socket.unref?.();
  }

  async #untilWritten(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, LATE_MS);
    this.#endDelay = resolve;
    await promise;
    clearTimeout(timer);
  }
}

/** Dials late sockets, and keeps those that are open. */
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
