// An endpoint to an open socket.
import type { Endpoint } from "./endpoint.ts";
import type { DialOptions, Socket } from "./socket.ts";

/**
 * Opens a TCP socket with no-delay and keep-alive, TLS included, or a Unix socket.
 *
 * @param endpoint Where to.
 * @param options See {@linkcode DialOptions}; the signal's reason is thrown.
 * @returns The open socket.
 * @throws {DialError} If there is no such host, no server listens, or TLS fails.
 */
export async function dial(
  endpoint: Endpoint,
  options: DialOptions,
): Promise<Socket> {
  const { signal } = options;
  try {
    return await connect(endpoint, options);
  } catch (error) {
    signal.throwIfAborted();
    const { explain } = await import("./explain.ts");
    throw explain(endpoint, error);
  }
}

async function connect(
  endpoint: Endpoint,
  options: DialOptions,
): Promise<Socket> {
  const { hostname, port, path, tls } = endpoint;
  const { signal } = options;
  if (path !== undefined) {
    return closable(await Deno.connect({ transport: "unix", path }));
  }
  if (tls === undefined) return await connectTcp();
  const { dialTls } = await import("./deno_tls.ts");
  return await dialTls(endpoint, options, connectTcp);

  async function connectTcp(): Promise<Deno.TcpConn> {
    const tcp = await Deno.connect({ hostname, port, signal });
    tcp.setNoDelay(true);
    tcp.setKeepAlive(true);
    return closable(tcp);
  }
}

/**
 * Deno 2.8.3 alone neither ends a pending read nor closes its socket when that
 * is to be closed. There the peer is told first, and the read ends when it closes.
 */
function closable<T extends Deno.Conn>(conn: T): T {
  if (Deno.version.deno !== "2.8.3") return conn;
  const close = conn.close.bind(conn);
  conn.close = () => {
    conn.closeWrite().catch(() => {});
    close();
  };
  return conn;
}
