// The calls of a client, or of one of its servers: what is checked, and started, for each.
import type { Command, Reply } from "../resp/types.ts";
import { copyCommand } from "../resp/encode.ts";
import type { Attempts } from "./attempts.ts";
import type { Call, CallEngine } from "./call.ts";
import {
  type CallStart,
  late,
  pipelineOf,
  transactionOf,
} from "./call_start.ts";
import { checkOptions, DURATION, type OptionRule, SIGNAL } from "./check.ts";
import { routeOf } from "./commands/routing.ts";
import { withFate } from "./fate.ts";
import type { Lease } from "./lease.ts";
import { PipelineCall } from "./pipeline_call.ts";
import { promiseOf } from "./rejection.ts";
import type { SendOptions } from "./send_options.ts";
import type { Routed, Router } from "./servers/directory.ts";
import { SingleCall } from "./single_call.ts";
import { type Origin, sink } from "./telemetry.ts";
import type {
  WatchedTransaction,
  WatchOptions,
} from "./watched_transaction.ts";

/** Options of a lease. */
export interface LeaseOptions {
  /** In a cluster, a key of the server that it is for. */
  key?: string | undefined;
  /** Ends the wait for it. */
  signal?: AbortSignal | undefined;
  /** How long to wait for it, in milliseconds. */
  deadlineMs?: number | undefined;
}

const LEASE_OPTIONS = {
  key: [(value) => typeof value === "string", "a key, a string"],
  signal: SIGNAL,
  deadlineMs: DURATION,
} satisfies Record<keyof LeaseOptions, OptionRule>;

const startSplit = late(() => "send a pipeline", async () => {
  const { startSplit } = await import("./split_pipeline.ts");
  return startSplit;
});
const startTransaction = late(() => "send a transaction", async () => {
  const { startTransaction } = await import("./transaction.ts");
  return startTransaction;
});
const startClusterTransaction = late(() => "send a transaction", async () => {
  const { startClusterTransaction } = await import("./cluster_transaction.ts");
  return startClusterTransaction;
});
const startExclusive = late(
  ({ command: [name] }) => `send ${name}`,
  async () => {
    const { startExclusive } = await import("./exclusive_call.ts");
    return startExclusive;
  },
);
const startLease = late(() => "lease a connection", async () => {
  const { startLease } = await import("./lease.ts");
  return startLease;
});

/** Makes a call of a command, with the two ends of its promise. */
export type MakeCall = (
  engine: CallEngine,
  command: Command,
  resolve: (reply: Reply | Promise<never>) => void,
  reject: (reason: unknown) => void,
) => Call;

const callers = new WeakMap<object, Caller>();

/**
 * The caller of a client or of one of its servers, for what this module builds on them.
 *
 * @param face What the user has: a `Redis`, a `RedisNode`, or anything else.
 * @returns `undefined` for anything else.
 */
export const callerOf = (face: object): Caller | undefined => callers.get(face);

/** Makes calls, which a router leads to their servers. */
export class Caller {
  readonly #attempts: Attempts;
  readonly #router: Router;

  /**
   * @param attempts The attempts of the client.
   * @param router Which server is in charge of each call.
   * @param face What the user calls.
   */
  constructor(attempts: Attempts, router: Router, face: object) {
    this.#attempts = attempts;
    this.#router = router;
    callers.set(face, this);
  }

  /** Which server is in charge of each call. */
  get router(): Router {
    return this.#router;
  }

