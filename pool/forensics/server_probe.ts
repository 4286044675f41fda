// What a post-mortem asks a server, and how it reads the answers.
import { ReplyError } from "../../resp/errors.ts";
import type { Command, Reply } from "../../resp/types.ts";
import type { Connection } from "../connection/connection.ts";
import { ask } from "../connection/in_flight.ts";
import type { ConnectionFacts } from "../connection/push_right.ts";
import { isPassing } from "../connection/refusal.ts";

/** A connection that may be asked. Only the holder of the right to push on it can make one. */
export interface Source {
  /** Which connection it is. */
  readonly connection: ConnectionFacts;
  /**
   * Pushes a command, before it returns.
   *
   * @returns The reply; an error reply is a value. `undefined` if the connection
   * has changed hands: nothing was sent then.
   */
  ask(command: Command): Promise<Reply> | undefined;
}

/** A connection with one holder for all its life, as a source. */
export const sourceOf = (connection: Connection): Source => ({
  connection,
  ask: (command) => ask(connection, command),
});

/** The connection that should be asked has changed hands. Nothing was sent. */
class SourceRevokedError extends Error {
  override readonly name = "SourceRevokedError";
}

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

/** What a snapshot asks for beside INFO. */
export interface SnapshotOptions {
  /** CONFIG GET; without it the configuration of the last time stands. */
  readonly config: boolean;
  /** SLOWLOG GET and LATENCY LATEST. */
  readonly slow: boolean;
}

/** The sections that are read: 3 KB, 20 µs of the server. Before Redis 7 INFO took only one section. */
export const infoCommand = (version = "0"): Command =>
  Number.parseInt(version) < 7 ? ["INFO", "all"] : [
    ...["INFO", "server", "clients", "stats"] as const,
    ...["replication", "commandstats", "errorstats"],
  ];

const CONFIG_COMMANDS: readonly Command[] = [
  ["CONFIG", "GET", "timeout"],
  ["CONFIG", "GET", "client-*-buffer-limit"],
];

/** The commands that ask what kept the server busy lately. */
export const SLOW_COMMANDS: readonly Command[] = [
  ["SLOWLOG", "GET", 32],
  ["LATENCY", "LATEST"],
];

/**
 * Asks one server.
 *
 * - It only reads: INFO, CONFIG GET, CLIENT LIST, SLOWLOG GET, LATENCY LATEST.
 * - A question that the server refuses is never asked again.
 * - It counts what this client does itself, since the server's counters do not
 *   tell clients apart.
 */
export class ServerProbe {
  readonly #now: () => number;
  readonly #refused = new Set<string>();
  readonly #own: Record<string, number> = {};
  #config: ServerSnapshot["config"] | undefined;

  /** @param now The clock, Unix time in milliseconds. */
  constructor(now: () => number) {
    this.#now = now;
  }

  /** The questions that the server refused. */
  get refused(): string[] {
    return [...this.#refused];
  }

  /** Whether CONFIG GET was ever answered. */
  get hasConfig(): boolean {
    return this.#config !== undefined;
  }

  /** Counts an action of this client by the counter of the server that it moves. */
  countOwn(counter: string): void {
    this.#own[counter] = (this.#own[counter] ?? 0) + 1;
  }

  /**
   * Takes a snapshot of the server. All commands are pushed before it returns.
   *
   * @param source The connection to ask on.
   * @param options What to ask for.
   * @returns The snapshot; `undefined` if INFO is refused, or the connection ended.
   * @throws {SourceRevokedError} If the connection has changed hands.
   */
  async snapshot(
    source: Source,
    { config, slow }: SnapshotOptions,
  ): Promise<ServerSnapshot | undefined> {
    const all = (commands: readonly Command[]) =>
      Promise.all(commands.map((command) => this.#reply(source, command)));
    const slowCommands = slow ? SLOW_COMMANDS : [];
    const [configs, runs, info] = await Promise.all([
      all(config ? CONFIG_COMMANDS : []),
      all(slowCommands),
      // INFO goes last: its numbers include what the others cause.
      this.#reply(source, infoCommand(source.connection.identity?.version)),
    ]);
    const answered = configs.filter((reply) => reply !== undefined);
    if (answered.length > 0) {
      this.#config = Object.assign({}, ...answered.map(readConfig));
    }
    if (typeof info !== "string") return undefined;
    const snapshot: ServerSnapshot = {
      takenAt: this.#now(),
      info: readInfo(info),
      own: { ...this.#own },
      config: this.#config ?? {},
    };
    if (!slow) return snapshot;
    const ahead = aheadMs(snapshot);
    return {
      ...snapshot,
      slow: Object.fromEntries(
        runs.flatMap((reply, i) =>
          reply === undefined
            ? []
            : [[nameOf(slowCommands[i]!), readSlow(reply, ahead)]]
        ),
      ),
    };
  }

  /**
   * Looks for a connection in CLIENT LIST. The command is pushed before it returns.
   *
   * @param source The connection to ask on.
   * @param clientId The id of the connection that is looked for.
   * @returns Its id, age and idle time; `""` if it is not there; `undefined` if
   * the command is refused, or the connection ended.
   * @throws {SourceRevokedError} If the connection has changed hands.
   */
  async listing(
    source: Source,
    clientId: number,
  ): Promise<string | undefined> {
    const list = await this.#reply(source, ["CLIENT", "LIST", "ID", clientId]);
    if (typeof list !== "string") return undefined;
    this.countOwn("cmdstat_client");
    const [, ...parts] = /^(id=\d+).*( age=\d+ idle=\d+)/m.exec(list) ?? [];
    return parts.join("");
  }

  /** The reply; `undefined` if the server refuses the command, now or once before, or the connection ends. */
  async #reply(source: Source, command: Command): Promise<Reply | undefined> {
    const name = nameOf(command);
    if (this.#refused.has(name)) return undefined;
    const asked = source.ask(command);
    if (asked === undefined) throw new SourceRevokedError();
    try {
      const reply = await asked;
      if (!(reply instanceof ReplyError)) return reply;
      this.countOwn(`errorstat_${reply.code}`);
      if (!isPassing(reply)) this.#refused.add(name);
    } catch {
      // The connection ended.
    }
    return undefined;
  }
}

/** The name of a question, as verdicts list it. */
const nameOf = ([name, part]: Command): string =>
  name === "INFO" ? name : `${name} ${part}`;

/** The fields of INFO that a diagnosis reads. */
const FIELD =
  /^(redis_version|run_id|process_id|tcp_port|uptime_in_seconds|server_time_usec|latest_fork_usec|maxclients|rejected_connections|evicted_clients|client_(?:query|output)_buffer_limit_disconnections|role|master_(?:host|port|replid2?)|cmdstat_(?:hello|client|acl)(?:\|kill|\|pause|\|deluser|\|load|\|setuser)?|errorstat_ERR):(.*)$/gm;

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
