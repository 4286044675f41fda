// A server, a proxy in front of it, and clients through the proxy.
import "./strict.ts";
import {
  type CloseReport,
  Redis,
  type RedisOptions,
  type RetryInfo,
} from "../../mod.ts";
import { type FaultProxy, startProxy } from "./fault_proxy.ts";
import {
  type RedisServer,
  type RedisServerOptions,
  startRedis,
} from "./redis_server.ts";
import { until } from "./wait.ts";

/** How to start a fixture. */
export interface FixtureOptions extends Pick<RedisServerOptions, "config"> {
  /** How clients reach the server. @default {"TCP"} */
  readonly transport?: "TCP" | "TLS";
  /** Options of every client that sets none of its own. */
  readonly clientOptions?: RedisOptions;
}

/** What most tests of a client stand on; closes its clients when it is disposed of. */
export class Fixture implements AsyncDisposable {
  readonly transport: "TCP" | "TLS";
  readonly server: RedisServer;
  readonly proxy: FaultProxy;
  /** How the connections of clients ended. */
  readonly reports: CloseReport[] = [];
  /** What clients tried again. */
  readonly retried: RetryInfo[] = [];
  readonly #clientOptions: RedisOptions;
  readonly #clients: Redis[] = [];

  private constructor(
    server: RedisServer,
    proxy: FaultProxy,
    { transport = "TCP", clientOptions = {} }: FixtureOptions,
  ) {
    this.server = server;
    this.proxy = proxy;
    this.transport = transport;
    this.#clientOptions = {
      onClose: (report) => this.reports.push(report),
      onRetry: (info) => this.retried.push(info),
      ...(transport === "TLS" ? { tls: { caCerts: [server.caCert] } } : {}),
      ...clientOptions,
    };
  }

  static async start(options: FixtureOptions = {}): Promise<Fixture> {
    const tls = options.transport === "TLS";
    const server = await startRedis({ tls, config: options.config ?? {} });
    const { hostname } = server;
    const port = tls ? server.tlsPort : server.port;
    const proxy = await startProxy({ target: { hostname, port }, tls });
    return new Fixture(server, proxy, options);
  }

  client(options: RedisOptions = {}): Redis {
    const all = { ...this.#clientOptions, ...options };
    const redis = new Redis(this.proxy.url, all);
    this.#clients.push(redis);
    return redis;
  }

  /** Closes every connection of clients, and waits until the server has none. */
  async kill(): Promise<void> {
    const type = ["TYPE", "normal", "SKIPME", "yes"];
    await this.server.cli("CLIENT", "KILL", ...type);
    await until(
      async () =>
        /connected_clients:1\r/.test(await this.server.cli("INFO", "clients")),
      "no client is connected",
    );
  }

  /** How often the server ran a command. */
  async calls(name: string): Promise<number> {
    const stats = await this.server.cli("INFO", "commandstats");
    return Number(
      new RegExp(`cmdstat_${name}:calls=(\\d+)`).exec(stats)?.[1] ?? 0,
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const redis of this.#clients) await redis.close({ drainMs: 0 });
    await this.proxy[Symbol.asyncDispose]();
    await this.server[Symbol.asyncDispose]();
  }
}

/** A test on a fixture of its own. */
export function testWithFixture(
  name: string,
  fn: (fixture: Fixture) => Promise<void>,
  options: FixtureOptions = {},
): void {
  Deno.test(name, async () => {
    await using fixture = await Fixture.start(options);
    await fn(fixture);
  });
}
