// Statistics of a client: as numbers, and as text for a person on call.
import { describeClose } from "../pool/connection/close_report.ts";
import { count, duration } from "../pool/connection/quantities.ts";
import type { Verdict } from "../pool/forensics/verdict.ts";
import type { PoolStats } from "../pool/pool_stats.ts";
import type { Attempts } from "./attempts.ts";
import type {
  Directory,
  DirectoryStats,
  PrimaryStats,
  TopologyStats,
} from "./servers/directory.ts";

/** What the connections to one server have done and are doing, and what it serves. */
export interface ServerStats extends PoolStats {
  /** How many hash slots it holds; 0 once it has left, 16384 without a cluster. */
  hashSlots: number;
}

/**
 * What a client has done so far, and what it holds now. With several servers
 * counts are sums, those that have left included; the last close, verdict and
 * failed dial are the newest of all; `awaySince` is that of the server that is away
 * for longest.
 */
export interface RedisStats extends PoolStats {
  /** Attempts that were made after a wait. */
  retries: number;
  /** Times that commands which may have run were sent again. */
  replays: number;
  /** How many retries it may make at once; each success earns a tenth of one, up to 100. */
  retryBudget: number;
  /** The verdict of the last post-mortem. */
  lastVerdict: Verdict | undefined;
  /** Each server by `host:port`, also those that have left and still have connections. */
  servers: Record<string, ServerStats>;
  /** How many redirects of a cluster were followed. */
  redirects: {
    /** MOVED: another server has the hash slot. */
    moved: number;
    /** ASK: another server may have the key. */
    ask: number;
  };
  /** What is known of the topology; `undefined` without a cluster. */
  topology: {
    /** When a server last described it, Unix time in milliseconds. */
    askedAt: number | undefined;
    /** How often a server was asked for it. */
    asked: number;
    /** How many of the 16,384 hash slots have a server. */
    covered: number;
  } | undefined;
}

/**
 * The statistics of a client.
 *
 * @param directory Its servers.
 * @param attempts What has been tried again.
 * @param found What the directory has found out.
 */
export function statsOf(
  directory: Directory,
  attempts: Attempts,
  found: DirectoryStats = directory.stats(),
): RedisStats {
  const entries = [
    ...directory.leaving().map((server) => ({ server, hashSlots: 0 })),
    ...directory.entries(),
  ];
  const { stats, lastVerdict } = directory.tally();
  const { redirects, topology } = found;
  return {
    ...stats,
    ...attempts.stats(),
    lastVerdict,
    servers: Object.fromEntries(
      entries.map(({ server, hashSlots }) => [
        `${server.endpoint}`,
        { ...server.stats(), hashSlots },
      ]),
    ),
    redirects: { ...redirects },
    topology: topology && { ...topology },
  };
}

/** A client at one moment, without its credentials. */
export interface ClientSnapshot {
  /** `host:port` that the user gave. */
  readonly endpoint: string;
  readonly isTls: boolean;
  readonly isClosed: boolean;
  /** Whether it is a client of a cluster. */
  readonly isCluster: boolean;
  /** What was unusual in the last handshake with each server. */
  readonly notes: readonly string[];
  /** What Sentinels have said. */
  readonly primary: PrimaryStats | undefined;
  readonly stats: RedisStats;
}

/** The present state of a client. */
export function snapshotOf(
  directory: Directory,
  attempts: Attempts,
  isClosed: boolean,
): ClientSnapshot {
  const { isCluster, endpoint } = directory;
  const found = directory.stats();
  return {
    endpoint: `${endpoint}`,
    isTls: endpoint.tls !== undefined,
    isClosed,
    isCluster,
    notes: directory.entries().flatMap(({ server: { note, endpoint } }) =>
      note === undefined ? [] : isCluster ? `${endpoint}: ${note}` : note
    ),
    primary: found.primary ?? unnamedPrimary(endpoint.sentinel),
    stats: statsOf(directory, attempts, found),
  };
}

