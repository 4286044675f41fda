// What a client has done and holds: as numbers, and as text for a person on call.
import { describeClose } from "../pool/connection/close_report.ts";
import type { Verdict } from "../pool/forensics/verdict.ts";
import type { PoolStats } from "../pool/pool.ts";

/** What a client has done and holds. */
export interface RedisStats extends PoolStats {
  /** Attempts made after a wait. */
  retries: number;
  /** Times that commands were sent again which may have run. */
  replays: number;
  /** How many retries it may make at once; each success earns a tenth of one, up to 100. */
  retryBudget: number;
  /** What the last post-mortem has found. */
  lastVerdict: Verdict | undefined;
}

/** What a client shows of itself; never a credential. */
export interface Look {
  /** `host:port`. */
  readonly endpoint: string;
  readonly isTls: boolean;
  readonly isClosed: boolean;
  /** What the last handshake has found that may surprise. */
  readonly note: string | undefined;
  readonly stats: RedisStats;
}

/**
 * A client in a few lines: what it holds, how many calls wait, what has gone wrong so far and last.
 *
 * @param look What it shows.
 * @param now Unix time in milliseconds.
 */
export function describe(look: Look, now: number = Date.now()): string {
  const { endpoint, isTls, isClosed, note, stats } = look;
  const { lastClose: last, lastVerdict: found } = stats;
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
    ["gone", goneFor(stats.evicted)],
    [
      "last close",
      last && `${ago(last.closedAt, now)}: ${describeClose(last)}`,
    ],
    [
      "last verdict",
      found && `${ago(found.report.closedAt, now)}: ${found.text}`,
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

/** That no connection can be opened, and since when, or what the last failed dial failed with. */
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

const goneFor = (evicted: RedisStats["evicted"]): string | undefined =>
  Object.entries(evicted).map(([reason, n]) => `${n} ${reason}`).join(", ") ||
  undefined;

const ago = (at: number, now: number): string =>
  `${Math.max(0, (now - at) / 1000).toFixed(1)} s ago`;
