// The client: where the pool meets retry.
import type { Command, Reply } from "../resp/mod.ts";
import { copyCommand } from "../resp/encode.ts";
import {
  ConnectionClosedError,
  type Fate,
} from "../pool/connection/close_report.ts";
import type { Connection } from "../pool/connection/connection.ts";
import { open, type OpenOptions } from "../pool/connection/open.ts";
import {
  type ConnectionFacts,
  PushRight,
} from "../pool/connection/push_right.ts";
import { ClosedError, mayPass } from "../pool/errors.ts";
import type { Verdict } from "../pool/forensics/verdict.ts";
import { Pool } from "../pool/pool.ts";
import { dial } from "../pool/socket/dial.ts";
import { Endpoint } from "../pool/socket/endpoint.ts";
import { modeHint } from "../pool/connection/server_mode.ts";
import { whenAborted } from "../pool/when_aborted.ts";
import {
  ExponentialBackoff,
  Retry,
  type RetryAttempt,
  RetryError,
} from "../retry/mod.ts";
import { sendBlocking } from "./blocking.ts";
import { RetryBudget } from "./budget.ts";
import {
  type Call,
  type CallKeeper,
  type Failure,
  PipelineCall,
  SignalledWait,
  SingleCall,
} from "./call.ts";
import { isAnswer } from "./command_error.ts";
import { DeadlineError } from "./deadline_error.ts";
import { Deadlines } from "./deadlines.ts";
import { Drain } from "./drain.ts";
import { fateOf, withFate } from "./fate.ts";
import { PostMortemTrigger } from "../pool/forensics/post_mortem_trigger.ts";
import { Lease } from "./lease.ts";
import { checkOptions, DURATION, SIGNAL } from "./check.ts";
import type { RedisOptions, RetryInfo } from "./options.ts";
import {
  checkSendOptions,
  NO_OPTIONS,
  type SendOptions,
} from "./send_options.ts";
import { settingsOf } from "./settings.ts";
import { promiseOf, refuseIfAborted } from "./rejection.ts";
import { resolveFate } from "./resolve_fate.ts";
import type {
  AnyCommand,
  BulkOf,
  RepliesOf,
  ReplyOf,
} from "./commands/replies.ts";
import { reasonAgainstPipeline, routeOf } from "./commands/routing.ts";
import type { Route } from "./commands/row.ts";
import { type Origin, sink, type TelemetryEvents } from "./telemetry.ts";
import { describeClient, type RedisStats } from "./stats.ts";
import { Task } from "./task.ts";
import { invokeSafely } from "./invoke_safely.ts";

/** More than a rejection takes from the loss of its connection to its caller. */
const REJECTION_MICROTASKS = 100;

/**
 * A Redis client that never hands a caller a connection it knows to be dead.
 *
 * - It dials on first use, and never holds more than `maxConnections`. Commands
 *   that end what holds up the others, such as SCRIPT KILL, have one beside them.
 * - `send` and `pipeline` share connections; what needs one alone uses `lease`.
 * - A command that was not written is sent again by the retry policy; one that
 *   may have run, only if a second run is harmless (or `replay` says so).
 * - A reply never reaches another caller.
 * - Every error says what became of the command: see `fateOf`.
 *
 * @example Send a command
 * ```ts
 * import { Redis } from "@unzombie/redis";
 * import { assertEquals } from "@std/assert";
 *
 * await using redis = new Redis(Deno.env.get("REDIS_URL"));
 * await redis.send(["SET", "greeting", "hello"]);
 * assertEquals(await redis.send(["GET", "greeting"]), "hello");
 * await redis.send(["DEL", "greeting"]);
 * ```
 */
