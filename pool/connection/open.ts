// Opening a connection: from an endpoint to one that is ready for commands, within one deadline.
import type { ParserLimits } from "../../resp/limits.ts";
import type {
  CredentialsSource,
  DialCredentials,
} from "../socket/credentials.ts";
import { dial as dialByRuntime } from "../socket/dial.ts";
import { DialError, type DialPhase } from "../socket/dial_error.ts";
import type { Endpoint } from "../socket/endpoint.ts";
import { FairTimeout } from "../socket/fair_timeout.ts";
import { mask } from "../socket/secrets.ts";
import type { Dial } from "../socket/socket.ts";
import { socketErrorOf } from "../socket/socket_error.ts";
import { Connection, type ConnectionObserver } from "./connection.ts";
import { shakeHands } from "./handshake.ts";

/** Options of {@linkcode open}. */
export interface OpenOptions {
  /** How to open a socket. */
  readonly dial: Dial;
  /** Asked for user and password at each dial. @default {those of the endpoint} */
  readonly credentials?: CredentialsSource;
  /** The role that the server must have, or the dial fails. @default {any} */
  readonly expects?: "primary";
  /** Whether the client is one of the whole cluster that the server is a node of. @default {false} */
  readonly isClusterNode?: boolean;
  /** For credentials, name, TCP, TLS and handshake together, in milliseconds. */
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
  /** Follows how far it has come. */
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
  const {
    connectTimeoutMs,
    signal,
    dial,
    credentials: source = (request) => endpoint.credentialsFor(request),
  } = options;
  const over = new AbortController();
  const progress = options.progress ?? new DialProgress(`${endpoint}`);
  let connection: Connection | undefined;
  let credentials: DialCredentials | undefined;
  let hasCredentials = false;
  let dialedAt = performance.now();
  const timeout = new FairTimeout(() => connectTimeoutMs, () => {
    over.abort(
      new DialError(
        endpoint,
        progress.phase,
        progress.describe(`within ${connectTimeoutMs} ms`),
      ),
    );
    connection?.close("connect timeout");
  });
  timeout.start(dialedAt);
  const onAbort = () => {
    over.abort(signal.reason);
    connection?.close("the pool was closed");
  };
  if (signal.aborted) onAbort();
  signal.addEventListener("abort", onAbort, { once: true });
  const request = { signal: over.signal, timeoutMs: connectTimeoutMs };
  const ask = async (refused?: DialCredentials) => {
    hasCredentials = false;
    const asked = source(refused ? { ...request, refused } : request);
    // A constant costs no turn of the event loop.
    if (asked instanceof Promise) {
      progress.ask();
      credentials = await unlessAborted(asked, over.signal);
      progress.reach("connect");
      dialedAt = performance.now(); // what is slow is not the server
    } else credentials = asked;
    hasCredentials = true;
    return credentials;
  };
  const connect = async () => {
    const onTls = (isAnswered?: boolean) => progress.reach("tls", isAnswered);
    const socket = await unlessAborted(
      dial(endpoint, { signal: over.signal, onTls }),
      over.signal,
      (late) => late.close(), // without effect where the dial has closed it on the same signal
    );
    if (endpoint.tls !== undefined) onTls(); // a dial of the user's own need not say so
    progress.reach("handshake");
    const login = credentials;
    connection = new Connection(socket, {
      ...options,
      dialedAt,
      reusesBytes: dial === dialByRuntime, // another socket may keep the bytes that it writes
      endpoint: `${endpoint}`,
      secret: login?.password,
      isLoginDue: login?.isDue &&
        (() => login.isDue!({ signal, timeoutMs: connectTimeoutMs })),
    });
    await shakeHands(connection, {
      endpoint,
      credentials,
      expects: options.expects,
      isClusterNode: options.isClusterNode,
    });
    return connection;
  };
  try {
    const given = await ask();
    try {
      return await connect();
    } catch (error) {
      // Without a function there are no others.
      if (given?.isDue === undefined || !(error instanceof DialError)) {
        throw error;
      }
      const { logInAnew } = await import("./refused_login.ts");
      return await logInAnew(error, given, () => ask(given), () => {
        connection?.close("its login was refused");
        return connect();
      });
    }
  } catch (error) {
    connection?.close("the handshake failed");
    if (over.signal.aborted) throw over.signal.reason;
    if (error instanceof DialError) throw error;
    const text = mask(socketErrorOf(error).message, credentials?.password);
    throw new DialError(
      endpoint,
      "connect",
      hasCredentials ? text : `no credentials: ${text}`,
      { cause: error },
    );
  } finally {
    timeout.stop();
    signal.removeEventListener("abort", onAbort);
  }
}

