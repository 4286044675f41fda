// A peer that does by hand what no real server can be made to do.

/** A listener that hands each connection to a function. */
export class FakeServer implements AsyncDisposable {
  readonly #listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  readonly #connections = new Set<Deno.Conn>();
  readonly #over: Promise<void>;
  accepted = 0;

  constructor(handle: (connection: Deno.Conn) => unknown) {
    this.#over = this.#listen(handle);
  }

  get port(): number {
    return this.#listener.addr.port;
  }

  get address(): string {
    return `127.0.0.1:${this.port}`;
  }

  async #listen(handle: (connection: Deno.Conn) => unknown): Promise<void> {
    const handled: unknown[] = [];
    for await (const connection of this.#listener) {
      this.accepted++;
      this.#connections.add(connection);
      handled.push(Promise.resolve(handle(connection)).catch(() => {}));
    }
    await Promise.all(handled);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#listener.close();
    for (const connection of this.#connections) {
      try {
        connection.close();
      } catch {
        // Closed by its handler.
      }
    }
    await this.#over;
  }
}
