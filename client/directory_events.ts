// What is published of what a directory finds out.
import type { DirectoryEvents } from "./servers/directory.ts";
import { sink } from "./telemetry.ts";

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
