// Which server the user means, and how to trust it.
import { Endpoint, type EndpointOptions } from "../pool/mod.ts";
import { UsageError } from "./command_line.ts";

/** Where an address came from. */
export type Origin = "--url" | "REDIS_URL";

/** A server that the user named. */
export interface Target {
  readonly url: string;
  readonly origin: Origin;
}

/** The server of `--url`, else of REDIS_URL. */
export function targetOf(url: string | undefined): Target | undefined {
  if (url !== undefined) return { url, origin: "--url" };
  const fromEnvironment = Deno.env.get("REDIS_URL") || undefined;
  return fromEnvironment === undefined
    ? undefined
    : { url: fromEnvironment, origin: "REDIS_URL" };
}

/** @throws {UsageError} If the URL or an option cannot be used. */
export function endpointOf(
  url: string,
  options: EndpointOptions,
  origin: string,
): Endpoint {
  try {
    return new Endpoint(url, options);
  } catch (error) {
    throw new UsageError(
      textOf(error).replace(
        /^Cannot use (url|tls)/,
        (_, name) => `Cannot use ${name === "url" ? origin : "--ca"}`,
      ),
    );
  }
}

/**
 * The option `tls` that trusts the authorities of a file.
 *
 * @throws {UsageError} If the file cannot be read or holds no certificate.
 */
export async function trustOf(
  ca: string | undefined,
): Promise<Pick<EndpointOptions, "tls">> {
  return ca === undefined ? {} : { tls: { caCerts: [await pem(ca)] } };
}

async function pem(file: string): Promise<string> {
  let text: string;
  try {
    text = await Deno.readTextFile(file);
  } catch (error) {
    throw new UsageError(`Cannot use --ca: ${textOf(error)}`);
  }
  if (text.includes("-----BEGIN CERTIFICATE-----")) return text;
  throw new UsageError(
    `Cannot use --ca: ${file} holds no certificate, accepted is PEM`,
  );
}

/** What a failed attempt to connect says to somebody at the command line. */
export const adviceOf = (error: unknown): string =>
  textOf(error).replace("pass it in tls.caCerts", "pass it with --ca FILE");

export const textOf = (error: unknown): string =>
  error instanceof Error ? error.message : String(error);
