// The retries of a client: how many there may be, so that an outage is not answered by a flood, and the waits before them.
import type { Endpoint } from "../pool/socket/endpoint.ts";
import type { Call } from "./call.ts";

/** Tokens in a full bucket. */
const RESERVE = 100;
/** Tokens that a success earns. */
const PER_SUCCESS = 0.1;

/**
 * A token bucket: each success earns a tenth of a token, each retry that costs
 * the server work spends one. A full bucket, from which a client starts, holds 100.
 */
export class RetryBudget {
  readonly #paid = new WeakSet<object>();
  #tokens = RESERVE;

  /** How many retries there are at once. */
  get tokens(): number {
    return this.#tokens;
  }

  /** A command was answered. */
  earn(): void {
    if (this.#tokens < RESERVE) this.#tokens += PER_SUCCESS;
  }

  /**
   * Takes a token if there is one.
   *
   * @param cause What the retry is charged to. The end of one connection costs one
   * token, however many commands were lost with it.
   */
  spend(cause: object): boolean {
    if (this.#paid.has(cause)) return true;
    if (this.#tokens < 1) return false;
    this.#tokens--;
    this.#paid.add(cause);
    return true;
  }
}

/** A wait, and what ends it. Whichever comes first counts. */
interface Wait {
  readonly sleep: AbortController;
  goOn(): void;
  fail(reason: unknown): void;
}

/** The calls that wait for their next attempt. */
export class BackoffWaits {
  readonly #waits = new Map<Call, Wait>();

  /**
   * Lets a call wait.
   *
   * @param call The call.
   * @param sleep Waits; the signal ends it.
   * @param goOn Called once the wait is over; the call may be done by then.
   * @param fail Called with the reason if it fails; the call may be done by then.
   */
  add(
    call: Call,
    sleep: (signal: AbortSignal) => Promise<void>,
    goOn: () => void,
    fail: (reason: unknown) => void,
  ): void {
    const controller = new AbortController();
    // After a wait that was cut short the call may wait again.
    const isOver = (): boolean =>
      this.#waits.get(call) === wait && this.#waits.delete(call);
    const wait: Wait = {
      sleep: controller,
      goOn: () => {
        if (isOver()) goOn();
      },
      fail: (reason) => {
        if (isOver()) fail(reason);
      },
    };
    call.enter("backing-off", (reason) => controller.abort(reason));
    this.#waits.set(call, wait);
    sleep(controller.signal).then(wait.goOn, wait.fail);
  }

  /** Fails all waits. */
  fail(reason: unknown): void {
    for (const wait of [...this.#waits.values()]) wait.fail(reason);
  }

  /**
   * Ends the waits of calls that failed at a server that another one has replaced.
   *
   * @param from The server.
   */
  hurry(from: Endpoint): void {
    for (const [{ server }, wait] of [...this.#waits]) {
      if (`${server?.endpoint}` !== `${from}`) continue;
      wait.goOn();
      wait.sleep.abort();
    }
  }
}
