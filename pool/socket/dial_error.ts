// The error of a dial: no connection could be opened.
import type { Endpoint } from "./endpoint.ts";

/** How far opening a connection came: name and TCP, TLS, or the Redis handshake. */
export type DialPhase = "connect" | "tls" | "handshake";

/**
 * No connection could be opened. No command was sent: its fate is `"unsent"`.
 *
 * @example A port on which no server listens
 * ```ts
 * import { DialError, Redis } from "@unzombie/redis";
 * import { assert, assertEquals, assertRejects } from "@std/assert";
 *
 * await using redis = new Redis("redis://127.0.0.1:1", { retry: false });
 * const error = await assertRejects(() => redis.send(["PING"]), DialError);
 * assert(error.message.startsWith("Cannot connect to 127.0.0.1:1: connection refused"));
 * assertEquals([error.phase, error.fate], ["connect", "unsent"]);
 * ```
 */
export class DialError extends Error {
  /** Always `"DialError"`. */
  override readonly name = "DialError";
  /** `host:port`. */
  readonly endpoint: string;
  /** How far opening it came. */
  readonly phase: DialPhase;
  /** Why it failed, without the endpoint. */
  readonly reason: string;
  /** Whether the same attempt may succeed later: not with a wrong password or an unknown CA. */
  readonly isRetriable: boolean;
  /** Always `"unsent"`. */
  readonly fate = "unsent";

  /**
   * Makes the error.
   *
   * @param endpoint Where to.
   * @param phase How far opening it came.
   * @param reason Why it failed.
   * @param options `cause`: what it was made from; of the module's own dials a
   * `SocketError`. `isRetriable`: see there (default true).
   */
  constructor(
    endpoint: Endpoint | string,
    phase: DialPhase,
    reason: string,
    options: { cause?: unknown; isRetriable?: boolean } = {},
  ) {
    super(
      `Cannot connect to ${endpoint}: ${reason}`,
      // Without one there is no such property, which would be printed.
      options.cause === undefined ? undefined : { cause: options.cause },
    );
    this.endpoint = `${endpoint}`;
    this.phase = phase;
    this.reason = reason;
    this.isRetriable = options.isRetriable ?? true;
  }
}

/** Marks a failure that came after TCP was open. */
export class TlsFailure extends Error {
  constructor(cause: unknown) {
    super("TLS failed", { cause });
  }
}
