// That an error of the system, of TLS or of Node means the same to the caller, in whichever words it comes.

import "../../support/strict.ts";
import {
  assert,
  assertEquals,
  assertInstanceOf,
  assertStringIncludes,
} from "@std/assert";
import { DialError } from "../../../mod.ts";
import { Endpoint } from "../../../pool/socket/endpoint.ts";
import { TlsFailure } from "../../../pool/socket/dial_error.ts";
import { SocketError } from "../../../pool/socket/socket_error.ts";
import { explain } from "../../../pool/socket/explain.ts";

const ofNode = (code: string, message = ""): Error =>
  Object.assign(new Error(message), { code });

/** An error, its phase, whether it may pass, and what its text must hold. */
const ERRORS: readonly [unknown, string, boolean, string][] = [
  [new Deno.errors.ConnectionRefused("x"), "connect", true, "refused, no ser"],
  [ofNode("ECONNREFUSED"), "connect", true, "refused, no server listens"],
  [new Error("failed to lookup address"), "connect", true, "no such host (fa"],
  [ofNode("ENOTFOUND", "getaddrinfo"), "connect", true, "no such host (get"],
  [ofNode("EHOSTUNREACH"), "connect", true, "EHOSTUNREACH"],
  [new Error("unreachable"), "connect", true, "unreachable"],
  ["a text", "connect", true, "a text"],
  [new TypeError("Invalid hostname: 'x y'"), "tls", false, "Invalid hostname"],
  [
    new Deno.errors.NotCapable('Requires net access to "h:1"'),
    "connect",
    false,
    "run with --allow-net=h:1",
  ],
  [
    new Deno.errors.NotCapable("again with the --allow-net flag"),
    "connect",
    false,
    "run with --allow-net=h:1",
  ],
  [
    new Deno.errors.NotCapable("again with the --allow-sys flag"),
    "connect",
    false,
    "run with --allow-sys",
  ],
  ...[
    new Error("invalid peer certificate: UnknownIssuer"),
    ofNode("UNABLE_TO_VERIFY_LEAF_SIGNATURE"),
    ofNode("UNABLE_TO_GET_ISSUER_CERT_LOCALLY"),
    ofNode("DEPTH_ZERO_SELF_SIGNED_CERT"),
    ofNode("SELF_SIGNED_CERT_IN_CHAIN"),
  ].map((error): [unknown, string, boolean, string] => [
    new TlsFailure(error),
    "tls",
    false,
    "unknown authority, pass it in tls.caCerts",
  ]),
  ...[
    new Error("invalid peer certificate: NotValidForName"),
    new Error('invalid peer certificate: certificate not valid for name "h"'),
    ofNode("ERR_TLS_CERT_ALTNAME_INVALID", "Hostname/IP does not match"),
  ].map((error): [unknown, string, boolean, string] => [
    new TlsFailure(error),
    "tls",
    false,
    "not made out to h: give the name in it as tls.serverName, or",
  ]),
  [
    new TlsFailure(new Error("Other(OtherError(CaUsedAsEndEntity))")),
    "tls",
    false,
    "basicConstraints=CA:FALSE",
  ],
  ...[
    "received corrupt message of type Invalid",
    "error:0A00010B:SSL routines:tls_validate_record_header:wrong version number:a.c:77:",
    "error:100000f7:SSL routines:OPENSSL_internal:WRONG_VERSION_NUMBER",
    "the server has shown no certificate",
  ].map((text): [unknown, string, boolean, string] => [
    new TlsFailure(new Error(text)),
    "tls",
    false,
    "does not speak TLS on this port",
  ]),
  [
    new TlsFailure(new Error("error:0A000102:SSL routines:f:unsupported pr:c")),
    "tls",
    false,
    "TLS refused: unsupported pr",
  ],
  [
    new TlsFailure(new Error("InvalidContentType")),
    "tls",
    false,
    "does not speak TLS on this port",
  ],
  [
    new TlsFailure(new Error("received fatal alert: HandshakeFailure")),
    "tls",
    false,
    "TLS refused: received fatal alert",
  ],
  [
    new Error("certificate has Expired"),
    "tls",
    false,
    "TLS refused: certificate has Expired",
  ],
  [new TlsFailure(new Error("eof")), "tls", true, "was cut short: eof"],
  [
    new TlsFailure(new Deno.errors.ConnectionReset("reset")),
    "tls",
    true,
    "was cut short: reset",
  ],
];

Deno.test("An error is explained by its phase, its cause and whether it may pass", () => {
  const endpoint = new Endpoint("rediss://h:1");
  for (const [error, phase, isRetriable, words] of ERRORS) {
    const explained = explain(endpoint, error);
    assertEquals([explained.phase, explained.isRetriable], [
      phase,
      isRetriable,
    ], words);
    assertStringIncludes(explained.message, "Cannot connect to h:1: ");
    assertStringIncludes(explained.message, words);
    const cause = error instanceof TlsFailure ? error.cause : error;
    assertInstanceOf(explained.cause, SocketError);
    assert(explained.cause.cause === cause);
  }
  assertEquals(
    explain(new Endpoint("redis://h:1"), new TypeError("x")).phase,
    "connect",
  );
});

Deno.test("What a node lacks is said of the node that was dialed, not of the first one", () => {
  const cluster = new Endpoint("rediss://h:1?cluster=true");
  const node = cluster.at("n2.test", 7001);
  assertStringIncludes(
    explain(node, new Deno.errors.NotCapable("no")).message,
    "Cannot connect to n2.test:7001: Deno has no permission, run with --allow-net=n2.test:7001",
  );
  const wrongName = new TlsFailure(new Error("NotValidForName"));
  assertStringIncludes(
    explain(node, wrongName).message,
    "Cannot connect to n2.test:7001: the server's certificate is not made out to n2.test: ",
  );
  const tls = { serverName: "all.test" };
  assertStringIncludes(
    explain(new Endpoint("rediss://h", { tls }).at("n3", 1), wrongName).message,
    "Cannot connect to n3:1: the server's certificate is not made out to all.test: ",
  );
});

Deno.test("An error that is explained already stays as it is", () => {
  const endpoint = new Endpoint("rediss://h:1");
  const error = new DialError(endpoint, "handshake", "as it is");
  assert(explain(endpoint, error) === error);
});
