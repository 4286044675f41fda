// TLS sockets of `node:tls`: on Node and Bun all of them, on Deno those with a client's certificate.
import { builtin } from "./builtin.ts";
import { DialError, TlsFailure } from "./dial_error.ts";
import type { Endpoint } from "./endpoint.ts";
import {
  KEEP_ALIVE_MS,
  type NetSocket,
  NodeSocket,
  type OnRead,
} from "./node_socket.ts";
import type { DialOptions, Socket } from "./socket.ts";
import { isAddress } from "./tls_options.ts";

/** A certificate as `node:tls` gives it: empty if the peer has shown none. */
interface PeerCertificate {
  readonly subject?: unknown;
  /** Such as `DNS:localhost, IP Address:127.0.0.1`. */
  readonly subjectaltname?: string;
}

/** The part of `tls.TLSSocket` that is needed. */
interface TlsSocket extends NetSocket {
  /** On Bun up to 1.3 `undefined` after an answer in plain text. */
  getPeerCertificate(): PeerCertificate | undefined;
}

/** The options of `createSecureContext`. */
interface ContextOptions {
  readonly ca?: readonly string[];
  readonly cert?: string;
  readonly key?: string;
  /** Bun 1.2 takes the name that it sends from here alone, and without it sends `localhost`. */
  readonly servername?: string;
}

/** The part of `node:tls` that is needed. */
interface Tls {
  connect(
    options: ContextOptions & {
      readonly host: string;
      readonly port: number;
      readonly onread: OnRead;
      readonly servername?: string;
      readonly secureContext: unknown;
      readonly checkServerIdentity: (
        name: string,
        certificate: PeerCertificate,
      ) => Error | undefined;
    },
  ): TlsSocket;
  checkServerIdentity(
    name: string,
    certificate: PeerCertificate,
  ): Error | undefined;
  createSecureContext(options: ContextOptions): unknown;
  /** Since Node 22.15: with what the user has added by NODE_EXTRA_CA_CERTS or --use-system-ca. */
  getCACertificates?(type: "default"): readonly string[];
  readonly rootCertificates: readonly string[];
}

/** What is made of an endpoint's certificates: 15 ms of work with authorities of its own. */
interface Secured {
  readonly options: ContextOptions;
  readonly context: unknown;
}

/** Options of {@linkcode connectTls}. */
export interface NodeTlsOptions {
  /** How a TCP socket is opened, to ask a peer that does not answer TLS whether it speaks it. @default {it is known to} */
  readonly connectTcp?: (signal: AbortSignal) => Promise<Socket>;
  /** Whether `tls.caCerts` are trusted instead of the runtime's authorities: Deno lists its own with a permission only. @default {false} */
  readonly replacesRoots?: boolean;
}

/** After how long without an answer to TLS it is asked whether the peer speaks it at all, in milliseconds. */
const PROBE_AFTER_MS = 500;

const secured = new WeakMap<Endpoint, Secured>();

/**
 * Opens a TLS socket, with no-delay and keep-alive.
 *
 * @param endpoint An endpoint with TLS.
 * @param options See `DialOptions`.
 * @param nodeOptions See {@linkcode NodeTlsOptions}.
 * @throws {TlsFailure} If TLS fails; the error of the system if TCP does.
 * @throws {DialError} If a certificate, the key or the server name cannot be used.
 */
