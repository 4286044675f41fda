// Whether a peer answers TLS: tried on a socket that can still be closed, and remembered.
import { DialError } from "./dial_error.ts";
import type { Endpoint } from "./endpoint.ts";
import type { Socket } from "./socket.ts";
import { isAddress } from "./tls_options.ts";

/** Content types of TLS: https://www.rfc-editor.org/rfc/rfc8446#section-5.1 */
const HANDSHAKE = 22;
const ALERT = 21;
const LINE_FEED = 10;

/**
 * Sends the first message of TLS on a separate socket, and waits until the
 * peer answers or closes. The answer itself is left to the actual handshake.
 *
 * `Deno.TlsConn.close()` before the end of the handshake frees nothing: the
 * socket to a peer that never answers is held for the life of the process. So
 * there the actual handshake begins only with a peer that has answered once.
 *
 * @param endpoint Where the socket leads.
 * @param tcp The socket. It is closed in any case.
 * @param signal Closes it early.
 * @throws {DialError} If the peer answers in plain text.
 */
export async function probeTls(
  endpoint: Endpoint,
  tcp: Socket,
  signal: AbortSignal,
): Promise<void> {
  const close = () => {
    try {
      tcp.close();
    } catch {
      // Closed already.
    }
  };
  signal.addEventListener("abort", close, { once: true });
  const answer = new Uint8Array(64);
  let count: number | null = null;
  try {
    signal.throwIfAborted();
    const hello = clientHello(endpoint.tls?.serverName || endpoint.hostname);
    let written = 0;
    while (written < hello.length) {
      written += await tcp.write(hello.subarray(written));
    }
    count = await tcp.read(answer);
  } catch {
    // Closed or reset: the actual handshake ends the same way, and its error is explained.
    signal.throwIfAborted();
  } finally {
    signal.removeEventListener("abort", close);
    close();
  }
  if (count === null || [HANDSHAKE, ALERT].includes(answer[0]!)) return;
  throw new DialError(
    endpoint,
    "tls",
    "the server answers in plain text, it does not speak TLS on this port: use redis://",
    { isRetriable: false },
  );
}

const u16 = (n: number): number[] => [n >> 8, n & 255];
const vector8 = (bytes: number[]): number[] => [bytes.length, ...bytes];
const vector16 = (bytes: number[]): number[] => [
  ...u16(bytes.length),
  ...bytes,
];
const extension = (type: number, bytes: number[]): number[] => [
  ...u16(type),
  ...vector16(bytes),
];

/** Ciphers of TLS 1.3 and 1.2, groups and signatures that every server has some of. */
const CIPHERS = [0x1301, 0x1302, 0x1303, 0xc02b, 0xc02f, 0xc02c, 0xc030];
const GROUPS = [29, 23, 24];
const SIGNATURES = [0x0403, 0x0503, 0x0804, 0x0805, 0x0806, 0x0401, 0x0501];
const VERSIONS = [0x0304, 0x0303];
const PADDING = 21;

/**
 * The first message of TLS: https://www.rfc-editor.org/rfc/rfc8446#section-4.1.2
 * It is padded to a length whose last byte is a line feed, which stands before
 * the first NUL: a Redis without TLS takes these five bytes for a command, and
 * answers at once with an error.
 */
function clientHello(serverName: string): Uint8Array<ArrayBuffer> {
  const extensions = [
    ...(isAddress(serverName) ? [] : extension(
      0, // server_name
      vector16([0, ...vector16([...new TextEncoder().encode(serverName)])]),
    )),
    ...extension(10, vector16(GROUPS.flatMap(u16))), // supported_groups
    ...extension(11, vector8([0])), // ec_point_formats
    ...extension(13, vector16(SIGNATURES.flatMap(u16))), // signature_algorithms
    ...extension(23, []), // extended_master_secret
    ...extension(43, vector8(VERSIONS.flatMap(u16))), // supported_versions
    ...extension(51, vector16([])), // key_share: none, the server asks for one
    ...extension(0xff01, [0]), // renegotiation_info
  ];
  const head = [
    ...u16(0x0303), // legacy_version
    ...crypto.getRandomValues(new Uint8Array(32)),
    ...vector8([...crypto.getRandomValues(new Uint8Array(32))]), // legacy_session_id
    ...vector16(CIPHERS.flatMap(u16)),
    ...vector8([0]), // no compression
  ];
  const fixed = 4 + head.length + 2 + extensions.length + 4;
  let length = 0x100 + LINE_FEED;
  while (length < fixed) length += 0x100;
  const padding = extension(PADDING, new Array(length - fixed).fill(0));
  const body = [...head, ...vector16([...extensions, ...padding])];
  return new Uint8Array([
    HANDSHAKE,
    ...u16(0x0301),
    ...u16(length),
    1, // client_hello
    0,
    ...u16(body.length),
    ...body,
  ]);
}

/** What is known of TLS at an endpoint. Each dial may add to it. */
export interface TlsHistory {
  /** Whether the last TLS handshake came to an end, good or bad. */
  answersTls: boolean;
  /** TLS handshakes that were given up: Deno keeps their sockets open. */
  stranded: number;
  /** No TLS handshake is begun before this, by `performance.now()`. */
  tlsNotBefore: number;
}

const histories = new WeakMap<Endpoint, TlsHistory>();

/** The history of an endpoint, for as long as that very object is in use. */
export function tlsHistoryOf(endpoint: Endpoint): TlsHistory {
  let history = histories.get(endpoint);
  if (history === undefined) {
    history = { answersTls: false, stranded: 0, tlsNotBefore: -Infinity };
    histories.set(endpoint, history);
  }
  return history;
}