/** The primary before the first call. */
const unnamedPrimary = (name: string | undefined): PrimaryStats | undefined =>
  name === undefined ? undefined : { name, namedBy: undefined };

/**
 * A client in a few lines of text: what it holds, how many calls wait, and what
 * went wrong so far and last. Of a cluster each server has a line.
 *
 * @param client The client.
 * @param now The present, Unix time in milliseconds.
 */
export function describeClient(
  client: ClientSnapshot,
  now: number = Date.now(),
): string {
  const { isClosed, isCluster, notes, stats } = client;
  const { lastClose, lastVerdict } = stats;
  const all = Object.entries(stats.servers);
  const servers = isCluster || all.length > 1 ? all : [];
  const rows: [string, string | undefined][] = [
    ...servers.map(([name, server]): [string, string] => [
      name,
      describeServer(server, now),
    ]),
    ["connections", connections(stats)],
    ["commands", `${stats.inFlight} in flight, ${stats.waiting} waiting`],
    [
      "so far",
      `${stats.dialed} dialed, ${stats.dialFailures} dials failed, ` +
      `${stats.retries} retries, ${stats.replays} replays, ` +
      (isCluster
        ? `${stats.redirects.moved} MOVED, ${stats.redirects.ask} ASK, `
        : "") +
      `budget for ${Math.floor(stats.retryBudget)} retries`,
    ],
    ...notes.map((note): [string, string] => ["note", note]),
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
  const width = Math.max(13, ...servers.map(([name]) => name.length + 2));
  return [
    `Redis ${heading(client, now)}, ${isClosed ? "closed" : "open"}`,
    ...rows.flatMap(([name, text]) =>
      text === undefined ? [] : [`  ${name.padEnd(width)}${text}`]
    ),
  ].join("\n");
}

/** What the client is of, and where. */
function heading(
  { endpoint, isTls, isCluster, primary, stats }: ClientSnapshot,
  now: number,
): string {
  const tls = isTls ? ["TLS"] : [];
  if (isCluster) {
    const inCharge = Object.values(stats.servers)
      .filter(({ hashSlots }) => hashSlots > 0);
    return `cluster of ${endpoint} (${
      [
        ...tls,
        count(inCharge.length, "server"),
        ...describeTopology(stats.topology, now),
      ].join(", ")
    })`;
  }
  const suffix = isTls ? " (TLS)" : "";
  if (primary === undefined) return `${endpoint}${suffix}`;
  const { name, namedBy } = primary;
  const at = Object.entries(stats.servers)
    .find(([, { hashSlots }]) => hashSlots > 0)?.[0];
  return namedBy === undefined || at === undefined
    ? `primary ${name}, to be named by ${endpoint}${suffix}`
    : `primary ${name} at ${at}, named by ${namedBy}${suffix}`;
}

const describeTopology = (
  topology: TopologyStats | undefined,
  now: number,
): string[] =>
  topology?.askedAt === undefined ? ["not asked yet"] : [
    `${topology.covered} hash slots covered`,
    `asked ${ago(topology.askedAt, now)}`,
  ];

const describeServer = (server: ServerStats, now: number): string =>
  [
    server.hashSlots > 0 ? count(server.hashSlots, "hash slot") : "has left",
    connections(server),
    `${server.inFlight} in flight`,
    `${server.waiting} waiting`,
    ...server.awaySince === undefined
      ? []
      : [`away for ${duration(Math.max(0, now - server.awaySince))}`],
  ].join(", ");

const connections = (stats: RedisStats | ServerStats): string =>
  `${stats.open} of ${stats.maxConnections} open` + list(": ", [
    [stats.idle, "idle"],
    [stats.leased, "leased"],
    [stats.suspect, "suspect"],
    [stats.dialing, "more being dialed"],
  ]);

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
