// The options of clients and calls, with their defaults, checked.
import type { ParserLimits } from "../resp/mod.ts";
import { LIMITS } from "../resp/parser.ts";
import type { CloseReport } from "../pool/connection/close_report.ts";
import type { EndpointOptions } from "../pool/socket/endpoint.ts";
import type { Dial } from "../pool/socket/socket.ts";
import type { Verdict } from "../pool/forensics/diagnose.ts";
import type { Retry } from "../retry/mod.ts";
import type { SendOptions } from "./call.ts";

/** A call is about to be sent again. */
export interface RetryInfo {
  /** The command's name, or that of the first unanswered one of a pipeline; `"lease"` for `Redis.lease`. */
  readonly command: string;
  /** How many attempts have failed. */
  readonly attempt: number;
  /** The wait before the next one, in milliseconds; 0 after a zombie. */
  readonly delayMs: number;
  /** Whether the command may have run already. */
  readonly isReplay: boolean;
  /** What the last attempt failed with. */
  readonly error: Error;
}

/** Options of a `Redis` client. Durations are in milliseconds; `Infinity` means no limit. */
export interface RedisOptions extends EndpointOptions {
  /**
   * Never more connections than this, but for commands that end what holds up
   * the others (SCRIPT KILL, FUNCTION KILL, CLIENT UNPAUSE, …): each opens one of
   * its own, and closes it.
   * @default {10}
   */
  maxConnections?: number;
  /**
   * For name look-up, TCP, TLS and handshake together. A look-up given up
   * early goes on in the background, for up to 10 seconds where DNS is silent:
   * below a second these can fill the threads that Deno has for files and names.
   * @default {5000}
   */
  connectTimeoutMs?: number;
  /**
   * How long a reply may be owed without a byte coming; then the connection is
   * closed. A reply that takes six times as long must then go on by 1 KiB in each
   * further such time.
   * @default {5000}
   */
  replyTimeoutMs?: number;
  /** How long a call waits for a connection. @default {5000} */
  checkoutTimeoutMs?: number;
  /**
   * An idle connection is closed after this. The default is below the 240 s after
   * which Azure Load Balancer drops it without a word, with room for a look once a
   * second; AWS drops at 350 s, many servers and proxies close at 300 s.
   * @default {230000}
   */
  idleTimeoutMs?: number;
  /** A connection is retired at this age, less up to a tenth by chance. @default {1800000} */
  maxAgeMs?: number;
  /** A connection idle for longer must answer a PING before its next command. @default {10000} */
  validateAfterIdleMs?: number;
  /** How many calls may wait for a connection. @default {20000} */
  maxWaiting?: number;
  /** The retry policy; `false` makes exactly one attempt a call. @default {base 100 ms, cap 1000 ms, 3 retries, jitter 0.5} */
  retry?: Retry | false;
  /** The largest reply to accept. */
  limits?: ParserLimits;
  /** Opens sockets in place of `Deno.connect`. */
  dial?: Dial;
  /** Called with the report of each connection that has ended, before the commands that it took along are rejected. */
  onClose?: (report: CloseReport) => void;
  /** Look for the cause of a death with the next connection, by INFO, CONFIG GET and CLIENT LIST, after a silence also SLOWLOG GET and LATENCY LATEST. @default {false} */
  postMortem?: boolean;
  /** Called with what a post-mortem has found: at most one in 5 seconds. */
  onVerdict?: (verdict: Verdict) => void;
  /** Called after each failed attempt that another follows, before the wait. */
  onRetry?: (info: RetryInfo) => void;
}

/** The numbers among the options, with their defaults. */
const NUMBERS = {
  maxConnections: 10,
  connectTimeoutMs: 5000,
  replyTimeoutMs: 5000,
  checkoutTimeoutMs: 5000,
  idleTimeoutMs: 230_000,
  maxAgeMs: 1_800_000,
  validateAfterIdleMs: 10_000,
  maxWaiting: 20_000,
} as const;

/** Whether an option is of its type, and what is. */
export type Check = readonly [
  is: (value: unknown) => boolean,
  expected: string,
];

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null;
/** A callback. */
export const FUNCTION: Check = [
  (value) => typeof value === "function",
  "a function",
];
/** A switch. */
export const BOOLEAN: Check = [
  (value) => typeof value === "boolean",
  "true or false",
];
/** Not `instanceof`: a service may hold two copies of this module. */
const RETRY: Check = [
  (value) =>
    value === false ||
    (isObject(value) && typeof value.next === "function" &&
      typeof value.run === "function"),
  "a Retry, such as new Retry({ retries: 3 }), or false",
];
/** Checked by the module that uses it. */
export const ELSEWHERE: Check = [() => true, ""];

