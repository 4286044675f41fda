// Which directory a client has: of one server, or one whose code is loaded when it is first needed.
import type { Endpoint } from "../pool/socket/endpoint.ts";
import { PUBLISHED_EVENTS } from "./server_events.ts";
import type {
  Advice,
  Directory,
  DirectoryStats,
  Finding,
  Routed,
  ServerEntry,
} from "./servers/directory.ts";
import type { SentinelDirectoryOptions } from "./servers/sentinel.ts";
import {
  HASH_SLOTS,
  NOTHING,
  type Server,
  type ServerOptions,
  type Tally,
} from "./servers/server.ts";

const NOTHING_FOUND: DirectoryStats = {
  redirects: { moved: 0, ask: 0 },
  topology: undefined,
  primary: undefined,
};

/** The directory of a client that has one server. */
export class SingleServer implements Directory {
  readonly isCluster = false;
  readonly #server: Server;

  constructor(server: Server) {
    this.#server = server;
  }

  get endpoint(): Endpoint {
    return this.#server.endpoint;
  }

  get name(): string {
    return `${this.#server.endpoint}`;
  }

  serverOf(_call: Routed): Server {
    return this.#server;
  }

  find(_call: Routed, { found }: Finding): undefined {
    found(this.#server);
  }

  heed(_call: Routed, _error: Error): undefined {
    return undefined;
  }

  serverOfKey(_key: string): Server {
    return this.#server;
  }

  entries(): ServerEntry[] {
    return [{ server: this.#server, hashSlots: HASH_SLOTS }];
  }

  leaving(): Server[] {
    return [];
  }

  tally(): Tally {
    return this.#server.tally();
  }

  stats(): DirectoryStats {
    return NOTHING_FOUND;
  }

  renew(): void {}

  close(reason: unknown): Promise<void> {
    return this.#server.close(reason);
  }
}

/**
 * A directory whose code is loaded by the first call, so that a client with one
 * server loads none of it.
 */
class LateDirectory implements Directory {
  readonly endpoint: Endpoint;
  readonly name: string;
  readonly isCluster: boolean;
  readonly #load: () => Promise<Directory>;
  #loading: Promise<void> | undefined;
  #loaded: Directory | undefined;
  #closedFor: { readonly reason: unknown } | undefined;

  /**
   * @param about What is known of it before it is loaded.
   * @param load Loads it.
   */
  constructor(
    about: Pick<Directory, "endpoint" | "name" | "isCluster">,
    load: () => Promise<Directory>,
  ) {
    this.endpoint = about.endpoint;
    this.name = about.name;
    this.isCluster = about.isCluster;
    this.#load = load;
  }

  serverOf(call: Routed): Server | undefined {
    return this.#loaded?.serverOf(call);
  }

  find(
    call: Routed,
    finding: Finding,
  ): ((reason: unknown) => void) | undefined {
    if (this.#loaded !== undefined) return this.#loaded.find(call, finding);
    let cancel: ((reason: unknown) => void) | undefined;
    let isOver = false;
    this.#loading ??= this.#loadNow();
    this.#loading.then(() => {
      if (isOver) return;
      if (this.#closedFor !== undefined) {
        return finding.fail(this.#closedFor.reason);
      }
      const server = this.#loaded!.serverOf(call);
      if (server !== undefined) finding.found(server);
      else cancel = this.#loaded!.find(call, finding);
    }, (error) => {
      if (!isOver) finding.fail(error);
    });
    return (reason) => {
      if (cancel !== undefined) return cancel(reason);
      isOver = true;
      finding.fail(reason);
    };
  }

  heed(call: Routed, error: Error): Advice | undefined {
    return this.#loaded?.heed(call, error);
  }

  serverOfKey(key: string): Server | undefined {
    return this.#loaded?.serverOfKey(key);
  }

  entries(): ServerEntry[] {
    return this.#loaded?.entries() ?? [];
  }

  leaving(): Server[] {
    return this.#loaded?.leaving() ?? [];
  }

  tally(): Tally {
    return this.#loaded?.tally() ?? NOTHING;
  }

  stats(): DirectoryStats {
    return this.#loaded?.stats() ?? NOTHING_FOUND;
  }

  renew(): void {
    this.#loaded?.renew();
  }

  async close(reason: unknown): Promise<void> {
    this.#closedFor = { reason };
    await this.#loading?.catch(() => {});
    await this.#loaded?.close(reason);
  }

  async #loadNow(): Promise<void> {
    try {
      this.#loaded = await this.#load();
    } catch (error) {
      this.#loading = undefined; // the next call tries again
      throw error;
    }
  }
}

/** What a directory is made of. */
export interface DirectoryParts {
  /** Makes a server. */
  readonly serverAt: (
    endpoint: Endpoint,
    role: Pick<ServerOptions, "expects" | "isClusterNode">,
  ) => Server;
  /** How long a connection may take, in milliseconds. */
  readonly connectTimeoutMs: number;
  /** How many calls may wait for a server to be found. */
  readonly maxWaiting: number;
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
  const { serverAt, connectTimeoutMs, maxWaiting, onFailover } = parts;
  if (endpoint.cluster) {
    const name = `the cluster of ${endpoint}`;
    return new LateDirectory({ endpoint, name, isCluster: true }, async () => {
      const { ClusterDirectory } = await import("./servers/cluster.ts");
      return new ClusterDirectory({
        endpoint,
        name,
        connectTimeoutMs,
        maxWaiting,
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
        maxWaiting,
        events: PUBLISHED_EVENTS,
        onFailover,
      });
    });
  }
  return new SingleServer(serverAt(endpoint, {}));
}
