/**
 * Connections to Redis: dialed, pipelined, shared, and buried with a report.
 *
 * @example One connection by hand
 * ```ts
 * import { dial, Endpoint } from "@unzombie/redis/pool";
 *
 * const endpoint = new Endpoint("redis://127.0.0.1:6379");
 * const open = () => dial(endpoint, { signal: AbortSignal.timeout(1000) });
 * console.log(typeof open, `${endpoint}`);
 * ```
 *
 * @module
 */
export { type Freeze, FreezeWatch } from "./clock.ts";
export {
  type ClosedBy,
  type ClosedDuring,
  type ClosedHow,
  type CloseReport,
  ConnectionClosedError,
  describeClose,
  type Fate,
  isOverLimit,
  type PoolState,
} from "./close_report.ts";
export {
  Connection,
  type ConnectionObserver,
  type ConnectionOptions,
  type Identity,
} from "./connection.ts";
export { dial } from "./dial.ts";
export type { Dial, DialOptions, Socket } from "./socket.ts";
export { DialError, type DialPhase } from "./dial_error.ts";
export { say } from "./handshake.ts";
export { Endpoint, type EndpointOptions } from "./endpoint.ts";
export type { TlsOptions } from "./tls_options.ts";
export type { Loss, Slot } from "./in_flight.ts";
export { DialProgress } from "./dial_progress.ts";
export { open, type OpenOptions } from "./open.ts";
export { CheckoutTimeoutError, ClosedError } from "./checkout_error.ts";
export type { RetirementReason } from "./member.ts";
export {
  type EvictionReason,
  Pool,
  type PoolOptions,
  type PoolStats,
} from "./pool.ts";
export { type ConnectionFacts, PushRight, RevokedError } from "./push_right.ts";
export type { Checkout, CheckoutKind, CheckoutWait } from "./waiters.ts";
export type { Cause, Verdict } from "./diagnose.ts";
