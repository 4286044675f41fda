// What a command means: routing, retry and replay in front of the pool.
export { CommandError } from "./command_error.ts";
export { DeadlineError } from "./deadline_error.ts";
export { fateOf } from "./fate.ts";
export { Lease, type LeaseSendOptions } from "./lease.ts";
export type { RedisOptions, RetryInfo } from "./options.ts";
export { Redis } from "./redis.ts";
export type { SendOptions } from "./send_options.ts";
export type { ReplayPolicy } from "./commands/replay.ts";
export type { RedisStats } from "./stats.ts";
export type { Origin } from "./telemetry.ts";
