// How a socket failed, in the same words for every runtime.

/**
 * How a socket failed.
 *
 * - `"fin"`: the peer closed in the middle of TLS, without a close_notify.
 * - `"rst"`: the connection was reset.
 * - `"silence"`: the peer acknowledged nothing until the system gave up.
 * - `"tls"`: TLS was refused, by either side.
 * - `"refused"`: the host answered that no server listens there.
 * - `"missing"`: there is no such Unix socket.
 * - `"unreachable"`: the network has no route to the host.
 * - `"dns"`: the name of the host could not be looked up.
 * - `"denied"`: the runtime does not permit it.
 * - `"unknown"`: none of these could be recognized.
 */
export type SocketFailure =
  | "fin"
  | "rst"
  | "silence"
  | "tls"
  | "refused"
  | "missing"
  | "unreachable"
  | "dns"
  | "denied"
  | "unknown";

/**
 * A socket failed. A socket or dial of your own may throw it to say how; any
 * other error is recognized by its `name` and `code` where it has those of Deno
 * or Node. What cannot be recognized ends a connection like a reset.
 *
 * @example The reason for which a dial failed
 * ```ts
 * import { DialError, Redis } from "@unzombie/redis";
 * import { SocketError } from "@unzombie/redis/pool";
 * import { assert, assertEquals, assertRejects } from "@std/assert";
 *
 * await using redis = new Redis("redis://127.0.0.1:1", { retry: false });
 * const error = await assertRejects(() => redis.send(["PING"]), DialError);
 * assert(error.cause instanceof SocketError);
 * assertEquals(error.cause.how, "refused");
 * ```
 */
export class SocketError extends Error {
  /** Always `"SocketError"`. */
  override readonly name = "SocketError";
  /** How the socket failed. */
  readonly how: SocketFailure;

  /**
   * Makes the error.
   *
   * @param how How the socket failed.
   * @param message What is known beyond that.
   * @param options `cause`: the error of the runtime, if there is one.
   */
  constructor(
    how: SocketFailure,
    message: string,
    options: { cause?: unknown } = {},
  ) {
    super(
      message,
      // Without one there is no such property, which would be printed.
      options.cause === undefined ? undefined : { cause: options.cause },
    );
    this.how = how;
  }
}

/** By the `code` that Deno, Node and Bun take from the system, or by Deno's `name`. */
const BY_CODE: ReadonlyMap<string, SocketFailure> = new Map(Object.entries(
  {
    ECONNRESET: "rst",
    ConnectionReset: "rst",
    ECONNABORTED: "rst",
    ConnectionAborted: "rst",
    EPIPE: "rst",
    BrokenPipe: "rst",
    ENOTCONN: "rst",
    NotConnected: "rst",
    UnexpectedEof: "fin",
    ETIMEDOUT: "silence",
    TimedOut: "silence",
    ECONNREFUSED: "refused",
    ConnectionRefused: "refused",
    ENOENT: "missing",
    NotFound: "missing",
    EHOSTUNREACH: "unreachable",
    ENETUNREACH: "unreachable",
    NetworkUnreachable: "unreachable",
    ENOTFOUND: "dns",
    EAI_AGAIN: "dns",
    NotCapable: "denied",
    ERR_ACCESS_DENIED: "denied",
  } as const,
));

/** By the text, where neither `code` nor `name` is specific. */
const BY_TEXT: readonly (readonly [RegExp, SocketFailure])[] = [
  [/lookup address|getaddrinfo/i, "dns"],
  [/certificate|\balert\b|SSL routines/i, "tls"],
];

/** What is readable in a text of OpenSSL, with which Node and Bun speak TLS: between its function and its source file. */
const OPENSSL = /error:[\da-f]+:SSL routines:[^:]*:([^:\n]+)/i;

/**
 * Recognizes an error that a socket or a dial has thrown. Never throws itself,
 * whatever was thrown: it runs where a failure ends the commands in flight.
 *
 * @param error What was thrown.
 * @returns The error itself if it is a {@linkcode SocketError}, or one of which it is the cause.
 */
export function socketErrorOf(error: unknown): SocketError {
  try {
    if (error instanceof SocketError) return error;
    const text = textOf(error);
    const how = BY_CODE.get(codeOf(error)) ?? BY_CODE.get(nameOf(error)) ??
      BY_TEXT.find(([pattern]) => pattern.test(text))?.[1] ?? "unknown";
    return new SocketError(how, OPENSSL.exec(text)?.[1] ?? text, {
      cause: error,
    });
  } catch { // an object without a text, or with a getter that throws
    return new SocketError("unknown", "an error that has no text");
  }
}

const textOf = (error: unknown): string =>
  error instanceof Error ? error.message || codeOf(error) : String(error);

const nameOf = (error: unknown): string =>
  error instanceof Error ? error.name : "";

/** The `code` of an error, or an empty text. */
export const codeOf = (error: unknown): string =>
  error instanceof Error && "code" in error ? String(error.code) : "";
