// The servers that a client is measured on: a cluster, or a primary with its Sentinels.
import type { RedisOptions } from "../../../mod.ts";
import { PlainConnection } from "../../../cli/plain_commands.ts";
import type { Cluster } from "../../support/redis_cluster.ts";
import type { RedisServer } from "../../support/redis_server.ts";
import type { Sentinels } from "../../support/redis_sentinels.ts";

/** What a load needs of the servers, whatever they are. */
export interface Site extends AsyncDisposable {
  readonly url: string;
  readonly options: Pick<RedisOptions, "tls" | "sentinel">;
  /** The members of every sorted set whose key matches, by key. */
  members(pattern: string): Promise<Map<string, string[]>>;
  /** The number in every key that matches, by key. */
  counters(pattern: string): Promise<Map<string, number>>;
  /** How often each running server was asked which one serves what, since it started; of none if that is not known. */
  questions(): Promise<Map<RedisServer, number>>;
  /** The most connections of one name that one running server has. */
  connections(name: string): Promise<number>;
}

/** A cluster as a site; it goes away with it. */
export class ClusterSite implements Site {
  readonly options = {};
  readonly url: string;
  readonly #cluster: Cluster;

  constructor(cluster: Cluster, url = cluster.url) {
    this.#cluster = cluster;
    this.url = url;
  }

  members(pattern: string): Promise<Map<string, string[]>> {
    return this.#cluster.members(pattern);
  }

  counters(pattern: string): Promise<Map<string, number>> {
    return this.#cluster.counters(pattern);
  }

  /** Not CLUSTER NODES: the cluster for tests asks that itself. */
  questions(): Promise<Map<RedisServer, number>> {
    const servers = this.#cluster.running.map(({ server }) => server);
    return callsOf(servers, ["cluster|slots", "cluster|shards"]);
  }

  connections(name: string): Promise<number> {
    const servers = this.#cluster.running.map(({ server }) => server);
    return mostConnections(servers, name);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#cluster[Symbol.asyncDispose]();
  }
}

/** A primary with Sentinels as a site; it goes away with it. */
export class SentinelSite implements Site {
  readonly #sentinels: Sentinels;

  constructor(sentinels: Sentinels) {
    this.#sentinels = sentinels;
  }

  get url(): string {
    return this.#sentinels.url;
  }

  get options(): Pick<RedisOptions, "tls" | "sentinel"> {
    return this.#sentinels.clientOptions;
  }

  members(pattern: string): Promise<Map<string, string[]>> {
    return this.#read(pattern, ["ZRANGE", "", "0", "-1"], linesOf);
  }

  counters(pattern: string): Promise<Map<string, number>> {
    return this.#read(pattern, ["GET", ""], Number);
  }

  /** A Sentinel does not count the commands it is sent. */
  questions(): Promise<Map<RedisServer, number>> {
    return Promise.resolve(new Map());
  }

  connections(name: string): Promise<number> {
    const { servers } = this.#sentinels;
    return mostConnections(this.#sentinels.running(servers), name);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#sentinels[Symbol.asyncDispose]();
  }

  async #read<T>(
    pattern: string,
    command: readonly string[],
    parse: (text: string) => T,
  ): Promise<Map<string, T>> {
    const primary = await this.#sentinels.primary();
    using connection = await PlainConnection.open(primary.port);
    const values = new Map<string, T>();
    for (const key of linesOf(await connection.run(["KEYS", pattern]))) {
      const words = command.map((word) => word === "" ? key : word);
      values.set(key, parse(await connection.run(words)));
    }
    return values;
  }
}

const linesOf = (text: string): string[] => text === "" ? [] : text.split("\n");

/** How often each server ran these commands. */
async function callsOf(
  servers: readonly RedisServer[],
  names: readonly string[],
): Promise<Map<RedisServer, number>> {
  const entries = await Promise.all(servers.map(async (server) => {
    const text = await server.cli("INFO", "commandstats");
    const counts = names.map((name) => {
      const start = `cmdstat_${name}:calls=`;
      const line = text.split("\n").find((line) => line.startsWith(start));
      return parseInt(line?.slice(start.length) ?? "0");
    });
    const sum = counts.reduce((sum, count) => sum + count, 0);
    return [server, sum] as const;
  }));
  return new Map(entries);
}

async function mostConnections(
  servers: readonly RedisServer[],
  name: string,
): Promise<number> {
  const counts = await Promise.all(servers.map(async (server) => {
    const list = await server.cli("CLIENT", "LIST", "TYPE", "normal");
    return list.split("\n").filter((line) => line.includes(` name=${name} `))
      .length;
  }));
  return Math.max(0, ...counts);
}
