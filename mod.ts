/**
 * Records webhook events in Redis over connections that may be dead already,
 * and loses none: a Redis client with a pool that notices closed sockets, a
 * retry that knows which commands may run twice, and a ZADD recorder.
 *
 * @example Record an event
 * ```ts
 * import { Redis, WebhookRecorder } from "@unzombie/redis";
 *
 * await using redis = new Redis(Deno.env.get("REDIS_URL"));
 * await using recorder = new WebhookRecorder(redis, { retentionSeconds: 60 });
 *
 * const outcome = await recorder.record({
 *   mallId: "example",
 *   shopNo: 1,
 *   eventType: "orders/create",
 * });
 * console.log(outcome.status); // recorded
 * ```
 *
 * @module
 */
export {
  CommandError,
  DeadlineError,
  fateOf,
  Lease,
  type LeaseSendOptions,
  type Origin,
  Redis,
  type RedisOptions,
  type RedisStats,
  type ReplayPolicy,
  type RetryInfo,
  type SendOptions,
} from "./client/mod.ts";
export type {
  AnyCommand,
  AnyReply,
  BuiltInReplies,
  BulkOf,
  CommandName,
  GeoMember,
  KnownName,
  NameOf,
  Replies,
  RepliesOf,
  ReplyOf,
  StreamEntry,
} from "./client/commands/replies.ts";
export type {
  ClosedBy,
  ClosedDuring,
  ClosedHow,
  CloseReport,
  PoolState,
} from "./pool/connection/close_report.ts";
export { ConnectionClosedError } from "./pool/connection/connection_closed_error.ts";
export { describeClose } from "./pool/connection/describe_close.ts";
export type { Fate } from "./pool/connection/fate.ts";
export { CheckoutTimeoutError, ClosedError } from "./pool/errors.ts";
export type { Cause, Verdict } from "./pool/forensics/verdict.ts";
export type { RetirementReason } from "./pool/member.ts";
export type { EvictionReason, PoolStats } from "./pool/pool_stats.ts";
export { DialError, type DialPhase } from "./pool/socket/dial_error.ts";
export type { Endpoint, EndpointOptions } from "./pool/socket/endpoint.ts";
export type { Dial, DialOptions, Socket } from "./pool/socket/socket.ts";
export type { TlsOptions } from "./pool/socket/tls_options.ts";
export {
  type DroppedOutcome,
  type QueuedOutcome,
  type RecordedOutcome,
  type RecorderOptions,
  type RecordErrorInfo,
  type RecorderStats,
  type RecordOutcome,
  type Sender,
  type WebhookEvent,
  WebhookRecorder,
} from "./recorder/mod.ts";
export {
  type Command,
  type CommandArgument,
  type ParserLimits,
  ProtocolError,
  type Reply,
  ReplyError,
} from "./resp/mod.ts";
export {
  type BackoffOptions,
  ExponentialBackoff,
  Retry,
  type RetryAttempt,
  RetryError,
  type RetryErrorOptions,
  type RetryOptions,
  type RunOptions,
} from "./retry/mod.ts";