  /** Sends one command. */
  send(command: Command, options: SendOptions): Promise<Reply> {
    if (sink === undefined) return this.#send(command, options);
    let made: Call | undefined;
    return sink.trace(
      () => made?.server?.endpoint ?? destinationOf(this.#router, [command]),
      [command],
      false,
      () => this.#send(command, options, (call) => made = call),
    );
  }

  /** Sends several commands at once, in order. */
  pipeline(
    commands: readonly Command[],
    options: SendOptions,
  ): Promise<Reply[]> {
    return sink === undefined ? this.#pipeline(commands, options) : sink.trace(
      () => destinationOf(this.#router, commands),
      commands,
      true,
      () => this.#pipeline(commands, options),
    );
  }

  /** Sends several commands at once, of which all run or none. */
  transaction(
    commands: readonly Command[],
    options: SendOptions,
  ): Promise<Reply[]> {
    return sink === undefined
      ? this.#transaction(commands, options)
      : sink.trace(
        () => destinationOf(this.#router, commands),
        commands,
        true,
        () => this.#transaction(commands, options),
      );
  }

  /** Runs a transaction, again while another client writes one of the keys. */
  async watch(
    keys: readonly string[],
    plan: WatchedTransaction["plan"],
    options: WatchOptions,
  ): Promise<Reply[] | undefined> {
    const { runWatched } = await import("./watched_transaction.ts");
    return await runWatched({
      keys,
      plan,
      options,
      lease: (options) => this.lease(options),
      isCluster: this.#router.isCluster,
    });
  }

  /** Sends one command by a call that is made elsewhere. */
  sendBy(make: MakeCall, given: Command): Promise<Reply> {
    if (sink === undefined) return this.#sendBy(make, given);
    let made: Call | undefined;
    return sink.trace(
      () => made?.server?.endpoint ?? destinationOf(this.#router, [given]),
      [given],
      false,
      () => this.#sendBy((...parts) => made = make(...parts), given),
    );
  }

  /**
   * Admits calls that begin once their code is loaded: close() waits for them.
   *
   * @param purpose What they do, to follow "Cannot" in an error.
   * @returns Must be called once, with what begins them.
   * @throws {ClosedError} If the client is closed.
   */
  admit(purpose: string): (begin: () => void) => void {
    return this.#attempts.admit(purpose, this.#router);
  }

  /** Takes a connection out of its pool, for its holder alone. */
  lease(options: LeaseOptions): Promise<Lease> {
    const attempts = this.#attempts;
    const router = this.#router;
    return promiseOf((resolve, reject) => {
      checkOptions(options, LEASE_OPTIONS);
      startLease({ attempts, router, options, resolve, reject });
    });
  }

  /** @param onMade Called with the call, before it is started. */
  #send(
    given: Command,
    options: SendOptions,
    onMade?: (call: Call) => void,
  ): Promise<Reply> {
    const attempts = this.#attempts;
    const router = this.#router;
    // Not by promiseOf: its two closures more cost each command 9 ns.
    return new Promise((resolve, reject) => {
      try {
        const command = copyCommand(given);
        const route = routeOf(command);
        let call: Call;
        switch (route.kind) {
          case "shared":
            call = new SingleCall(attempts, command, options, resolve, reject);
            break;
          case "blocking":
          case "urgent":
            return startExclusive({
              attempts,
              router,
              command,
              route,
              options,
              resolve,
              reject,
              onMade,
            });
          default:
            throw new TypeError(
              `Cannot send ${command[0]} on a shared connection: ${route.why}`,
            );
        }
        onMade?.(call);
        attempts.start(call, router);
      } catch (error) {
        reject(withFate(error, "unsent"));
      }
    });
  }

  #sendBy(make: MakeCall, given: Command): Promise<Reply> {
    const attempts = this.#attempts;
    return new Promise((resolve, reject) => {
      try {
        const call = make(attempts, copyCommand(given), resolve, reject);
        attempts.start(call, this.#router);
      } catch (error) {
        reject(withFate(error, "unsent"));
      }
    });
  }

  #pipeline(
    given: readonly Command[],
    options: SendOptions,
  ): Promise<Reply[]> {
    const attempts = this.#attempts;
    return promiseOf((resolve, reject) => {
      const commands = pipelineOf(given);
      if (this.#router.isCluster && commands.length > 0) {
        return startSplit(this.#startOf(commands, options, resolve, reject));
      }
      const call = new PipelineCall(
        attempts,
        commands,
        options,
        resolve,
        reject,
      );
      if (commands.length === 0) resolve([]);
      else attempts.start(call, this.#router);
    });
  }

  #transaction(
    given: readonly Command[],
    options: SendOptions,
  ): Promise<Reply[]> {
    return promiseOf((resolve, reject) => {
      const commands = transactionOf(given);
      if (commands.length === 0) return resolve([]);
      const start = this.#router.isCluster
        ? startClusterTransaction
        : startTransaction;
      start(this.#startOf(commands, options, resolve, reject));
    });
  }

  #startOf(
    commands: readonly Command[],
    options: SendOptions,
    resolve: CallStart["resolve"],
    reject: CallStart["reject"],
  ): CallStart {
    const attempts = this.#attempts;
    const router = this.#router;
    return { attempts, router, commands, options, resolve, reject };
  }
}

/** Where commands go now: to one server, or else to the address that the user gave. */
function destinationOf(router: Router, commands: readonly Command[]): Origin {
  const servers = new Set(commands.map((command) => {
    const routed: Routed = { command, routing: undefined, server: undefined };
    const server = router.serverOf(routed);
    const isFree = routed.routing !== undefined && routed.routing.hashSlot < 0;
    return isFree ? undefined : server; // of those that any server runs
  }));
  const [server] = servers;
  return (servers.size === 1 ? server : undefined)?.endpoint ??
    router.endpoint;
}
