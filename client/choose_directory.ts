// Which directory a client has: of one server, of a cluster, or of a primary that Sentinels name.
import type { Endpoint } from "../pool/socket/endpoint.ts";
import { PUBLISHED_EVENTS } from "./directory_events.ts";
import {
  type Directory,
  LateDirectory,
  SingleServer,
} from "./servers/directory.ts";
import type { SentinelDirectoryOptions } from "./servers/sentinel.ts";
import type { Server, ServerOptions } from "./servers/server.ts";

/** What a directory is made of. */
export interface DirectoryParts {
  /** Makes a server. */
  readonly serverAt: (
    endpoint: Endpoint,
    role: Pick<ServerOptions, "expects" | "isClusterNode">,
  ) => Server;
  /** How long a connection may take, in milliseconds. */
  readonly connectTimeoutMs: number;
  /** How Sentinels are reached. */
  readonly sentinel: Pick<
    SentinelDirectoryOptions,
    "username" | "password" | "tls" | "dial" | "limits"
  >;
  /** Whether calls are open. */
  readonly hasCalls: () => boolean;
  /** Called when a server has taken over from another, after calls go to it. */
  readonly onFailover: (from: Endpoint, to: Endpoint) => void;
}

/**
 * Chooses by the URL and its options.
 *
 * @param endpoint The URL and its options.
 * @param parts See {@linkcode DirectoryParts}.
 */
export function directoryOf(
  endpoint: Endpoint,
  parts: DirectoryParts,
): Directory {
  const { serverAt, connectTimeoutMs, onFailover } = parts;
  if (endpoint.cluster) {
    const name = `the cluster of ${endpoint}`;
    return new LateDirectory({ endpoint, name, isCluster: true }, async () => {
      const { Cluster } = await import("./servers/cluster.ts");
      return new Cluster({
        endpoint,
        name,
        connectTimeoutMs,
        serverAt: (endpoint) => serverAt(endpoint, { isClusterNode: true }),
        events: PUBLISHED_EVENTS,
        onFailover,
      });
    });
  }
  if (endpoint.sentinel !== undefined) {
    const name = `the primary ${endpoint.sentinel}`;
    return new LateDirectory({ endpoint, name, isCluster: false }, async () => {
      const { SentinelDirectory } = await import("./servers/sentinel.ts");
      return new SentinelDirectory({
        ...parts.sentinel,
        endpoint,
        name,
        serverAt: (endpoint) => serverAt(endpoint, { expects: "primary" }),
        hasCalls: parts.hasCalls,
        events: PUBLISHED_EVENTS,
        onFailover,
      });
    });
  }
  return new SingleServer(serverAt(endpoint, {}));
}
