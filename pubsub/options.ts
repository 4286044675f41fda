// The options of a subscriber and of its subscriptions, and their checks.
import type { ParserLimits } from "../resp/limits.ts";
import type { ExponentialBackoff } from "../retry/backoff.ts";
import type { CloseReport } from "../pool/connection/close_report.ts";
import type { Verdict } from "../pool/forensics/verdict.ts";
import type { EndpointOptions } from "../pool/socket/endpoint.ts";
import type { Dial } from "../pool/socket/socket.ts";
import {
  BOOLEAN,
  CHECKED_ELSEWHERE,
  checkOptions,
  DURATION,
  FUNCTION,
  isObject,
  type OptionRule,
  show,
  SIGNAL,
} from "../client/check.ts";
import type { BulkOf } from "../client/commands/replies.ts";
import { settingsOf as clientSettingsOf } from "../client/settings.ts";
import type { Away, Gap, Message } from "./items.ts";

/**
 * What gives when as many messages wait as may: `"block"`, nothing more is read, so
 * that the server keeps what comes, up to its own limit; `"drop-oldest"`, a gap says
 * how many; `"fail"`, the subscription ends with a `QueueFullError`.
 */
export type WhenFull = "block" | "drop-oldest" | "fail";

/** How many messages may wait for their reader, and what gives then. */
export interface QueueOptions {
  /** How many messages may wait to be read. @default {5000} */
  maxQueued?: number | undefined;
  /** How large their payloads may be together: bytes, or characters of text. A single one may be larger. @default {16777216} */
  maxQueuedBytes?: number | undefined;
  /** What gives then. @default {"block"} */
  whenFull?: WhenFull | undefined;
}

/** Options of a `Subscriber`. Durations are in milliseconds. */
export interface SubscriberOptions extends EndpointOptions, QueueOptions {
  /** See `RedisOptions`. @default {5000} */
  connectTimeoutMs?: number | undefined;
  /** How long the answer to a PING or a SUBSCRIBE may take without a byte coming; then the connection is closed. @default {5000} */
  replyTimeoutMs?: number | undefined;
  /**
   * How often a PING is sent. A peer that is silently gone is found within this and
   * `replyTimeoutMs`, and a gap begins at most so much earlier than it need.
   * @default {5000}
   */
  pingIntervalMs?: number | undefined;
  /** The waits between attempts to subscribe. @default {base 100 ms, cap 5000 ms, jitter 0.5} */
  backoff?: Pick<ExponentialBackoff, "delayMs"> | undefined;
  /** The largest message to accept. @default {those of `ParserLimits`} */
  limits?: ParserLimits | undefined;
  /** Opens sockets. @default {those of the runtime} */
  dial?: Dial | undefined;
  /** Called with the report of each connection that has ended. */
  onClose?: ((report: CloseReport) => void) | undefined;
  /** Called when an attempt to subscribe has failed: the 1st in a row, the 2nd, the 4th, the 8th and so on. */
  onError?: ((error: Error, info: AttemptInfo) => void) | undefined;
  /** Whether to look for the cause when a connection has ended: see `RedisOptions`. It needs a second connection to the server. @default {false} */
  postMortem?: boolean | undefined;
  /** Called with the verdict of each post-mortem. Its `report` is that of the gap. */
  onVerdict?: ((verdict: Verdict) => void) | undefined;
}

/** An attempt to subscribe has failed. */
export interface AttemptInfo {
  /** Which one in a row, from 1. */
  readonly attempt: number;
  /** The wait before the next one, in milliseconds. */
  readonly delayMs: number;
}

/** Options of one subscription. */
export interface SubscribeOptions<Binary extends boolean = false>
  extends QueueOptions {
  /** Whether payloads are `Uint8Array`, not strings. @default {false} */
  binary?: Binary | undefined;
  /** Ends the subscription: its reader, or the wait for it, gets the reason. */
  signal?: AbortSignal | undefined;
  /** How long to wait until the server has acknowledged it, in milliseconds. @default {10000} */
  deadlineMs?: number | undefined;
  /**
   * Called with each message, in place of the iterator. While its promise is pending
   * messages wait, as many as `maxQueued`.
   */
  onMessage?: ((message: Message<BulkOf<Binary>>) => unknown) | undefined;
  /** Called where messages may be missing; with `onMessage` only. */
  onGap?: ((gap: Gap) => unknown) | undefined;
  /** Called when the connection was lost; with `onMessage` only. */
  onAway?: ((away: Away) => unknown) | undefined;
  /** Called when it has ended, with the error that ended it, if one did; with `onMessage` only. */
  onEnd?: ((error: unknown) => void) | undefined;
}

