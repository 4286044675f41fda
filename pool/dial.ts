// An endpoint to an open TCP or TLS socket.
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

/** How far opening a connection came: name and TCP, TLS, or the Redis handshake. */
export type DialPhase = "connect" | "tls" | "handshake";

/**
 * No connection could be opened. No command was sent: its fate is `"unsent"`.
 *
 * @example A port on which nobody listens
 * ```ts
 * import { DialError, Redis } from "@unzombie/redis";
 * import { assertRejects } from "@std/assert";
 *
 * await using redis = new Redis("redis://127.0.0.1:1", { retry: false });
 * const error = await assertRejects(() => redis.send(["PING"]), DialError);
 * console.log(error.message); // Cannot connect to 127.0.0.1:1: connection refused …
 * ```
 */
export class DialError extends Error {
  /** Always `"DialError"`. */
  override readonly name = "DialError";
  /** `host:port`. */
  readonly endpoint: string;
  /** How far it came. */
  readonly phase: DialPhase;
  /** Whether the same attempt may succeed later: not with a wrong password or an unknown CA. */
  readonly isRetriable: boolean;
  /** Always `"unsent"`. */
  readonly fate = "unsent";

  /**
   * Makes the error.
   *
   * @param endpoint Where to.
   * @param phase How far it came.
   * @param reason What went wrong.
   * @param options The cause, and whether it may pass by itself (default true).
   */
  constructor(
    endpoint: Endpoint | string,
    phase: DialPhase,
    reason: string,
    options: { cause?: unknown; isRetriable?: boolean } = {},
  ) {
    super(`Cannot connect to ${endpoint}: ${reason}`, { cause: options.cause });
    this.endpoint = `${endpoint}`;
    this.phase = phase;
    this.isRetriable = options.isRetriable ?? true;
  }
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

/** Marks what failed after TCP was open. */
class TlsFailure extends Error {
  constructor(cause: unknown) {
    super("TLS failed", { cause });
  }
}

function explain(endpoint: Endpoint, error: unknown): DialError {
  if (error instanceof DialError) return error;
  const cause = error instanceof TlsFailure ? error.cause : error;
  const text = cause instanceof Error ? cause.message : String(cause);
  if (cause instanceof Deno.errors.NotCapable) {
    return new DialError(
      endpoint,
      "connect",
      `Deno has no permission, run with --allow-net=${endpoint}`,
      { cause, isRetriable: false },
    );
  }
  if (cause instanceof TypeError) { // a name or a certificate that is none
    return new DialError(
      endpoint,
      endpoint.tls === undefined ? "connect" : "tls",
      text,
      { cause, isRetriable: false },
    );
  }
  if (error instanceof TlsFailure || /certificate|tls/i.test(text)) {
    return explainTls(endpoint, cause, text);
  }
  if (cause instanceof Deno.errors.ConnectionRefused) {
    return new DialError(
      endpoint,
      "connect",
      "connection refused, nobody listens on that port",
      { cause },
    );
  }
  if (/lookup address|resolve/i.test(text)) {
    return new DialError(endpoint, "connect", `no such host (${text})`, {
      cause,
    });
  }
  return new DialError(endpoint, "connect", text, { cause });
}

function explainTls(
  endpoint: Endpoint,
  cause: unknown,
  text: string,
): DialError {
  if (/UnknownIssuer/.test(text)) {
    return refusal(
      "the server's certificate is signed by an unknown authority, pass it in tls.caCerts",
    );
  }
  if (/corrupt message|InvalidContentType/.test(text)) {
    return refusal("the server does not speak TLS on this port, use redis://");
  }
  if (
    /certificate|NotValidForName|Expired|HandshakeFailure|alert/i.test(text)
  ) {
    return refusal(`TLS refused: ${text}`);
  }
  // An end of file or a reset: a plain Redis closes on the first TLS byte, but so does a dying server.
  return new DialError(
    endpoint,
    "tls",
    `the TLS handshake was cut short: ${text}`,
    { cause },
  );

  function refusal(reason: string): DialError {
    return new DialError(endpoint, "tls", reason, {
      cause,
      isRetriable: false,
    });
  }
}
