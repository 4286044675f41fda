// The client: where the pool meets retry.
import type { Command, Reply } from "../resp/mod.ts";
import {
  ClosedError,
  type Connection,
  ConnectionClosedError,
  type ConnectionFacts,
  type ConnectionObserver,
  dial,
  Endpoint,
  type Fate,
  open,
  type OpenOptions,
  Pool,
  PushRight,
  type Verdict,
} from "../pool/mod.ts";
import { mayPass } from "../pool/checkout_error.ts";
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
  type SendOptions,
  SingleCall,
} from "./call.ts";
import { modeHint } from "../pool/server_mode.ts";
import { isAnswer } from "./command_error.ts";
import { fateOf, noteAbort, withFate } from "./fate.ts";
import { Inquest } from "./inquest.ts";
import { Lease } from "./lease.ts";
import {
  checkOptions,
  checkSendOptions,
  numbersOf,
  type RedisOptions,
  type RetryInfo,
  SIGNAL,
} from "./options.ts";
import { promiseOf, refuseIfAborted } from "./rejection.ts";
import { resolveFate } from "./resolve_fate.ts";
import { reasonAgainstPipeline, routeOf } from "./routing.ts";
import { type Happenings, listener, type Origin } from "./telemetry.ts";
import { describe, type RedisStats } from "./stats.ts";
import { tell } from "./tell.ts";

const NO_OPTIONS: SendOptions = {};