/**
 * Waits for a promise until a signal aborts: what the promise depends on may ignore the signal.
 *
 * @param onLate Called with a value that came after the abort.
 */
async function unlessAborted<T>(
  promise: Promise<T>,
  signal: AbortSignal,
  onLate: (value: T) => void = () => {},
): Promise<T> {
  const { promise: aborted, reject } = Promise.withResolvers<never>();
  const onAbort = () => {
    reject(signal.reason);
    promise.then(onLate).catch(() => {});
  };
  if (signal.aborted) onAbort();
  signal.addEventListener("abort", onAbort, { once: true });
  try {
    return await Promise.race([promise, aborted]);
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
}

const WAITED_FOR: Record<DialPhase, string> = {
  connect: "no connection",
  tls: "connected, but no TLS handshake",
  handshake: "connected, but no answer to the Redis handshake",
};

/**
 * Follows one dial, so that a wait which ends before the dial does can say
 * what the dial waits for.
 */
export class DialProgress {
  readonly #endpoint: string;
  #isAsking = false; // for credentials
  #isTls = false;
  #isAnswered = false; // in TLS
  #phase: DialPhase = "connect";
  #since: number = performance.now();

  /**
   * Starts with the name look-up and TCP.
   *
   * @param endpoint `host:port`.
   */
  constructor(endpoint: string) {
    this.#endpoint = endpoint;
  }

  /** What the dial waits for. */
  get phase(): DialPhase {
    return this.#phase;
  }

  /** Since when, by `performance.now()`. */
  get since(): number {
    return this.#since;
  }

  /** The dial waits for credentials. */
  ask(): void {
    this.#isAsking = true;
    this.#phase = "connect";
    this.#since = performance.now();
  }

  /**
   * The dial has come as far as `phase`.
   *
   * @param phase How far.
   * @param isAnswered Whether the peer is known to answer TLS.
   */
  reach(phase: DialPhase, isAnswered = false): void {
    this.#isAsking = false;
    this.#isTls ||= phase === "tls";
    this.#isAnswered = isAnswered;
    this.#phase = phase;
    this.#since = performance.now();
  }

  /**
   * What is missing, and what it may mean.
   *
   * @param when `"yet"`, or `"within 5000 ms"`.
   * @returns Such as `connected, but no TLS handshake yet: is this a plain port (redis://)?`.
   */
  describe(when = "yet"): string {
    if (this.#isAsking) {
      return `no credentials ${when}: their function has not answered`;
    }
    return this.#isAnswered
      ? `connected, and the server answers TLS, but its handshake has not ended ${when}`
      : `${WAITED_FOR[this.#phase]} ${when}${this.#question()}`;
  }

  /**
   * The state as an error, for the `cause` of one that ends a wait.
   *
   * @returns An error that may pass by itself.
   */
  toError(): DialError {
    const ms = Math.round(performance.now() - this.#since);
    return new DialError(
      this.#endpoint,
      this.#phase,
      `${this.describe()} (for ${ms} ms so far)`,
    );
  }

  #question(): string {
    if (this.#phase === "tls") return ": is this a plain port (redis://)?";
    return this.#phase === "handshake" && !this.#isTls
      ? ": is this a TLS port (rediss://)?"
      : "";
  }
}
