// An endpoint to a connection that is ready for commands, within one deadline.
import type { ParserLimits } from "../../resp/mod.ts";
import { FairTimeout } from "../socket/fair_timeout.ts";
import { Connection, type ConnectionObserver } from "./connection.ts";
import { dial as dialByDeno } from "../socket/dial.ts";
import type { Dial, Socket } from "../socket/socket.ts";
import { DialError } from "../socket/dial_error.ts";
import { DialProgress } from "./dial_progress.ts";
import type { Endpoint } from "../socket/endpoint.ts";
import { shakeHands } from "./handshake.ts";
import { mask } from "../socket/secrets.ts";

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
  /** See `ConnectionOptions`. */
  readonly number: number;
  /** Gives up; the reason is thrown. */
  readonly signal: AbortSignal;
  /** Told how far it has come. */
  readonly progress?: DialProgress;
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
  const progress = options.progress ?? new DialProgress(`${endpoint}`);
  let connection: Connection | undefined;
  const dialedAt = performance.now();
  const patience = new FairTimeout(() => connectTimeoutMs, () => {
    timeUp.abort(
      new DialError(
        endpoint,
        progress.phase,
        progress.describe(`within ${connectTimeoutMs} ms`),
      ),
    );
    connection?.close("connect timeout");
  });
  patience.start(dialedAt);
  const onAbort = () => connection?.close("the pool was closed");
  signal.addEventListener("abort", onAbort, { once: true });
  const either = AbortSignal.any([signal, timeUp.signal]);
  try {
    const onTls = (isAnswered?: boolean) => progress.reach("tls", isAnswered);
    const socket = await ownedUntil(
      dial(endpoint, { signal: either, onTls }),
      either,
    );
    if (endpoint.tls !== undefined) onTls(); // a dial of the user's own need not say so
    progress.reach("handshake");
    connection = new Connection(socket, {
      ...options,
      dialedAt,
      reusesBytes: dial === dialByDeno, // another socket may keep the bytes that it writes
      endpoint: `${endpoint}`,
      secret: endpoint.credentials()?.password,
    });
    await shakeHands(connection, endpoint);
    return connection;
  } catch (error) {
    connection?.close("the handshake failed");
    if (either.aborted) throw either.reason;
    if (error instanceof DialError) throw error;
    const reason = mask(String(error), endpoint.credentials()?.password);
    throw new DialError(endpoint, "connect", reason, { cause: error });
  } finally {
    patience.stop();
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
    // Closed already, where the dial has done so upon the same signal.
    dialing.then((late) => late.close()).catch(() => {});
  };
  if (signal.aborted) onAbort();
  signal.addEventListener("abort", onAbort, { once: true });
  try {
    return await Promise.race([dialing, aborted]);
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
}
