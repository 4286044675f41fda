// The address of a server, with the session options of its URL.
import type { Credentials } from "./credentials.ts";
import { checkTls, type TlsOptions } from "./tls_options.ts";

/** Options besides the URL, which they override. */
export interface EndpointOptions {
  /** The ACL user; `""` is none. @default {"default", if there is a password} */
  username?: string | undefined;
  /** The password, never printed; `""` is none. */
  password?: string | undefined;
  /** The database that SELECT switches to. @default {0} */
  database?: number;
  /** The name shown by CLIENT LIST. No spaces. */
  clientName?: string;
  /** For `rediss://` only. */
  tls?: TlsOptions;
}

/**
 * The address of a server, and the session options of its URL. It prints as
 * `host:port`; the password can be read by {@linkcode Endpoint.credentials} alone.
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
  /** Host name or address; IPv6 without brackets. For a Unix socket its path. */
  readonly hostname: string;
  /** TCP port; 0 for a Unix socket. */
  readonly port: number;
  /** The path of a Unix socket, `undefined` over TCP. */
  readonly path: string | undefined;
  /** The database to SELECT. */
  readonly database: number;
  /** The name for CLIENT SETNAME, if any. */
  readonly clientName: string | undefined;
  /** TLS options for `rediss://`, `undefined` without TLS. */
  readonly tls: Readonly<TlsOptions> | undefined;
  readonly #credentials: Credentials | undefined;
  readonly #url: string | URL;
  readonly #options: EndpointOptions;

  /**
   * Reads a URL and options.
   *
   * @param url `redis://`, `rediss://` for TLS, or `unix:///path` for a Unix
   * socket; `valkey://`, `valkeys://`, `redis+unix://` mean the same. The query
   * may hold `database` and `clientName`.
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
          `Cannot use ${name} of type ${typeof value}: expected a string`,
        );
      }
    }
    this.#url = url;
    this.#options = options;
    const parts = readUrl(url);
    this.hostname = parts.hostname;
    this.port = parts.port;
    this.path = parts.transport === "unix" ? parts.hostname : undefined;
    this.database = databaseOf(options.database ?? parts.database ?? 0);
    this.clientName = options.clientName ?? parts.clientName;
    if (this.clientName !== undefined && !/^[!-~]+$/.test(this.clientName)) {
      throw new TypeError(
        `Cannot use clientName ${
          JSON.stringify(this.clientName)
        }: expected printable ASCII characters without spaces`,
      );
    }
    const username = options.username || parts.username;
    const password = options.password || parts.password;
    this.#credentials = username === "" && password === ""
      ? undefined
      : { username: username || "default", password };
    if (parts.transport !== "tls" && options.tls !== undefined) {
      throw new TypeError(
        `Cannot use tls without rediss://: expected a URL that begins with it`,
      );
    }
    if (options.tls !== undefined) checkTls(options.tls);
    this.tls = parts.transport === "tls" ? { ...options.tls } : undefined;
  }

  /** User and password of the URL or its options, or `undefined` without either. A user without a password has an empty one. */
  credentials(): { username: string; password: string } | undefined {
    return this.#credentials && { ...this.#credentials };
  }

  /** The same server and user, with another database. */
  withDatabase(database: number): Endpoint {
    return new Endpoint(this.#url, { ...this.#options, database });
  }

  /** `host:port`, with brackets around IPv6, or `unix:///path`. */
  toString(): string {
    if (this.path !== undefined) return `unix://${this.path}`;
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
  [Symbol.for("nodejs.util.inspect.custom")](): string {
    return this.toString();
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
  // The text is not repeated: a / in a password makes the rest of it the database.
  throw new TypeError(
    typeof value === "string"
      ? "Cannot use url: its database is not a whole number of 0 or more; a / in a password is written %2F"
      : `Cannot use database ${
        String(value)
      }: expected a whole number of 0 or more`,
  );
}

/** The parts of a URL, decoded. */
interface UrlParts {
  /** How the server is reached. */
  readonly transport: "tcp" | "tls" | "unix";
  /** Host name or address; IPv6 without brackets. For a Unix socket its path. */
  readonly hostname: string;
  /** TCP port; 0 for a Unix socket. */
  readonly port: number;
  /** As written; empty where there is none. */
  readonly username: string;
  /** As written; empty where there is none. */
  readonly password: string;
  /** As written, not checked. */
  readonly database: string | undefined;
  /** As written, not checked. */
  readonly clientName: string | undefined;
}

const TRANSPORTS: Readonly<Record<string, UrlParts["transport"]>> = {
  "redis:": "tcp",
  "valkey:": "tcp",
  "rediss:": "tls",
  "valkeys:": "tls",
  "unix:": "unix",
  "redis+unix:": "unix",
  "valkey+unix:": "unix",
};
const EXPECTED =
  "expected redis://[[user]:password@]host[:port][/database], rediss://… for TLS, or unix:///path/of/socket";
const PARAMETERS = ["database", "clientName"] as const;
const DEFAULT_PORT = 6379;

/**
 * Reads a URL. No part of it is repeated in an error: any may hold a misplaced
 * password.
 *
 * @param url The URL.
 * @returns Its parts.
 * @throws {TypeError} If it cannot be used.
 */
function readUrl(url: string | URL): UrlParts {
  const parsed = parse(url);
  const transport = TRANSPORTS[parsed.protocol];
  if (transport === undefined) {
    refuse(`its scheme is ${parsed.protocol}//, ${EXPECTED}`);
  }
  if (parsed.hash !== "") {
    refuse(
      `it has a fragment (#…), ${EXPECTED}; a # in a password is written %23`,
    );
  }
  const query = parameters(parsed);
  const common = {
    username: decode(parsed.username, "user or password"),
    password: decode(parsed.password, "user or password"),
    clientName: query.clientName,
  };
  if (transport === "unix") {
    return {
      ...common,
      transport,
      hostname: pathOf(parsed),
      port: 0,
      database: query.database,
    };
  }
  const { hostname, port, pathname } = parsed;
  if (hostname === "") refuse(`it has no host, ${EXPECTED}`);
  if (port === "0") refuse("its port is 0, expected 1 to 65535");
  return {
    ...common,
    transport,
    hostname: hostname.startsWith("[") ? hostname.slice(1, -1) : hostname,
    port: port === "" ? DEFAULT_PORT : Number(port),
    database: query.database ?? (pathname.slice(1) || undefined),
  };
}

function refuse(why: string): never {
  throw new TypeError(`Cannot use url: ${why}`);
}

function parse(url: string | URL): URL {
  if (typeof url !== "string" && !(url instanceof URL)) {
    throw new TypeError(
      `Cannot use url of type ${typeof url}: ${EXPECTED}, as a string or URL`,
    );
  }
  try {
    // A URL has no user without a host: the path of a socket gets one.
    return new URL(
      String(url)
        .replace(/^(\w*\+?unix:)(?=\/[^/])/i, "$1//")
        .replace(/^(\w*\+?unix:\/\/(?:[^/?#]*@)?)(?=\/)/i, "$1localhost"),
    );
  } catch {
    refuse(
      `it is not a valid URL, ${EXPECTED}; in a password / is written %2F, # %23, ? %3F, @ %40`,
    );
  }
}

function pathOf({ hostname, port, pathname }: URL): string {
  if (hostname !== "localhost" || port !== "") {
    refuse(
      "the path of its socket does not begin with /, expected unix:///path/of/socket",
    );
  }
  const path = decode(pathname, "the path of its socket");
  if (path === "/" || path.endsWith("/") || path.includes("\0")) {
    refuse("it names no socket, expected unix:///path/of/socket");
  }
  return path;
}

function parameters(
  url: URL,
): Partial<Record<typeof PARAMETERS[number], string>> {
  if (url.search === "") return {};
  for (const name of url.searchParams.keys()) {
    if (!(PARAMETERS as readonly string[]).includes(name)) {
      // The name is not repeated if it may be the rest of a password with a ? in it.
      const shown = url.search.includes("@") ? "" : ` ${JSON.stringify(name)}`;
      refuse(
        `unknown parameter${shown} in its query, expected ${
          PARAMETERS.join(" or ")
        }; a ? in a password is written %3F`,
      );
    }
  }
  return Object.fromEntries(url.searchParams);
}

function decode(text: string, what: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    refuse(
      `${what} is not percent-encoded correctly; a % in it is written %25`,
    );
  }
}
