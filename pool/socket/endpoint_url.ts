// The parts of a URL: address, user, database and name.

/** The parts of a URL, decoded. */
export interface UrlParts {
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
      // What follows a ? in a password is read as a parameter: it is not repeated.
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
