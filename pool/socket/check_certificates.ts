// Certificates, a key and a server name for `node:tls`, checked before anything is dialed.
import { builtin } from "./builtin.ts";
import { DialError } from "./dial_error.ts";
import type { Endpoint } from "./endpoint.ts";
import { flawOfPem, isAddress } from "./tls_options.ts";

/** A public key of `node:crypto`. */
interface PublicKey {
  export(as: { readonly type: "spki"; readonly format: "der" }): {
    equals(other: unknown): boolean;
  };
}

/** The part of `node:crypto` that is needed. */
interface Crypto {
  readonly X509Certificate: new (pem: string) => {
    readonly publicKey: PublicKey;
  };
  createPrivateKey(pem: string): unknown;
  createPublicKey(key: unknown): PublicKey;
}

/** Each certificate of a PEM file; the last may be cut. */
const CERTIFICATES =
  /-----BEGIN (?:[A-Z0-9]+ )?CERTIFICATE-----.*?(?:-----END [A-Z0-9 ]+-----|$)/gs;
const ENCRYPTED = /BEGIN ENCRYPTED PRIVATE KEY|^Proc-Type: 4,ENCRYPTED/m;
/** A host name, with or without a dot at its end. */
const NAME = /^[a-z0-9_-]+(?:\.[a-z0-9_-]+)*\.?$/i;

/**
 * Checks what `node:tls` would ignore without an error, or refuse in words of
 * its own.
 *
 * @throws {DialError} If one cannot be used, or certificate and key do not belong together. Final.
 */
export async function checkCertificates(endpoint: Endpoint): Promise<void> {
  const { caCerts = [], cert, key, serverName } = endpoint.tls ?? {};
  if (serverName && !NAME.test(serverName) && !isAddress(serverName)) {
    refuse(
      "tls.serverName",
      `${JSON.stringify(serverName)} is not a host name`,
    );
  }
  if (caCerts.length === 0 && cert === undefined) return;
  const crypto = await builtin<Crypto>("node:crypto");
  if (cert !== undefined) checkOwn(cert, key!);
  for (const [i, file] of caCerts.entries()) {
    for (const [authority] of file.matchAll(CERTIFICATES)) {
      read(`tls.caCerts[${i}]`, () => new crypto.X509Certificate(authority));
    }
  }

  /** The certificate that the server asks for, and its key. */
  function checkOwn(cert: string, key: string): void {
    const flaw = flawOfPem(cert, "CERTIFICATE");
    if (flaw !== undefined) refuse("tls.cert", flaw);
    const flawOfKey = flawOfPem(key, "PRIVATE KEY");
    if (flawOfKey !== undefined) refuse("tls.key", flawOfKey);
    if (ENCRYPTED.test(key)) {
      refuse("tls.key", "it is encrypted, expected a key without a passphrase");
    }
    const certificate = read(
      "tls.cert",
      () => new crypto.X509Certificate(cert),
    );
    const publicKey = read(
      "tls.key",
      () => crypto.createPublicKey(crypto.createPrivateKey(key)),
    );
    const spki = { type: "spki", format: "der" } as const;
    if (!publicKey.export(spki).equals(certificate.publicKey.export(spki))) {
      refuse("tls.key", "it is not the key of the certificate in tls.cert");
    }
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
