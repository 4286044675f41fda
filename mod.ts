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
export { CommandError } from "./client/command_error.ts";
export type { ReplayPolicy } from "./client/commands/replay.ts";
export { DeadlineError } from "./client/deadline_error.ts";
export { fateOf } from "./client/fate.ts";
export { Lease, type LeaseSendOptions } from "./client/lease.ts";
export type { RedisOptions, RetryInfo } from "./client/options.ts";
export { Redis } from "./client/redis.ts";
export type { SendOptions } from "./client/send_options.ts";
export type { RedisStats } from "./client/stats.ts";
export type { Origin } from "./client/telemetry.ts";
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
export type {
  DroppedOutcome,
  QueuedOutcome,
  RecordedOutcome,
  RecordOutcome,
} from "./recorder/entry.ts";
export type { RecordErrorInfo } from "./recorder/error_info.ts";
export type { WebhookEvent } from "./recorder/event.ts";
export type { RecorderOptions } from "./recorder/options.ts";
export type { RecorderStats } from "./recorder/outcomes.ts";
export { WebhookRecorder } from "./recorder/recorder.ts";
export type { Sender } from "./recorder/sender.ts";
export { ProtocolError, ReplyError } from "./resp/errors.ts";
export type { ParserLimits } from "./resp/limits.ts";
export type { Command, CommandArgument, Reply } from "./resp/types.ts";
export { type BackoffOptions, ExponentialBackoff } from "./retry/backoff.ts";
export {
  Retry,
  type RetryAttempt,
  RetryError,
  type RetryErrorOptions,
  type RetryOptions,
  type RunOptions,
} from "./retry/retry.ts";
