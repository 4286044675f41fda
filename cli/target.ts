// The server that the user names, and the errors of one that cannot be used.
import { Endpoint, type EndpointOptions } from "../pool/socket/endpoint.ts";
import { UsageError } from "./command_line.ts";
import { firstOf, inOptions, type TlsArguments } from "./tls.ts";

/** Where the URL of a server came from. */
export type UrlSource = "--url" | "REDIS_URL";

/** A server that the user named. */
export interface Target {
  readonly url: string;
  readonly urlFrom: UrlSource;
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
  const { url, urlFrom } = target;
  if (endpointOf(url, {}, urlFrom).tls === undefined) {
    throw unusable(`and that of ${urlFrom} is without TLS`);
  }
  return target;
}

function namedTarget(url: string | undefined): Target | undefined {
  if (url !== undefined) return { url, urlFrom: "--url" };
  const fromEnvironment = Deno.env.get("REDIS_URL") || undefined;
  return fromEnvironment === undefined
    ? undefined
    : { url: fromEnvironment, urlFrom: "REDIS_URL" };
}

/**
 * The endpoint that a URL leads to.
 *
 * @param urlFrom Where the URL came from, for messages.
 * @throws {UsageError} If the URL or an option cannot be used.
 */
export function endpointOf(
  url: string,
  options: EndpointOptions,
  urlFrom: string,
): Endpoint {
  try {
    return new Endpoint(url, options);
  } catch (error) {
    throw new UsageError(
      adviceOf(error).replace(/^Cannot use url\b/, `Cannot use ${urlFrom}`),
    );
  }
}

/** The message of a failed attempt to connect, in terms of the command line. */
export const adviceOf = (error: unknown): string => {
  if (error instanceof UsageError) return error.message;
  const text = inOptions(messageOf(error));
  return text.includes("max number of clients")
    ? `${text}: the server has as many clients as its maxclients allows`
    : text;
};

/** The message of whatever was thrown. */
export const messageOf = (error: unknown): string =>
  error instanceof Error ? error.message : String(error);
