// What an error of the system or of TLS means to the caller that wanted a connection.
import { DialError, TlsFailure } from "./dial_error.ts";
import type { Endpoint } from "./endpoint.ts";

/** Says in plain words why a dial has failed, and whether another may succeed. */
export function explain(endpoint: Endpoint, error: unknown): DialError {
  if (error instanceof DialError) return error;
  const cause = error instanceof TlsFailure ? error.cause : error;
  const text = textOf(cause);
  if (cause instanceof Deno.errors.NotCapable) {
    return new DialError(
      endpoint,
      "connect",
      `Deno has no permission, run with ${permissionOf(endpoint, text)}`,
      { cause, isRetriable: false },
    );
  }
  if (cause instanceof TypeError) { // a name that is none
    return new DialError(
      endpoint,
      endpoint.tls === undefined ? "connect" : "tls",
      text,
      { cause, isRetriable: false },
    );
  }
  if (error instanceof TlsFailure || /certificate|tls/i.test(text)) {
    return explainTls(endpoint, cause, text);
  }
  return new DialError(endpoint, "connect", explainConnect(endpoint, cause), {
    cause,
  });
}

function permissionOf(endpoint: Endpoint, text: string): string {
  const { path } = endpoint;
  if (path !== undefined) {
    return `--allow-read=${path} --allow-write=${path}, and since Deno 2.9 --allow-net=unix:${path}`;
  }
  // With a client's certificate the runtime may want to know more of the system.
  const other = /--allow-(?!net)[\w-]+/.exec(text);
  return other === null ? `--allow-net=${endpoint}` : other[0];
}

function explainConnect({ path }: Endpoint, cause: unknown): string {
  const text = textOf(cause);
  const code = codeOf(cause);
  if (
    cause instanceof Deno.errors.ConnectionRefused || code === "ECONNREFUSED"
  ) {
    return path === undefined
      ? "connection refused, no server listens on that port"
      : "connection refused, no server listens on that socket";
  }
  if (path !== undefined && cause instanceof Deno.errors.NotFound) {
    return "there is no such socket";
  }
  if (code === "ENOTFOUND" || /lookup address|resolve/i.test(text)) {
    return `no such host (${text})`;
  }
  return text;
}

/** What `node:tls` calls an authority that is not known. */
const UNKNOWN_AUTHORITY =
  /UnknownIssuer|UNABLE_TO_VERIFY_LEAF_SIGNATURE|UNABLE_TO_GET_ISSUER_CERT|SELF_SIGNED_CERT/;

function explainTls(
  endpoint: Endpoint,
  cause: unknown,
  text: string,
): DialError {
  if (UNKNOWN_AUTHORITY.test(`${codeOf(cause)} ${text}`)) {
    return refusal(
      "the server's certificate is signed by an unknown authority, pass it in tls.caCerts",
    );
  }
  if (/CaUsedAsEndEntity/.test(text)) {
    return refusal(
      "the server's certificate is an authority's (CA:TRUE), which TLS here refuses although it is trusted: " +
        "make it anew with basicConstraints=CA:FALSE and pass it in tls.caCerts, " +
        "or sign the server's certificate with an authority of its own and pass that",
    );
  }
  if (/corrupt message|InvalidContentType/.test(text)) {
    return refusal("the server does not speak TLS on this port, use redis://");
  }
  if (
    /certificate|NotValidForName|Expired|HandshakeFailure|alert/i.test(text)
  ) {
    return refusal(`TLS refused: ${text}`);
  }
  // An end of file or a reset: a plain Redis closes on the first TLS byte, but so does a dying server.
  return new DialError(
    endpoint,
    "tls",
    `the TLS handshake was cut short: ${text}`,
    { cause },
  );

  function refusal(reason: string): DialError {
    return new DialError(endpoint, "tls", reason, {
      cause,
      isRetriable: false,
    });
  }
}

const textOf = (cause: unknown): string =>
  cause instanceof Error ? cause.message || codeOf(cause) : String(cause);

const codeOf = (cause: unknown): string =>
  cause instanceof Error && "code" in cause ? String(cause.code) : "";
