// The attempts of a call, from its start to its outcome.
import { ConnectionClosedError } from "../pool/connection/close_report.ts";
import type { PushRight } from "../pool/connection/push_right.ts";
import { ClosedError } from "../pool/errors.ts";
import type { Endpoint } from "../pool/socket/endpoint.ts";
import type { OneRequest } from "../pool/socket/other_runtimes.ts";
import { runtime } from "../pool/socket/runtime.ts";
import { whenAborted } from "../pool/when_aborted.ts";
import type { Retry } from "../retry/retry.ts";
import type { Call, CallEngine } from "./call.ts";
import { DeadlineError, Deadlines } from "./deadlines.ts";
import type { Drain } from "./drain.ts";
import {
  connectFailure,
  FailedAttempts,
  type Failure,
  lossFailure,
} from "./failure.ts";
import { withFate } from "./fate.ts";
import { invokeSafely } from "./invoke_safely.ts";
import type { RedisOptions, RetryInfo } from "./options.ts";
import { refuseIfAborted } from "./rejection.ts";
import type * as Fates from "./resolve_fate.ts";
import type * as Runs from "./server_run.ts";
import { BackoffWaits, RetryBudget } from "./retries.ts";
import { checkSendOptions, NO_OPTIONS } from "./send_options.ts";
import type { Router } from "./servers/directory.ts";
import type { Server } from "./servers/server.ts";
import { SingleCall } from "./single_call.ts";
import { sink } from "./telemetry.ts";

/** What resolves fates, once a call may need that. */
let fates: typeof Fates & typeof Runs | undefined;

async function loadFates(): Promise<void> {
  fates = {
    ...await import("./resolve_fate.ts"),
    ...await import("./server_run.ts"),
  };
}

/** What the attempts of a client need. */
export interface AttemptsOptions {
  /** The policy of calls that have none of their own; `false`: one attempt. */
  readonly retry: Retry | false;
  /** Called before each further attempt. */
  readonly onRetry: RedisOptions["onRetry"];
  /** Counts the calls, for close(). */
  readonly drain: Drain;
}

/**
 * The only loop of attempts: of commands, pipelines and leases alike.
 *
 * ```text
 *  start -> attempt -> [finding] -> [connecting] -> [identifying] -> [in-flight] -> replied
 *              ^           |                |               |
 *              |           +--- failed -----+---------------+
 *              |                   |
 *              |                 decide --- final or exhausted -> rejected
 *              |                   |
 *              +--- zombie, once --+
 *              +--- redirect ------+
 *              +--- [backing-off] -+
 *              +--- [resolving] ---+
 * ```
 *
 * - Each attempt asks the router which server is in charge.
 * - What may have run is sent again only where the call's `replay` allows it, or
 *   where a look at its key has shown that it has not run.
 * - In each state in brackets a signal, a deadline and {@linkcode Attempts.end} end the call.
 * - What a policy of the user's own throws rejects its own call alone.
 */
export class Attempts implements CallEngine {
  readonly oneRequest: OneRequest | undefined = runtime.newOneRequest?.(
    "client",
  );
  readonly #router: Router;
  readonly #policy: Retry | false;
  readonly #onRetry: RedisOptions["onRetry"];
  readonly #drain: Drain;
  readonly #budget = new RetryBudget();
  readonly #deadlines = new Deadlines();
  readonly #waits = new BackoffWaits();
  #retries = 0;
  #replays = 0;
  #isOver = false; // nothing is tried any more
  #isAdmitting = false; // calls begin that were admitted before

  /**
   * @param router Which server is in charge of a call, unless it comes with another router.
   * @param options See {@linkcode AttemptsOptions}.
   */
  constructor(router: Router, options: AttemptsOptions) {
    this.#router = router;
    this.#policy = options.retry;
    this.#onRetry = options.onRetry;
    this.#drain = options.drain;
  }

  /** What has been tried again so far, and how much more may be. */
  stats(): { retries: number; replays: number; retryBudget: number } {
    return {
      retries: this.#retries,
      replays: this.#replays,
      retryBudget: this.#budget.tokens,
    };
  }

  /**
   * Starts a call.
   *
   * @param call The call.
   * @param router Which server is in charge of it.
   * @throws {TypeError} If an option of the call cannot be used, or the client belongs to another request.
   * @throws {ClosedError} If the client is closed.
   * @throws {DeadlineError} If its deadline is 0.
   * @throws The reason of its signal, if that has aborted.
   */
  start(call: Call, router: Router = this.#router): void {
    call.router = router;
    const { options } = call;
    // The check would cost a call without options 8 ns of the 100 from its start to its outcome.
    if (options !== NO_OPTIONS) checkSendOptions(options);
    if (this.#drain.isClosing && (this.#isOver || !this.#isAdmitting)) {
      throw this.#closedError(call.purpose, router);
    }
    this.oneRequest?.assert(call.purpose);
    const { signal } = options;
    refuseIfAborted(signal);
    const deadlineMs = this.#deadlineOf(call);
    if (deadlineMs === 0) {
      const state = "it had passed before the start";
      throw new DeadlineError(call.name, 0, "unsent", state);
    }
    this.#drain.enter();
    if (signal !== undefined || deadlineMs < Infinity) {
      this.#limit(call, signal, deadlineMs);
    }
    this.attempt(call);
  }

