// What the environment says of the service.

/** How the service is to run. */
export interface Settings {
  /** See `Redis`. */
  readonly redisUrl?: string | undefined;
  /** Where to listen: 0 for a free port. */
  readonly port: number;
}

/**
 * The settings of this process.
 *
 * @throws {TypeError} If a variable is not what it should be.
 */
export function settingsOf(
  env: { get(name: string): string | undefined },
): Settings {
  return {
    redisUrl: env.get("REDIS_URL"),
    port: wholeIn(env, "PORT", { least: 0, most: 65_535 }) ?? 8000,
  };
}

/** The whole number in a variable; `undefined` if it is not set. */
function wholeIn(
  env: { get(name: string): string | undefined },
  name: string,
  { least, most }: { least: number; most: number },
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
