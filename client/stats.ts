// Statistics of a client: as numbers, and as text for a person on call.
import { duration } from "../pool/connection/quantities.ts";
import { describeClose } from "../pool/connection/close_report.ts";
import type { Verdict } from "../pool/forensics/verdict.ts";
import type { PoolStats } from "../pool/pool_stats.ts";

/** What a client has done so far, and what it holds now. */
export interface RedisStats extends PoolStats {
  /** Attempts that were made after a wait. */
  retries: number;
  /** Times that commands which may have run were sent again. */
  replays: number;
  /** How many retries it may make at once; each success earns a tenth of one, up to 100. */
  retryBudget: number;
  /** The verdict of the last post-mortem. */
  lastVerdict: Verdict | undefined;
}

/** A client at one moment, without its credentials. */
export interface ClientSnapshot {
  /** `host:port`. */
  readonly endpoint: string;
  readonly isTls: boolean;
  readonly isClosed: boolean;
  /** What was unusual in the last handshake. */
  readonly note: string | undefined;
  readonly stats: RedisStats;
}

/**
 * A client in a few lines of text: what it holds, how many calls wait, and what
 * went wrong so far and last.
 *
 * @param client The client.
 * @param now The present, Unix time in milliseconds.
 */
export function describeClient(
  client: ClientSnapshot,
  now: number = Date.now(),
): string {
  const { endpoint, isTls, isClosed, note, stats } = client;
  const { lastClose, lastVerdict } = stats;
  const rows: [string, string | undefined][] = [
    [
      "connections",
      `${stats.open} of ${stats.maxConnections} open` + list(": ", [
        [stats.idle, "idle"],
        [stats.leased, "leased"],
        [stats.suspect, "suspect"],
        [stats.dialing, "more being dialed"],
      ]),
    ],
    ["commands", `${stats.inFlight} in flight, ${stats.waiting} waiting`],
    [
      "so far",
      `${stats.dialed} dialed, ${stats.dialFailures} dials failed, ` +
      `${stats.retries} retries, ${stats.replays} replays, ` +
      `budget for ${Math.floor(stats.retryBudget)} retries`,
    ],
    ["note", note],
    [
      stats.awaySince === undefined ? "last dial" : "away",
      dialTrouble(stats, now),
    ],
    ["evicted", evictions(stats.evicted)],
    [
      "last close",
      lastClose &&
      `${ago(lastClose.closedAt, now)}: ${describeClose(lastClose)}`,
    ],
    [
      "last verdict",
      lastVerdict &&
      `${ago(lastVerdict.report.closedAt, now)}: ${lastVerdict.text}`,
    ],
  ];
  return [
    `Redis ${endpoint}${isTls ? " (TLS)" : ""}, ${
      isClosed ? "closed" : "open"
    }`,
    ...rows.flatMap(([name, text]) =>
      text === undefined ? [] : [`  ${name.padEnd(13)}${text}`]
    ),
  ].join("\n");
}

const list = (start: string, counts: [number, string][]): string => {
  const some = counts.filter(([n]) => n > 0).map((pair) => pair.join(" "));
  return some.length === 0 ? "" : start + some.join(", ");
};

/** Since when no connection can be opened, or what the last failed dial failed with. */
function dialTrouble(
  { awaySince, lastDialError: error }: RedisStats,
  now: number,
): string | undefined {
  if (error === undefined) return undefined;
  const text = error instanceof Error ? error.message : String(error);
  return awaySince === undefined
    ? `has failed before: ${text}`
    : `since ${ago(awaySince, now)}: ${text}`;
}

const evictions = (evicted: RedisStats["evicted"]): string | undefined =>
  Object.entries(evicted).map(([reason, n]) => `${n} ${reason}`).join(", ") ||
  undefined;

const ago = (at: number, now: number): string =>
  `${duration(Math.max(0, now - at))} ago`;
