// A server behind a proxy, for tests of what becomes of the connections to it.
import type { Verdict } from "../../../mod.ts";
import {
  type ConnectionNeed,
  Server,
  type ServerEvents,
  type ServerOptions,
} from "../../../client/servers/server.ts";
import { ask } from "../../../pool/connection/in_flight.ts";
import type { CloseReport } from "../../../pool/connection/close_report.ts";
import type { PushRight } from "../../../pool/connection/push_right.ts";
import { dial } from "../../../pool/socket/dial.ts";
import { Endpoint } from "../../../pool/socket/endpoint.ts";
import type { Command, Reply } from "../../../resp/types.ts";
import { type FaultProxy, startProxy } from "../../support/fault_proxy.ts";
import { type RedisServer, startRedis } from "../../support/redis_server.ts";

/** Options under which nothing ends by itself within a test. */
export const OPTIONS: ServerOptions = {
  maxConnections: 4,
  checkoutTimeoutMs: 5000,
  maxWaiting: 100,
  idleTimeoutMs: 60_000,
  maxAgeMs: 600_000,
  validateAfterIdleMs: 60_000,
  connectTimeoutMs: 5000,
  replyTimeoutMs: 5000,
  dial,
  limits: {},
  postMortem: false,
};
/** Callbacks that do nothing. */
export const IGNORED: ServerEvents = {
  onDialFailed: () => {},
  onEvict: () => {},
  onWait: () => {},
  onOpen: () => {},
  onClose: () => {},
  onVerdict: () => {},
};
/** Why the server has left. */
export const LEFT = new Error("its hash slots went elsewhere");

/** A server behind a proxy, with what it says of its connections. */
export class Setup implements AsyncDisposable {
  readonly redis: RedisServer;
  readonly proxy: FaultProxy;
  readonly server: Server;
  readonly reports: CloseReport[] = [];
  readonly evicted: string[] = [];
  readonly verdicts: Verdict[] = [];

  private constructor(
    redis: RedisServer,
    proxy: FaultProxy,
    options: Partial<ServerOptions>,
  ) {
    this.redis = redis;
    this.proxy = proxy;
    this.server = new Server(new Endpoint(proxy.url), {
      ...OPTIONS,
      ...options,
    }, {
      ...IGNORED,
      onEvict: (reason) => this.evicted.push(reason),
      onClose: (report) => this.reports.push(report),
      onVerdict: (verdict) => this.verdicts.push(verdict),
    });
  }

  static async start(options: Partial<ServerOptions> = {}): Promise<Setup> {
    const redis = await startRedis();
    const proxy = await startProxy({ target: redis });
    return new Setup(redis, proxy, options);
  }

  connect(need: ConnectionNeed): Promise<PushRight> {
    return new Promise((take, fail) =>
      this.server.connect(need, { take, fail })
    );
  }

  /** The reply on a shared connection: what is sent must be pushed before `take` returns. */
  ask(command: Command, extraReplyTimeoutMs = 0): Promise<Reply> {
    return new Promise((resolve, reject) =>
      this.server.connect("shared", {
        take: (right) =>
          void ask(right, command, false, extraReplyTimeoutMs)
            .then(resolve, reject),
        fail: reject,
      })
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.server.close("the test is over");
    await this.proxy[Symbol.asyncDispose]();
    await this.redis[Symbol.asyncDispose]();
  }
}

/** What a wait fails with. */
export const reasonOf = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then((value) => ({ value }), (reason) => reason);
