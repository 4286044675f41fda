// An endpoint to a connection that is ready for commands, within one deadline.
import type { ParserLimits } from "../resp/mod.ts";
import { Connection, type ConnectionObserver } from "./connection.ts";
import { type Dial, DialError, type Socket } from "./dial.ts";
import type { Endpoint } from "./endpoint.ts";
import { shakeHands } from "./handshake.ts";
import { startQuietTimer } from "./timer.ts";

/** Options of {@linkcode open}. */
export interface OpenOptions {
  /** How to open a socket. */
  readonly dial: Dial;
  /** For name, TCP, TLS and handshake together, in milliseconds. */
  readonly connectTimeoutMs: number;
  /** See `ConnectionOptions`. */
  readonly replyTimeoutMs: number;
  /** See `ConnectionOptions`. */
  readonly limits?: ParserLimits;
  /** See `ConnectionOptions`. */
  readonly observer?: ConnectionObserver;
  /** The how-manieth connection it is. */
  readonly number: number;
  /** Gives up; the reason is thrown. */
  readonly signal: AbortSignal;
}

/**
 * Dials and shakes hands.
 *
 * @throws {DialError} If either fails or the time is up.
 */
export async function open(
  endpoint: Endpoint,
  options: OpenOptions,
): Promise<Connection> {
  const { connectTimeoutMs, signal, dial } = options;
  const timeUp = new AbortController();
  let phase: "dialing" | "shaking hands" = "dialing";
  let connection: Connection | undefined;
  const timer = startQuietTimer(() => {
    const what = phase === "dialing"
      ? "no connection"
      : "connected, but no answer to the handshake";
    timeUp.abort(
      new DialError(
        endpoint,
        phase === "dialing" ? "connect" : "handshake",
        `${what} within ${connectTimeoutMs} ms`,
      ),
    );
    connection?.close("connect timeout");
  }, connectTimeoutMs);
  const onAbort = () => connection?.close("the pool was closed");
  signal.addEventListener("abort", onAbort, { once: true });
  const either = AbortSignal.any([signal, timeUp.signal]);
  try {
    const socket = await ownedUntil(dial(endpoint, { signal: either }), either);
    phase = "shaking hands";
    connection = new Connection(socket, {
      ...options,
      endpoint: `${endpoint}`,
      // The connect timeout rules here.
      replyTimeoutMs: options.replyTimeoutMs,
    });
    await shakeHands(connection, endpoint);
    return connection;
  } catch (error) {
    connection?.close("the handshake failed");
    if (either.aborted) throw either.reason;
    if (error instanceof DialError) throw error;
    throw new DialError(endpoint, "connect", String(error), { cause: error });
  } finally {
    timer.stop();
    signal.removeEventListener("abort", onAbort);
  }
}

/** A dial of the user's own may ignore the signal: its late socket is closed, not leaked. */
async function ownedUntil(
  dialing: Promise<Socket>,
  signal: AbortSignal,
): Promise<Socket> {
  const { promise: aborted, reject } = Promise.withResolvers<never>();
  const onAbort = () => {
    reject(signal.reason);
    dialing.then((late) => late.close(), () => {});
  };
  if (signal.aborted) onAbort();
  signal.addEventListener("abort", onAbort, { once: true });
  try {
    return await Promise.race([dialing, aborted]);
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
}
