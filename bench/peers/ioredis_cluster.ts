// ioredis on a cluster, as it comes.

import { workOnCluster } from "../cluster/work.ts";

/** The part of ioredis that is used, so that checking needs no install. */
interface Cluster {
  zadd(key: string, score: string, member: string): Promise<unknown>;
  disconnect(): void;
}

const library = "ioredis";
const { Cluster } = await import(library) as {
  Cluster: new (nodes: unknown[], options: unknown) => Cluster;
};
// The first argument is "auto" for auto-pipelining, which is off by default.
const enableAutoPipelining = Deno.args[0] === "auto";

await workOnCluster((url) => {
  const { hostname, port } = new URL(url);
  const cluster = new Cluster([{ host: hostname, port: Number(port) }], {
    enableAutoPipelining,
  });
  return Promise.resolve({
    zadd: (key, score, member) => cluster.zadd(key, score, member),
    close: () => cluster.disconnect(),
  });
});
