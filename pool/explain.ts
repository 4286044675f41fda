// What an error of the system or of TLS means to whoever wanted a connection.
import { DialError, TlsFailure } from "./dial_error.ts";
import type { Endpoint } from "./endpoint.ts";

/** Says in plain words why a dial has failed, and whether another may succeed. */
export function explain(endpoint: Endpoint, error: unknown): DialError {
  if (error instanceof DialError) return error;
  const cause = error instanceof TlsFailure ? error.cause : error;
  const text = cause instanceof Error ? cause.message : String(cause);
  if (cause instanceof Deno.errors.NotCapable) {
    return new DialError(
      endpoint,
      "connect",
      `Deno has no permission, run with --allow-net=${endpoint}`,
      { cause, isRetriable: false },
    );
  }
  if (cause instanceof TypeError) { // a name or a certificate that is none
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
  if (cause instanceof Deno.errors.ConnectionRefused) {
    return new DialError(
      endpoint,
      "connect",
      "connection refused, nobody listens on that port",
      { cause },
    );
  }
  if (/lookup address|resolve/i.test(text)) {
    return new DialError(endpoint, "connect", `no such host (${text})`, {
      cause,
    });
  }
  return new DialError(endpoint, "connect", text, { cause });
}

function explainTls(
  endpoint: Endpoint,
  cause: unknown,
  text: string,
): DialError {
  if (/UnknownIssuer/.test(text)) {
    return refusal(
      "the server's certificate is signed by an unknown authority, pass it in tls.caCerts",
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
