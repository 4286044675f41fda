// Sentinels for one test, with a primary and its replicas, and what can be done to them.

import { delay } from "@std/async/delay";
import {
  type RedisServer,
  type RedisServerOptions,
  startRedis,
} from "./redis_server.ts";
import { until } from "./wait.ts";

const CERTIFICATES = new URL("./certificates/", import.meta.url).pathname;
const LIMIT_MS = 30_000;
const POLL_MS = 20;
/** Of INFO to the servers, and of what Sentinels publish of themselves. */
const PERIODS = ["INFO-PERIOD", "PUBLISH-PERIOD"];

/** How to start Sentinels. */
export interface SentinelsOptions
  extends Pick<RedisServerOptions, "password" | "config"> {
  /** @default {3} */
  readonly sentinels?: number;
  /** @default {1} */
  readonly replicas?: number;
  /** The name of the primary. @default {"mymaster"} */
  readonly name?: string;
  /** After what silence a Sentinel takes a server for dead, in milliseconds. @default {1000} */
  readonly downAfterMs?: number;
  /** The `failover-timeout` in milliseconds. @default {10000} */
  readonly failoverTimeoutMs?: number;
  /** The password of the Sentinels. */
  readonly sentinelPassword?: string;
  /** Whether clients, replicas and Sentinels use TLS. @default {false} */
  readonly tls?: boolean;
}

/** Who was named the primary, and when. */
export interface NamedPrimary {
  readonly server: RedisServer;
  /** After how many milliseconds the first Sentinel named it. */
  readonly firstMs: number;
  /** After how many milliseconds all Sentinels named it. */
  readonly allMs: number;
}

/**
 * Starts Sentinels with a primary and its replicas, which takes half a second.
 *
 * @throws {Error} If there is no server program or the Sentinels do not find each other.
 */
export async function startSentinels(
  options: SentinelsOptions = {},
): Promise<Sentinels> {
  await using resources = new AsyncDisposableStack();
  const primary = resources.use(await startServer(options));
  const { hostname } = primary;
  const port = portOf(primary, options);
  const replicas = await startAll(
    resources,
    options.replicas ?? 1,
    () => startServer(options, { replicaof: `${hostname} ${port}` }),
  );
  await until(
    async () =>
      (await Promise.all(replicas.map((one) => one.cli("INFO", "replication"))))
        .every((text) => text.includes("master_link_status:up")),
    "the replicas follow",
  );
  const count = options.sentinels ?? 3;
  const sentinels = await startAll(
    resources,
    count,
    () => startSentinel(options, count, port),
  );
  const set = new Sentinels(
    [primary, ...replicas],
    sentinels,
    options,
    resources.move(),
  );
  try {
    await set.settled();
    return set;
  } catch (error) {
    await set[Symbol.asyncDispose]();
    throw error;
  }
}

/** A primary, its replicas and their Sentinels, which go away when they are disposed of. */
export class Sentinels implements AsyncDisposable {
  /** The servers with data; the first was the primary at the start. */
  readonly servers: readonly RedisServer[];
  readonly sentinels: readonly RedisServer[];
  readonly name: string;
  readonly #options: SentinelsOptions;
  readonly #resources: AsyncDisposableStack;
  readonly #frozen = new Set<RedisServer>();

  constructor(
    servers: readonly RedisServer[],
    sentinels: readonly RedisServer[],
    options: SentinelsOptions,
    resources: AsyncDisposableStack,
  ) {
    this.servers = servers;
    this.sentinels = sentinels;
    this.name = options.name ?? "mymaster";
    this.#options = options;
    this.#resources = resources;
  }

  /** A URL with the first Sentinel as the host, and the others as seeds. */
  get url(): string {
    const { tls = false, password } = this.#options;
    const [first, ...seeds] = this.sentinels.map((one) => this.addressOf(one));
    const userInfo = password === undefined
      ? ""
      : `:${encodeURIComponent(password)}@`;
    return `redis${
      tls ? "s" : ""
    }://${userInfo}${first}?sentinel=${this.name}` +
      (seeds.length === 0 ? "" : `&seeds=${seeds.join(",")}`);
  }