export class Redis implements AsyncDisposable {
  readonly #endpoint: Endpoint;
  readonly #options: RedisOptions;
  readonly #pool: Pool;
  /**
   * Opens a connection beside the pool. Nothing but HELLO and AUTH goes before
   * its command: a server that is busy with a script refuses SELECT.
   */
  readonly #openBeside: (signal: AbortSignal) => Promise<Connection>;
  readonly #postMortem: PostMortemTrigger | undefined;
  readonly #retry: Retry | false;
  readonly #deadlines = new Deadlines();
  readonly #waits = new Set<(reason: Error) => void>(); // of calls between two attempts: gives up
  readonly #tasks = new Set<Task>();
  #calls = 0;
  readonly #budget = new RetryBudget();
  #retries = 0;
  #replays = 0;
  #lastVerdict: Verdict | undefined;
  #serverNote: string | undefined;
  #closed: Promise<void> | undefined;
  #drain: Drain | undefined;
  #isOver = false; // nothing is sent, dialed or waited for any more

  /**
   * Makes a client. Nothing is dialed yet.
   *
   * @param url `redis://`, `rediss://` for TLS, or `unix:///path` for a Unix
   * socket; `valkey://`, `valkeys://` and `redis+unix://` mean the same. The query
   * may hold `database` and `clientName`. @default {"redis://127.0.0.1:6379"}
   * @param options See {@linkcode RedisOptions}.
   * @throws {TypeError} If the URL or an option cannot be used.
   * @throws {RangeError} If a number is out of its range.
   */
  constructor(url?: string | URL, options: RedisOptions = {}) {
    const numbers = settingsOf(options);
    const endpoint = new Endpoint(url, options);
    this.#endpoint = endpoint;
    this.#options = options;
    this.#retry = options.retry ??
      new Retry({ backoff: new ExponentialBackoff({ jitter: 0.5 }) });
    this.#postMortem = options.postMortem
      ? new PostMortemTrigger((verdict) => {
        this.#lastVerdict = verdict;
        invokeSafely("onVerdict of Redis", options.onVerdict, verdict);
      })
      : undefined;
    const openTo = (
      endpoint: Endpoint,
      rest: Pick<OpenOptions, "number" | "observer" | "signal" | "progress">,
    ) =>
      open(endpoint, {
        ...numbers,
        dial: options.dial ?? dial,
        limits: options.limits ?? {},
        ...rest,
      });
    let beside: Endpoint | undefined; // one: what a dial learns of its peer is kept with it
    this.#openBeside = (signal) => {
      beside ??= new Endpoint(url, { ...options, database: 0 });
      return openTo(beside, { number: 0, observer: {}, signal });
    };
    this.#pool = new Pool({
      ...numbers,
      endpoint: `${endpoint}`,
      onOpen: ({ number, identity }, { tookMs, right }) => {
        this.#publish("connection:open", {
          connection: number,
          clientId: identity?.clientId,
          tookMs,
        });
        this.#serverNote = identity?.note ?? modeHint(identity ?? {});
        if (right !== undefined) this.#postMortem?.onOpen(right);
      },
      onDialFailed: (error) => this.#publish("connection:fail", { error }),
      onEvict: (reason, { number }) =>
        this.#publish("connection:evict", { connection: number, reason }),
      onWait: (wait) => this.#publish("checkout:wait", wait),
      onRefused: (report, connection) =>
        this.#postMortem?.onClose(report, connection),
      onClose: (report, connection) => {
        this.#publish("connection:close", { report });
        this.#postMortem?.onClose(report, connection);
        invokeSafely("onClose of Redis", options.onClose, report);
      },
      open: async (number, observer, signal, progress) => {
        await this.#postMortem?.ready;
        return openTo(endpoint, { number, observer, signal, progress });
      },
    });
  }

  /**
   * Sends one command. Calls that do not wait for each other may run in any
   * order; {@linkcode Redis.pipeline} keeps it.
   *
   * @param command The command, such as `["ZADD", key, score, member]`.
   * @param options See {@linkcode SendOptions}.
   * @returns The reply.
   * @throws {CommandError} If the server answers an error.
   * @throws {ConnectionClosedError} If the connection ended and the command must not be sent again.
   * @throws {DialError} If no connection can be opened, and never will be.
   * @throws {RetryError} If every attempt failed.
   * @throws {CheckoutTimeoutError} If `maxWaiting` calls wait for a connection already.
   * @throws {DeadlineError} If the deadline passes first, that of the retry policy included.
   * @throws {ClosedError} If the client is closed.
   * @throws {TypeError} If the command cannot be sent, or not on a shared connection.
   * @throws {RangeError} If an argument has more than 512 MiB, or the command more than 2 GiB.
   */
  send<const C extends AnyCommand, const Binary extends boolean = false>(
    command: C,
    options?: SendOptions & { binary?: Binary },
  ): Promise<ReplyOf<C, BulkOf<Binary>>>;
  send(command: Command, options: SendOptions = NO_OPTIONS): Promise<Reply> {
    return sink === undefined ? this.#send(command, options) : sink.trace(
      this.#endpoint,
      [command],
      false,
      () => this.#send(command, options),
    );
  }

  #send(given: Command, options: SendOptions): Promise<Reply> {
    // By hand what promiseOf does: that would cost each command two more closures.
    return new Promise((resolve, reject) => {
      try {
        const command = copyCommand(given);
        const route = routeOf(command);
        if (route.kind === "shared") {
          this.#start(
            new SingleCall(this.#keeper, command, options, resolve, reject),
          );
        } else if (route.kind === "blocking" || route.kind === "urgent") {
          checkSendOptions(options);
          this.#refuseIfClosed(`send ${command[0]}`);
          refuseIfAborted(options.signal);
          resolve(this.#sendAlone(command, options, route));
        } else {
          throw new TypeError(
            `Cannot send ${command[0]} on a shared connection: ${route.why}`,
          );
        }
      } catch (error) {
        reject(withFate(error, "unsent"));
      }
    });
  }

  /**
   * Sends several commands at once, in order, on one connection.
   *
   * @param commands The commands.
   * @param options See {@linkcode SendOptions}.
   * @returns Their replies, in order. Error replies are values, each a `CommandError`.
   * @throws {ConnectionClosedError} If the connection ended and one of the commands must not be sent again.
   * @throws {DialError} If no connection can be opened, and never will be.
   * @throws {RetryError} If every attempt failed.
   * @throws {CheckoutTimeoutError} If `maxWaiting` calls wait for a connection already.
   * @throws {DeadlineError} If the deadline passes first, that of the retry policy included.
   * @throws {ClosedError} If the client is closed.
   * @throws {TypeError} If a command cannot be sent; none has been then.
   * @throws {RangeError} If a command is too large; none has been sent then.
   *
   * @example Two commands, one round trip
   * ```ts
   * import { Redis } from "@unzombie/redis";
   * import { assertEquals } from "@std/assert";
   *
   * await using redis = new Redis(Deno.env.get("REDIS_URL"));
   * const replies = await redis.pipeline([["ECHO", "a"], ["ECHO", "b"]]);
   * assertEquals(replies, ["a", "b"]);
   * ```
   */
  pipeline<
    const Cs extends readonly AnyCommand[],
    const Binary extends boolean = false,
  >(
    commands: Cs,
    options?: SendOptions & { binary?: Binary },
  ): Promise<RepliesOf<Cs, BulkOf<Binary>>>;
  pipeline(
    commands: readonly Command[],
    options: SendOptions = NO_OPTIONS,
  ): Promise<Reply[]> {
    return sink === undefined ? this.#pipeline(commands, options) : sink.trace(
      this.#endpoint,
      commands,
      true,
      () => this.#pipeline(commands, options),
    );
  }

  #pipeline(
    given: readonly Command[],
    options: SendOptions,
  ): Promise<Reply[]> {
    return promiseOf((resolve, reject) => {
      if (!Array.isArray(given)) {
        throw new TypeError(
          `Cannot send a pipeline: expected an array of commands, got ${
            given === null ? "null" : typeof given
          }`,
        );
      }
      const commands = Array.from(given, copyCommand);
      for (const command of commands) {
        const route = routeOf(command);
        if (route.kind === "shared") continue;
        throw new TypeError(
          `Cannot send ${command[0]} in a pipeline: ${
            reasonAgainstPipeline(route)
          }`,
        );
      }
      const call = new PipelineCall(
        this.#keeper,
        commands,
        options,
        resolve,
        reject,
      );
      if (commands.length === 0) resolve([]);
      else this.#start(call);
    });
  }

  /**
   * Takes a connection out of the pool, for its holder alone.
   *
   * @param options `signal` and `deadlineMs` end the wait for it, not the lease.
   * @returns The lease. Release it, or declare it with `await using`.
   * @throws {CheckoutTimeoutError} If none is free in time.
   * @throws {DialError} If no connection can be opened.
   * @throws {RetryError} If every attempt failed.
   * @throws {DeadlineError} If the deadline passes first, that of the retry policy included.
   * @throws {ClosedError} If the client is closed.
   */
  async lease(
    options: { signal?: AbortSignal; deadlineMs?: number } = {},
  ): Promise<Lease> {
    let isCounted = false;
    try {
      checkOptions(options, { signal: SIGNAL, deadlineMs: DURATION });
      this.#refuseIfClosed("lease a connection");
      this.#calls++;
      isCounted = true;
      const right = await this.#run(
        "lease",
        options.signal,
        deadlineOf(options, this.#retry),
        (task) => this.#checkoutPatiently(task.signal),
      );
      this.#calls++;
      return new Lease(right, this.#endpoint, {
        release: (clean) => {
          this.#pool.release(right, clean);
          this.#keeper.closed(false);
        },
        isReplica: () => this.#keeper.isReplica(right.connection),
      });
    } catch (error) {
      throw withFate(error, "unsent");
    } finally {
      if (isCounted) this.#keeper.closed(false);
    }
  }

  /** Where it connects to: `hostname`, `port` and `database`, no credentials. */
  get origin(): Origin {
    const { hostname, port, database } = this.#endpoint;
    return { hostname, port, database };
  }

  /** Whether {@linkcode Redis.close} was called. */
  get isClosed(): boolean {
    return this.#closed !== undefined;
  }

  /** What the client has done and holds. */
  stats(): RedisStats {
    return {
      ...this.#pool.stats(),
      retries: this.#retries,
      replays: this.#replays,
      retryBudget: this.#budget.tokens,
      lastVerdict: this.#lastVerdict,
    };
  }

  /**
   * Refuses new calls, waits for those under way and for leases to be released,
   * then closes every connection. Once it has resolved nothing of the client is
   * left: no call, timer, socket or dial.
   *
   * @param options `drainMs`: how long to wait, in milliseconds. Calls that are not
   * done by then are rejected, and leases that are still held are closed. Called
   * again, it can shorten the wait, not lengthen it. @default {5000}
   * @throws {TypeError} If an option cannot be used; the client stays open then.
   */
  close(options: { drainMs?: number } = {}): Promise<void> {
    try {
      checkOptions(options, { drainMs: DURATION });
    } catch (error) {
      return Promise.reject(error);
    }
    this.#drain ??= new Drain();
    this.#closed ??= this.#close(this.#drain);
    this.#drain.within(options.drainMs ?? 5000);
    return this.#closed;
  }

  async #close(drain: Drain): Promise<void> {
    if (this.#calls === 0) drain.end();
    await drain.over;
    const reason = new ClosedError(
      `Cannot go on: this client of ${this.#endpoint} is closed`,
    );
    this.#isOver = true;
    const gone = this.#pool.close(reason);
    for (const giveUp of this.#waits) giveUp(reason);
    for (const task of this.#tasks) task.close(reason);
    await gone;
    for (let i = 0; i < REJECTION_MICROTASKS; i++) await undefined;
  }

  /** The same as {@linkcode Redis.close}. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  /** What it holds, how many calls wait and what went wrong, in a few lines; never the password. */
  [Symbol.for("nodejs.util.inspect.custom")](): string {
    return describeClient({
      endpoint: `${this.#endpoint}`,
      isTls: this.#endpoint.tls !== undefined,
      isClosed: this.isClosed,
      note: this.#serverNote,
      stats: this.stats(),
    });
  }

  #publish<Name extends keyof TelemetryEvents>(
    name: Name,
    what: TelemetryEvents[Name],
  ): void {
    sink?.publish(name, this.#endpoint, what);
  }

  #refuseIfClosed(what: string): void {
    if (!this.isClosed) return;
    throw new ClosedError(
      `Cannot ${what}: this client of ${this.#endpoint} is closed`,
    );
  }

  #start(call: Call): void {
    if (call.options !== NO_OPTIONS) checkSendOptions(call.options);
    if (this.isClosed) this.#refuseIfClosed(`send ${call.name}`);
    const { signal } = call.options;
    refuseIfAborted(signal);
    const deadlineMs = deadlineOf(call.options, this.#policyOf(call));
    if (deadlineMs === 0) throw tooLate(call.name);
    this.#calls++;
    if (signal !== undefined || deadlineMs < Infinity) {
      this.#watch(call, signal, deadlineMs);
    }
    this.#travel(call);
  }

  /** Lets a signal and a deadline end a call. */
  #watch(
    call: Call,
    signal: AbortSignal | undefined,
    deadlineMs: number,
  ): void {
    let removeDeadline: (() => void) | undefined;
    if (deadlineMs < Infinity) {
      call.deadlineMs = deadlineMs;
      call.startedAt = performance.now();
      removeDeadline = this.#deadlines.add(call, call.startedAt + deadlineMs);
    }
    const unwatch = signal &&
      whenAborted(signal, () => call.end(signal.reason));
    call.unwatch = removeDeadline === undefined ? unwatch : () => {
      unwatch?.();
      removeDeadline();
    };
  }

  #travel(call: Call): void {
    if (call.isDone) return;
    const right = this.#pool.shared();
    if (right !== undefined) return call.travel(right);
    const abort = this.#pool.checkout({
      kind: "shared",
      take: (right) => {
        call.wait = undefined;
        call.travel(right);
      },
      fail: (reason) => {
        call.wait = undefined;
        this.#keeper.failed(call, {
          error: reason instanceof Error ? reason : new Error(String(reason)),
          mayRunAgain: mayPass(reason),
          isReplay: false,
          charge: undefined,
          zombie: undefined,
        });
      },
    });
    if (abort !== undefined && call.unwatch !== undefined) {
      call.wait = { waitsFor: "no connection was free", abort };
    }
  }

  readonly #keeper: CallKeeper = {
    closed: (wasAnswered) => {
      if (wasAnswered) this.#budget.earn();
      if (--this.#calls === 0) this.#drain?.end();
    },
    isReplica: (connection: ConnectionFacts) =>
      // It was the primary once; the next connection may lead to the new one.
      this.#pool.retire(connection, "readonly"),
    failed: (call: Call, failure: Failure) => {
      try {
        this.#failed(call, failure);
      } catch (thrown) {
        // Thrown by a policy of the user's own: it must not reach the calls of others.
        call.reject(gaveUp(call, { and: thrown }));
      }
    },
    travel: (call: Call) => this.#travel(call),
  };

  #failed(call: Call, failure: Failure): void {
    if (call.isDone) return;
    const { error, isReplay, zombie } = failure;
    const policy = this.#policyOf(call);
    const isFirst = call.errors.length === 0;
    if (isFirst) call.failedAt = performance.now();
    call.errors = [...call.errors, error];
    if (this.#isOver) return call.reject(finalError(call, error));
    if (!failure.mayRunAgain) {
      return call.options.resolveFate && isReplay && call instanceof SingleCall
        ? void this.#resolveFate(call, error)
        : call.reject(finalError(call, error));
    }
    if (policy === false) return call.reject(finalError(call, error));
    // Every connection that was open at the first failure may have died with that one.
    if (
      zombie && (isFirst ? zombie.wasUsed : zombie.openedAt < call.failedAt)
    ) {
      return this.#again(call, failure, 0);
    }

    if (call.startedAt === 0) call.startedAt = performance.now();
    const elapsedMs = performance.now() - call.startedAt;
    let next = policy.next(call.retries, error, elapsedMs);
    if (next as number + elapsedMs > call.deadlineMs) next = "exhausted";
    if (next === "final") return call.reject(finalError(call, error));
    if (next === "exhausted") return call.reject(gaveUp(call));
    if (failure.charge !== undefined && !this.#budget.spend(failure.charge)) {
      return call.reject(gaveUp(call, { retryAfterMs: next }));
    }
    call.retries++;
    this.#again(call, { error, isReplay }, next, policy);
  }

  /** Sends a command again that must not be replayed, if it turns out not to have run. */
  async #resolveFate(call: SingleCall, lost: Error): Promise<void> {
    const { connection: ended, command } = call;
    let fate: Fate = "unknown";
    const wait = call.wait = new SignalledWait("its fate was being looked for");
    const giveUp = (reason: Error) => {
      call.reject(finalError(call, lost));
      wait.abort(reason);
    };
    this.#waits.add(giveUp);
    try {
      const right = await this.#checkoutPatiently(wait.signal);
      try {
        this.#postMortem?.onFence(ended!);
        fate = await resolveFate(right, ended!, command);
      } finally {
        this.#pool.release(right, true);
      }
    } catch {
      // No connection, no facts.
    } finally {
      this.#waits.delete(giveUp);
      call.wait = undefined;
    }
    if (call.isDone) return;
    if (!(lost instanceof ConnectionClosedError) || fate === "unknown") {
      return call.reject(finalError(call, lost));
    }
    const resolved = new ConnectionClosedError(
      lost.report,
      fate,
      "as a look at its key has shown",
    );
    call.errors = call.errors.slice(0, -1);
    this.#keeper.failed(call, {
      error: resolved,
      mayRunAgain: true,
      isReplay: false,
      charge: resolved,
      zombie: undefined,
    });
  }

  /** Sends a call again, after a wait. */
  #again(
    call: Call,
    { error, isReplay }: Pick<Failure, "error" | "isReplay">,
    delayMs: number,
    policy?: Retry,
  ): void {
    const attempt = call.errors.length;
    const info = { command: call.name, attempt, delayMs, isReplay, error };
    this.#note(info, policy !== undefined);
    if (policy === undefined) return this.#travel(call);
    const wait = call.wait = new SignalledWait(
      "it waited for its next attempt",
    );
    const giveUp = (reason: unknown) => {
      if (call.isDone) return;
      call.retries--; // it was not made: the client was closed, or the wait has failed
      call.reject(gaveUp(call, { and: reason }));
      wait.abort(reason);
    };
    this.#waits.add(giveUp);
    // What the user's own `sleep` throws is a rejection like others.
    const sleep = async () => await policy.sleep(delayMs, wait.signal);
    sleep().then(() => {
      call.wait = undefined;
      this.#travel(call);
    }, giveUp).finally(() => this.#waits.delete(giveUp));
  }

  /** Counts and publishes that a call is sent again, as a retry if it waits before. */
  #note(info: RetryInfo, isRetry: boolean): void {
    if (info.isReplay) {
      this.#replays++;
      this.#publish("replay", info);
    }
    if (isRetry) {
      this.#retries++;
      this.#publish("retry", info);
    }
    invokeSafely("onRetry of Redis", this.#options.onRetry, info);
  }

  /** What `Retry.run` is to do before it tries again. */
  #noting(command: string, isReplay: () => boolean) {
    return ({ attempt, delayMs, error }: RetryAttempt): void =>
      this.#note(
        {
          command,
          attempt: attempt + 1,
          delayMs,
          isReplay: isReplay(),
          error: error instanceof Error ? error : new Error(String(error)),
        },
        true,
      );
  }

  /** Sends a command on a connection that nothing else is sent on meanwhile. */
  async #sendAlone(
    command: Command,
    options: SendOptions,
    route: Route & { kind: "blocking" | "urgent" },
  ): Promise<Reply> {
    const policy = options.retry ?? this.#retry;
    const extraReplyTimeoutMs = route.kind === "blocking"
      ? route.extraReplyTimeoutMs
      : 0;
    // The policy's deadline is for commands that are answered at once.
    const deadlineMs = Math.min(
      options.deadlineMs ?? Infinity,
      deadlineOf({}, policy) + extraReplyTimeoutMs,
    );
    const placeFor = (signal: AbortSignal) =>
      route.kind === "blocking"
        ? {
          checkout: () => this.#checkoutAlone("blocking", signal),
          release: (right: PushRight, clean: boolean) =>
            this.#pool.release(right, clean),
          isReplica: ({ connection }: PushRight) =>
            this.#keeper.isReplica(connection),
        }
        : {
          checkout: () => this.#rightBeside(signal),
          release: (right: PushRight) =>
            right.close("its command was answered"),
          isReplica: () => {},
        };
    this.#calls++;
    try {
      return await this.#run(
        command[0],
        options.signal,
        deadlineMs,
        (task) =>
          sendBlocking(command, options, task, {
            policy,
            ...placeFor(task.signal),
            onRetry: (isReplay) => this.#noting(command[0], isReplay),
          }),
      );
    } catch (error) {
      throw withFate(error, fateOf(error));
    } finally {
      this.#keeper.closed(false);
    }
  }

  /** A connection beside the pool, which ends with the signal. */
  async #rightBeside(signal: AbortSignal): Promise<PushRight> {
    const connection = await this.#openBeside(signal);
    signal.addEventListener(
      "abort",
      () => connection.close("the client was closed"),
    );
    return new PushRight(connection);
  }

  #checkoutAlone(
    kind: "lease" | "blocking",
    signal: AbortSignal | undefined,
  ): Promise<PushRight> {
    return new Promise((take, fail) =>
      this.#pool.checkout({ kind, signal, take, fail })
    );
  }

  /** Checks out a connection for a lease, by the client's policy. */
  async #checkoutPatiently(signal: AbortSignal): Promise<PushRight> {
    const retry = this.#retry;
    const checkout = () => this.#checkoutAlone("lease", signal);
    return retry === false ? await checkout() : await retry.run(checkout, {
      signal,
      isRetriable: mayPass,
      onRetry: this.#noting("lease", () => false),
    });
  }

  #policyOf(call: Call): Retry | false {
    return call.options.retry ?? this.#retry;
  }

  /** Runs `fn` with a task that ends with the caller's signal, the deadline and the client, and keeps none of them busy afterwards. */
  async #run<T>(
    name: string,
    signal: AbortSignal | undefined,
    deadlineMs: number,
    fn: (task: Task) => Promise<T>,
  ): Promise<T> {
    refuseIfAborted(signal);
    if (deadlineMs === 0) throw tooLate(name);
    const task = new Task(name, deadlineMs);
    this.#tasks.add(task);
    const unwatch = signal &&
      whenAborted(signal, () => task.end(signal.reason));
    const removeDeadline = deadlineMs < Infinity
      ? this.#deadlines.add(task, performance.now() + deadlineMs)
      : undefined;
    try {
      return await fn(task);
    } finally {
      this.#tasks.delete(task);
      unwatch?.();
      removeDeadline?.();
    }
  }
}

