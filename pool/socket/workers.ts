// Cloudflare Workers as a runtime: its sockets.
import { builtin } from "./builtin.ts";
import { DialError, type DialPhase } from "./dial_error.ts";
import type { Endpoint } from "./endpoint.ts";
import type { DialOptions, Socket } from "./socket.ts";
import { SocketError, type SocketFailure } from "./socket_error.ts";
import type { TlsOptions } from "./tls_options.ts";

/** The part of a socket that is needed. */
interface TcpSocket {
  readonly opened: Promise<unknown>;
  readonly closed: Promise<unknown>;
  readonly readable: ReadableStream<Uint8Array<ArrayBuffer>>;
  readonly writable: WritableStream<Uint8Array>;
  startTls(options?: { readonly expectedServerHostname: string }): TcpSocket;
  close(): Promise<void>;
}

/** @see {@link https://developers.cloudflare.com/workers/runtime-apis/tcp-sockets/} */
interface Sockets {
  connect(
    address: { readonly hostname: string; readonly port: number },
    options: { readonly secureTransport: "off" | "starttls" },
  ): TcpSocket;
}

const READ_BYTES = 64 * 1024;
/** No more is handed over at once: a write that ends is progress, of which a connection must see some while a slow peer reads. */
const MAX_WRITE_BYTES = 256 * 1024;

/** What TLS cannot be asked for. A certificate that the runtime would refuse later is refused with a reason here. */
const MISSING: readonly (readonly [keyof TlsOptions, string])[] = [
  ["caCerts", "only the authorities of the runtime are trusted"],
  ["cert", "a socket has no certificate of a client"],
  [
    "unsafelyDisableHostnameVerification",
    "the server's name is always verified",
  ],
];

/**
 * Opens a TCP socket, TLS included. No-delay and keep-alive are up to the runtime.
 *
 * @throws {DialError} If it cannot be opened, or needs what the runtime has not.
 */
