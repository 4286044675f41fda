// That user and password are asked for at each dial, and masked with what was given out then.

import "../../support/strict.ts";
import {
  assert,
  assertEquals,
  assertFalse,
  assertLess,
  assertRejects,
  assertStringIncludes,
} from "@std/assert";
import { DialError } from "../../../mod.ts";
import { ask } from "../../../pool/connection/in_flight.ts";
import type { Connection } from "../../../pool/connection/connection.ts";
import { open } from "../../../pool/connection/open.ts";
import { PushRight } from "../../../pool/connection/push_right.ts";
import type { CredentialsSource } from "../../../pool/socket/credentials.ts";
import { dial } from "../../../pool/socket/dial.ts";
import { Endpoint } from "../../../pool/socket/endpoint.ts";
import { startRedis } from "../../support/redis_server.ts";
import { ScriptedServer } from "../../support/scripted_server.ts";

const never = new AbortController().signal;

const opened = (
  url: string,
  credentials: CredentialsSource,
  { signal = never, connectTimeoutMs = 3000 } = {},
): Promise<Connection> =>
  open(new Endpoint(url), {
    credentials,
    dial,
    connectTimeoutMs,
    replyTimeoutMs: 3000,
    number: 1,
    signal,
  });

Deno.test("Each dial logs in with the credentials of its own moment", async () => {
  await using server = await startRedis();
  const admin = await opened(server.url, () => undefined);
  for (const name of ["ann", "bob"]) {
    await ask(new PushRight(admin), [
      "ACL",
      "SETUSER",
      name,
      "on",
      `>of-${name}`,
      "+@all",
      "~*",
    ]);
  }
  const names = ["ann", "bob", "ann"];
  let asked = 0;
  const credentials: CredentialsSource = () => {
    const username = names[asked++]!;
    const given = { username, password: `of-${username}` };
    return asked === 2 ? Promise.resolve(given) : given;
  };
  for (const name of names) {
    const connection = await opened(server.url, credentials);
    assertEquals(await ask(new PushRight(connection), ["ACL", "WHOAMI"]), name);
    connection.close();
  }
  assertEquals(asked, names.length);
  admin.close();
});

Deno.test("Credentials that never come end with the connect timeout, or with the signal", async () => {
  const source: CredentialsSource = () => new Promise(() => {});
  const startedAt = performance.now();
  await assertRejects(
    () => opened("redis://127.0.0.1:1", source, { connectTimeoutMs: 100 }),
    DialError,
    "within 100 ms",
  );
  const reason = new Error("enough");
  const signal = AbortSignal.abort(reason);
  const error = await opened("redis://127.0.0.1:1", source, { signal })
    .catch((error) => error);
  assert(error === reason);
  assertLess(performance.now() - startedAt, 2000);
});

Deno.test("Credentials that cannot be had fail the dial, which may be tried again", async () => {
  const failures: CredentialsSource[] = [
    () => Promise.reject(new Error("the vault is sealed")),
    () => {
      throw new Error("the vault is sealed");
    },
  ];
  for (const source of failures) {
    const error = await assertRejects(
      () => opened("redis://127.0.0.1:1", source),
      DialError,
    );
    assertEquals(
      error.message,
      "Cannot connect to 127.0.0.1:1: no credentials: the vault is sealed",
    );
    assert(error.isRetriable);
  }
});

Deno.test("What a server repeats is masked with the password of that dial", async () => {
  // Repeats what it was sent, as proxies do.
  await using server = new ScriptedServer((command) =>
    `-ERR cannot do ${command.join(" ")}\r\n`
  );
  for (const password of ["first-of-all", "second-to-none"]) {
    const error = await assertRejects(
      () =>
        opened(server.url, () => Promise.resolve({ username: "u", password })),
      DialError,
    );
    assertStringIncludes(error.message, "***");
    assertFalse(Deno.inspect(error).includes(password.slice(0, 6)));
  }
});
