// The address of a server, with the session options of its URL.
import { type Address, addressGiven, textOfAddress } from "./address.ts";
import type { ChangingCredentials } from "./changing_credentials.ts";
import type {
  CredentialsFunction,
  CredentialsRequest,
  DialCredentials,
} from "./credentials.ts";
import {
  type ClusterOptions,
  DEFAULT_PORT,
  DEFAULT_SENTINEL_PORT,
  type Discovery,
  discoveryOf,
  mapped,
  readUrl,
  type SentinelOptions,
} from "./location.ts";
import { checkTls, type TlsOptions } from "./tls_options.ts";

/** Options besides the URL, which they override. */
export interface EndpointOptions {
  /** The ACL user; `""` is none. @default {"default", if there is a password} */
  username?: string | undefined;
  /** The password, never printed; `""` is none. */
  password?: string | undefined;
  /**
   * Gives user and password where these change, instead of `username`, `password` and
   * those of the URL. It is asked at each dial, and anew when the server refuses its
   * answer. With Sentinels it is for the primary.
   */
  credentials?: CredentialsFunction | undefined;
  /** The database that SELECT switches to. @default {0} */
  database?: number | undefined;
  /** The name shown by CLIENT LIST. No spaces. */
  clientName?: string | undefined;
  /** For `rediss://` only. */
  tls?: TlsOptions | undefined;
  /**
   * Whether it is a node of a cluster: each command goes to the server that holds
   * its key. @default {`cluster` in the URL}
   */
  cluster?: boolean | ClusterOptions | undefined;
  /**
   * The URL's host is a Sentinel: commands go to the primary of that name.
   * @default {`sentinel` in the URL}
   */
  sentinel?: SentinelOptions | undefined;
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
  /** Whether it is a node of a cluster, whose servers are found by asking there. */
  readonly cluster: boolean;
  /** The name of the primary that Sentinels watch: it is the address of one of them. `undefined` without Sentinels. */
  readonly sentinel: string | undefined;
  /** Where to ask for the servers of a cluster, or for the primary: the URL's own address, then those of `seeds`. Empty without either. */
  readonly seeds: readonly Address[];
  readonly #mapAddress: Discovery["mapAddress"];
  readonly #credentials: DialCredentials | undefined;
  readonly #ask: CredentialsFunction | undefined;
  readonly #url: string | URL;
  readonly #options: EndpointOptions;

  /**
   * Reads a URL and options.
   *
   * @param url `redis://`, `rediss://` for TLS, or `unix:///path` for a Unix
   * socket; `valkey://`, `valkeys://`, `redis+unix://` mean the same. The query
   * may hold `database`, `clientName`, `cluster=true` or `sentinel=name`, and
   * `seeds`: further addresses, with commas between them.
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
    const discovery = discoveryOf(parts.discovery, options);
    const { cluster, sentinel, mapAddress } = discovery;
    const isUnix = parts.transport === "unix";
    if (isUnix && (cluster || sentinel !== undefined)) {
      throw new TypeError(
        `Cannot use ${
          cluster ? "cluster" : "sentinel"
        } with a Unix socket: expected redis://host:port or rediss://host:port`,
      );
    }
    this.hostname = parts.hostname;
    this.port = isUnix
      ? 0
      : parts.port ?? (sentinel ? DEFAULT_SENTINEL_PORT : DEFAULT_PORT);
    this.path = isUnix ? parts.hostname : undefined;
    this.cluster = cluster;
    this.sentinel = sentinel;
    this.seeds = cluster || sentinel !== undefined
      ? withoutDoubles([this, ...discovery.seeds])
      : [];
    this.#mapAddress = mapAddress;
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
    this.#ask = options.credentials;
    if (this.#ask !== undefined) {
      if (typeof this.#ask !== "function") {
        throw new TypeError(
          `Cannot use credentials of type ${typeof this
            .#ask}: expected a function`,
        );
      }
      if (this.#credentials !== undefined) {
        throw new TypeError(
          "Cannot use credentials together with username, password or those of the URL: expected one of them",
        );
      }
    }
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

  /** @ignore User and password for a dial: those of the URL or its options, or what the function gives. */
  credentialsFor(
    request: CredentialsRequest,
  ): DialCredentials | undefined | Promise<DialCredentials | undefined> {
    return this.#ask === undefined
      ? this.credentials()
      : askFunction(this.#ask, request);
  }

  /** The same server and user, with another database. */
  withDatabase(database: number): Endpoint {
    return new Endpoint(this.#url, { ...this.#options, database });
  }

  /**
   * A server at another address, with the same user, TLS options, database and client name.
   *
   * @param hostname Its host name or address; IPv6 without brackets.
   * @param port Its TCP port.
   * @throws {TypeError} If that is no address.
   */
  at(hostname: string, port: number): Endpoint {
    const { database, clientName, tls } = this;
    const address = addressGiven(textOfAddress({ hostname, port }));
    if (address === undefined) {
      throw new TypeError(
        `Cannot use ${
          JSON.stringify(hostname)
        } with port ${port}: expected the host name or address of a server, and 1 to 65535`,
      );
    }
    const scheme = tls === undefined ? "redis" : "rediss";
    return new Endpoint(`${scheme}://${textOfAddress(address)}`, {
      ...this.#credentials,
      credentials: this.#ask,
      database,
      ...(clientName === undefined ? {} : { clientName }),
      ...(tls === undefined ? {} : { tls }),
    });
  }

  /**
   * Where a server is reached: see `mapAddress` of {@linkcode ClusterOptions}.
   *
   * @param address What a server calls it.
   * @throws {TypeError} If `mapAddress` throws, or returns no address.
   */
  mapAddress(address: Address): Address {
    return mapped(address, this.#mapAddress);
  }

  /** `host:port`, with brackets around IPv6, or `unix:///path`. */
  toString(): string {
    return this.path === undefined
      ? textOfAddress(this)
      : `unix://${this.path}`;
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

/** The credentials of each function: all endpoints with the same one share its answers. */
const changing = new WeakMap<
  CredentialsFunction,
  Promise<ChangingCredentials>
>();

/** Asks a function. What that takes is loaded by the first dial. */
async function askFunction(
  ask: CredentialsFunction,
  request: CredentialsRequest,
): Promise<DialCredentials | undefined> {
  let credentials = changing.get(ask);
  if (credentials === undefined) {
    credentials = import("./changing_credentials.ts").then((module) =>
      new module.ChangingCredentials(ask)
    );
    changing.set(ask, credentials);
    credentials.catch(() => changing.delete(ask)); // the next dial tries again
  }
  return (await credentials).forDial(request);
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

/** Addresses, each once. */
const withoutDoubles = (addresses: readonly Address[]): Address[] => [
  ...new Map(
    addresses.map(({ hostname, port }) => [
      textOfAddress({ hostname, port }),
      { hostname, port },
    ]),
  ).values(),
];
