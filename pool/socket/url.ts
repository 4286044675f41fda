// What a URL says: where a server is, as whom, and which session; what is refused repeats nothing.
import type { DiscoveryParameters } from "./discovery.ts";

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
    refuse("its parameter cluster is neither true nor false");
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
