// TLS with a client's certificate, by `node:tls`: `Deno.startTls` takes none, and what
// `Deno.connectTls` opens can have neither no-delay nor keep-alive, and cannot be given up.
import {
  createPrivateKey,
  createPublicKey,
  X509Certificate,
} from "node:crypto";
import { connect } from "node:tls";
import { DialError, TlsFailure } from "./dial_error.ts";
import type { Endpoint } from "./endpoint.ts";
import { NodeSocket } from "./node_socket.ts";
import type { DialOptions, Socket } from "./socket.ts";
import { flawOfPem, isAddress } from "./tls_options.ts";

const KEEP_ALIVE_MS = 30_000;
const [major = 0, minor = 0] = Deno.version.deno.split(".").map(Number);

/** Whether a dial that is given up ends. Before Deno 2.7 one that waits for TCP goes on, and keeps the process alive. */
export const canBeGivenUp: boolean = major > 2 || minor >= 7;

/** Each certificate of a PEM file; the last may be cut. */
const CERTIFICATES =
  /-----BEGIN (?:[A-Z0-9]+ )?CERTIFICATE-----.*?(?:-----END [A-Z0-9 ]+-----|$)/gs;
const ENCRYPTED = /BEGIN ENCRYPTED PRIVATE KEY|^Proc-Type: 4,ENCRYPTED/m;
/** A host name, with or without a dot at its end. */
const NAME = /^[a-z0-9_-]+(?:\.[a-z0-9_-]+)*\.?$/i;

/**
 * Checks certificate and key before anything is dialed, and what `node:tls`
 * would ignore without an error.
 *
 * @throws {DialError} If one cannot be used, or they do not belong together. Final.
 */
export function checkCertificate(endpoint: Endpoint): void {
  const { caCerts = [], cert, key, serverName } = endpoint.tls ?? {};
  const flaw = flawOfPem(cert, "CERTIFICATE");
  if (flaw !== undefined) refuse("tls.cert", flaw);
  const flawOfKey = flawOfPem(key, "PRIVATE KEY");
  if (flawOfKey !== undefined) refuse("tls.key", flawOfKey);
  if (ENCRYPTED.test(key!)) {
    refuse("tls.key", "it is encrypted, expected a key without a passphrase");
  }
  const certificate = read("tls.cert", () => new X509Certificate(cert!));
  const publicKey = read(
    "tls.key",
    () => createPublicKey(createPrivateKey(key!)),
  );
  for (const [i, file] of caCerts.entries()) {
    for (const [authority] of file.matchAll(CERTIFICATES)) {
      read(`tls.caCerts[${i}]`, () => new X509Certificate(authority));
    }
  }
  if (serverName && !NAME.test(serverName) && !isAddress(serverName)) {
    refuse(
      "tls.serverName",
      `${JSON.stringify(serverName)} is not a host name`,
    );
  }
  const spki = { type: "spki", format: "der" } as const;
  if (!publicKey.export(spki).equals(certificate.publicKey.export(spki))) {
    refuse("tls.key", "it is not the key of the certificate in tls.cert");
  }

  function read<T>(name: string, how: () => T): T {
    try {
      return how();
    } catch (error) {
      refuse(name, `it cannot be read (${(error as Error).message})`);
    }
  }

  function refuse(name: string, why: string): never {
    throw new DialError(endpoint, "tls", `cannot use ${name}: ${why}`, {
      isRetriable: false,
    });
  }
}

/**
 * Opens a TLS socket, with no-delay and keep-alive.
 *
 * @throws {TlsFailure} If TLS fails; the error of the system if TCP does.
 */
export async function connectWithCertificate(
  { hostname, port, tls }: Endpoint,
  { signal, onTls }: DialOptions,
): Promise<Socket> {
  signal.throwIfAborted();
  const { caCerts = [], cert, key, serverName } = tls ?? {};
  const name = serverName || hostname;
  const socket = connect({
    host: hostname,
    port,
    cert: cert!,
    key: key!,
    ...(isAddress(name) ? {} : { servername: name }),
    ...(caCerts.length === 0 ? {} : { ca: caCerts }),
    ...(tls?.unsafelyDisableHostnameVerification
      ? { checkServerIdentity: () => undefined }
      : {}),
  });
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  let isTls = false;
  const onAbort = () => reject(signal.reason);
  const onError = (error: unknown) =>
    reject(isTls ? new TlsFailure(error) : error);
  signal.addEventListener("abort", onAbort, { once: true });
  socket.once("connect", () => {
    isTls = true;
    onTls?.(true);
    socket.setNoDelay(true);
    socket.setKeepAlive(true, KEEP_ALIVE_MS);
  });
  socket.once("secureConnect", resolve);
  socket.once("close", () => onError(new Error("the server closed")));
  socket.on("error", onError);
  try {
    await promise;
    return new NodeSocket(socket);
  } catch (error) {
    socket.destroy();
    throw error;
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
}
