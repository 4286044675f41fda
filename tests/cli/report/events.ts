// Events of a watch, made by hand.
import type {
  DeathEvent,
  StartEvent,
  WatchEvent,
} from "../../../cli/watch/json_lines.ts";

/** When the watch of these tests begins, as a Unix time in milliseconds. */
export const MIDNIGHT = Date.UTC(2026, 10, 27);
export const NODE = "redis.example:6380";

/** The time so many seconds after midnight. */
export const at = (seconds: number): string =>
  new Date(MIDNIGHT + seconds * 1000).toISOString();

/** A start with idle connections and a busy one. */
export const start = (
  idle = 2,
  more: Partial<StartEvent> = {},
): StartEvent => ({
  type: "start",
  at: at(0),
  endpoint: NODE,
  tls: true,
  server: "7.0.15",
  connections: [
    ...Array.from(
      { length: idle },
      () => ({ role: "idle" as const, usedEveryMs: null }),
    ),
    { role: "busy", usedEveryMs: 1000 },
  ],
  forMs: null,
  ...more,
});

/** A connection was opened. */
export const open = (
  slot: number,
  connection: number,
  seconds: number,
): WatchEvent => ({
  ...{ type: "open", node: NODE, at: at(seconds), slot, connection },
});

/** An idle connection was ended by the server's timeout. */
export const death = (
  slot: number,
  connection: number,
  seconds: number,
  more: Partial<DeathEvent> = {},
): DeathEvent => ({
  type: "death",
  node: NODE,
  at: at(seconds),
  event: 1,
  together: 1,
  connection,
  slot,
  role: "idle",
  usedEveryMs: null,
  idleMs: 300_500,
  ageMs: 300_500,
  by: "server",
  how: "fin",
  during: "idle",
  close: "",
  cause: "idle-timeout",
  confidence: "likely",
  evidence: ["idle 300 s; the server's timeout is 300"],
  advice: "set idleTimeoutMs below 270000",
  verdict: "",
  outcome:
    "likely ended by an idle timeout: idle 300 s; the server's timeout is 300. To do: set idleTimeoutMs below 270000",
  refused: [],
  frozenMs: 0,
  ...more,
});
