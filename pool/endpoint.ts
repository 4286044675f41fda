// Where a server is, and as whom to talk to it.

/** How to verify the server and prove who we are, for `rediss://`. */
export interface TlsOptions {
  /** Certificate authorities to trust besides the system's, as PEM. */
  caCerts?: string[];
  /** Our certificate, as PEM. Needs `key`. */
  cert?: string;
  /** The key of our certificate, as PEM. Needs `cert`. */
  key?: string;
  /** The name the server's certificate must carry. @default {the URL's host} */
  serverName?: string;
  /** Accept a certificate made out to another name. The chain is still verified. @default {false} */
  unsafelyDisableHostnameVerification?: boolean;
}

/** What may be said besides the URL; it wins over the URL. */
export interface EndpointOptions {
  /** The ACL user. @default {"default", if there is a password} */
  username?: string;
  /** The password, never printed. */
  password?: string;
  /** The database that SELECT switches to. @default {0} */
  database?: number;
  /** The name shown by CLIENT LIST. No spaces. */
  clientName?: string;
  /** For `rediss://` only. */
  tls?: TlsOptions;
}

const ACCEPTED =
  "redis://[[user]:password@]host[:port][/database] or rediss://…";
const PARAMETERS = ["database", "clientName"] as const;

/**
 * A server's address and our identity there. Prints as `host:port`; the
 * password can be read by {@linkcode Endpoint.credentials} and nothing else.
 *
 * @example From a URL
 * ```ts
 * import { Endpoint } from "@unzombie/redis/pool";
 * import { assertEquals } from "@std/assert";
 *
 * const endpoint = new Endpoint("rediss://app:s%40fe@redis.example/2");
 * assertEquals(`${endpoint}`, "redis.example:6379");
 * assertEquals(endpoint.database, 2);
 * assertEquals(JSON.stringify(endpoint).includes("s@fe"), false);
 * ```
 */
export class Endpoint {
  /** Host name or address; IPv6 without brackets. */
  readonly hostname: string;
  /** TCP port. */
  readonly port: number;
  /** The database to SELECT. */
  readonly database: number;
  /** The name to take, if any. */
  readonly clientName: string | undefined;
  /** TLS options for `rediss://`, `undefined` for `redis://`. */
  readonly tls: Readonly<TlsOptions> | undefined;
  readonly #username: string | undefined;
  readonly #password: string | undefined;

  /**
   * Reads a URL and options.
   *
   * @param url `redis://` or `rediss://`; the query may hold `database` and `clientName`.
   * @param options See {@linkcode EndpointOptions}.
   * @throws {TypeError} If the URL or an option cannot be used.
   */
  constructor(
    url: string | URL = "redis://127.0.0.1:6379",
    options: EndpointOptions = {},
  ) {
    for (const name of ["username", "password", "clientName"] as const) {
      const value: unknown = options[name];
      if (value !== undefined && typeof value !== "string") {
        throw new TypeError(
          `Cannot use ${name} of type ${typeof value}: accepted is a string`,
        );
      }
    }
    const parsed = parseUrl(url);
    const query = parameters(parsed);
    const { hostname } = parsed;
    this.hostname = hostname.startsWith("[") ? hostname.slice(1, -1) : hostname;
    this.port = parsed.port === "" ? 6379 : Number(parsed.port);
    this.database = databaseOf(
      options.database ?? query.database ??
        (parsed.pathname.slice(1) || 0),
    );
    this.clientName = options.clientName ?? query.clientName;
    if (
      this.clientName !== undefined && !/^[!-~]+$/.test(this.clientName)
    ) {
      throw new TypeError(
        `Cannot use clientName ${
          JSON.stringify(this.clientName)
        }: accepted are printable ASCII characters without spaces`,
      );
    }
    this.#username = options.username ?? (decode(parsed.username) || undefined);
    this.#password = options.password ?? (decode(parsed.password) || undefined);
    if (this.#username !== undefined && this.#password === undefined) {
      throw new TypeError(
        `Cannot use username without a password: a password alone is written redis://:password@host`,
      );
    }
    this.tls = tlsOf(parsed, options.tls);
  }

  /** User and password for AUTH, or `undefined` without a password. */
  credentials(): { username: string; password: string } | undefined {
    return this.#password === undefined ? undefined : {
      username: this.#username ?? "default",
      password: this.#password,
    };
  }

  /** `host:port`, with brackets around IPv6. */
  toString(): string {
    const host = this.hostname.includes(":")
      ? `[${this.hostname}]`
      : this.hostname;
    return `${host}:${this.port}`;
  }

  /** The same as {@linkcode Endpoint.toString}, so that no key or password is serialized. */
  toJSON(): string {
    return this.toString();
  }

  /** The same as {@linkcode Endpoint.toString}. */
  [Symbol.for("Deno.customInspect")](): string {
    return this.toString();
  }
}

