// TLS sockets of Deno: a handshake begins only with a peer that answers TLS.
import { DialError, TlsFailure } from "./dial_error.ts";
import type { Endpoint } from "./endpoint.ts";
import type { DialOptions, Socket } from "./socket.ts";
import { socketErrorOf } from "./socket_error.ts";
import { probeTls, type TlsHistory, tlsHistoryOf } from "./tls_probe.ts";

/** How many handshakes may be given up, each of which keeps its socket, before the next one has to wait. */
const MAX_STRANDED = 3;
/** How long it waits, in milliseconds; twice as long after each further one. */
const STRANDED_PAUSE_MS = 30_000;
const MAX_STRANDED_PAUSES = 7;

const [major = 0, minor = 0] = Deno.version.deno.split(".").map(Number);
/** Before Deno 2.7 a dial by `node:tls` that waits for TCP goes on when it is given up, and keeps the process alive. */
const NODE_CAN_BE_GIVEN_UP = major > 2 || minor >= 7;

/** Opens a TCP socket. */
export type ConnectTcp = () => Promise<Deno.TcpConn>;

/**
 * Opens a TLS socket.
 *
 * @param endpoint An endpoint with TLS.
 * @param options See `DialOptions`.
 * @param connectTcp How a TCP socket to it is opened.
 */
export async function dialTls(
  endpoint: Endpoint,
  options: DialOptions,
  connectTcp: ConnectTcp,
): Promise<Socket> {
  const { signal, onTls } = options;
  const { tls } = endpoint;
  const history = tlsHistoryOf(endpoint);
  const isCertified = tls?.cert !== undefined;
  if (isCertified) {
    const { checkCertificates } = await import("./check_certificates.ts");
    await checkCertificates(endpoint);
  }
  if (!history.answersTls || isCertified && !NODE_CAN_BE_GIVEN_UP) {
    const tcp = await connectTcp();
    onTls?.();
    await probeTls(endpoint, tcp, signal);
  }
  if (isCertified) {
    // `Deno.startTls` takes no certificate, and what `Deno.connectTls` opens can
    // have neither no-delay nor keep-alive, and cannot be given up.
    const { connectTls } = await import("./node_tls.ts");
    try {
      return await connectTls(endpoint, options, {
        replacesRoots: true,
      });
    } finally {
      history.answersTls = !signal.aborted;
    }
  }
  refuseWhileStranded(endpoint, history);
  const tcp = await connectTcp();
  onTls?.(true);
  return await handshake(await start(endpoint, tcp), signal, history);
}

/** Begins TLS on a TCP socket, which is closed if that is refused. */
async function start(
  endpoint: Endpoint,
  tcp: Deno.TcpConn,
): Promise<Deno.TlsConn> {
  const { hostname, tls } = endpoint;
  try {
    return await Deno.startTls(tcp, {
      hostname: tls?.serverName || hostname,
      caCerts: tls?.caCerts ?? [],
      unsafelyDisableHostnameVerification:
        tls?.unsafelyDisableHostnameVerification ?? false,
    });
  } catch (error) {
    close(tcp);
    if (error instanceof TypeError) throw error; // not a valid host name
    // Deno asks for the addresses of the socket: ENOTCONN after a reset.
    if (socketErrorOf(error).how === "rst") throw new TlsFailure(error);
    // Deno's text blames the peer's certificate, which has not come yet.
    const { message } = error as Error;
    throw new DialError(
      endpoint,
      "tls",
      `cannot use tls.caCerts: ${
        message.replace("invalid peer certificate: ", "")
      }`,
      { cause: error, isRetriable: false },
    );
  }
}

/** Runs the TLS handshake. Closing ends the wait for it, and strands its socket. */
async function handshake(
  conn: Deno.TlsConn,
  signal: AbortSignal,
  history: TlsHistory,
): Promise<Deno.TlsConn> {
  const giveUp = () => {
    strand(history);
    close(conn);
  };
  signal.addEventListener("abort", giveUp, { once: true });
  try {
    if (signal.aborted) giveUp();
    await conn.handshake();
    return conn;
  } catch (error) {
    close(conn);
    throw new TlsFailure(error);
  } finally {
    history.answersTls = !signal.aborted;
    signal.removeEventListener("abort", giveUp);
  }
}

function strand(history: TlsHistory): void {
  const more = ++history.stranded - MAX_STRANDED;
  if (more < 0) return;
  history.tlsNotBefore = performance.now() +
    STRANDED_PAUSE_MS * 2 ** Math.min(more, MAX_STRANDED_PAUSES);
}

function refuseWhileStranded(endpoint: Endpoint, history: TlsHistory): void {
  const leftMs = history.tlsNotBefore - performance.now();
  if (leftMs <= 0) return;
  throw new DialError(
    endpoint,
    "tls",
    `${history.stranded} TLS handshakes did not end in time, and Deno keeps their sockets until the server closes them: the next one begins in ${
      Math.ceil(leftMs / 1000)
    } s`,
  );
}

function close(conn: Deno.Conn): void {
  try {
    conn.close();
  } catch {
    // Closed already, by an error or by TLS that took it over.
  }
}