  /**
   * Admits calls that begin later, once their code is loaded: close() waits for them.
   *
   * @param purpose What they do, to follow "Cannot" in an error.
   * @param router Which server is in charge of them.
   * @returns Must be called once: it calls `begin`, which may start them even if close() was called meanwhile.
   * @throws {ClosedError} If the client is closed.
   */
  admit(purpose: string, router: Router): (begin: () => void) => void {
    if (this.#drain.isClosing) throw this.#closedError(purpose, router);
    this.#drain.enter();
    return (begin) => {
      this.#isAdmitting = true;
      try {
        begin();
      } finally {
        this.#isAdmitting = false;
        this.#drain.leave();
      }
    };
  }

  ended(wasAnswered: boolean): void {
    if (wasAnswered) this.#budget.earn();
    this.#drain.leave();
  }

  failed(call: Call, failure: Failure): void {
    try {
      if (!call.isDone) this.#decide(call, failure);
    } catch (thrown) {
      const { failures } = call;
      call.reject(
        failures === undefined && thrown instanceof Error
          ? thrown // by the user's map of addresses, at a first redirect
          : (failures ?? new FailedAttempts()).retryError({ endedBy: thrown }),
      );
    }
  }

  /** Ends the calls that wait for their next attempt, and every later one when it fails. */
  end(reason: ClosedError): void {
    this.#isOver = true;
    this.#waits.fail(reason);
  }

  /** Another server has taken over: the calls that wait because of the old one try now. */
  hurry(from: Endpoint): void {
    this.#waits.hurry(from);
  }

  #closedError(purpose: string, { name }: Router): ClosedError {
    return new ClosedError(
      `Cannot ${purpose}: this client of ${name} is closed`,
    );
  }

