// The three tests, one after the other, and that nothing is left behind.
import type { Redis } from "../../mod.ts";
import type { Arguments } from "./arguments.ts";
import type { Audience } from "../output.ts";
import { EVENTS, keysOf, testEvents } from "./webhook_events.ts";
import { checkCommands, KEY_PREFIX } from "./preflight.ts";
import { testRequests } from "./requests.ts";
import { flawOf, type Proof } from "./result.ts";
import { findServer } from "../server.ts";
import { textOf } from "../target.ts";
import * as text from "./text.ts";
import { Witness } from "../watch/observer.ts";
import { zombiesBy } from "./zombie.ts";

/**
 * Runs the tests.
 *
 * @throws {UsageError} If there is no server that can be used.
 * @throws The signal's reason, after everything is cleaned up.
 */
export async function prove(
  args: Arguments,
  audience: Audience,
  signal: AbortSignal,
): Promise<Proof> {
  const run = crypto.randomUUID();
  const clientName = `unzombie-verify-${run}`;
  const keyPrefix = `${KEY_PREFIX}${run}_`;
  const keys = { request: `${keyPrefix}request`, events: keysOf(keyPrefix) };

  await using server = await findServer(args);
  await using admin = server.connect({ clientName: `${clientName}-admin` });
  const zombies = await zombiesBy(args.method, admin);
  await checkCommands(admin, server.environment.endpoint, keys, signal);
  using witness = await Witness.of(server, `${clientName}-witness`, signal);
  const { environment } = server;
  const method = { name: zombies.method, reason: zombies.reason ?? null };
  audience.say(text.heading(environment, method));

  const requestsWith = (retry: false | undefined) =>
    testRequests(server, zombies, {
      requests: args.requests,
      key: keys.request,
      retry,
      clientName,
      witness,
      signal,
      onRequest: (result, n) => audience.say(text.request(result, n)),
    });
  try {
    audience.say(text.TEST_1);
    const withoutRetry = await requestsWith(false);
    audience.say(text.requestsSummary(withoutRetry, method.name));

    audience.say(text.TEST_2);
    const withRetry = await requestsWith(undefined);
    audience.say(text.requestsSummary(withRetry, method.name));

    audience.say(text.TEST_3);
    const events = await testEvents(server, zombies, {
      keyPrefix,
      clientName,
      admin,
      signal,
      onProgress: (done) => audience.progress(`${done} of ${EVENTS} events`),
    });
    audience.progress("");
    audience.say(text.events(events));

    const ok = flawOf({ withoutRetry, withRetry, events }) === undefined;
    const proof = { environment, method, withoutRetry, withRetry, events, ok };
    audience.say(text.conclusion(proof));
    return proof;
  } finally {
    await forget(admin, [keys.request, ...keys.events]).catch((error) => {
      if (environment.origin === "started for this run") return;
      audience.warn(
        `Cannot delete the keys ${keyPrefix}*: ${
          textOf(error)
        }; they expire by themselves`,
      );
    });
  }
}

/** One by one, since a cluster or a proxy may keep them in different places. */
async function forget(admin: Redis, keys: readonly string[]): Promise<void> {
  const replies = await admin.pipeline(keys.map((key) => ["DEL", key]));
  const error = replies.find((reply) => reply instanceof Error);
  if (error !== undefined) throw error;
}
