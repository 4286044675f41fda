/**
 * What you need to bring a socket of your own: the shape of a {@linkcode Socket}
 * and of the {@linkcode Dial} that opens it, the {@linkcode Endpoint} it leads to,
 * and the errors of connecting.
 *
 * @example A dial that counts
 * ```ts
 * import { Redis } from "@unzombie/redis";
 * import { type Dial, dial } from "@unzombie/redis/pool";
 * import { assertEquals } from "@std/assert";
 *
 * let dials = 0;
 * const counting: Dial = (endpoint, options) => {
 *   dials++;
 *   return dial(endpoint, options);
 * };
 * await using redis = new Redis(Deno.env.get("REDIS_URL"), { dial: counting });
 * await redis.send(["PING"]);
 * assertEquals(dials, 1);
 * ```
 *
 * @module
 */
export type {
  ClosedBy,
  ClosedDuring,
  ClosedHow,
  CloseReport,
  PoolState,
} from "./connection/close_report.ts";
export { ConnectionClosedError } from "./connection/close_report.ts";
export type { Fate } from "./connection/fate.ts";
export { CheckoutTimeoutError, ClosedError } from "./errors.ts";
export type { Address } from "./socket/address.ts";
export type { Credentials, CredentialsFunction } from "./socket/credentials.ts";
export { dial } from "./socket/dial.ts";
export { DialError, type DialPhase } from "./socket/dial_error.ts";
export type { ClusterOptions, SentinelOptions } from "./socket/location.ts";
export { Endpoint, type EndpointOptions } from "./socket/endpoint.ts";
export { SocketError, type SocketFailure } from "./socket/socket_error.ts";
export type { Dial, DialOptions, Socket } from "./socket/socket.ts";
export type { TlsOptions } from "./socket/tls_options.ts";