  #policyOf(call: Call): Retry | false {
    return call.options.retry ?? this.#policy;
  }

  /** When a call must be over, in milliseconds after its start: by its own options or by its policy's. */
  #deadlineOf(call: Call): number {
    const policy = this.#policyOf(call);
    const ofPolicy = policy === false
      ? Infinity
      : policy.deadlineMs ?? Infinity;
    const { deadlineMs: own = Infinity } = call.options;
    return Math.min(own, ofPolicy + call.blocksForMs);
  }

  /** Lets a signal and a deadline end a call. */
  #limit(
    call: Call,
    signal: AbortSignal | undefined,
    deadlineMs: number,
  ): void {
    const startedAt = performance.now();
    const detachDeadline = deadlineMs < Infinity
      ? this.#deadlines.add(call, startedAt + deadlineMs)
      : undefined;
    const detachSignal = signal &&
      whenAborted(signal, () => call.abort(signal.reason));
    call.limits = {
      startedAt,
      deadlineMs,
      detach: () => {
        detachDeadline?.();
        detachSignal?.();
      },
    };
  }

  attempt(call: Call): void {
    if (call.isDone) return;
    const server = call.router!.serverOf(call);
    if (server === undefined) this.#find(call);
    else this.#attemptAt(call, server);
  }

  /** Finds the server in charge before the attempt. */
  #find(call: Call): void {
    call.enter("finding");
    const cancel = call.router!.find(call, {
      found: (server) => {
        if (call.isDone) return;
        call.enter("deciding");
        this.#attemptAt(call, server);
      },
      fail: (reason) => this.#failedToConnect(call, reason),
    });
    if (cancel !== undefined) call.enter("finding", cancel);
  }

  #attemptAt(call: Call, server: Server): void {
    call.server = server;
    const { need } = call;
    if (need === "shared") {
      const right = server.shared();
      if (right !== undefined) return this.#sendOn(call, right);
    }
    call.enter("connecting");
    const cancel = server.connect(need, {
      take: (right) => this.#sendOn(call, right),
      fail: (reason) => this.#failedToConnect(call, reason),
    });
    if (cancel !== undefined) call.enter("connecting", cancel);
  }

  #failedToConnect(call: Call, reason: unknown): void {
    if (call.isDone) return;
    call.enter("deciding");
    this.failed(call, connectFailure(withFate(reason, "unsent")));
  }

  #sendOn(call: Call, right: PushRight): void {
    if (
      call.options.resolveFate && call instanceof SingleCall &&
      fates?.knownRunOf(right.connection) === undefined
    ) this.#identify(call, right);
    else call.sendOn(right);
  }

  /**
   * Asks which server a connection leads to, before a command whose fate may have
   * to be resolved later. The connection may be leased by the time of the answer, so
   * the attempt starts again.
   */
  #identify(call: SingleCall, right: PushRight): void {
    call.enter("identifying");
    if (fates === undefined) {
      return void loadFates().then(
        () => this.attempt(call),
        (error) => call.reject(withFate(error, "unsent")),
      );
    }
    fates.identify(right).then(
      () => this.attempt(call),
      ({ report }: ConnectionClosedError) => {
        if (call.isDone) return;
        call.enter("deciding");
        const { openedAt } = right.connection;
        const loss = {
          report,
          fate: "unsent",
          untouched: true,
          openedAt,
        } as const;
        this.failed(call, lossFailure([{ loss, command: call.command }]));
      },
    );
  }

  /** What follows from a failed attempt. */
  #decide(call: Call, failed: Failure): void {
    const advice = this.#isOver
      ? undefined
      : call.router!.heed(call, failed.error);
    if (advice === "at-once") return this.attempt(call);
    const failure = advice === undefined ? failed : { ...failed, ...advice };
    const { error, isReplay, zombie } = failure;
    const failures = call.failures ??= new FailedAttempts();
    failures.errors.push(error);
    const isFirst = failures.errors.length === 1;
    const policy = this.#policyOf(call);
    if (this.#isOver) return call.reject(failures.finalError(error));
    if (!failure.mayRunAgain) {
      return call instanceof SingleCall && call.options.resolveFate &&
          isReplay && error instanceof ConnectionClosedError
        ? void this.#resolve(call, error)
        : call.reject(failures.finalError(error));
    }
    if (policy === false) return call.reject(failures.finalError(error));
    // Every connection that was open at the first failure may have died with that one.
    if (
      zombie && (isFirst ? zombie.wasUsed : zombie.openedAt < failures.firstAt)
    ) {
      this.#note(call, error, isReplay, 0);
      return this.attempt(call);
    }
    const now = performance.now();
    const { startedAt, deadlineMs } = call.limits ??
      { startedAt: failures.firstAt, deadlineMs: Infinity };
    const elapsedMs = now - startedAt;
    const next = policy.next(failures.retries, error, elapsedMs);
    if (next === "final") return call.reject(failures.finalError(error));
    if (next === "exhausted" || elapsedMs + next > deadlineMs) {
      return call.reject(failures.retryError());
    }
    if (failure.charge !== undefined && !this.#budget.spend(failure.charge)) {
      return call.reject(failures.retryError({ retryAfterMs: next }));
    }
    failures.retries++;
    this.#retries++;
    this.#note(call, error, isReplay, next, true);
    // onRetry may have aborted it.
    if (!call.isDone) this.#backOff(call, policy, next);
  }

  /** Counts and publishes that a call is sent again, as a retry if it waits before. */
  #note(
    call: Call,
    error: Error,
    isReplay: boolean,
    delayMs: number,
    isRetry = false,
  ): void {
    const attempt = call.failures!.errors.length;
    const info: RetryInfo = {
      command: call.name,
      attempt,
      delayMs,
      isReplay,
      error,
    };
    const { endpoint } = call.server ?? call.router!;
    if (isReplay) {
      this.#replays++;
      sink?.publish("replay", endpoint, info);
      const { onReplay } = call.options;
      if (onReplay) invokeSafely("onReplay of SendOptions", onReplay);
    }
    if (isRetry) sink?.publish("retry", endpoint, info);
    invokeSafely("onRetry of Redis", this.#onRetry, info);
  }

  #backOff(call: Call, policy: Retry, delayMs: number): void {
    this.#waits.add(
      call,
      // What the user's own `sleep` throws is a rejection like others.
      async (signal) => await policy.sleep(delayMs, signal),
      () => {
        if (call.isDone) return;
        call.enter("deciding");
        this.attempt(call);
      },
      // The next attempt is not made: the client was closed, or the wait has failed.
      (reason) => {
        if (call.isDone) return;
        call.failures!.retries--;
        call.giveUp(call.failures!.retryError({ endedBy: reason }));
      },
    );
  }

  /** Finds out whether a command that was lost has run, and sends it again if not. */
  async #resolve(call: SingleCall, lost: ConnectionClosedError): Promise<void> {
    const fate = await fates!.lookAt(call, this, (look) => {
      this.#drain.enter();
      this.attempt(look);
    });
    if (call.isDone) return;
    call.enter("deciding");
    if (fate === "unknown") return call.reject(call.failures!.finalError(lost));
    const error = new ConnectionClosedError(
      lost.report,
      fate,
      "as a look at its key has shown",
    );
    call.failures!.errors.pop();
    this.failed(call, {
      error,
      mayRunAgain: true,
      isReplay: false,
      charge: error,
      zombie: undefined,
    });
  }
}