  /** What the URL cannot say: the authorities, and the password of the Sentinels. */
  get clientOptions(): {
    tls?: { caCerts: string[] };
    sentinel?: { password?: string; tls?: { caCerts: string[] } };
  } {
    const { tls = false, sentinelPassword: password } = this.#options;
    const trust = { tls: { caCerts: [this.servers[0]!.caCert] } };
    const sentinel = {
      ...tls ? trust : {},
      ...password === undefined ? {} : { password },
    };
    return {
      ...tls ? trust : {},
      ...Object.keys(sentinel).length > 0 ? { sentinel } : {},
    };
  }

  /** `host:port` as clients and Sentinels see it. */
  addressOf(server: RedisServer): string {
    return `${server.hostname}:${portOf(server, this.#options)}`;
  }

  /** The Sentinels and servers that run and are not frozen. */
  running(those: readonly RedisServer[]): RedisServer[] {
    return those.filter((server) =>
      server.running && !this.#frozen.has(server)
    );
  }

  /** The primary that the first running Sentinel names. */
  async primary(): Promise<RedisServer> {
    return await this.#namedBy(this.#sentinel);
  }

  /** The first running server that is not the primary. */
  async replica(): Promise<RedisServer> {
    const primary = await this.primary();
    const replica = this.running(this.servers).find((one) => one !== primary);
    if (replica === undefined) throw new Error("No replica is running");
    return replica;
  }

  /** Asks for a failover as an operator does; it has begun when this returns. */
  async failover(): Promise<void> {
    await this.#sentinel.cli("SENTINEL", "FAILOVER", this.name);
  }

  /** Ends the primary as a crash would, and returns it. */
  async crash(): Promise<RedisServer> {
    const primary = await this.primary();
    await primary.kill();
    return primary;
  }

  /** Stops a process: its sockets stay open, and nothing is answered. */
  freeze(server: RedisServer): void {
    server.freeze();
    this.#frozen.add(server);
  }

  /** Lets a frozen process go on. */
  thaw(server: RedisServer): void {
    server.thaw();
    this.#frozen.delete(server);
  }

  /** Waits until all running Sentinels name another primary than this one. */
  async waitForPrimary(
    other: { readonly than: RedisServer },
  ): Promise<NamedPrimary> {
    const startedAt = performance.now();
    let firstAt: number | undefined;
    let server: RedisServer | undefined;
    await until(
      async () => {
        const named = await Promise.all(
          this.running(this.sentinels).map((one) => this.#namedBy(one)),
        );
        const others = named.filter((one) => one !== other.than);
        if (others.length > 0) firstAt ??= performance.now();
        if (others.length < named.length) return false;
        server = others[0];
        return others.every((one) => one === server);
      },
      "another primary is named",
      LIMIT_MS,
    );
    const now = performance.now();
    return {
      server: server!,
      firstMs: (firstAt ?? now) - startedAt,
      allMs: now - startedAt,
    };
  }

  /**
   * Waits until the running Sentinels see each other and name one primary, which
   * all other running servers follow. They ask each other often meanwhile.
   */
  async settled(): Promise<void> {
    const sentinels = this.running(this.sentinels);
    await using _periods = await shortened(sentinels);
    await until(
      async () => {
        await delay(POLL_MS);
        const primary = await this.primary();
        const role = await primary.cli("INFO", "replication");
        const others = this.running(this.servers).length - 1;
        if (!role.includes("role:master")) return false;
        // A replica is "online" up to a second before it gets the first write: from its first acknowledgement on.
        const following = role.match(/state=online,offset=[1-9]/g) ?? [];
        if (following.length !== others) return false;
        const said = await Promise.all(
          sentinels.map((one) => this.#describe(one, primary)),
        );
        return said.every((isComplete) => isComplete);
      },
      "the Sentinels see each other and the replicas",
      LIMIT_MS,
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(
      [...this.sentinels, ...this.servers].map((server) => server.kill()),
    );
    await this.#resources.disposeAsync();
  }

  get #sentinel(): RedisServer {
    const [first] = this.running(this.sentinels);
    if (first === undefined) throw new Error("No Sentinel is running");
    return first;
  }

  async #namedBy(sentinel: RedisServer): Promise<RedisServer> {
    const text = await sentinel.cli(
      ...["SENTINEL", "GET-MASTER-ADDR-BY-NAME", this.name],
    );
    const address = text.split("\n").join(":");
    const server = this.servers.find((one) => this.addressOf(one) === address);
    if (server === undefined) throw new Error(`There is no server ${address}`);
    return server;
  }

  /** Whether a Sentinel names this primary, and sees all others. */
  async #describe(
    sentinel: RedisServer,
    primary: RedisServer,
  ): Promise<boolean> {
    const text = await sentinel.cli("SENTINEL", "MASTER", this.name);
    const [, flags] = /^flags\n(.*)$/m.exec(text) ?? [];
    const count = (name: string) =>
      Number(new RegExp(`^${name}\n(\\d+)$`, "m").exec(text)?.[1]);
    if (
      flags !== "master" ||
      await this.#namedBy(sentinel) !== primary ||
      count("num-other-sentinels") !== this.sentinels.length - 1 ||
      count("num-slaves") !== this.servers.length - 1
    ) return false;
    const replicas = await sentinel.cli("SENTINEL", "REPLICAS", this.name);
    const linked = replicas.match(/^master-link-status\nok$/gm) ?? [];
    return linked.length === this.running(this.servers).length - 1;
  }
}

