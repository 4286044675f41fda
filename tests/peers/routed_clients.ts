// The clients of a cluster and of Sentinels that are compared, each with its default options, behind the interface of the rows.
import { createRequire } from "node:module";
import { type Fate, fateOf } from "../../mod.ts";
import {
  CLIENT_NAME,
  eventsKey,
  type MakeClient,
  memberOf,
  ours,
  type Outcome,
  type RoutedClient,
} from "../faults/routed/client.ts";
import type { Site } from "../faults/routed/site.ts";

/** The peers are installed beside the programs of the benchmark. */
const require = createRequire(
  new URL("../../bench/peers/package.json", import.meta.url),
);

/** A client that sends and keeps nothing. */
function plain(
  send: (command: string[]) => Promise<unknown>,
  close: () => unknown,
): RoutedClient {
  const increment = (key: string): Promise<Outcome> =>
    send(["INCR", key]).then(() => "success" as const, fateOfAny);
  return {
    pending: 0,
    deaths: [],
    serverOf: () => undefined,
    record: (shop, id) =>
      send(["ZADD", eventsKey(shop), "1", memberOf(id)]).then(
        () => "recorded",
        () => "dropped",
      ),
    increment,
    incrementAll: (keys) => Promise.all(keys.map(increment)),
    flush: () => Promise.resolve(),
    close: () => Promise.resolve(close()).then(() => {}),
  };
}

/** What is not known to have run may have run: other clients do not say. */
function fateOfAny(error: unknown): Fate {
  return error instanceof Error &&
      /^(CLUSTERDOWN|MOVED|TRYAGAIN)/.test(error.message)
    ? "unsent"
    : fateOf(error);
}

const seedsOf = ({ url }: Site): { host: string; port: number }[] => {
  const { host, searchParams } = new URL(url);
  return [host, ...searchParams.get("seeds")?.split(",") ?? []].map((seed) => {
    const [name = "", port] = seed.split(":");
    return { host: name, port: Number(port) };
  });
};

interface IoRedisClient {
  call(...command: string[]): Promise<unknown>;
  on(event: "error", listener: () => void): void;
  disconnect(): void;
}

const ioredis: MakeClient = (site) => {
  const { Cluster, Redis } = require("ioredis") as {
    Cluster: new (
      seeds: { host: string; port: number }[],
      options: unknown,
    ) => IoRedisClient;
    Redis: new (options: unknown) => IoRedisClient;
  };
  const name = new URL(site.url).searchParams.get("sentinel");
  const sentinels = seedsOf(site);
  const redis = name === null
    ? new Cluster(sentinels, { redisOptions: { connectionName: CLIENT_NAME } })
    : new Redis({ sentinels, name, connectionName: CLIENT_NAME });
  redis.on("error", () => {});
  return plain((command) => redis.call(...command), () => redis.disconnect());
};

interface NodeRedisClient {
  connect(): Promise<unknown>;
  sendCommand(...args: unknown[]): Promise<unknown>;
  on(event: "error", listener: () => void): void;
  destroy(): void;
}

const nodeRedis: MakeClient = async (site) => {
  const { createCluster, createSentinel } = require("redis") as Record<
    "createCluster" | "createSentinel",
    (options: unknown) => NodeRedisClient
  >;
  const name = new URL(site.url).searchParams.get("sentinel");
  const seeds = seedsOf(site);
  const redis = name === null
    ? createCluster({
      rootNodes: seeds.map(({ host, port }) => ({
        url: `redis://${host}:${port}`,
      })),
      defaults: { name: CLIENT_NAME },
    })
    : createSentinel({
      name,
      sentinelRootNodes: seeds,
      nodeClientOptions: { name: CLIENT_NAME },
    });
  redis.on("error", () => {});
  await redis.connect();
  return plain(
    (command) =>
      name === null
        ? redis.sendCommand(command[1], false, command)
        : redis.sendCommand(false, command),
    () => redis.destroy(),
  );
};

/** Every client by its name in the table. */
export const ROUTED_CLIENTS: Readonly<Record<string, MakeClient>> = {
  ours,
  ioredis,
  "node-redis": nodeRedis,
};
