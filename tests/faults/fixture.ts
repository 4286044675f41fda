// What a scenario runs on: a server, a proxy, a client, and a record of what happened.
import {
  type CloseReport,
  type Dial,
  Redis,
  type RedisOptions,
} from "../../mod.ts";
import { dial } from "../../pool/socket/dial.ts";
import { type FaultProxy, startProxy } from "../support/fault_proxy.ts";
import {
  type RedisServer,
  type RedisServerOptions,
  startRedis,
} from "../support/redis_server.ts";
import type { LoadProfile } from "./load_profile.ts";
import { MEMORY } from "./memory.ts";
import type { Scenario } from "./scenario.ts";
import { Timeline } from "./timeline.ts";

/** An acknowledged event survives whatever happens to the server. */
const DURABLE = { appendonly: "yes", appendfsync: "always" };

const startDurable = (
  { config, ...options }: RedisServerOptions,
): Promise<RedisServer> =>
  startRedis({
    ...options,
    ...MEMORY,
    config: { ...DURABLE, ...config },
  });

/** The death of a connection that the client did not close on purpose. */
export interface Death {
  /** When, by `performance.now()`. */
  readonly at: number;
  /** How it ended. */
  readonly report: CloseReport;
}

/** Everything that a scenario may touch. */
export class FaultFixture extends Timeline implements AsyncDisposable {
  readonly server: RedisServer;
  readonly proxy: FaultProxy;
  readonly redis: Redis;
  /** The server whose data are checked in the end. */
  truth: RedisServer;
  /** A server that follows the first, where a scenario needs one. */
  replica: RedisServer | undefined;
  /** A proxy for some of the connections, where a scenario needs one. */
  secondProxy: FaultProxy | undefined;
  /** How the client opens sockets. */
  dial: Dial = dial;
  /** The password of the user of the scenario. */
  password = "first";
  /** Starts no more calls and closes the client gracefully; set by the load. */
  drain: () => Promise<void> = () => Promise.resolve();
  /** When each dial began, by `performance.now()`. */
  readonly dialedAt: number[] = [];
  /** Connections that died. */
  readonly hits: Death[] = [];
  /** When the load began, by `performance.now()`. */
  loadStartedAt = 0;
  readonly #resources: AsyncDisposableStack;

  private constructor(
    scenario: Scenario,
    profile: LoadProfile,
    server: RedisServer,
    proxy: FaultProxy,
    resources: AsyncDisposableStack,
  ) {
    super(profile);
    this.server = this.truth = server;
    this.proxy = proxy;
    this.#resources = resources;
    const options: RedisOptions = {
      replyTimeoutMs: profile.replyTimeoutMs,
      connectTimeoutMs: profile.connectTimeoutMs,
      dial: (endpoint, options) => {
        this.dialedAt.push(performance.now());
        return this.dial(endpoint, options);
      },
      onClose: (report) => {
        if (report.how === "requested") return;
        this.hits.push({ at: performance.now(), report });
      },
    };
    const { user } = scenario;
    if (user !== undefined) {
      options.credentials = () => {
        const expiresAt = Date.now() + 3_600_000; // it is changed before
        return { username: user, password: this.password, expiresAt };
      };
    }
    if (scenario.tls) options.tls = { caCerts: [server.caCert] };
    const url = new URL(proxy.url);
    if (scenario.hostname !== undefined) url.hostname = scenario.hostname;
    this.redis = new Redis(url, options);
    resources.defer(() => this.redis.close({ drainMs: 0 }));
  }

  /** Sets up what a scenario needs and opens its connections. */
  static async start(
    scenario: Scenario,
    profile: LoadProfile,
  ): Promise<FaultFixture> {
    const tls = scenario.tls ?? false;
    await using resources = new AsyncDisposableStack();
    const server = resources.use(
      await startDurable({ tls, config: scenario.config ?? {} }),
    );
    const { hostname } = server;
    const port = tls ? server.tlsPort : server.port;
    const proxy = resources.use(
      await startProxy({ target: { hostname, port }, tls }),
    );
    const fixture = new FaultFixture(
      scenario,
      profile,
      server,
      proxy,
      resources.move(),
    );
    try {
      await scenario.prepare?.(fixture);
      await fixture.#connect(scenario.connections ?? 1);
    } catch (error) {
      await fixture[Symbol.asyncDispose]();
      throw error;
    }
    return fixture;
  }

  /** A server besides the first; disposed of with the fixture. */
  async startServer(
    config: Readonly<Record<string, string | number>>,
  ): Promise<RedisServer> {
    return this.#resources.use(
      await startDurable({ config }),
    );
  }

  /** Disposes of something together with the fixture. */
  use<T extends AsyncDisposable>(thing: T): T {
    return this.#resources.use(thing);
  }

  /** CLIENT KILL of every connection except the one that asks. */
  async killAll(): Promise<void> {
    await this.truth.cli("CLIENT", "KILL", "TYPE", "normal");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#resources.disposeAsync();
  }

  async #connect(count: number): Promise<void> {
    const leases = await Promise.all(
      Array.from({ length: count }, () => this.redis.lease()),
    );
    for (const lease of leases) lease.release();
  }
}
