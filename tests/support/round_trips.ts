// A relay in front of a server that counts round trips by the bytes that pass.

/** Counts how often clients have spoken after the server has. */
export class RoundTrips implements AsyncDisposable {
  readonly url: string;
  /** How many there were on all connections so far. */
  count = 0;
  readonly #listener: Deno.TcpListener;
  readonly #sockets: Deno.Conn[] = [];
  readonly #pumps: Promise<void>[] = [];
  #isAsked = false;

  constructor(port: number) {
    this.#listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    this.url = `redis://127.0.0.1:${this.#listener.addr.port}`;
    this.#pumps.push(this.#accept(port));
  }

  async #accept(port: number): Promise<void> {
    for await (const client of this.#listener) {
      const server = await Deno.connect({ hostname: "127.0.0.1", port });
      this.#sockets.push(client, server);
      this.#pumps.push(
        this.#pump(client, server, () => {
          if (!this.#isAsked) this.count++;
          this.#isAsked = true;
        }),
        this.#pump(server, client, () => {
          this.#isAsked = false;
        }),
      );
    }
  }

  async #pump(
    from: Deno.Conn,
    to: Deno.Conn,
    onChunk: () => void,
  ): Promise<void> {
    const chunk = new Uint8Array(64 * 1024);
    try {
      while (true) {
        const count = await from.read(chunk);
        if (count === null) break;
        onChunk();
        for (let sent = 0; sent < count;) {
          sent += await to.write(chunk.subarray(sent, count));
        }
      }
    } catch {
      // Closed by the other pump, or at the end.
    }
    for (const socket of [from, to]) {
      try {
        socket.close();
      } catch {
        // Closed already.
      }
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#listener.close();
    for (const socket of this.#sockets) {
      try {
        socket.close();
      } catch {
        // Closed already.
      }
    }
    await Promise.allSettled(this.#pumps);
  }
}
