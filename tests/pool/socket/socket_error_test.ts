// That what a socket throws is recognized in the words of every runtime, and that nothing it can throw hangs a command.

import "../../support/strict.ts";
import { assert, assertEquals, assertInstanceOf } from "@std/assert";
import { ConnectionClosedError } from "../../../mod.ts";
import { ask } from "../../../pool/connection/in_flight.ts";
import { Connection } from "../../../pool/connection/connection.ts";
import { PushRight } from "../../../pool/connection/push_right.ts";
import {
  SocketError,
  socketErrorOf,
  type SocketFailure,
} from "../../../pool/socket/socket_error.ts";

const ofNode = (code: string): Error =>
  Object.assign(new Error(`read ${code}`), { code });

const RECOGNIZED: readonly [SocketFailure, readonly Error[]][] = [
  ["rst", [
    new Deno.errors.ConnectionReset("x"),
    new Deno.errors.ConnectionAborted("x"),
    new Deno.errors.BrokenPipe("x"),
    ...["ECONNRESET", "ECONNABORTED", "EPIPE"].map(ofNode),
  ]],
  ["fin", [new Deno.errors.UnexpectedEof("x")]],
  ["silence", [new Deno.errors.TimedOut("x"), ofNode("ETIMEDOUT")]],
  ["refused", [
    new Deno.errors.ConnectionRefused("x"),
    ofNode("ECONNREFUSED"),
  ]],
  ["missing", [new Deno.errors.NotFound("x"), ofNode("ENOENT")]],
  ["unreachable", [
    new Deno.errors.NetworkUnreachable("x"),
    ...["EHOSTUNREACH", "ENETUNREACH"].map(ofNode),
  ]],
  ["dns", [
    new Error("failed to lookup address information: Name not known"),
    ...["ENOTFOUND", "EAI_AGAIN"].map(ofNode),
    new Error("getaddrinfo EAI_FAIL h"),
  ]],
  ["denied", [new Deno.errors.NotCapable("x"), ofNode("ERR_ACCESS_DENIED")]],
  ["tls", [
    new Error("received fatal alert: InternalError"),
    new Error("invalid peer certificate: UnknownIssuer"),
  ]],
  ["unknown", [new Error("x"), new TypeError("x"), ofNode("constructor")]],
];

Deno.test("An error of a runtime is recognized by its name, its code or its text", () => {
  for (const [how, errors] of RECOGNIZED) {
    for (const error of errors) {
      const recognized = socketErrorOf(error);
      assertEquals(recognized.how, how, `${error.name}: ${error.message}`);
      assertEquals(recognized.message, error.message);
      assert(recognized.cause === error);
    }
  }
});

Deno.test("What OpenSSL says is told without its codes and source files", () => {
  for (
    const [text, readable] of [
      [
        "C05C:error:0A00045C:SSL routines:ssl3_read_bytes:tlsv13 alert certificate required:../a/b.c:918:SSL alert number 116\n",
        "tlsv13 alert certificate required",
      ],
      [
        "error:10000418:SSL routines:OPENSSL_internal:TLSV1_ALERT_UNKNOWN_CA",
        "TLSV1_ALERT_UNKNOWN_CA",
      ],
    ] as const
  ) {
    const { how, message } = socketErrorOf(new Error(text));
    assertEquals([how, message], ["tls", readable]);
  }
});

Deno.test("A SocketError stays as it is", () => {
  const error = new SocketError("rst", "as it is");
  assert(socketErrorOf(error) === error);
  assertEquals(error.name, "SocketError");
  assert(!("cause" in error));
});

/** What may be thrown that is hard to read. */
const THROWN: readonly (readonly [string, unknown])[] = [
  ["nothing", undefined],
  ["null", null],
  ["a text", "gone"],
  ["a symbol", Symbol("gone")],
  ["an object without a text", Object.create(null)],
  ["an error with a getter that throws", {
    __proto__: Error.prototype,
    get message() {
      throw new Error("no message");
    },
  }],
  [
    "a proxy that throws",
    new Proxy({}, {
      getPrototypeOf() {
        throw new Error("no prototype");
      },
    }),
  ],
  [
    "a subclass with a failure of its own",
    new SocketError("melted" as SocketFailure, "gone"),
  ],
];

for (const [what, thrown] of THROWN) {
  Deno.test(`A socket that throws ${what} loses its commands, and hangs none`, async () => {
    for (const where of ["read", "write", "sync write"]) {
      let fail = (_reason: unknown) => {};
      const failure = new Promise<never>((_, reject) => fail = reject);
      failure.catch(() => {});
      const connection = new Connection({
        read: () => where === "read" ? failure : new Promise(() => {}),
        write: (bytes) => {
          if (where === "sync write") throw thrown;
          return where === "write" ? failure : Promise.resolve(bytes.length);
        },
        close: () => {},
      }, { endpoint: "h:1", number: 1, replyTimeoutMs: 60_000 });
      const asked = ask(new PushRight(connection), ["PING"])
        .catch((error) => error);
      await Promise.resolve();
      fail(thrown);
      const error = await asked;
      assertInstanceOf(error, ConnectionClosedError);
      assertEquals(error.report.how, "rst");
    }
  });
}

Deno.test("A socket of the user's own says by a SocketError how it ended", async () => {
  const ends = {
    fin: "server fin",
    rst: "network rst",
    silence: "network silence",
    tls: "server tls-alert",
    denied: "client requested",
  };
  for (const [how, end] of Object.entries(ends)) {
    const connection = new Connection({
      read: () => Promise.reject(new SocketError(how as SocketFailure, "why")),
      write: (bytes) => Promise.resolve(bytes.length),
      close: () => {},
    }, { endpoint: "h:1", number: 1, replyTimeoutMs: 60_000 });
    const error = await ask(new PushRight(connection), ["PING"])
      .catch((error) => error);
    assertInstanceOf(error, ConnectionClosedError);
    const { by, how: ended, cause } = error.report;
    assertEquals([`${by} ${ended}`, cause], [end, "why"]);
  }
});
