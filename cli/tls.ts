// The TLS options of the command line: PEM files, and the name in the server's certificate.
import type { EndpointOptions } from "../pool/socket/endpoint.ts";
import { UsageError } from "./command_line.ts";

/** The TLS options that were given. */
export interface TlsArguments {
  /** A file with the certificates of the authorities to trust. */
  readonly ca: string | undefined;
  /** A file with the certificate of this client. */
  readonly cert: string | undefined;
  /** A file with the key of that certificate. */
  readonly key: string | undefined;
  /** The name that the server's certificate must contain. */
  readonly serverName: string | undefined;
}

export const TLS_OPTIONS = ["--ca", "--cert", "--key", "--server-name"];

export const TLS_HELP =
  `  --ca FILE        certificates of the authorities to trust, as PEM
  --cert FILE      the client's certificate, as PEM; needs --key
  --key FILE       the key of that certificate, as PEM, not encrypted;
                   needs --cert
  --server-name N  the name that the server's certificate must contain
                   (default: the host of the URL)
                   (these four options need a rediss:// URL)`;

/** @throws {UsageError} If a certificate comes without its key, or a key without its certificate. */
export function tlsArgumentsOf(
  values: ReadonlyMap<string, string>,
): TlsArguments {
  const [cert, key] = [values.get("--cert"), values.get("--key")];
  if ((cert === undefined) !== (key === undefined)) {
    const [given, missing] = cert === undefined
      ? ["--key", "--cert"]
      : ["--cert", "--key"];
    throw new UsageError(`Cannot use ${given}: it needs ${missing}, too`);
  }
  return {
    ca: values.get("--ca"),
    cert,
    key,
    serverName: values.get("--server-name"),
  };
}

/** The first of the options that was given, if any. */
export const firstOf = (
  { ca, cert, key, serverName }: TlsArguments,
): string | undefined =>
  TLS_OPTIONS.find((_, i) => [ca, cert, key, serverName][i] !== undefined);

/**
 * The option `tls` of a client.
 *
 * @throws {UsageError} If a file cannot be read or does not hold what it should.
 */
export async function tlsOf(
  { ca, cert, key, serverName }: TlsArguments,
): Promise<Pick<EndpointOptions, "tls">> {
  if (firstOf({ ca, cert, key, serverName }) === undefined) return {};
  return {
    tls: {
      ...ca === undefined ? {} : { caCerts: [await pem("--ca", ca)] },
      ...cert === undefined ? {} : { cert: await pem("--cert", cert) },
      ...key === undefined ? {} : { key: await pem("--key", key) },
      ...serverName === undefined ? {} : { serverName },
    },
  };
}

type FileOption = "--ca" | "--cert" | "--key";

/** How the PEM text of each file begins, and what it contains. */
const CONTENT: Record<FileOption, readonly [begin: RegExp, what: string]> = {
  "--ca": [/^-----BEGIN CERTIFICATE-----/m, "certificate"],
  "--cert": [/^-----BEGIN CERTIFICATE-----/m, "certificate"],
  "--key": [/^-----BEGIN (?:RSA |EC )?PRIVATE KEY-----/m, "key"],
};

async function pem(option: FileOption, file: string): Promise<string> {
  const unusable = (why: string) =>
    new UsageError(`Cannot use ${option} ${file}: ${why}`);
  let text: string;
  try {
    text = await Deno.readTextFile(file);
  } catch (error) {
    throw unusable(whyUnread(error, file));
  }
  if (isEncrypted(text)) {
    throw unusable(
      `the key is encrypted, expected one that is not: openssl pkey -in ${file}`,
    );
  }
  const [begin, what] = CONTENT[option];
  if (begin.test(text)) return text;
  throw unusable(
    `it holds no ${what}, expected PEM text with -----BEGIN ${
      what === "key" ? "PRIVATE KEY" : "CERTIFICATE"
    }-----`,
  );
}

/** In the newer form of a key file, and in the older one. */
const isEncrypted = (text: string): boolean =>
  text.includes("-----BEGIN ENCRYPTED PRIVATE KEY-----") ||
  /^Proc-Type: 4,ENCRYPTED/m.test(text);

function whyUnread(error: unknown, file: string): string {
  if (error instanceof Deno.errors.NotFound) return "there is no such file";
  if (error instanceof Deno.errors.NotCapable) {
    return `reading it is not allowed, run with --allow-read=${file}`;
  }
  if (error instanceof Deno.errors.IsADirectory) {
    return "it is a directory, expected a file";
  }
  return error instanceof Error ? error.message : String(error);
}

const OPTION_OF: Readonly<Record<string, string>> = {
  caCerts: "--ca",
  cert: "--cert",
  key: "--key",
  serverName: "--server-name",
};

/** A message about options of the module, with the options of the command line in their place. */
export const inOptions = (text: string): string =>
  text
    .replace("pass it in tls.caCerts", "pass it with --ca FILE")
    .replace(
      /\btls\.(caCerts|cert|key|serverName)\b(?:\[\d+\])?/g,
      (_, name) => OPTION_OF[name]!,
    );
