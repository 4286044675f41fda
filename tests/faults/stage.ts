// Where a scenario is played: a server, a proxy, a client, and what was seen of it.
import { delay } from "@std/async/delay";
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
import type { Form } from "./form.ts";
import type { Scenario } from "./scenario.ts";

/** An acknowledged event survives whatever happens to the server. */
const DURABLE = { appendonly: "yes", appendfsync: "always" };
/** On files in memory where there are such: a disk stalls for longer than what is measured. */
const MEMORY = "/dev/shm";

const startDurable = (
  { config, ...options }: RedisServerOptions,
): Promise<RedisServer> =>
  startRedis({
    ...options,
    ...(existsSync(MEMORY) ? { directory: MEMORY } : {}),
    config: { ...DURABLE, ...config },
  });

function existsSync(path: string): boolean {
  try {
    return Deno.statSync(path).isDirectory;
  } catch {
    return false;
  }
}

/** A death of a connection that we did not ask for. */
export interface Hit {
  /** When, by `performance.now()`. */
  readonly at: number;
  /** How it ended. */
  readonly report: CloseReport;
}

/** Everything that a scenario may touch. */
export class Stage implements AsyncDisposable {
  readonly form: Form;
  readonly server: RedisServer;
  readonly proxy: FaultProxy;
  readonly redis: Redis;
  /** The server whose data count in the end. */
  truth: RedisServer;
  /** A server that follows the first, where a scenario needs one. */
  replica: RedisServer | undefined;
  /** A way that only some connections take, where a scenario needs one. */
  sideway: FaultProxy | undefined;
  /** How the client opens sockets. */
  dial: Dial = dial;
  /** Starts nothing new and closes the client, as it is meant to be; set by the load. */
  drain: () => Promise<void> = () => Promise.resolve();
  /** When each connection was tried, by `performance.now()`. */
  readonly dialedAt: number[] = [];
  /** Connections that died. */
  readonly hits: Hit[] = [];
  /** What is wrong, in sentences. */
  readonly complaints: string[] = [];
  /** When the load began, by `performance.now()`. */
  loadStartedAt = 0;
  /** From when to when the fault lasted, by `performance.now()`. */
  faultAt: number | undefined;
  backAt: number | undefined;
  readonly #things: AsyncDisposableStack;

  private constructor(
    scenario: Scenario,
    form: Form,
    server: RedisServer,
    proxy: FaultProxy,
    things: AsyncDisposableStack,
  ) {
    this.form = form;
    this.server = this.truth = server;
    this.proxy = proxy;
    this.#things = things;
    const options: RedisOptions = {
      replyTimeoutMs: form.replyTimeoutMs,
      connectTimeoutMs: form.connectTimeoutMs,
      dial: (endpoint, options) => {
        this.dialedAt.push(performance.now());
        return this.dial(endpoint, options);
      },
      onClose: (report) => {
        if (report.how === "requested") return;
        this.hits.push({ at: performance.now(), report });
      },
    };
    if (scenario.tls) options.tls = { caCerts: [server.caCert] };
    const url = new URL(proxy.url);
    if (scenario.hostname !== undefined) url.hostname = scenario.hostname;
    this.redis = new Redis(url, options);
    things.defer(() => this.redis.close({ drainMs: 0 }));
  }

  /** Sets up what a scenario needs and opens its connections. */
  static async set(scenario: Scenario, form: Form): Promise<Stage> {
    const tls = scenario.tls ?? false;
    await using things = new AsyncDisposableStack();
    const server = things.use(
      await startDurable({ tls, config: scenario.config ?? {} }),
    );
    const { hostname } = server;
    const port = tls ? server.tlsPort : server.port;
    const proxy = things.use(
      await startProxy({ target: { hostname, port }, tls }),
    );
    const stage = new Stage(scenario, form, server, proxy, things.move());
    try {
      await scenario.prepare?.(stage);
      await stage.#connect(scenario.connections ?? 1);
    } catch (error) {
      await stage[Symbol.asyncDispose]();
      throw error;
    }
    return stage;
  }

  /** A server besides the first; it goes when the stage goes. */
  async startServer(
    config: Readonly<Record<string, string | number>>,
  ): Promise<RedisServer> {
    return this.#things.use(
      await startDurable({ config }),
    );
  }

  /** Has something taken away together with the stage. */
  use<T extends AsyncDisposable>(thing: T): T {
    return this.#things.use(thing);
  }

  /** A time of the long form, in that of this one; `leastMs` where less would show nothing. */
  span(ms: number, leastMs = 0): number {
    return Math.max(leastMs, ms * this.form.scale);
  }

  /** Waits for a time of the long form. */
  async wait(ms: number, leastMs = 0): Promise<void> {
    await delay(this.span(ms, leastMs));
  }

  /** Does something again and again for a time of the long form. */
  async repeat(
    everyMs: number,
    forMs: number,
    act: () => unknown,
  ): Promise<void> {
    const startedAt = performance.now();
    const end = startedAt + this.span(forMs, 3 * everyMs);
    for (let next = startedAt; next < end;) {
      await act();
      next = Math.max(next + everyMs, performance.now());
      await delay(Math.max(0, next - performance.now()));
    }
  }

  /** From now on something is wrong. */
  away(): void {
    this.faultAt ??= performance.now();
  }

  /** From now on Redis can be reached as ever. */
  back(): void {
    this.backAt = performance.now();
  }

  /** CLIENT KILL of every connection but the one that asks. */
  async killAll(): Promise<void> {
    await this.truth.cli("CLIENT", "KILL", "TYPE", "normal");
  }

  complain(sentence: string): void {
    this.complaints.push(sentence);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#things.disposeAsync();
  }

  async #connect(count: number): Promise<void> {
    const leases = await Promise.all(
      Array.from({ length: count }, () => this.redis.lease()),
    );
    for (const lease of leases) lease.release();
  }
}
