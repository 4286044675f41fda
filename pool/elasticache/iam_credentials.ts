/**
 * Logs in to Amazon ElastiCache by IAM: no password is kept, and none is sent but a
 * token that is valid for 15 minutes. It is signed by WebCrypto, without the SDK of AWS.
 *
 * @example A cache, with the keys of the environment
 * ```ts ignore
 * import { Redis } from "@unzombie/redis";
 * import { iamCredentials } from "@unzombie/redis/elasticache";
 *
 * await using redis = new Redis("rediss://cache.example.amazonaws.com?cluster=true", {
 *   credentials: iamCredentials({
 *     user: "app",
 *     cacheName: "orders",
 *     serverless: true,
 *     region: "eu-central-1",
 *     aws: () => ({
 *       accessKeyId: Deno.env.get("AWS_ACCESS_KEY_ID")!,
 *       secretAccessKey: Deno.env.get("AWS_SECRET_ACCESS_KEY")!,
 *       sessionToken: Deno.env.get("AWS_SESSION_TOKEN"),
 *     }),
 *   }),
 * });
 * ```
 *
 * @module
 */
import type {
  Credentials,
  CredentialsFunction,
} from "../socket/credentials.ts";
import { type AwsKeys, presign } from "./presign.ts";

export type { AwsKeys, Credentials, CredentialsFunction };

/** Keys of AWS, and when they end. */
export interface ExpiringAwsKeys extends AwsKeys {
  /**
   * When they end: Unix time in milliseconds, a `Date`, or a text as AWS gives it, such as
   * `"2026-11-27T12:00:00Z"`. A token that they sign ends with them. @default {they do not}
   */
  readonly expiration?: Date | number | string | undefined;
}

/** Options of {@linkcode iamCredentials}. */
export interface IamOptions {
  /** The ElastiCache user: its id and its name are the same under IAM. */
  readonly user: string;
  /** The name of the serverless cache, or the id of the replication group; no address. */
  readonly cacheName: string;
  /** The region of the cache, such as `"eu-central-1"`. */
  readonly region: string;
  /** Whether it is a serverless cache. @default {false} */
  readonly serverless?: boolean | undefined;
  /**
   * Gives the keys. It is called for each token: about every 11 minutes at most, while
   * there are dials. `signal` is aborted when no dial waits for the token any more.
   */
  readonly aws: (
    options: { readonly signal: AbortSignal },
  ) => ExpiringAwsKeys | Promise<ExpiringAwsKeys>;
}

/** How long a token is valid, in seconds: https://docs.aws.amazon.com/AmazonElastiCache/latest/dg/auth-iam.html */
const TOKEN_SECONDS = 900;
/** A connection ends 12 hours after its last AUTH or HELLO: see there. */
const SESSION_MS = 12 * 3_600_000;

/** No service in AWS has these characters in its names; an address has a dot or a colon. */
const NAME = /^[A-Za-z][A-Za-z0-9-]*$/;

/**
 * Makes a function for the option `credentials` of a client: a user of ElastiCache with
 * IAM, and a token as its password.
 *
 * Connections are replaced before the 12 hours are over after which ElastiCache ends them.
 *
 * @param options See {@linkcode IamOptions}.
 * @returns The function. It throws what `aws` throws, and a `TypeError` if that gives no keys.
 * @throws {TypeError} If an option cannot be used.
 *
 * @example A token
 * ```ts
 * import { iamCredentials } from "@unzombie/redis/elasticache";
 * import { assert, assertEquals } from "@std/assert";
 *
 * const credentials = iamCredentials({
 *   user: "app",
 *   cacheName: "orders",
 *   region: "eu-central-1",
 *   aws: () => ({ accessKeyId: "AKIDEXAMPLE", secretAccessKey: "a secret" }),
 * });
 * const { username, password, expiresAt } = await credentials({
 *   signal: new AbortController().signal,
 * });
 * assertEquals(username, "app");
 * assert(password.startsWith("orders/?Action=connect&User=app&X-Amz-Algorithm="));
 * assert(Number(expiresAt) <= Date.now() + 900_000);
 * ```
 */
export function iamCredentials(options: IamOptions): CredentialsFunction {
  const { user, cacheName, region, serverless = false, aws } = options;
  for (const [name, value] of Object.entries({ user, cacheName, region })) {
    if (typeof value !== "string" || !NAME.test(value)) {
      throw new TypeError(
        `Cannot use ${name} ${
          typeof value === "string" ? JSON.stringify(value) : typeof value
        }: expected letters, digits and hyphens${
          name === "cacheName"
            ? ", the name of the cache and not its address"
            : ""
        }`,
      );
    }
  }
  if (typeof serverless !== "boolean") {
    throw new TypeError(
      `Cannot use serverless of type ${typeof serverless}: expected true or false`,
    );
  }
  if (typeof aws !== "function") {
    throw new TypeError(
      `Cannot use aws of type ${typeof aws}: expected a function that gives keys`,
    );
  }
  return async ({ signal }) => {
    const keys = checked(await aws({ signal }));
    const at = new Date();
    const password = await presign({
      host: cacheName.toLowerCase(), // as it is stored
      query: {
        Action: "connect",
        User: user,
        ...serverless ? { ResourceType: "ServerlessCache" } : {},
      },
      keys,
      region,
      service: "elasticache",
      at,
      seconds: TOKEN_SECONDS,
    });
    const expiresAt = Math.min(
      at.getTime() + TOKEN_SECONDS * 1000,
      timeOf(keys.expiration),
    );
    return { username: user, password, expiresAt, sessionMs: SESSION_MS };
  };
}

/** No value is repeated: it may be a secret. */
function checked(keys: ExpiringAwsKeys): ExpiringAwsKeys {
  const given: Partial<Record<keyof ExpiringAwsKeys, unknown>> =
    typeof keys === "object" && keys !== null ? keys : {};
  for (const name of ["accessKeyId", "secretAccessKey"] as const) {
    if (typeof given[name] === "string" && given[name] !== "") continue;
    throw new TypeError(
      `aws() gave no ${name}: expected { accessKeyId, secretAccessKey, sessionToken?, expiration? }`,
    );
  }
  const { sessionToken } = given;
  if (sessionToken !== undefined && typeof sessionToken !== "string") {
    throw new TypeError(
      `aws() gave sessionToken of type ${typeof sessionToken}, expected a string`,
    );
  }
  // A variable of the environment that is set and empty is none.
  return { ...keys, sessionToken: sessionToken || undefined };
}

/** No Unix time in milliseconds since 1973 is less; those in seconds are. */
const LEAST_TIME = 1e11;

function timeOf(expiration: ExpiringAwsKeys["expiration"]): number {
  if (expiration === undefined) return Infinity;
  const time = new Date(expiration).getTime();
  if (time >= LEAST_TIME) return time;
  throw new TypeError(
    "aws() gave an expiration that is no time since 1973: expected Unix time in milliseconds, a Date, or a text such as 2026-11-27T12:00:00Z",
  );
}
