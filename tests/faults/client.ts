// The client under test and its recorder, as the load uses them: on any runtime, so all that goes in and out can be written as JSON.
import {
  type CloseReport,
  type Fate,
  fateOf,
  Redis,
  type Reply,
  WebhookRecorder,
} from "../../mod.ts";
import { dial } from "../../pool/socket/dial.ts";
import { Endpoint } from "../../pool/socket/endpoint.ts";
import type { Socket } from "../../pool/socket/socket.ts";

const EVENT = { mallId: "faults", shopNo: 1, eventType: "orders" };
/** The sorted set that events are recorded in. */
export const KEY = "webhook_frequency_faults_1_orders";
const LOOK_MS = 5;

/** How a client is made. */
export interface ClientOptions {
  readonly replyTimeoutMs: number;
  readonly connectTimeoutMs: number;
  readonly url: string;
  readonly caCert?: string | undefined;
  /** The user that it logs in as, with the password of the moment. */
  readonly user?: string | undefined;
  readonly password: string;
  /** Where the first dial goes in place of the URL. */
  readonly firstDialTo?: string | undefined;
}

/** What happens to a client. */
export type ClientEvent =
  | { readonly type: "dial" }
  | { readonly type: "death"; readonly report: CloseReport }
  | { readonly type: "failed event" }
  | { readonly type: "pending"; readonly events: number };

/** How a call ended. */
export type Claim = "success" | Fate;

/** What a load may do with a client. */
export type Client = Pick<LoadClient, typeof METHODS[number]>;

/** The methods of a {@linkcode Client}. */
export const METHODS = [
  "connect",
  "incr",
  "record",
  "flush",
  "transfer",
  "ping",
  "setPassword",
  "hangDials",
  "openConnections",
  "drain",
  "close",
] as const;

/** A `Redis` and a `WebhookRecorder` under load. */
export class LoadClient {
  readonly #redis: Redis;
  readonly #recorder: WebhookRecorder;
  readonly #on: (event: ClientEvent) => void;
  readonly #watch: ReturnType<typeof setInterval>;
  #pending = 0;
  #password: string;
  #hanging: PromiseWithResolvers<Socket> | undefined;
  // A member has the number of its event and its own number in it, so that a
  // second member for the same event shows, even where another is missing.
  #event = 0;
  readonly #made: number[] = [];

  /** Makes one. It has no connection yet. */
  constructor(options: ClientOptions, on: (event: ClientEvent) => void) {
    const { url, caCert, user, replyTimeoutMs, connectTimeoutMs } = options;
    this.#password = options.password;
    let first = options.firstDialTo;
    this.#redis = new Redis(url, {
      replyTimeoutMs,
      connectTimeoutMs,
      dial: (endpoint, options) => {
        on({ type: "dial" });
        if (this.#hanging !== undefined) return this.#hanging.promise;
        const where = first === undefined ? endpoint : new Endpoint(first);
        first = undefined;
        return dial(where, options);
      },
      onClose: (report) => {
        if (report.how !== "requested") on({ type: "death", report });
      },
      ...caCert === undefined ? {} : { tls: { caCerts: [caCert] } },
      ...user === undefined ? {} : {
        credentials: () => ({
          username: user,
          password: this.#password,
          expiresAt: Date.now() + 3_600_000, // it is changed before
        }),
      },
    });
    this.#recorder = new WebhookRecorder(this.#redis, {
      newMember: () => {
        const made = (this.#made[this.#event] ?? 0) + 1;
        this.#made[this.#event] = made;
        return `${this.#event}:${made}`;
      },
      onError: () => on({ type: "failed event" }),
    });
    this.#on = on;
    this.#watch = setInterval(() => this.#look(), LOOK_MS);
  }

  /** Opens connections. */
  async connect(count: number): Promise<void> {
    const leases = await Promise.all(
      Array.from({ length: count }, () => this.#redis.lease()),
    );
    for (const lease of leases) lease.release();
  }

  /** Adds one to a counter. */
  incr(key: string): Promise<Reply> {
    return this.#redis.send(["INCR", key]);
  }

  /** Records an event as members `number:1` to `number:count`. */
  async record(
    number: number,
    count: number,
  ): Promise<"recorded" | "queued" | "dropped"> {
    this.#event = number;
    return (await this.#recorder.record(EVENT, count)).status;
  }

  /**
   * Waits until nothing is left in the outbox.
   *
   * @returns How many events are left after `limitMs`.
   */
  async flush(limitMs: number): Promise<number> {
    await this.#recorder.flush({ signal: AbortSignal.timeout(limitMs) })
      .catch(() => {});
    this.#look();
    return this.#recorder.pending;
  }

  /** Adds one to two counters in a transaction on a lease. */
  async transfer(from: string, to: string): Promise<Claim> {
    let isSent = false;
    try {
      const lease = await this.#redis.lease();
      try {
        await lease.send(["MULTI"]);
        await lease.send(["INCR", from]);
        await new Promise((resolve) => setTimeout(resolve, 10));
        await lease.send(["INCR", to]);
        isSent = true;
        await lease.send(["EXEC"]);
      } finally {
        lease.release();
      }
      return "success";
    } catch (error) {
      return isSent ? fateOf(error) : "unsent";
    }
  }

  /** Asks the server for a sign of life, whether one comes or not. */
  async ping(): Promise<void> {
    await this.#redis.send(["PING"]).catch(() => {});
  }

  /** From now on connections log in with this password. */
  setPassword(password: string): Promise<void> {
    this.#password = password;
    return Promise.resolve();
  }

  /** Lets no dial end from now on; or again, those that hang by an error. */
  hangDials(isHanging: boolean): Promise<void> {
    this.#hanging?.reject(new Error("failed to lookup address information"));
    this.#hanging = isHanging ? Promise.withResolvers() : undefined;
    this.#hanging?.promise.catch(() => {});
    return Promise.resolve();
  }

  /** How many connections are open. */
  openConnections(): Promise<number> {
    return Promise.resolve(this.#redis.stats().open);
  }

  /** Closes it gracefully. */
  async drain(): Promise<void> {
    await this.#recorder[Symbol.asyncDispose]();
    await this.#redis.close();
  }

  /** Closes it at once. */
  async close(): Promise<void> {
    clearInterval(this.#watch);
    await this.#redis.close({ drainMs: 0 });
  }

  #look(): void {
    const { pending } = this.#recorder;
    if (pending === this.#pending) return;
    this.#pending = pending;
    this.#on({ type: "pending", events: pending });
  }
}
