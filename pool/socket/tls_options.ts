// Options of TLS, checked before anything is dialed.

/** How to verify the server, and which certificate to show it, for `rediss://`. */
export interface TlsOptions {
  /** Certificate authorities to trust besides those of the runtime, and on Deno instead of them with `cert`: the text of each PEM file, not its path. */
  caCerts?: string[] | undefined;
  /** The client's certificate, as PEM. Needs `key`. On Deno such a connection is made by `node:tls`, which takes some 40 ms to load. */
  cert?: string | undefined;
  /** The key of the client's certificate, as PEM. Needs `cert`. */
  key?: string | undefined;
  /** The name that the server's certificate must carry. @default {the URL's host} */
  serverName?: string | undefined;
  /** Accept a certificate that is made out to another name. The chain is still verified. @default {false} */
  unsafelyDisableHostnameVerification?: boolean | undefined;
}

const TYPES: Readonly<Record<keyof TlsOptions, string>> = {
  caCerts: "object",
  cert: "string",
  key: "string",
  serverName: "string",
  unsafelyDisableHostnameVerification: "boolean",
};

/**
 * Checks the options of TLS. A misspelled one would make TLS less safe than it
 * was meant to be. Values are not repeated: one is a private key.
 *
 * @param tls The options.
 * @param option What they are called.
 * @throws {TypeError} If one is unknown, not of its type, or no certificate.
 */
export function checkTls(tls: TlsOptions, option = "tls"): void {
  if (typeof tls !== "object" || tls === null) {
    throw new TypeError(
      `Cannot use ${option} of type ${typeof tls}: expected an object with ${names()}`,
    );
  }
  for (const [name, value] of Object.entries(tls)) {
    const type = TYPES[name as keyof TlsOptions];
    if (type === undefined) {
      throw new TypeError(`Cannot use ${option}.${name}: expected ${names()}`);
    }
    if (value !== undefined && typeof value !== type && name !== "caCerts") {
      throw new TypeError(
        `Cannot use ${option}.${name} of type ${typeof value}: expected a ${type}`,
      );
    }
  }
  const { caCerts } = tls;
  if (caCerts !== undefined && !Array.isArray(caCerts)) {
    throw new TypeError(
      `Cannot use ${option}.caCerts: expected a list of certificates as PEM`,
    );
  }
  caCerts?.forEach((certificate: unknown, i) => {
    const flaw = flawOfPem(certificate, "CERTIFICATE");
    if (flaw === undefined) return;
    throw new TypeError(`Cannot use ${option}.caCerts[${i}]: ${flaw}`);
  });
  if ((tls.cert === undefined) !== (tls.key === undefined)) {
    throw new TypeError(
      `Cannot use ${option}.${
        tls.key === undefined
          ? `cert without ${option}.key`
          : `key without ${option}.cert`
      }: expected both or neither`,
    );
  }
}

const names = (): string => Object.keys(TYPES).join(", ");

/** Whether a server's name is an address: TLS sends names alone. */
export const isAddress = (name: string): boolean =>
  name.includes(":") || /^\d[\d.]+$/.test(name);

/**
 * What is wrong with a text that should be PEM, or `undefined`.
 *
 * @param text The text.
 * @param label What stands in its first line, after BEGIN: the end of that.
 */
export function flawOfPem(
  text: unknown,
  label: "CERTIFICATE" | "PRIVATE KEY",
): string | undefined {
  const what = label === "CERTIFICATE" ? "a certificate" : "a private key";
  const expected =
    `expected ${what} as PEM, which begins with -----BEGIN ${label}-----`;
  if (typeof text !== "string") {
    return `it is of type ${typeof text}, ${expected}`;
  }
  if (text.trim() === "") return `it is empty, ${expected}`;
  const begin = new RegExp(`-----BEGIN (?:[A-Z0-9]+ )?${label}-----(.?)`, "s")
    .exec(text);
  if (begin === null) {
    return /^\S+$/.test(text) && /[/\\]|\.\w{2,4}$/.test(text)
      ? `it looks like the path of a file, ${expected}; read it with Deno.readTextFile`
      : `it is not PEM, ${expected}`;
  }
  if (begin[1] === "\\") {
    return "its line ends are written as the two characters \\n, expected line breaks";
  }
  return text.includes(`${label}-----`, begin.index + begin[0].length)
    ? undefined
    : `it is cut: there is no line -----END ${label}-----`;
}
