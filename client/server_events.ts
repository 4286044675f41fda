// What happens to the connections of a server, and what a directory finds out, for telemetry and for the user's callbacks.
import type { Endpoint } from "../pool/socket/endpoint.ts";
import { invokeSafely } from "./invoke_safely.ts";
import type { RedisOptions } from "./options.ts";
import type { DirectoryEvents } from "./servers/directory.ts";
import type { ServerEvents } from "./servers/server.ts";
import { sink } from "./telemetry.ts";

/**
 * Publishes the events of a server, and calls the user's callbacks.
 *
 * @param endpoint Where the server is.
 * @param options The callbacks.
 */
export const publishedEvents = (
  endpoint: Endpoint,
  { onClose, onVerdict }: Pick<RedisOptions, "onClose" | "onVerdict">,
): ServerEvents => ({
  onOpen: ({ number, identity }, tookMs) =>
    sink?.publish("connection:open", endpoint, {
      connection: number,
      clientId: identity?.clientId,
      tookMs,
    }),
  onDialFailed: (error) =>
    sink?.publish("connection:fail", endpoint, { error }),
  onEvict: (reason, { number }) =>
    sink?.publish("connection:evict", endpoint, { connection: number, reason }),
  onWait: (wait) => sink?.publish("checkout:wait", endpoint, wait),
  onClose: (report) => {
    sink?.publish("connection:close", endpoint, { report });
    invokeSafely("onClose of Redis", onClose, report);
  },
  onVerdict: (verdict) =>
    invokeSafely("onVerdict of Redis", onVerdict, verdict),
});

/** Publishes what a directory finds out. */
export const PUBLISHED_EVENTS: DirectoryEvents = {
  onRedirect: (from, redirect) =>
    sink?.publish("cluster:redirect", from, { ...redirect, from: `${from}` }),
  onTopology: (asked, answer) =>
    sink?.publish("cluster:topology", asked, {
      ...answer,
      askedOf: `${asked}`,
    }),
  onPrimary: (primary, change) =>
    sink?.publish("sentinel:primary", primary, {
      ...change,
      to: `${primary}`,
    }),
};