const COUNT: OptionRule = [
  (value) =>
    typeof value === "number" && value >= 1 &&
    (Number.isInteger(value) || value === Infinity),
  "a whole number of 1 or more",
];

const QUEUE_RULES = {
  maxQueued: COUNT,
  maxQueuedBytes: COUNT,
  whenFull: [
    (value) => ["block", "drop-oldest", "fail"].includes(value as string),
    '"block", "drop-oldest" or "fail"',
  ],
} satisfies Record<keyof QueueOptions, OptionRule>;

const RULES = {
  ...QUEUE_RULES,
  pingIntervalMs: [
    (value) => typeof value === "number" && value >= 1,
    "a number of milliseconds of 1 or more",
  ],
  backoff: [
    (value) => isObject(value) && typeof value.delayMs === "function",
    "an object with delayMs, such as new ExponentialBackoff()",
  ],
  onError: FUNCTION,
  connectTimeoutMs: CHECKED_ELSEWHERE,
  replyTimeoutMs: CHECKED_ELSEWHERE,
  limits: CHECKED_ELSEWHERE,
  dial: CHECKED_ELSEWHERE,
  onClose: CHECKED_ELSEWHERE,
  postMortem: CHECKED_ELSEWHERE,
  onVerdict: CHECKED_ELSEWHERE,
  username: CHECKED_ELSEWHERE,
  password: CHECKED_ELSEWHERE,
  credentials: CHECKED_ELSEWHERE,
  database: CHECKED_ELSEWHERE,
  clientName: CHECKED_ELSEWHERE,
  tls: CHECKED_ELSEWHERE,
  cluster: CHECKED_ELSEWHERE,
  sentinel: CHECKED_ELSEWHERE,
} satisfies Record<keyof SubscriberOptions, OptionRule>;

const SUBSCRIBE_RULES = {
  ...QUEUE_RULES,
  binary: BOOLEAN,
  signal: SIGNAL,
  deadlineMs: DURATION,
  onMessage: FUNCTION,
  onGap: FUNCTION,
  onAway: FUNCTION,
  onEnd: FUNCTION,
} satisfies Record<keyof SubscribeOptions, OptionRule>;

/**
 * Checks the options of a subscriber.
 *
 * @returns The numbers that its servers need, complete.
 * @throws {TypeError} If an option is unknown or not of its type.
 * @throws {RangeError} If a number is out of its range.
 */
export function settingsOf(
  options: SubscriberOptions,
): ReturnType<typeof clientSettingsOf> {
  checkOptions(options, RULES);
  const {
    maxQueued: _1,
    maxQueuedBytes: _2,
    whenFull: _3,
    pingIntervalMs: _4,
    backoff: _5,
    onError: _6,
    ...ofClient
  } = options;
  return clientSettingsOf(ofClient);
}

/** @throws {TypeError} If an option of a subscription cannot be used. */
export function checkSubscribeOptions(options: object): void {
  checkOptions(options, SUBSCRIBE_RULES);
  if ("onMessage" in options && options.onMessage !== undefined) return;
  for (const name of ["onGap", "onAway", "onEnd"]) {
    if ((options as Record<string, unknown>)[name] !== undefined) {
      throw new TypeError(
        `Cannot use ${name} without onMessage: expected both, or the iterator`,
      );
    }
  }
}

/**
 * The names that are to be subscribed, each once.
 *
 * @throws {TypeError} If there is none, or one is no string.
 */
export function namesOf(given: string | readonly string[]): string[] {
  const names = typeof given === "string" ? [given] : given;
  if (!Array.isArray(names) || names.length === 0) {
    throw new TypeError(
      `Cannot subscribe to ${
        Array.isArray(names) ? "no channel" : show(given)
      }: expected a channel or an array of channels`,
    );
  }
  const wrong = names.find((name) => typeof name !== "string");
  if (wrong !== undefined) {
    throw new TypeError(
      `Cannot subscribe to ${
        show(wrong)
      }: expected the name of a channel, a string`,
    );
  }
  const broken = names.find((name) => !name.isWellFormed());
  if (broken !== undefined) {
    throw new TypeError(
      `Cannot subscribe to ${
        show(broken)
      }: expected well-formed text, without a lone surrogate`,
    );
  }
  return [...new Set<string>(names)];
}