export async function connect(
  endpoint: Endpoint,
  { signal, onTls }: DialOptions,
): Promise<Socket> {
  refuseMissing(endpoint);
  const { hostname, port, tls } = endpoint;
  const sockets = await builtin<Sockets>("cloudflare:sockets");
  signal.throwIfAborted();
  const { promise: aborted, reject } = Promise.withResolvers<never>();
  const onAbort = () => reject(signal.reason);
  signal.addEventListener("abort", onAbort, { once: true });
  let phase: DialPhase = "connect";
  let socket: TcpSocket | undefined;
  try {
    // In two steps: an error then says whether TCP or TLS has failed.
    socket = sockets.connect(
      { hostname: hostname.includes(":") ? `[${hostname}]` : hostname, port },
      { secureTransport: tls === undefined ? "off" : "starttls" },
    );
    await Promise.race([openingOf(socket), aborted]);
    if (tls !== undefined) {
      phase = "tls";
      onTls?.();
      // Of itself the runtime would look for an IPv6 address in brackets.
      const serverName = tls.serverName ||
        (hostname.includes(":") ? hostname : undefined);
      socket = serverName
        ? socket.startTls({ expectedServerHostname: serverName })
        : socket.startTls();
      await Promise.race([openingOf(socket), aborted]);
    }
    return new WorkersSocket(
      socket,
      (error) =>
        tls === undefined ? failureOf(error) : tlsFailureOf(endpoint, error),
    );
  } catch (error) {
    if (socket !== undefined) close(socket);
    signal.throwIfAborted();
    throw explained(endpoint, phase, error);
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
}

/** Waits until a socket is open. Its end is seen by the reads, not by its promise. */
function openingOf(socket: TcpSocket): Promise<unknown> {
  socket.closed.catch(() => {});
  return socket.opened;
}

/** Closing a socket may reject, or throw in another request than that which has opened it. */
function close(socket: TcpSocket): void {
  try {
    socket.close().catch(() => {});
  } catch {
    // The runtime closes it with its request.
  }
}

/** @throws {DialError} If the endpoint needs what the runtime has not. Final. */
function refuseMissing(endpoint: Endpoint): void {
  const { path, tls = {} } = endpoint;
  const refuse = (phase: DialPhase, what: string): never => {
    throw new DialError(
      endpoint,
      phase,
      `cannot use ${what} on Cloudflare Workers`,
      { isRetriable: false },
    );
  };
  if (path !== undefined) refuse("connect", "a Unix socket");
  for (const [name, why] of MISSING) {
    const value = tls[name];
    if (!value || Array.isArray(value) && value.length === 0) continue;
    refuse("tls", `tls.${name}: ${why}`);
  }
}

/** Hosts that no Worker of Cloudflare reaches. */
const PRIVATE =
  /^(?:localhost|.*\.(?:localhost|local)|(?:0|10|127|169\.254|192\.168|172\.(?:1[6-9]|2\d|3[01]))\..*|::1?|f[cd][\da-f]{2}:.*|fe[89ab][\da-f]:.*)$/i;

/** The runtime has one text for whatever kept it from opening a socket. */
function explained(
  endpoint: Endpoint,
  phase: DialPhase,
  error: unknown,
): DialError {
  const cause = phase === "tls"
    ? tlsFailureOf(endpoint, error)
    : failureOf(error);
  const text = cause.message.replace(/\.$/, "");
  const isElsewhere = cause.how === "denied";
  const reason = isElsewhere || phase === "tls"
    ? text
    : PRIVATE.test(endpoint.hostname)
    ? `${text}: no server listens there; once deployed, a Worker reaches no private address and no localhost at all`
    : `${text}: no server listens there, or there is no such host`;
  return new DialError(endpoint, phase, reason, {
    cause,
    isRetriable: !isElsewhere,
  });
}

/** How a socket failed, by the only thing that the runtime gives: a text. */
const BY_TEXT: readonly (readonly [RegExp, SocketFailure])[] = [
  [/network connection lost/i, "rst"],
  [/different request|global scope/i, "denied"],
];

function failureOf(error: unknown): SocketError {
  const text = error instanceof Error ? error.message : String(error);
  const how = BY_TEXT.find(([pattern]) => pattern.test(text))?.[1] ?? "unknown";
  return new SocketError(how, text, { cause: error });
}

/** Before the first byte has come, what ends a TLS socket is most likely its handshake: the runtime of April 2026 takes it for open before that. */
function tlsFailureOf(endpoint: Endpoint, error: unknown): SocketError {
  const failure = failureOf(error);
  if (failure.how !== "unknown") return failure;
  const name = endpoint.tls?.serverName || endpoint.hostname;
  return new SocketError(
    "unknown", // it may have been cut, too: another attempt is worth while
    `TLS failed, and the runtime does not say why (${failure.message}): ` +
      `the certificate must be of a public authority and made out to ${name}`,
    { cause: error },
  );
}

/** A socket in the shape that a connection needs. */
class WorkersSocket implements Socket {
  readonly #socket: TcpSocket;
  readonly #reader: ReadableStreamBYOBReader;
  readonly #writer: WritableStreamDefaultWriter<Uint8Array>;
  /** Handed to the runtime for each read, which gives it back. */
  #buffer = new ArrayBuffer(READ_BYTES);
  /** What was read and is not taken yet. */
  #rest = new Uint8Array(0);
  #failureOf: (error: unknown) => SocketError;

  /**
   * @param socket An open socket.
   * @param failureOf Recognizes an error before the first byte has come.
   */
  constructor(socket: TcpSocket, failureOf: (error: unknown) => SocketError) {
    this.#socket = socket;
    this.#failureOf = failureOf;
    this.#reader = socket.readable.getReader({ mode: "byob" });
    this.#writer = socket.writable.getWriter();
    this.#reader.closed.catch(() => {});
    this.#writer.closed.catch(() => {});
  }

  async read(buffer: Uint8Array): Promise<number | null> {
    if (this.#rest.length === 0) {
      try {
        const room = new Uint8Array(this.#buffer);
        const { value, done } = await this.#reader.read(room);
        if (done) return null;
        this.#buffer = value.buffer;
        this.#rest = value;
        this.#failureOf = failureOf;
      } catch (error) {
        throw this.#failureOf(error);
      }
    }
    const rest = this.#rest;
    const count = Math.min(rest.length, buffer.length);
    buffer.set(count === rest.length ? rest : rest.subarray(0, count));
    this.#rest = rest.subarray(count);
    return count;
  }

  async write(bytes: Uint8Array): Promise<number> {
    const part = bytes.length > MAX_WRITE_BYTES
      ? bytes.subarray(0, MAX_WRITE_BYTES)
      : bytes;
    try {
      await this.#writer.write(part);
    } catch (error) {
      throw this.#failureOf(error);
    }
    return part.length;
  }

  close(): void {
    close(this.#socket);
  }
}
