// Statistics of a client, as numbers.
import type { Verdict } from "../pool/forensics/verdict.ts";
import type { PoolStats } from "../pool/pool_stats.ts";
import type { Attempts } from "./attempts.ts";
import type { Directory, DirectoryStats } from "./servers/directory.ts";

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