/** The deadline had passed before the start. */
const tooLate = (name: string): DeadlineError =>
  new DeadlineError(name, 0, "unsent", "it had passed before the start");

/** When a call must be over, in milliseconds after its start: by its own options or by its policy's. */
const deadlineOf = (
  options: { readonly deadlineMs?: number },
  policy: Retry | false,
): number =>
  Math.min(
    options.deadlineMs ?? Infinity,
    policy === false ? Infinity : policy.deadlineMs ?? Infinity,
  );

/**
 * What the caller gets where it is not tried again: the error itself if it is
 * the only one, or the server's answer after it has run the command, else all of them.
 */
const finalError = (call: Call, error: Error): Error =>
  call.errors.length === 1 || isAnswer(error) ? error : gaveUp(call);

/**
 * All that the attempts of a call failed with.
 *
 * @param options `and`: what ended it that was no attempt. `retryAfterMs`: when to come back.
 */
function gaveUp(
  { errors, retries }: Call,
  options: { and?: unknown; retryAfterMs?: number } = {},
): RetryError {
  const { length: attempts } = errors;
  const { and, retryAfterMs } = options;
  return new RetryError(
    and === undefined ? errors : [...errors, and],
    { attempts, replays: attempts - 1 - retries, retryAfterMs },
  );
}
