// The settings of the service, from environment variables.

/** How long events are kept, in seconds: a window cannot be longer. */
export const RETENTION_SECONDS = 7 * 24 * 3600;
/** The longest block, in seconds: 366 days. */
const MAX_BLOCK_SECONDS = 366 * 24 * 3600;

/** How the service is to run. */
export interface Settings {
  /** See `Redis`. */
  readonly redisUrl?: string | undefined;
  /** Where a process listens: 0 for a free port. */
  readonly port: number;
  /** Where a process keeps queued events; see `openStore`. */
  readonly outbox?: string | undefined;
  /** When a shop is blocked, and for how long. */
  readonly limits?: Limits | undefined;
  /** What requests must show that block a shop or let it through. */
  readonly adminToken?: string | undefined;
}

/** More than `limit` events in `windowSeconds` block a shop for `blockSeconds`. */
export interface Limits {
  readonly limit: number;
  readonly windowSeconds: number;
  readonly blockSeconds: number;
}

/** Environment variables. */
export interface Env {
  get(name: string): string | undefined;
}

/**
 * The settings that an environment has.
 *
 * @throws {TypeError} If a variable is not what it should be.
 */
export function settingsOf(env: Env): Settings {
  const limit = wholeIn(env, "LIMIT", 1, 1e9);
  const windowSeconds = wholeIn(env, "WINDOW_SECONDS", 1, RETENTION_SECONDS) ??
    60;
  const blockSeconds = wholeIn(env, "BLOCK_SECONDS", 1, MAX_BLOCK_SECONDS) ??
    600;
  return {
    redisUrl: env.get("REDIS_URL") || undefined,
    port: wholeIn(env, "PORT", 0, 65_535) ?? 8000,
    outbox: env.get("OUTBOX") || undefined,
    limits: limit === undefined
      ? undefined
      : { limit, windowSeconds, blockSeconds },
    adminToken: tokenIn(env),
  };
}

/** The variables that are set, but have no effect without LIMIT. */
export function withoutEffectIn(env: Env): string[] {
  if (env.get("LIMIT")) return [];
  return ["WINDOW_SECONDS", "BLOCK_SECONDS"].filter((name) => env.get(name));
}

/** The token, if it is set: what a header cannot have could never be matched. It is not shown. */
function tokenIn(env: Env): string | undefined {
  const token = env.get("ADMIN_TOKEN") || undefined;
  if (token === undefined || /^[!-~]([ -~]*[!-~])?$/.test(token)) return token;
  throw new TypeError(
    "Cannot use ADMIN_TOKEN: expected printable ASCII characters, without a space at the beginning or the end",
  );
}

/** The whole number in a variable; `undefined` if it is not set. */
function wholeIn(
  env: Env,
  name: string,
  least: number,
  most: number,
): number | undefined {
  const text = env.get(name) || undefined;
  if (text === undefined) return undefined;
  const value = /^\d{1,10}$/.test(text) ? Number(text) : NaN;
  if (value >= least && value <= most) return value;
  throw new TypeError(
    `Cannot use ${name}: it is ${
      JSON.stringify(text)
    }, expected a whole number from ${least} to ${most}`,
  );
}
