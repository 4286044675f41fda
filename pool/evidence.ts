// What a server tells about itself that bears on the end of a connection.
import type { Command, Reply } from "../resp/mod.ts";

/** A server at one moment. */
export interface Evidence {
  /** When, Unix time in milliseconds. */
  readonly takenAt: number;
  /** Fields of INFO; of commands the calls that did not fail, of errors the count. */
  readonly info: Readonly<Record<string, string | undefined>>;
  /** How much of these numbers was our own doing. */
  readonly own: Readonly<Record<string, number>>;
  /** What CONFIG GET told. */
  readonly config: Readonly<Record<string, string | undefined>>;
  /** The old connection in CLIENT LIST: `""` if it is not there. */
  readonly listed?: string;
}

const FIELD =
  /^(redis_version|run_id|process_id|tcp_port|uptime_in_seconds|maxclients|rejected_connections|evicted_clients|client_(?:query|output)_buffer_limit_disconnections|role|master_(?:host|port|replid2?)|cmdstat_(?:client|acl)(?:\|kill|\|deluser|\|load|\|setuser)?|errorstat_ERR):(.*)$/gm;

/** Asks for 3 KB, 20 µs of the server. Before Redis 7 INFO took one section only. */
export const infoCommand = (version = "0"): Command =>
  Number.parseInt(version) < 7 ? ["INFO", "all"] : [
    ...["INFO", "server", "clients", "stats"] as const,
    ...["replication", "commandstats", "errorstats"],
  ];

/** Reads a reply to INFO. */
export function readInfo(text: string): Evidence["info"] {
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

/** Reads a reply to CONFIG GET, names and values in turn; of buffers those of normal clients. */
export function readConfig(reply: Reply): Evidence["config"] {
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