function parseUrl(url: string | URL): URL {
  if (typeof url !== "string" && !(url instanceof URL)) {
    throw new TypeError(
      `Cannot use url of type ${typeof url}: accepted is a text or URL such as ${ACCEPTED}`,
    );
  }
  let parsed: URL;
  try {
    parsed = new URL(url);
  } catch {
    // The text is not repeated: it may hold a password in the wrong place.
    throw new TypeError(
      `Cannot use url: it is not a valid URL, accepted is ${ACCEPTED}; in a password / is written %2F, # %23, ? %3F, @ %40`,
    );
  }
  if (parsed.protocol !== "redis:" && parsed.protocol !== "rediss:") {
    throw new TypeError(
      `Cannot use url: its scheme is ${parsed.protocol}//, accepted is ${ACCEPTED}`,
    );
  }
  if (parsed.hostname === "") {
    throw new TypeError(
      `Cannot use url: it has no host, accepted is ${ACCEPTED}`,
    );
  }
  if (parsed.port === "0") {
    throw new TypeError(
      "Cannot use url: its port is 0, accepted is 1 to 65535",
    );
  }
  if (parsed.hash !== "") {
    throw new TypeError(
      `Cannot use url: it has a fragment (#…), accepted is ${ACCEPTED}; a # in a password is written %23`,
    );
  }
  return parsed;
}

function parameters(
  url: URL,
): Partial<Record<typeof PARAMETERS[number], string>> {
  if (url.search === "") return {};
  for (const name of url.searchParams.keys()) {
    if (!(PARAMETERS as readonly string[]).includes(name)) {
      // A password with a ? in it ends up here, and is not repeated.
      const shown = url.search.includes("@") ? "" : ` ${JSON.stringify(name)}`;
      throw new TypeError(
        `Cannot use url: unknown parameter${shown} in its query, accepted are ${
          PARAMETERS.join(" and ")
        }; a ? in a password is written %3F`,
      );
    }
  }
  return Object.fromEntries(url.searchParams);
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw new TypeError(
      "Cannot use url: user or password is not percent-encoded correctly; a % in it is written %25",
    );
  }
}

function databaseOf(value: string | number): number {
  const database = typeof value === "string" && /^\d+$/.test(value)
    ? Number(value)
    : value;
  if (
    typeof database === "number" && Number.isSafeInteger(database) &&
    database >= 0
  ) return database;
  // A text is not repeated: a password with a / in it ends up there.
  throw new TypeError(
    typeof value === "string"
      ? "Cannot use url: its database is not a whole number of 0 or more; a / in a password is written %2F"
      : `Cannot use database ${
        String(value)
      }: accepted is a whole number of 0 or more`,
  );
}

const TLS_OPTIONS: readonly string[] = [
  "caCerts",
  "cert",
  "key",
  "serverName",
  "unsafelyDisableHostnameVerification",
] satisfies (keyof TlsOptions)[];

/** A misspelled option would make TLS less safe than it was meant to be. Values are not repeated: one is a private key. */
function checkTls(tls: TlsOptions): void {
  const wrong = typeof tls !== "object" || tls === null
    ? `of type ${typeof tls}`
    : Object.keys(tls).find((name) => !TLS_OPTIONS.includes(name));
  if (wrong !== undefined) {
    throw new TypeError(
      `Cannot use tls ${wrong}: accepted is an object with ${
        TLS_OPTIONS.join(", ")
      }`,
    );
  }
  if (tls.caCerts !== undefined && !Array.isArray(tls.caCerts)) {
    throw new TypeError(
      "Cannot use tls.caCerts: accepted is a list of PEM texts",
    );
  }
}

function tlsOf(url: URL, tls: TlsOptions | undefined): TlsOptions | undefined {
  if (url.protocol === "redis:") {
    if (tls === undefined) return undefined;
    throw new TypeError(
      "Cannot use tls with redis://: write the URL with rediss://",
    );
  }
  checkTls(tls ?? {});
  if ((tls?.cert === undefined) !== (tls?.key === undefined)) {
    throw new TypeError("Cannot use tls: cert and key go together");
  }
  if (tls?.cert !== undefined && tls.serverName !== undefined) {
    throw new TypeError(
      "Cannot use tls.serverName with tls.cert: Deno has no call that takes both; use the name as the URL's host",
    );
  }
  return { ...tls };
}
