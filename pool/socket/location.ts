// Where servers are, as whom, and how they are found, as a URL and options say it; what is refused repeats nothing.
import {
  type Address,
  addressGiven,
  EXPECTED_ADDRESS,
  textOfAddress,
} from "./address.ts";
import { checkTls, type TlsOptions } from "./tls_options.ts";

/** The parts of a URL, decoded. */
export interface UrlParts {
  /** How the server is reached. */
  readonly transport: "tcp" | "tls" | "unix";
  /** Host name or address; IPv6 without brackets. For a Unix socket its path. */
  readonly hostname: string;
  /** TCP port; `undefined` if none is written, and for a Unix socket. */
  readonly port: number | undefined;
  /** As written; empty where there is none. */
  readonly username: string;
  /** As written; empty where there is none. */
  readonly password: string;
  /** As written, not checked. */
  readonly database: string | undefined;
  /** As written, not checked. */
  readonly clientName: string | undefined;
  /** Whether its servers are found by asking there, and at which other addresses. */
  readonly discovery: DiscoveryParameters;
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
const PARAMETERS = [
  "database",
  "clientName",
  "cluster",
  "sentinel",
  "seeds",
] as const;

/**
 * Reads a URL. No part of it is repeated in an error: any may hold a misplaced
 * password.
 *
 * @param url The URL.
 * @returns Its parts.
 * @throws {TypeError} If it cannot be used.
 */
export function readUrl(url: string | URL): UrlParts {
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
    discovery: discoveryIn(query),
  };
  if (transport === "unix") {
    return {
      ...common,
      transport,
      hostname: pathOf(parsed),
      port: undefined,
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
    port: port === "" ? undefined : Number(port),
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
          PARAMETERS.join(", ")
        }; a ? in a password is written %3F`,
      );
    }
  }
  const seeds = url.searchParams.getAll("seeds");
  return {
    ...Object.fromEntries(url.searchParams),
    ...(seeds.length > 0 ? { seeds: seeds.join(",") } : {}),
  };
}

function discoveryIn({
  cluster = "false",
  sentinel,
  seeds,
}: ReturnType<typeof parameters>): DiscoveryParameters {
  if (cluster !== "true" && cluster !== "false") {
    refuse(
      "its parameter cluster is neither true nor false: expected cluster=true",
    );
  }
  if (sentinel === "") {
    refuse(
      "its parameter sentinel is empty, expected the name of the primary in the configuration of its Sentinels",
    );
  }
  return { cluster: cluster === "true", sentinel, seeds };
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

/** How the servers of a cluster are found. */
export interface ClusterOptions {
  /** Further nodes to ask where the servers are: `host:port`, with brackets around IPv6. @default {that of the URL alone} */
  seeds?: string[] | undefined;
  /** Where a server is reached that the cluster calls `host:port`, such as behind NAT. @default {there} */
  mapAddress?: ((address: string) => string) | undefined;
}

/** How a primary is found that Sentinels watch. */
export interface SentinelOptions {
  /** The name of the primary in the configuration of its Sentinels. @default {`sentinel` in the URL} */
  name?: string | undefined;
  /** Further Sentinels: `host:port`, with brackets around IPv6. @default {that of the URL alone} */
  seeds?: string[] | undefined;
  /** Where a server is reached that the Sentinels call `host:port`, such as behind NAT. @default {there} */
  mapAddress?: ((address: string) => string) | undefined;
  /** The ACL user of the Sentinels; user and password of the URL are those of the primary. @default {"default", if there is a password} */
  username?: string | undefined;
  /** The password of the Sentinels, never printed. */
  password?: string | undefined;
  /** For Sentinels that speak TLS; `{}` verifies them against the system's authorities. @default {no TLS} */
  tls?: TlsOptions | undefined;
}

/** What a URL and options say of it, checked. */
export interface Discovery {
  /** Whether it is a cluster. */
  readonly cluster: boolean;
  /** The name of the primary that Sentinels watch; `undefined` without Sentinels. */
  readonly sentinel: string | undefined;
  /** Where else to ask. */
  readonly seeds: readonly Address[];
  /** See {@linkcode ClusterOptions.mapAddress}. */
  readonly mapAddress: ((address: string) => string) | undefined;
}

/** The ports of nodes and of Sentinels. */
export const DEFAULT_PORT = 6379;
export const DEFAULT_SENTINEL_PORT = 26379;

/** What a URL says of it. */
interface DiscoveryParameters {
  readonly cluster: boolean;
  readonly sentinel: string | undefined;
  /** Addresses with commas between them, not checked; never repeated in an error. */
  readonly seeds: string | undefined;
}

const CLUSTER = ["seeds", "mapAddress"] as const;
const SENTINEL = [...CLUSTER, "name", "username", "password", "tls"] as const;

/**
 * Reads what a URL and options say of it.
 *
 * @throws {TypeError} If it cannot be used.
 */
export function discoveryOf(
  url: DiscoveryParameters,
  options: {
    readonly cluster?: boolean | ClusterOptions | undefined;
    readonly sentinel?: SentinelOptions | undefined;
  },
): Discovery {
  const cluster = objectOf("cluster", options.cluster, CLUSTER);
  const sentinel = objectOf("sentinel", options.sentinel, SENTINEL);
  const name = nameOf(sentinel, url.sentinel);
  const isCluster = cluster !== undefined ||
    (url.cluster && options.cluster !== false);
  if (isCluster && name !== undefined) {
    throw new TypeError(
      "Cannot use cluster and sentinel together: expected one of them",
    );
  }
  if (url.seeds !== undefined && !isCluster && name === undefined) {
    throw new TypeError(
      "Cannot use url: its parameter seeds is of no use without cluster=true or sentinel=name",
    );
  }
  const { seeds = [], mapAddress } = cluster ?? sentinel ?? {};
  const port = name === undefined ? DEFAULT_PORT : DEFAULT_SENTINEL_PORT;
  return {
    cluster: isCluster,
    sentinel: name,
    seeds: [
      ...(url.seeds?.split(",") ?? []).map((text, i) =>
        seedOf(text, port, `url: address ${i + 1} of its parameter seeds is`)
      ),
      ...Array.from(seeds, (text, i) =>
        seedOf(
          text,
          port,
          `${isCluster ? "cluster" : "sentinel"}.seeds[${i}]: it is`,
        )),
    ],
    mapAddress,
  };
}

/**
 * Where a server is reached.
 *
 * @param address What a server calls it.
 * @param mapAddress Says where it is reached.
 * @throws {TypeError} If `mapAddress` throws, or returns no address.
 */
export function mapped(
  address: Address,
  mapAddress: ((address: string) => string) | undefined,
): Address {
  if (mapAddress === undefined) return address;
  const text = textOfAddress(address);
  let result: unknown;
  try {
    result = mapAddress(text);
  } catch (cause) {
    throw new TypeError(`Cannot use mapAddress: it threw for ${text}`, {
      cause,
    });
  }
  const found = typeof result === "string" ? addressGiven(result) : undefined;
  if (found !== undefined) return found;
  throw new TypeError(
    `Cannot use mapAddress: for ${text} it returned ${
      typeof result === "string"
        ? JSON.stringify(result)
        : `a value of type ${typeof result}`
    }, ${EXPECTED_ADDRESS}`,
  );
}

/** An option that is an object, its fields checked; `undefined` where it is not given or only says that there is such a thing. */
function objectOf<Options extends ClusterOptions & SentinelOptions>(
  option: "cluster" | "sentinel",
  value: boolean | Options | undefined,
  names: readonly string[],
): Options | undefined {
  if (value === undefined || (option === "cluster" && value === false)) {
    return undefined;
  }
  if (option === "cluster" && value === true) return {} as Options;
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new TypeError(
      `Cannot use ${option} of type ${
        value === null ? "null" : Array.isArray(value) ? "array" : typeof value
      }: expected ${option === "cluster" ? "true, or " : ""}an object with ${
        names.join(", ")
      }`,
    );
  }
  for (const name of Object.keys(value)) {
    if (names.includes(name)) continue;
    throw new TypeError(
      `Cannot use ${option}.${name}: expected ${names.join(", ")}`,
    );
  }
  const { seeds, mapAddress, name, username, password, tls } = value;
  if (seeds !== undefined && !Array.isArray(seeds)) {
    refuseType(`${option}.seeds`, seeds, "a list of addresses host:port");
  }
  if (mapAddress !== undefined && typeof mapAddress !== "function") {
    refuseType(`${option}.mapAddress`, mapAddress, "a function");
  }
  for (const [field, text] of Object.entries({ name, username, password })) {
    if (text !== undefined && typeof text !== "string") {
      refuseType(`${option}.${field}`, text, "a string");
    }
  }
  if (tls !== undefined) checkTls(tls, `${option}.tls`);
  return value;
}

function refuseType(what: string, value: unknown, expected: string): never {
  throw new TypeError(
    `Cannot use ${what} of type ${typeof value}: expected ${expected}`,
  );
}

function nameOf(
  options: SentinelOptions | undefined,
  ofUrl: string | undefined,
): string | undefined {
  const name = options?.name ?? ofUrl;
  if (options !== undefined && (name === undefined || name === "")) {
    throw new TypeError(
      "Cannot use sentinel without a name: expected sentinel.name, or sentinel=name in the URL",
    );
  }
  return name;
}

/** The text is not repeated: a whole URL with a password may have been given. */
function seedOf(text: unknown, defaultPort: number, what: string): Address {
  const seed = typeof text === "string"
    ? addressGiven(text, defaultPort)
    : undefined;
  if (seed !== undefined) return seed;
  throw new TypeError(`Cannot use ${what} no address, ${EXPECTED_ADDRESS}`);
}
