// A server at one moment, as its replies to INFO, CONFIG GET, SLOWLOG and LATENCY show it.
import type { Command, Reply } from "../../resp/types.ts";

/** A run of something during which the server answered nothing else. */
export interface SlowRun {
  /** A command's name, never its arguments; or an event of the latency monitor. */
  readonly what: string;
  /** When it ended, by this client's clock: Unix time in milliseconds, up to a second early. */
  readonly endedAt: number;
  /** How long it took, in milliseconds. */
  readonly tookMs: number;
}

/** A server at one moment. */
export interface ServerSnapshot {
  /** When it was taken, Unix time in milliseconds. */
  readonly takenAt: number;
  /** Fields of INFO. For a command the number of calls that did not fail, for an error its count. */
  readonly info: Readonly<Record<string, string | undefined>>;
  /** How much of these numbers was caused by this client. */
  readonly own: Readonly<Record<string, number>>;
  /** The reply to CONFIG GET. */
  readonly config: Readonly<Record<string, string | undefined>>;
  /** The ended connection in CLIENT LIST: `""` if it is not there. */
  readonly listed?: string;
  /** What kept the server busy, by the command that was asked. */
  readonly slow?: Readonly<Record<string, readonly SlowRun[]>>;
}

const FIELD =
  /^(redis_version|run_id|process_id|tcp_port|uptime_in_seconds|server_time_usec|latest_fork_usec|maxclients|rejected_connections|evicted_clients|client_(?:query|output)_buffer_limit_disconnections|role|master_(?:host|port|replid2?)|cmdstat_(?:hello|client|acl)(?:\|kill|\|pause|\|deluser|\|load|\|setuser)?|errorstat_ERR):(.*)$/gm;

/** The sections that are read: 3 KB, 20 µs of the server. Before Redis 7 INFO took only one section. */
export const infoCommand = (version = "0"): Command =>
  Number.parseInt(version) < 7 ? ["INFO", "all"] : [
    ...["INFO", "server", "clients", "stats"] as const,
    ...["replication", "commandstats", "errorstats"],
  ];

/** Reads a reply to INFO. */
export function readInfo(text: string): ServerSnapshot["info"] {
  const info: Record<string, string> = {};
  for (const [, name = "", value = ""] of text.matchAll(FIELD)) {
    const part = (name: string): number =>
      Number(new RegExp(`\\b${name}=(\\d+)`).exec(value)?.[1] ?? 0);
    info[name] = name.startsWith("cmdstat_")
      ? `${part("calls") - part("failed_calls")}`
      : name.startsWith("errorstat_")
      ? `${part("count")}`
      : value.trim();
  }
  return info;
}

/** Reads a reply to CONFIG GET, names and values in turn. Of limits on buffers it keeps those of normal clients. */
export function readConfig(reply: Reply): ServerSnapshot["config"] {
  const config: Record<string, string> = {};
  if (!Array.isArray(reply)) return config;
  for (let i = 0; i + 1 < reply.length; i += 2) {
    config[`${reply[i]}`] = `${reply[i + 1]}`.replace(
      / (slave|replica) .*/,
      "",
    );
  }
  return config;
}

/** The commands that ask what kept the server busy lately. */
export const SLOW_COMMANDS: readonly Command[] = [
  ["SLOWLOG", "GET", 32],
  ["LATENCY", "LATEST"],
];

/**
 * Reads a reply to SLOWLOG GET or LATENCY LATEST. Times come in whole seconds.
 *
 * @param reply The reply.
 * @param aheadMs How much this client's clock is ahead of the server's, in milliseconds.
 */
export function readSlow(reply: Reply, aheadMs: number): SlowRun[] {
  if (!Array.isArray(reply)) return [];
  return reply.flatMap((entry) => {
    if (!Array.isArray(entry)) return [];
    const [first, at, took, words] = entry;
    const isCommand = Array.isArray(words); // [id, time, µs, [name, …], …]
    return {
      what: isCommand ? `${words[0]}`.toUpperCase() : `${first}`,
      endedAt: Number(at) * 1000 + aheadMs,
      tookMs: isCommand ? Number(took) / 1000 : Number(took),
    };
  });
}

/** How much this client's clock is ahead of the server's, in milliseconds; 0 if the server does not say its time. */
export const aheadMs = ({ takenAt, info }: ServerSnapshot): number =>
  info.server_time_usec === undefined
    ? 0
    : takenAt - Number(info.server_time_usec) / 1000;
