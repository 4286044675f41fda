// Which server the user means, and what is said of one that cannot be used.
import { Endpoint, type EndpointOptions } from "../pool/socket/endpoint.ts";
import { UsageError } from "./command_line.ts";
import { firstOf, inOptions, type TlsArguments } from "./tls.ts";

/** Where an address came from. */
export type Origin = "--url" | "REDIS_URL";

/** A server that the user named. */
export interface Target {
  readonly url: string;
  readonly origin: Origin;
}

/**
 * The server of `--url`, else of REDIS_URL.
 *
 * @throws {UsageError} If TLS options are given for a URL that is no `rediss://`.
 */
export function targetOf(
  args: TlsArguments & { readonly url: string | undefined },
): Target | undefined {
  const target = namedTarget(args.url);
  const option = firstOf(args);
  if (option === undefined) return target;
  const unusable = (why: string) =>
    new UsageError(`Cannot use ${option}: it is for a rediss:// URL, ${why}`);
  if (target === undefined) {
    throw unusable("and there is neither --url nor REDIS_URL");
  }
  const { url, origin } = target;
  if (endpointOf(url, {}, origin).tls === undefined) {
    throw unusable(`and that of ${origin} is without TLS`);
  }
  return target;
}

function namedTarget(url: string | undefined): Target | undefined {
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
      adviceOf(error).replace(/^Cannot use url\b/, `Cannot use ${origin}`),
    );
  }
}

/** What a failed attempt to connect says at the command line. */
export const adviceOf = (error: unknown): string => {
  if (error instanceof UsageError) return error.message; // it is advice already
  const text = inOptions(textOf(error));
  return text.includes("max number of clients")
    ? `${text}: the server has as many clients as its maxclients allows`
    : text;
};

export const textOf = (error: unknown): string =>
  error instanceof Error ? error.message : String(error);