const OTHERS = {
  retry: RETRY,
  limits: [
    (value) =>
      isObject(value) &&
      Object.entries(value).every(([name, limit]) =>
        Object.hasOwn(LIMITS, name) &&
        (limit === undefined || (typeof limit === "number" && limit >= 1))
      ),
    `an object of numbers of 1 or more: ${Object.keys(LIMITS).join(", ")}`,
  ],
  dial: FUNCTION,
  onClose: FUNCTION,
  onRetry: FUNCTION,
  onVerdict: FUNCTION,
  postMortem: BOOLEAN,
  username: ELSEWHERE,
  password: ELSEWHERE,
  database: ELSEWHERE,
  clientName: ELSEWHERE,
  tls: ELSEWHERE,
} satisfies Partial<Record<keyof RedisOptions, Check>>;

/** What may end a wait. */
export const SIGNAL: Check = [
  (value) => isObject(value) && typeof value.throwIfAborted === "function",
  "an AbortSignal",
];

/** A duration in milliseconds; `Infinity` is one. */
export const DURATION: Check = [
  (value) => typeof value === "number" && value >= 0,
  "a number of milliseconds of 0 or more",
];

const SEND_OPTIONS = {
  signal: SIGNAL,
  deadlineMs: DURATION,
  binary: BOOLEAN,
  replay: [
    (value) => ["auto", "reads", "always", "never"].includes(value as string),
    '"auto", "reads", "always" or "never"',
  ],
  resolveFate: BOOLEAN,
  retry: RETRY,
} satisfies Record<keyof SendOptions, Check>;

/** Options that had another name once. */
const RENAMED: ReadonlyMap<string, string> = new Map([
  ["settle", "resolveFate"],
]);

/** Checks what a call was given beside its commands: see {@linkcode checkOptions}. */
export function checkSendOptions(options: SendOptions): void {
  checkOptions(options, SEND_OPTIONS);
}

/** @throws {TypeError} If an option is unknown or not of its type. */
export function checkOptions(
  options: object,
  checks: Readonly<Record<string, Check>>,
): void {
  if (!isObject(options)) {
    throw new TypeError(
      `Cannot use options ${options}: expected an object, or nothing`,
    );
  }
  for (const name in options) {
    if (!Object.hasOwn(checks, name)) {
      const newName = RENAMED.get(name) ?? "";
      throw new TypeError(
        `Cannot use option ${JSON.stringify(name)}: ${
          Object.hasOwn(checks, newName)
            ? `it is called ${newName} now`
            : `expected one of ${Object.keys(checks).join(", ")}`
        }`,
      );
    }
    const [is, expected] = checks[name]!;
    const value = options[name];
    if (value !== undefined && !is(value)) {
      throw new TypeError(
        `Cannot use ${name} ${show(value)}: expected ${expected}`,
      );
    }
  }
}

/** A value in an error: never what is inside an object. */
export const show = (value: unknown): string =>
  typeof value === "string"
    ? JSON.stringify(value)
    : isObject(value) || typeof value === "function"
    ? `of type ${typeof value}`
    : String(value);

/**
 * The numbers of `options`, complete.
 *
 * @throws {TypeError} If an option is unknown or not of its type.
 * @throws {RangeError} If a number is out of its range.
 */
export function numbersOf(
  options: RedisOptions,
): Record<keyof typeof NUMBERS, number> {
  const anyNumber = Object.keys(NUMBERS).map((name) => [name, ELSEWHERE]);
  checkOptions(options, { ...Object.fromEntries(anyNumber), ...OTHERS });
  const numbers: Record<keyof typeof NUMBERS, number> = { ...NUMBERS };
  for (const name of Object.keys(NUMBERS) as (keyof typeof NUMBERS)[]) {
    const value = options[name];
    if (value === undefined) continue;
    const least = name === "maxConnections" ? 1 : 0;
    const isWhole = name.endsWith("Ms") || value === Infinity ||
      Number.isInteger(value);
    if (typeof value !== "number" || !(value >= least) || !isWhole) {
      throw new RangeError(
        `Cannot use ${name} ${show(value)}: expected ${
          name.endsWith("Ms") ? "a number" : "a whole number"
        } of ${least} or more`,
      );
    }
    numbers[name] = value;
  }
  return numbers;
}
