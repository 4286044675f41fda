// The default dial: an open socket from the runtime in use.
import type { Endpoint } from "./endpoint.ts";
import { runtime } from "./runtime.ts";
import type { DialOptions, Socket } from "./socket.ts";

/**
 * Opens a TCP socket with no-delay and keep-alive, TLS included, or a Unix socket.
 *
 * @param endpoint Where to.
 * @param options See {@linkcode DialOptions}; the signal's reason is thrown.
 * @returns The open socket.
 * @throws {DialError} If there is no such host, no server listens, or TLS fails.
 *
 * @example Where no server listens
 * ```ts
 * import { dial, DialError, Endpoint, SocketError } from "@unzombie/redis/pool";
 * import { assert, assertEquals, assertRejects } from "@std/assert";
 *
 * const endpoint = new Endpoint("redis://127.0.0.1:1");
 * const { signal } = new AbortController();
 * const error = await assertRejects(() => dial(endpoint, { signal }), DialError);
 * assert(error.cause instanceof SocketError);
 * assertEquals(error.cause.how, "refused");
 * ```
 */
export async function dial(
  endpoint: Endpoint,
  options: DialOptions,
): Promise<Socket> {
  try {
    return await runtime.connect(endpoint, options);
  } catch (error) {
    options.signal.throwIfAborted();
    // Loaded where it is needed: a dial that succeeds has nothing to explain.
    const { explain } = await import("./explain.ts");
    throw explain(endpoint, error);
  }
}