/**
 * A Redis client that never hands a caller a connection it knows to be dead.
 *
 * - It dials on first use, and never holds more than `maxConnections`.
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
  readonly #openBeside: (
    signal: AbortSignal,
    observer: ConnectionObserver,
  ) => Promise<Connection>;
  readonly #inquest: Inquest | undefined;
  readonly #retry: Retry | false;
  readonly #naps = new Set<AbortController>();
  #calls = 0;
  readonly #budget = new RetryBudget();
  #retries = 0;
  #replays = 0;
  #lastVerdict: Verdict | undefined;
  #serverNote: string | undefined;
  #closed: Promise<void> | undefined;
  #drained: (() => void) | undefined;

  /**
   * Makes a client. Nothing is dialed yet.
   *
   * @param url `redis://` or `rediss://`. @default {"redis://127.0.0.1:6379"}
   * @param options See {@linkcode RedisOptions}.
   * @throws {TypeError} If the URL or an option cannot be used.
   * @throws {RangeError} If a number is out of its range.
   */
  constructor(url?: string | URL, options: RedisOptions = {}) {
    const numbers = numbersOf(options);
    const endpoint = new Endpoint(url, options);
    this.#endpoint = endpoint;
    this.#options = options;
    this.#retry = options.retry ??
      new Retry({ backoff: new ExponentialBackoff({ jitter: 0.5 }) });
    this.#inquest = options.postMortem
      ? new Inquest((verdict) => {
        this.#lastVerdict = verdict;
        tell("onVerdict of Redis", options.onVerdict, verdict);
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
    this.#openBeside = (signal, observer) =>
      openTo(new Endpoint(url, { ...options, database: 0 }), {
        number: 0,
        observer,
        signal,
      });
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
        if (right !== undefined) this.#inquest?.opened(right);
      },
      onDialFailed: (error) => this.#publish("connection:fail", { error }),
      onEvict: (reason, { number }) =>
        this.#publish("connection:evict", { connection: number, reason }),
      onWait: (wait) => this.#publish("checkout:wait", wait),
      onRefused: (report, connection) =>
        this.#inquest?.closed(report, connection),
      onClose: (report, connection) => {
        this.#publish("connection:close", { report });
        this.#inquest?.closed(report, connection);
        tell("onClose of Redis", options.onClose, report);
      },
      open: async (number, observer, signal, progress) => {
        await this.#inquest?.ready;
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
   * @throws {TypeError} If the command cannot be sent, or not on a shared connection.
   */
  send(command: Command, options: SendOptions = NO_OPTIONS): Promise<Reply> {
    return listener === undefined
      ? this.#send(command, options)
      : listener.trace(
        this.#endpoint,
        [command],
        false,
        () => this.#send(command, options),
      );
  }

  #send(command: Command, options: SendOptions): Promise<Reply> {
    return promiseOf((resolve, reject) => {
      const route = routeOf(command);
      if (route.kind === "shared") {
        this.#start(
          new SingleCall(this.#keeper, command, options, resolve, reject),
        );
      } else if (route.kind === "blocking" || route.kind === "urgent") {
        checkSendOptions(options);
        this.#refuseIfClosed(`send ${command[0]}`);
        refuseIfAborted(options.signal);
        resolve(this.#sendAlone(command, options, route.kind));
      } else {
        throw new TypeError(
          `Cannot send ${command[0]} on a shared connection: ${route.why}`,
        );
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
   * @throws {TypeError} If a command cannot be sent; none has been then.
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
  pipeline(
    commands: readonly Command[],
    options: SendOptions = NO_OPTIONS,
  ): Promise<Reply[]> {
    return listener === undefined
      ? this.#pipeline(commands, options)
      : listener.trace(
        this.#endpoint,
        commands,
        true,
        () => this.#pipeline(commands, options),
      );
  }

  #pipeline(
    commands: readonly Command[],
    options: SendOptions,
  ): Promise<Reply[]> {
    return promiseOf((resolve, reject) => {
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
   * @param options The signal ends the wait.
   * @returns The lease. Release it, or declare it with `await using`.
   * @throws {CheckoutTimeoutError} If none is free in time.
   * @throws {DialError} If no connection can be opened.
   * @throws {RetryError} If every attempt failed.
   */
  async lease(options: { signal?: AbortSignal } = {}): Promise<Lease> {
    let isCounted = false;
    try {
      checkOptions(options, { signal: SIGNAL });
      this.#refuseIfClosed("lease a connection");
      this.#calls++;
      isCounted = true;
      const right = await this.#checkoutPatiently(options.signal);
      this.#calls++;
      return new Lease(right, this.#endpoint, {
        release: (clean) => {
          this.#pool.release(right, clean);
          this.#keeper.closed(false);
        },
        isReplica: () => this.#pool.retire(right.connection, "readonly"),
      });
    } catch (error) {
      if (options?.signal?.aborted) noteAbort(options.signal.reason, "unsent");
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
   * Refuses new calls, waits for those under way, then closes every connection.
   *
   * @param options `drainMs`: how long to wait, in milliseconds (default 5000). Calls
   * that are not done by then are rejected.
   */
  close(options: { drainMs?: number } = {}): Promise<void> {
    return this.#closed ??= this.#close(options.drainMs ?? 5000);
  }

  async #close(drainMs: number): Promise<void> {
    if (this.#calls > 0 && drainMs > 0) {
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#drained = resolve;
      const timer = setTimeout(resolve, Math.min(drainMs, 2 ** 31 - 1));
      await promise;
      clearTimeout(timer);
    }
    const reason = new ClosedError(
      `Cannot go on: this client of ${this.#endpoint} is closed`,
    );
    for (const nap of this.#naps) nap.abort(reason);
    this.#pool.close(reason);
  }

  /** The same as {@linkcode Redis.close}. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  /** What it holds, who waits and what went wrong, in a few lines; never the password. */
  [Symbol.for("Deno.customInspect")](): string {
    return describe({
      endpoint: `${this.#endpoint}`,
      isTls: this.#endpoint.tls !== undefined,
      isClosed: this.isClosed,
      note: this.#serverNote,
      stats: this.stats(),
    });
  }

  #publish<Name extends keyof Happenings>(
    name: Name,
    what: Happenings[Name],
  ): void {
    listener?.tell(name, this.#endpoint, what);
  }

  #refuseIfClosed(what: string): void {
    if (!this.isClosed) return;
    throw new ClosedError(
      `Cannot ${what}: this client of ${this.#endpoint} is closed`,
    );
  }

  #start(call: Call): void {
    if (call.options !== NO_OPTIONS) checkSendOptions(call.options);
    const { signal } = call.options;
    if (this.isClosed) this.#refuseIfClosed(`send ${call.name}`);
    if (signal !== undefined) {
      refuseIfAborted(signal);
      call.unwatch = whenAborted(signal, () => {
        noteAbort(signal.reason, call.fate);
        call.abort(signal.reason);
        call.nap?.abort(signal.reason);
      });
    }
    const policy = this.#policyOf(call);
    if (policy !== false && policy.deadlineMs < Infinity) {
      call.startedAt = performance.now();
    }
    this.#calls++;
    this.#travel(call);
  }

  #travel(call: Call): void {
    const right = this.#pool.shared();
    if (right !== undefined) return call.travel(right);
    this.#pool.checkout({
      kind: "shared",
      signal: call.options.signal,
      take: (right) => call.travel(right),
      fail: (reason) =>
        this.#keeper.failed(call, {
          error: reason instanceof Error ? reason : new Error(String(reason)),
          mayRunAgain: mayPass(reason),
          isReplay: false,
          charge: undefined,
          zombie: undefined,
        }),
    });
  }

  readonly #keeper: CallKeeper = {
    closed: (wasAnswered) => {
      if (wasAnswered) this.#budget.earn();
      if (--this.#calls === 0) this.#drained?.();
    },
    isReplica: (connection: ConnectionFacts) =>
      // It was the primary once; the next connection may lead to the new one.
      this.#pool.retire(connection, "readonly"),
    failed: (call: Call, failure: Failure) => {
      try {
        this.#failed(call, failure);
      } catch (thrown) {
        // A policy of the user's own: strangers must not suffer from it.
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
    if (!failure.mayRunAgain) {
      return call.options.resolveFate && isReplay && call instanceof SingleCall
        ? void this.#resolveFate(call, error)
        : call.reject(finalError(call, error));
    }
    if (policy === false) return call.reject(finalError(call, error));
    // Whoever was open by the first failure may have died with the first one.
    if (
      zombie && (isFirst ? zombie.wasUsed : zombie.openedAt < call.failedAt)
    ) {
      return this.#again(call, failure, 0);
    }

    if (call.startedAt === 0) call.startedAt = performance.now();
    const next = policy.next(
      call.retries,
      error,
      performance.now() - call.startedAt,
    );
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
    try {
      const right = await this.#checkoutPatiently(call.options.signal);
      try {
        this.#inquest?.fenced(ended!);
        fate = await resolveFate(right, ended!, command);
      } finally {
        this.#pool.release(right, true);
      }
    } catch {
      // No connection, no facts.
    }
    if (!(lost instanceof ConnectionClosedError) || fate === "unknown") {
      return call.reject(finalError(call, lost));
    }
    const resolved = new ConnectionClosedError(
      lost.report,
      fate,
      "and a look at the key has shown that it did not run",
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
    // A signal for each: thousands of listeners on one would cost the square.
    const nap = new AbortController();
    this.#naps.add(nap);
    call.nap = nap;
    // What the user's own `sleep` throws is a rejection like others.
    const wait = async () => await policy.sleep(delayMs, nap.signal);
    wait().then(
      () => this.#travel(call),
      (reason) => {
        call.retries--; // it was not made: the client was closed, or the wait has failed
        call.reject(gaveUp(call, { and: reason }));
      },
    ).finally(() => this.#naps.delete(nap));
  }

  /** Counts and tells that a call is sent again, as a retry if it waits before. */
  #note(info: RetryInfo, isRetry: boolean): void {
    if (info.isReplay) {
      this.#replays++;
      this.#publish("replay", info);
    }
    if (isRetry) {
      this.#retries++;
      this.#publish("retry", info);
    }
    tell("onRetry of Redis", this.#options.onRetry, info);
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
    kind: "blocking" | "urgent",
  ): Promise<Reply> {
    this.#calls++;
    const { signal } = options;
    const place = kind === "blocking"
      ? {
        checkout: () => this.#checkoutAlone("blocking", signal),
        release: (right: PushRight, clean: boolean) =>
          this.#pool.release(right, clean),
        isReplica: ({ connection }: PushRight) =>
          this.#pool.retire(connection, "readonly"),
      }
      : {
        checkout: () => this.#rightBeside(signal),
        release: (right: PushRight) => right.close("its command was answered"),
        isReplica: () => {},
      };
    try {
      return await sendBlocking(command, options, {
        policy: options.retry ?? this.#retry,
        ...place,
        whileOpen: (fn) => this.#whileOpen(signal, fn),
        onRetry: (isReplay) => this.#noting(command[0], isReplay),
      });
    } catch (error) {
      if (signal?.aborted) noteAbort(signal.reason, "unknown");
      throw withFate(error, fateOf(error));
    } finally {
      this.#keeper.closed(false);
    }
  }

  /** The right to push on a connection beside the pool, which ends with the client. */
  async #rightBeside(signal: AbortSignal | undefined): Promise<PushRight> {
    const end = new AbortController();
    const onClose = () => void this.#naps.delete(end);
    this.#naps.add(end);
    try {
      const connection = await this.#openBeside(
        signal ? AbortSignal.any([signal, end.signal]) : end.signal,
        { onClose },
      );
      end.signal.addEventListener(
        "abort",
        () => connection.close("the client was closed"),
      );
      return new PushRight(connection);
    } catch (error) {
      onClose();
      throw error;
    }
  }

  #checkoutAlone(
    kind: "lease" | "blocking",
    signal: AbortSignal | undefined,
  ): Promise<PushRight> {
    return new Promise((take, fail) =>
      this.#pool.checkout({ kind, signal, take, fail })
    );
  }

  /** The same, tried again by the client's policy. */
  async #checkoutPatiently(signal?: AbortSignal): Promise<PushRight> {
    const retry = this.#retry;
    const checkout = () => this.#checkoutAlone("lease", signal);
    return retry === false
      ? await checkout()
      : await this.#whileOpen(signal, (signal) =>
        retry.run(checkout, {
          signal,
          isRetriable: mayPass,
          onRetry: this.#noting("lease", () => false),
        }));
  }

  #policyOf(call: Call): Retry | false {
    return call.options.retry ?? this.#retry;
  }

  /** Runs `fn` with a signal that ends with the caller's and with the client, and keeps neither busy afterwards. */
  async #whileOpen<T>(
    signal: AbortSignal | undefined,
    fn: (signal: AbortSignal) => Promise<T>,
  ): Promise<T> {
    const nap = new AbortController();
    signal?.throwIfAborted();
    const unwatch = signal &&
      whenAborted(signal, () => nap.abort(signal.reason));
    this.#naps.add(nap);
    try {
      return await fn(nap.signal);
    } finally {
      this.#naps.delete(nap);
      unwatch?.();
    }
  }
}

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
