// Calls that wait for their next attempt: how a wait ends, in time or before.
import type { Endpoint } from "../pool/socket/endpoint.ts";
import type { Call } from "./call.ts";

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
