// What a scenario runs on: a server, a proxy, a client, and a record of what happened.
import type { CloseReport } from "../../mod.ts";
import { type FaultProxy, startProxy } from "../support/fault_proxy.ts";
import { type RedisServer, startRedis } from "../support/redis_server.ts";
import { type Client, type ClientEvent, LoadClient } from "./client.ts";
import type { ClientHost } from "./client_host.ts";
import type { LoadProfile } from "./load_profile.ts";
import type { Scenario } from "./scenario.ts";
import { Timeline } from "./timeline.ts";

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
  /** The process that has the client; `undefined` for this one. */
  readonly host: ClientHost | undefined;
  /** The server whose data are checked in the end. */
  truth: RedisServer;
  /** A server that follows the first, where a scenario needs one. */
  replica: RedisServer | undefined;
  /** A proxy for some of the connections, where a scenario needs one. */
  secondProxy: FaultProxy | undefined;
  /** The password of the user of the scenario. */
  password = "first";
  /** Starts no more calls; set by the load. */
  stopLoad: () => void = () => {};
  /** When each dial began, by `performance.now()`. */
  readonly dialedAt: number[] = [];
  /** Connections that died. */
  readonly hits: Death[] = [];
  /** Failures of events that the recorder has reported. */
  failedEvents = 0;
  /** Since when nothing has waited in the outbox, by `performance.now()`, if anything ever did. */
  emptySince: number | undefined;
  /** When the load began, by `performance.now()`. */
  loadStartedAt = 0;
  readonly #resources: AsyncDisposableStack;
  #client: Client | undefined;

  private constructor(
    profile: LoadProfile,
    server: RedisServer,
    proxy: FaultProxy,
    host: ClientHost | undefined,
    resources: AsyncDisposableStack,
  ) {
    super(profile);
    this.host = host;
    this.server = this.truth = server;
    this.proxy = proxy;
    this.#resources = resources;
  }

  /** Sets up what a scenario needs and opens its connections. */
  static async start(
    scenario: Scenario,
    profile: LoadProfile,
    host?: ClientHost,
  ): Promise<FaultFixture> {
    const tls = scenario.tls ?? false;
    await using resources = new AsyncDisposableStack();
    const server = resources.use(
      await startRedis({ durable: true, tls, config: scenario.config ?? {} }),
    );
    const { hostname } = server;
    const port = tls ? server.tlsPort : server.port;
    const proxy = resources.use(
      await startProxy({ target: { hostname, port }, tls }),
    );
    const fixture = new FaultFixture(
      profile,
      server,
      proxy,
      host,
      resources.move(),
    );
    try {
      await scenario.prepare?.(fixture);
      await fixture.#connect(scenario);
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
      await startRedis({ durable: true, config }),
    );
  }

  /** Disposes of something together with the fixture. */
  use<T extends AsyncDisposable>(thing: T): T {
    return this.#resources.use(thing);
  }

  /** The client under test. */
  get client(): Client {
    if (this.#client === undefined) throw new Error("there is no client yet");
    return this.#client;
  }

  /** Starts no more calls and closes the client gracefully. */
  async drain(): Promise<void> {
    this.stopLoad();
    await this.client.drain();
  }

  /** CLIENT KILL of every connection except the one that asks. */
  async killAll(): Promise<void> {
    await this.truth.cli("CLIENT", "KILL", "TYPE", "normal");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#resources.disposeAsync();
  }

  /** Makes the client and opens its connections. */
  async #connect(
    { tls = false, hostname, user, connections = 1 }: Scenario,
  ): Promise<void> {
    const url = new URL(this.proxy.url);
    if (hostname !== undefined) url.hostname = hostname;
    const options = {
      url: url.href,
      caCert: tls ? this.server.caCert : undefined,
      user,
      password: this.password,
      firstDialTo: this.secondProxy?.url,
      replyTimeoutMs: this.profile.replyTimeoutMs,
      connectTimeoutMs: this.profile.connectTimeoutMs,
    };
    const on = (event: ClientEvent) => this.#note(event);
    const client = this.host?.client(options, on) ??
      new LoadClient(options, on);
    this.#client = client;
    this.#resources.defer(() => client.close());
    await client.connect(connections);
  }

  #note(event: ClientEvent): void {
    const at = performance.now();
    switch (event.type) {
      case "dial":
        this.dialedAt.push(at);
        break;
      case "death":
        this.hits.push({ at, report: event.report });
        break;
      case "failed event":
        this.failedEvents++;
        break;
      case "pending":
        this.emptySince = event.events === 0 ? at : Infinity;
    }
  }
}
