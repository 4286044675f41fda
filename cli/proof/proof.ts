// The course of the proof: three tests, one after the other.
import type { Redis } from "../../mod.ts";
import type { Arguments } from "./arguments.ts";
import type { Output } from "../output.ts";
import { EVENTS, keysOf, testEvents } from "./webhook_events.ts";
import { checkCommands, heldPrefix } from "./preflight.ts";
import { testRequests } from "./requests.ts";
import { flawOf, type Proof } from "./result.ts";
import { findServer } from "./server.ts";
import { messageOf } from "../target.ts";
import * as text from "./text.ts";
import { Observer } from "./observer.ts";
import { zombiesBy } from "./zombie.ts";

/**
 * Runs the tests, and deletes their keys.
 *
 * @throws {UsageError} If there is no server that can be used.
 * @throws The signal's reason, after everything is cleaned up.
 */
export async function prove(
  args: Arguments,
  output: Output,
  signal: AbortSignal,
): Promise<Proof> {
  const clientName = `unzombie-verify-${crypto.randomUUID()}`;
  await using server = await findServer(args);
  await using admin = server.connect({ clientName: `${clientName}-admin` });
  const keyPrefix = await heldPrefix(admin, signal);
  const keys = { request: `${keyPrefix}request`, events: keysOf(keyPrefix) };
  const zombies = await zombiesBy(args.method, admin);
  await checkCommands(admin, server.environment.endpoint, keys, signal);
  using observer = await Observer.of(server, `${clientName}-observer`, signal);
  const { environment } = server;
  const method = { name: zombies.method, reason: zombies.reason ?? null };
  output.print(text.heading(environment, method));

  const requestsWith = (retry: false | undefined) =>
    testRequests(server, zombies, {
      requests: args.requests,
      key: keys.request,
      retry,
      clientName,
      observer,
      signal,
      onRequest: (result, n) => output.print(text.request(result, n)),
    });
  try {
    output.print(text.TEST_1);
    const withoutRetry = await requestsWith(false);
    output.print(text.requestsSummary(withoutRetry, method.name));

    output.print(text.TEST_2);
    const withRetry = await requestsWith(undefined);
    output.print(text.requestsSummary(withRetry, method.name));

    output.print(text.TEST_3);
    const events = await testEvents(server, zombies, {
      keyPrefix,
      clientName,
      admin,
      signal,
      onProgress: (done) => output.progress(`${done} of ${EVENTS} events`),
    });
    output.progress("");
    output.print(text.events(events));

    const ok = flawOf({ withoutRetry, withRetry, events }) === undefined;
    const proof = { environment, method, withoutRetry, withRetry, events, ok };
    output.print(text.conclusion(proof));
    return proof;
  } finally {
    await deleteKeys(admin, [keys.request, ...keys.events]).catch((error) => {
      if (environment.origin === "started for this run") return;
      output.warn(
        `Cannot delete the keys ${keyPrefix}*: ${
          messageOf(error)
        }; they will expire`,
      );
    });
  }
}

/** One command a key, since a cluster or a proxy may hold them on different servers. */
async function deleteKeys(
  admin: Redis,
  keys: readonly string[],
): Promise<void> {
  const replies = await admin.pipeline(keys.map((key) => ["DEL", key]));
  const error = replies.find((reply) => reply instanceof Error);
  if (error !== undefined) throw error;
}
