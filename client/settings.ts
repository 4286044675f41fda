// The settings of a client: its options, checked and with their defaults.
import { LIMITS } from "../resp/limits.ts";
import {
  BOOLEAN,
  CHECKED_ELSEWHERE,
  checkOptions,
  FUNCTION,
  isObject,
  type OptionRule,
  RETRY,
  show,
} from "./check.ts";
import type { RedisOptions } from "./options.ts";

/** The options that are numbers, with their defaults. */
const NUMERIC_DEFAULTS = {
  maxConnections: 10,
  connectTimeoutMs: 5000,
  replyTimeoutMs: 5000,
  checkoutTimeoutMs: 5000,
  idleTimeoutMs: 230_000,
  maxAgeMs: 1_800_000,
  validateAfterIdleMs: 10_000,
  maxWaiting: 20_000,
} as const;

/** The options that are numbers, complete. */
export type NumericSettings = Readonly<
  Record<keyof typeof NUMERIC_DEFAULTS, number>
>;

const NUMERIC_NAMES = Object.keys(
  NUMERIC_DEFAULTS,
) as (keyof typeof NUMERIC_DEFAULTS)[];

const RULES: Readonly<Record<string, OptionRule>> = {
  ...Object.fromEntries(
    NUMERIC_NAMES.map((name) => [name, CHECKED_ELSEWHERE]),
  ),
  ...{
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
    username: CHECKED_ELSEWHERE,
    password: CHECKED_ELSEWHERE,
    credentials: CHECKED_ELSEWHERE,
    database: CHECKED_ELSEWHERE,
    clientName: CHECKED_ELSEWHERE,
    tls: CHECKED_ELSEWHERE,
    cluster: CHECKED_ELSEWHERE,
    sentinel: CHECKED_ELSEWHERE,
  } satisfies Record<
    Exclude<keyof RedisOptions, keyof NumericSettings>,
    OptionRule
  >,
};

/**
 * Checks the options of a client.
 *
 * @returns Those that are numbers, complete.
 * @throws {TypeError} If an option is unknown or not of its type.
 * @throws {RangeError} If a number is out of its range.
 */
export function settingsOf(options: RedisOptions): NumericSettings {
  checkOptions(options, RULES);
  const settings: Record<keyof NumericSettings, number> = {
    ...NUMERIC_DEFAULTS,
  };
  for (const name of NUMERIC_NAMES) {
    const value = options[name];
    if (value === undefined) continue;
    checkNumber(name, value);
    settings[name] = value;
  }
  return settings;
}

function checkNumber(name: string, value: unknown): void {
  const isDuration = name.endsWith("Ms");
  // Without a connection, or a call that may wait for one, nothing is ever sent.
  const least = isDuration ? 0 : 1;
  const isWhole = isDuration || value === Infinity || Number.isInteger(value);
  if (typeof value === "number" && value >= least && isWhole) return;
  throw new RangeError(
    `Cannot use ${name} ${show(value)}: expected ${
      isDuration ? "a number" : "a whole number"
    } of ${least} or more`,
  );
}
