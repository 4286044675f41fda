// The address of a server as text: as servers write it, and as users do.

/** Where a server is dialed. */
export interface Address {
  /** Host name or address; IPv6 without brackets. */
  readonly hostname: string;
  /** TCP port. */
  readonly port: number;
}

const MAX_PORT = 65_535;
const MAX_HOSTNAME = 255;
/** What a host name or an IP address consists of; a reply could hold anything. */
const HOSTNAME = /^[\w.:-]+$/;

/** `host:port`, with brackets around IPv6: the way in which an endpoint prints. */
export const textOfAddress = ({ hostname, port }: Address): string =>
  hostname.includes(":") ? `[${hostname}]:${port}` : `${hostname}:${port}`;

/** Whether two addresses are one. */
export const equals = (a: Address, b: Address): boolean =>
  a === b || a.port === b.port && a.hostname === b.hostname;

/** Whether an address is one of several. */
export const includes = (
  addresses: readonly Address[],
  address: Address,
): boolean => addresses.some((each) => equals(each, address));

/**
 * The host that a value names, IPv6 in its shortest form.
 *
 * @param value A host name or an address without brackets.
 * @returns `undefined` if it is none that can be dialed.
 */
export function hostIn(value: unknown): string | undefined {
  if (
    typeof value !== "string" || value.length > MAX_HOSTNAME ||
    !HOSTNAME.test(value)
  ) return undefined;
  if (!value.includes(":")) return value;
  const url = `redis://[${value}]`;
  return URL.canParse(url) ? new URL(url).hostname.slice(1, -1) : undefined;
}

/** Whether a host is an IP address and no name: no top-level domain consists of digits. */
export const isIp = (hostname: string): boolean =>
  hostname.includes(":") || /^(?:\d{1,3}\.){3}\d{1,3}$/.test(hostname);

/** Whether a value is a port; 0 stands for one that is known elsewhere. */
export const isPort = (value: unknown): value is number =>
  Number.isInteger(value) && value as number >= 0 &&
  value as number <= MAX_PORT;

/**
 * The address in `host:port`: the last colon splits, since servers write IPv6
 * without brackets. The host may be empty or `?`, and the port 0.
 *
 * @returns `undefined` if the text is none.
 */
export function addressIn(text: string): Address | undefined {
  const [, bracketed, plain, digits] =
    /^(?:\[([^\]]*:[^\]]*)\]|([^[\]]*)):(0|[1-9]\d{0,4})$/.exec(text) ?? [];
  const named = bracketed ?? plain;
  const hostname = named === "" || named === "?" ? named : hostIn(named);
  const port = Number(digits);
  return hostname !== undefined && isPort(port)
    ? { hostname, port }
    : undefined;
}

/** What a user must write. */
export const EXPECTED_ADDRESS =
  "expected host:port, with [brackets] around IPv6";

/**
 * The address that a user has written: IPv6 stands in brackets.
 *
 * @param text `host:port`, `host`, `[::1]:port` or `[::1]`.
 * @param defaultPort The port where none is written; without it one must be.
 * @returns `undefined` if the text is none.
 */
export function addressGiven(
  text: string,
  defaultPort?: number,
): Address | undefined {
  const [, bracketed, name, digits] =
    /^(?:\[([^[\]]+)\]|([^[\]:]+))(?::([1-9]\d{0,4}))?$/.exec(text) ?? [];
  const port = digits === undefined ? defaultPort : Number(digits);
  // What is in brackets must be IPv6.
  const isWritten = bracketed === undefined || bracketed.includes(":");
  const hostname = hostIn(bracketed ?? name);
  return isWritten && hostname !== undefined && isPort(port)
    ? { hostname, port }
    : undefined;
}