export async function connectTls(
  endpoint: Endpoint,
  { signal, onTls }: DialOptions,
  { connectTcp, replacesRoots = false }: NodeTlsOptions,
): Promise<Socket> {
  const tls = await builtin<Tls>("node:tls");
  let security = secured.get(endpoint);
  if (security === undefined) {
    const { checkCertificates } = await import("./check_certificates.ts");
    await checkCertificates(endpoint);
    secured.set(endpoint, security = secure(tls, endpoint, replacesRoots));
  }
  signal.throwIfAborted();
  const { hostname, port, tls: { serverName, ...rules } = {} } = endpoint;
  const name = serverName || hostname;
  /** What is wrong with the server's name. */
  const flawOf = (certificate?: PeerCertificate): Error | undefined =>
    certificate?.subject === undefined
      ? new Error("the server has shown no certificate")
      : rules.unsafelyDisableHostnameVerification ||
          hasAddress(certificate, name)
      ? undefined
      : tls.checkServerIdentity(name, certificate);
  const over = new AbortController();
  let probe: ReturnType<typeof setTimeout> | undefined;
  let isTcp = false;
  let opened: TlsSocket;
  const socket = new NodeSocket((onread) => {
    opened = tls.connect({
      ...security.options,
      secureContext: security.context,
      host: hostname,
      port,
      onread,
      checkServerIdentity: (_, certificate) => flawOf(certificate),
    });
    opened.on("connect", () => {
      isTcp = true;
      opened.setNoDelay(true);
      opened.setKeepAlive(true, KEEP_ALIVE_MS);
      onTls?.(connectTcp === undefined);
      if (connectTcp === undefined) return;
      probe = setTimeout(async () => {
        const flaw = await flawOfPeer(endpoint, connectTcp, over.signal);
        if (flaw !== undefined) over.abort(flaw);
      }, PROBE_AFTER_MS);
    });
    return opened;
  }, "secureConnect");
  try {
    await socket.opened(AbortSignal.any([signal, over.signal]));
  } catch (error) {
    signal.throwIfAborted();
    throw isTcp && !(error instanceof DialError)
      ? new TlsFailure(error)
      : error;
  } finally {
    clearTimeout(probe);
    over.abort();
  }
  // Bun up to 1.3 does not ask for the check of an address, nor for any without a servername.
  const flaw = flawOf(opened!.getPeerCertificate());
  if (flaw === undefined) return socket;
  socket.close();
  throw new TlsFailure(flaw);
}

/**
 * A plain Redis takes the first message of TLS for a command that goes on, and
 * answers nothing. What asks for TLS on a socket of its own is answered.
 *
 * @returns What is wrong with the peer; `undefined` if that is not known.
 */
async function flawOfPeer(
  endpoint: Endpoint,
  connectTcp: (signal: AbortSignal) => Promise<Socket>,
  signal: AbortSignal,
): Promise<DialError | undefined> {
  try {
    const { probeTls } = await import("./tls_probe.ts");
    await probeTls(endpoint, await connectTcp(signal), signal);
  } catch (error) {
    if (error instanceof DialError) return error;
  }
  return undefined;
}

/** Whether a certificate is made out to an IPv6 address: Node 22.23 looks for it among the names of hosts. */
function hasAddress(
  { subjectaltname = "" }: PeerCertificate,
  name: string,
): boolean {
  const address = addressOf(name);
  // A name with a comma in it is quoted: it is left to the runtime.
  return address !== undefined && !subjectaltname.includes('"') &&
    subjectaltname.split(", ").some((entry) =>
      entry.startsWith(ADDRESS) &&
      addressOf(entry.slice(ADDRESS.length)) === address
    );
}

const ADDRESS = "IP Address:";

/** An IPv6 address in its one shortest form; `undefined` if it is none. */
function addressOf(name: string): string | undefined {
  const url = `http://[${name}]`;
  return name.includes(":") && URL.canParse(url)
    ? new URL(url).hostname
    : undefined;
}

/** Node would trust the authorities of `ca` instead of its own, not besides. */
function secure(
  tls: Tls,
  { hostname, tls: given = {} }: Endpoint,
  replacesRoots: boolean,
): Secured {
  const { caCerts = [], cert, key, serverName } = given;
  const name = serverName || hostname;
  const options = {
    // An address is no name for TLS, nor is the dot at the end of one.
    ...(isAddress(name) ? {} : { servername: name.replace(/\.$/, "") }),
    ...(cert === undefined ? {} : { cert, key: key! }),
    ...(caCerts.length === 0 ? {} : {
      ca: replacesRoots ? caCerts : [
        ...(tls.getCACertificates?.("default") ?? tls.rootCertificates),
        ...caCerts,
      ],
    }),
  };
  return { options, context: tls.createSecureContext(options) };
}
