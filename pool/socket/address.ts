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

/** Whether a value is a host that can be dialed. */
export const isHostname = (value: unknown): value is string =>
  typeof value === "string" && value.length <= MAX_HOSTNAME &&
  HOSTNAME.test(value);

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
    /^(?:\[([^\]]*)\]|([^[\]]*)):(0|[1-9]\d{0,4})$/.exec(text) ?? [];
  const hostname = bracketed ?? plain;
  const port = Number(digits);
  return hostname !== undefined && isPort(port) &&
      (hostname === "" || hostname === "?" || isHostname(hostname))
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
  if (!isPort(port)) return undefined;
  if (bracketed === undefined) {
    return isHostname(name) ? { hostname: name, port } : undefined;
  }
  return bracketed.includes(":") && URL.canParse(`redis://[${bracketed}]`)
    ? {
      hostname: new URL(`redis://[${bracketed}]`).hostname.slice(1, -1),
      port,
    }
    : undefined;
}