/**
 * Shortens the periods in which Sentinels ask servers and tell each other what they
 * have seen, until it is disposed of. By themselves they take 2 seconds for it after
 * a start, and 20 after a failover.
 */
async function shortened(
  sentinels: readonly RedisServer[],
): Promise<AsyncDisposable> {
  const before = await Promise.all(sentinels.map(async (one) => {
    const text = await one.cli("SENTINEL", "DEBUG").catch(() => ""); // before Redis 7
    return PERIODS.flatMap((name) => {
      const [, ms] = new RegExp(`^${name}\n(\\d+)$`, "m").exec(text) ?? [];
      return ms === undefined ? [] : [[name, ms] as const];
    });
  }));
  const set = async (msOf: (ms: string) => string | number) => {
    await Promise.all(sentinels.map(async (one, i) => {
      for (const [name, ms] of before[i]!) {
        await one.cli("SENTINEL", "DEBUG", name, msOf(ms));
      }
    }));
  };
  await set(() => POLL_MS);
  return { [Symbol.asyncDispose]: () => set((ms) => ms) };
}

/** Starts several at once; all are disposed of, also if one of them does not start. */
async function startAll(
  resources: AsyncDisposableStack,
  count: number,
  start: () => Promise<RedisServer>,
): Promise<RedisServer[]> {
  const started = await Promise.allSettled(
    Array.from({ length: count }, async () => resources.use(await start())),
  );
  return started.map((result) => {
    if (result.status === "rejected") throw result.reason;
    return result.value;
  });
}

function startServer(
  options: SentinelsOptions,
  config: Readonly<Record<string, string>> = {},
): Promise<RedisServer> {
  const { password, tls = false } = options;
  return startRedis({
    tls,
    ...password === undefined ? {} : { password },
    config: {
      "repl-diskless-sync-delay": 0,
      "repl-ping-replica-period": 1,
      ...password === undefined ? {} : { masterauth: JSON.stringify(password) },
      ...tlsOf(options),
      ...options.config,
      ...config,
    },
  });
}

function startSentinel(
  options: SentinelsOptions,
  sentinels: number,
  port: number,
): Promise<RedisServer> {
  const { name = "mymaster", password, sentinelPassword, tls = false } =
    options;
  const quorum = Math.floor(sentinels / 2) + 1;
  const monitor = `${name} 127.0.0.1 ${port} ${quorum}`;
  return startRedis({
    tls,
    sentinel: true,
    ...sentinelPassword === undefined ? {} : { password: sentinelPassword },
    config: {
      ...tlsOf(options),
      "sentinel monitor": monitor,
      "sentinel down-after-milliseconds": `${name} ${
        options.downAfterMs ?? 1000
      }`,
      "sentinel failover-timeout": `${name} ${
        options.failoverTimeoutMs ?? 10_000
      }`,
      ...password === undefined
        ? {}
        : { "sentinel auth-pass": `${name} ${JSON.stringify(password)}` },
      ...sentinelPassword === undefined
        ? {}
        : { "sentinel sentinel-pass": JSON.stringify(sentinelPassword) },
    },
  });
}

/** TLS between servers and Sentinels, too. */
const tlsOf = ({ tls }: SentinelsOptions): Record<string, string> =>
  tls
    ? {
      "tls-replication": "yes",
      "tls-client-cert-file": `${CERTIFICATES}client.crt`,
      "tls-client-key-file": `${CERTIFICATES}client.key`,
    }
    : {};

const portOf = (server: RedisServer, { tls }: SentinelsOptions): number =>
  tls ? server.tlsPort : server.port;
