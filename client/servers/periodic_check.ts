// A check that is made from time to time while there is need of it, such as while calls are open.
import { runtime } from "../../pool/socket/runtime.ts";

/**
 * Checks again and again until a check finds no need of another. It keeps no process alive.
 */
export class PeriodicCheck {
  readonly #intervalMs: number;
  readonly #check: () => boolean;
  readonly #sleep = runtime.newUnrefSleep();
  #isRunning = false;
  #isOver = false;

  /**
   * @param intervalMs The time between two checks, in milliseconds.
   * @param check Checks. Returns whether to check again. It may not throw.
   */
  constructor(intervalMs: number, check: () => boolean) {
    this.#intervalMs = intervalMs;
    this.#check = check;
  }

  /** Starts it; without effect while it runs. */
  start(): void {
    if (!this.#isRunning && !this.#isOver) this.#run();
  }

  /** Ends it for good. */
  end(): void {
    this.#isOver = true;
    this.#sleep.end();
  }

  async #run(): Promise<void> {
    this.#isRunning = true;
    do {
      await this.#sleep.wait(this.#intervalMs);
    } while (!this.#isOver && this.#check());
    this.#isRunning = false;
  }
}
