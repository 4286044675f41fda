// What the failure of a dial means, in plain words, and whether another may succeed.
import { DialError, TlsFailure } from "./dial_error.ts";
import type { Endpoint } from "./endpoint.ts";
import { runtime } from "./runtime.ts";
import { codeOf, type SocketError, socketErrorOf } from "./socket_error.ts";

/**
 * Explains why a dial failed.
 *
 * @param endpoint Where to.
 * @param error What was thrown: by the runtime, or a `TlsFailure` around that.
 * @returns The error for the caller; its cause is a `SocketError`.
 */
export function explain(endpoint: Endpoint, error: unknown): DialError {
  if (error instanceof DialError) return error;
  const thrown = error instanceof TlsFailure ? error.cause : error;
  const cause = socketErrorOf(thrown);
  const { how, message } = cause;
  if (how === "denied") {
    const hint = runtime.permissionHint(endpoint, message);
    return new DialError(
      endpoint,
      "connect",
      `${runtime.name} has no permission, run with ${hint}`,
      { cause, isRetriable: false },
    );
  }
  if (thrown instanceof TypeError) { // not a valid name for a host
    return new DialError(
      endpoint,
      endpoint.tls === undefined ? "connect" : "tls",
      message,
      { cause, isRetriable: false },
    );
  }
  if (error instanceof TlsFailure || how === "tls" || /tls/i.test(message)) {
    return explainTls(endpoint, cause);
  }
  return new DialError(endpoint, "connect", explainConnect(endpoint, cause), {
    cause,
  });
}

function explainConnect({ path }: Endpoint, cause: SocketError): string {
  const { how, message } = cause;
  switch (how) {
    case "refused":
      return `connection refused, no server listens on that ${
        path === undefined ? "port" : "socket"
      }`;
    case "missing":
      return path === undefined ? message : "there is no such socket";
    case "dns":
      return `no such host (${message})`;
    default:
      return message;
  }
}

/** What Deno and `node:tls` call an answer in plain text. Bun up to 1.3 takes it for one without a certificate. */
const PLAIN_TEXT =
  /corrupt message|InvalidContentType|wrong.version.number|shown no certificate/i;

/** What Deno and `node:tls` call an authority that is not known. */
const UNKNOWN_AUTHORITY =
  /UnknownIssuer|UNABLE_TO_VERIFY_LEAF_SIGNATURE|UNABLE_TO_GET_ISSUER_CERT|SELF_SIGNED_CERT/;

/** What Deno and `node:tls` call a certificate that is made out to another name. */
const OTHER_NAME =
  /NotValidForName|not valid for name|ERR_TLS_CERT_ALTNAME_INVALID/;

function explainTls(endpoint: Endpoint, cause: SocketError): DialError {
  const { message: text } = cause;
  if (UNKNOWN_AUTHORITY.test(`${codeOf(cause.cause)} ${text}`)) {
    return refusal(
      "the server's certificate is signed by an unknown authority, pass it in tls.caCerts",
    );
  }
  if (OTHER_NAME.test(`${codeOf(cause.cause)} ${text}`)) {
    const name = endpoint.tls?.serverName || endpoint.hostname;
    return refusal(
      `the server's certificate is not made out to ${name}: give the name in it as tls.serverName, ` +
        `or set tls.unsafelyDisableHostnameVerification (${text})`,
    );
  }
  if (/CaUsedAsEndEntity/.test(text)) {
    return refusal(
      "the server's certificate is that of an authority (CA:TRUE), which TLS here refuses even if it is trusted: " +
        "create it again with basicConstraints=CA:FALSE and pass it in tls.caCerts, " +
        "or sign the server's certificate with an authority of its own and pass that",
    );
  }
  if (PLAIN_TEXT.test(text)) {
    return refusal("the server does not speak TLS on this port, use redis://");
  }
  if (
    cause.how === "tls" ||
    /certificate|NotValidForName|Expired|HandshakeFailure|alert/i.test(text)
  ) {
    return refusal(`TLS refused: ${text}`);
  }
  // An end of file or a reset: a plain Redis closes on the first TLS byte, but so does a server that is shut down.
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
