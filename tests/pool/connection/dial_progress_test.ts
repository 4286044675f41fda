// That a dial under way says how far it has come and what that may mean.

import "../../support/strict.ts";
import {
  assert,
  assertEquals,
  assertInstanceOf,
  assertMatch,
} from "@std/assert";
import { DialError } from "../../../mod.ts";
import type { Connection } from "../../../pool/connection/connection.ts";
import { DialProgress, open } from "../../../pool/connection/open.ts";
import { dial } from "../../../pool/socket/dial.ts";
import { Endpoint } from "../../../pool/socket/endpoint.ts";

Deno.test("A dial under way says what it waits for, since when, and what that may mean", async () => {
  const plain = new DialProgress("h:1");
  assertEquals([plain.phase, plain.describe()], [
    "connect",
    "no connection yet",
  ]);
  const startedAt = plain.since;
  await new Promise((resolve) => setTimeout(resolve, 5));
  plain.reach("handshake");
  assert(plain.since > startedAt && plain.since <= performance.now());
  assertEquals(
    plain.describe("within 5 ms"),
    "connected, but no answer to the Redis handshake within 5 ms: is this a TLS port (rediss://)?",
  );

  const tls = new DialProgress("h:1");
  tls.reach("tls");
  assertEquals(
    tls.describe(),
    "connected, but no TLS handshake yet: is this a plain port (redis://)?",
  );
  tls.reach("tls", true);
  assertEquals(
    tls.describe(),
    "connected, and the server answers TLS, but its handshake has not ended yet",
  );
  tls.reach("tls");
  const error = tls.toError();
  assertInstanceOf(error, DialError);
  assertEquals([error.phase, error.endpoint, error.isRetriable, error.fate], [
    "tls",
    "h:1",
    true,
    "unsent",
  ]);
  assertMatch(error.message, /^Cannot connect to h:1: connected, but no TLS/);
  assertMatch(error.message, /for \d+ ms so far/);
  tls.reach("handshake");
  assertEquals(
    tls.describe(),
    "connected, but no answer to the Redis handshake yet",
  );
});

Deno.test("An open under way keeps its progress up to date", async () => {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const url = `127.0.0.1:${listener.addr.port}`;
  for (
    const [scheme, phase, question] of [
      ["redis", "handshake", "rediss://"],
      ["rediss", "tls", "redis://"],
    ] as const
  ) {
    const endpoint = new Endpoint(`${scheme}://${url}`);
    const progress = new DialProgress(`${endpoint}`);
    const abort = new AbortController();
    const opening: Promise<Connection | unknown> = open(endpoint, {
      dial,
      connectTimeoutMs: 5000,
      replyTimeoutMs: 5000,
      number: 1,
      signal: abort.signal,
      progress,
    }).catch((error: unknown) => error);
    assertEquals(progress.phase, "connect");
    using _accepted = await listener.accept();
    while (progress.phase !== phase) {
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
    assert(progress.describe().includes(question), progress.describe());
    abort.abort("enough");
    assertEquals(await opening, "enough");
  }
});

Deno.test("A dial of the user's own for TLS need not say when TLS begins", async () => {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr;
  for (const [scheme, asks] of [["rediss", false], ["redis", true]] as const) {
    const error = await open(new Endpoint(`${scheme}://127.0.0.1:${port}`), {
      dial: () => Deno.connect({ hostname: "127.0.0.1", port }),
      connectTimeoutMs: 50,
      replyTimeoutMs: 5000,
      number: 1,
      signal: new AbortController().signal,
    }).catch((error: unknown) => error);
    assertInstanceOf(error, DialError);
    assertEquals(error.phase, "handshake");
    assertEquals(error.message.includes("is this a TLS port"), asks);
    (await listener.accept()).close();
  }
});
