// Commands on a plain connection of their own, without the client of this module: what is tested must not test itself.

const HOSTNAME = "127.0.0.1";
const TIMEOUT_MS = 5_000;

/**
 * Sends commands one after the other on a connection of their own.
 *
 * @param port A port of this machine.
 * @param commands The commands.
 * @returns The last reply as text, the elements of an array a line each.
 * @throws {Error} If the server answers with an error, or does not answer.
 */
export async function runCommands(
  port: number,
  commands: readonly (readonly string[])[],
): Promise<string> {
  using connection = await PlainConnection.open(port);
  let last = "";
  for (const command of commands) last = await connection.run(command);
  return last;
}

/** A connection for one command after the other. */
export class PlainConnection implements Disposable {
  readonly #port: number;
  readonly #socket: Deno.Conn;
  readonly #reply: () => Promise<string>;
  #isOpen = true;

  private constructor(port: number, socket: Deno.Conn) {
    this.#port = port;
    this.#socket = socket;
    this.#reply = replyReader(socket);
  }

  /** @throws {Error} If nothing listens on the port of this machine. */
  static async open(port: number): Promise<PlainConnection> {
    const signal = AbortSignal.timeout(TIMEOUT_MS);
    const options = { hostname: HOSTNAME, port, signal };
    return new PlainConnection(port, await Deno.connect(options));
  }

  /**
   * Runs one command.
   *
   * @returns The reply as text, the elements of an array a line each.
   * @throws {Error} If the server answers with an error, or does not answer.
   */
  async run(command: readonly string[]): Promise<string> {
    let isLate = false;
    const timer = setTimeout(() => {
      isLate = true;
      this[Symbol.dispose]();
    }, TIMEOUT_MS);
    try {
      await this.#socket.write(encode(command));
      return await this.#reply();
    } catch (error) {
      if (!isLate) throw error;
      throw new Error(`No reply from port ${this.#port} for ${TIMEOUT_MS} ms`);
    } finally {
      clearTimeout(timer);
    }
  }

  [Symbol.dispose](): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    this.#socket.close();
  }
}

function encode(command: readonly string[]): Uint8Array<ArrayBuffer> {
  const encoder = new TextEncoder();
  const words = command.map((word) =>
    `$${encoder.encode(word).length}\r\n${word}\r\n`
  );
  return encoder.encode(`*${command.length}\r\n${words.join("")}`);
}

/** Reads replies of any size as text, without regard to speed. */
function replyReader(connection: Deno.Conn): () => Promise<string> {
  const decoder = new TextDecoder("latin1");
  const chunk = new Uint8Array(65_536);
  let received = "";

  async function take(enough: () => number): Promise<string> {
    let length = enough();
    while (length < 0) {
      const count = await connection.read(chunk);
      if (count === null) throw new Error("The server closed the connection");
      received += decoder.decode(chunk.subarray(0, count));
      length = enough();
    }
    const taken = received.slice(0, length);
    received = received.slice(length);
    return taken;
  }

  return async function reply(): Promise<string> {
    const line = await take(() => {
      const end = received.indexOf("\r\n");
      return end < 0 ? -1 : end + 2;
    });
    const text = line.slice(1, -2);
    switch (line[0]) {
      case "-":
        throw new Error(text);
      case "$": {
        const length = Number(text);
        if (length < 0) return "";
        const body = await take(() =>
          received.length < length + 2 ? -1 : length + 2
        );
        return utf8(body.slice(0, -2));
      }
      case "*": {
        const elements: string[] = [];
        for (let n = Number(text); n > 0; n--) elements.push(await reply());
        return elements.join("\n");
      }
      default:
        return text;
    }
  };
}

function utf8(latin1: string): string {
  return new TextDecoder().decode(
    Uint8Array.from(latin1, (character) => character.charCodeAt(0)),
  );
}
