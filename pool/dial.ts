// An endpoint to an open TCP or TLS socket.
import { TlsFailure } from "./dial_error.ts";
import type { Endpoint } from "./endpoint.ts";

/** The part of `Deno.Conn` that a connection needs. Bring your own by the option `dial`. */
export interface Socket {
  /** Reads into `buffer`: how many bytes, or `null` at the end. */
  read(buffer: Uint8Array): Promise<number | null>;
  /** Writes some of `bytes`: how many. */
  write(bytes: Uint8Array): Promise<number>;
  /** Closes both directions; pending reads reject. */
  close(): void;
  /** Lets the process exit while a read is pending. */
  unref?(): void;
}

/** Opens a socket to an endpoint, TLS handshake included. */
export type Dial = (
  endpoint: Endpoint,
  options: DialOptions,
) => Promise<Socket>;

/** What a {@linkcode Dial} is told. */
export interface DialOptions {
  /** The time is up, or the pool was closed. */
  readonly signal: AbortSignal;
  /** To be called when TCP is open and TLS begins, for the sake of the error. */
  readonly onTls?: () => void;
}

/**
 * Opens a TCP or TLS socket with no-delay and keep-alive.
 *
 * @param endpoint Where to.
 * @param options See {@linkcode DialOptions}; the signal's reason is thrown.
 * @returns The open socket.
 * @throws {DialError} If there is no such host, nobody listens, or TLS fails.
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
  { signal, onTls }: DialOptions,
): Promise<Socket> {
  const { hostname, port, tls } = endpoint;
  if (tls?.cert !== undefined && tls.key !== undefined) {
    const conn = await connectWithCertificate(endpoint, tls.cert, tls.key);
    return await handshake(conn, signal);
  }
  const tcp = await connectTcp(hostname, port, signal);
  if (tls === undefined) return tcp;
  onTls?.();
  const conn = await Deno.startTls(tcp, {
    hostname: tls.serverName ?? hostname,
    caCerts: tls.caCerts ?? [],
    unsafelyDisableHostnameVerification:
      tls.unsafelyDisableHostnameVerification ?? false,
  });
  return await handshake(conn, signal);
}

async function connectTcp(
  hostname: string,
  port: number,
  signal: AbortSignal,
): Promise<Deno.TcpConn> {
  const tcp = await Deno.connect({ hostname, port, signal });
  tcp.setNoDelay(true);
  tcp.setKeepAlive(true);
  return tcp;
}

/** Only `Deno.connectTls` takes a client certificate, and it takes no signal. */
const connectWithCertificate = (
  { hostname, port, tls }: Endpoint,
  cert: string,
  key: string,
): Promise<Deno.TlsConn> =>
  Deno.connectTls({
    hostname,
    port,
    caCerts: tls?.caCerts ?? [],
    cert,
    key,
    unsafelyDisableHostnameVerification:
      tls?.unsafelyDisableHostnameVerification ?? false,
  });

/** Runs the TLS handshake, which nothing but closing the socket can end early. */
async function handshake(
  conn: Deno.TlsConn,
  signal: AbortSignal,
): Promise<Deno.TlsConn> {
  const close = () => {
    try {
      conn.close();
    } catch {
      // A failed handshake may have closed it.
    }
  };
  signal.addEventListener("abort", close, { once: true });
  try {
    signal.throwIfAborted();
    await conn.handshake();
    return conn;
  } catch (error) {
    close();
    throw new TlsFailure(error);
  } finally {
    signal.removeEventListener("abort", close);
  }
}
