// node-redis on a cluster, as it comes.

import { workOnCluster } from "../cluster/work.ts";

/** The part of node-redis that is used, so that checking needs no install. */
interface Cluster {
  connect(): Promise<unknown>;
  sendCommand(
    firstKey: string,
    isReadonly: boolean,
    command: string[],
  ): Promise<unknown>;
  destroy(): void;
}

const library = "redis";
const { createCluster } = await import(library) as {
  createCluster(options: unknown): Cluster;
};

await workOnCluster(async (url) => {
  const cluster = createCluster({ rootNodes: [{ url }] });
  await cluster.connect();
  return {
    zadd: (key, score, member) =>
      cluster.sendCommand(key, false, ["ZADD", key, score, member]),
    close: () => cluster.destroy(),
  };
});
