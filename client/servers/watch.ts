// A watch: looks at servers from time to time while calls are open.
import { runtime } from "../../pool/socket/runtime.ts";

/**
 * Looks again and again until a look finds nothing to watch. Without calls it
 * does not run, and it keeps no process alive.
 */
export class Watch {
  readonly #intervalMs: number;
  readonly #look: () => boolean;
  readonly #sleep = runtime.newUnrefSleep();
  #isRunning = false;
  #isOver = false;

  /**
   * @param intervalMs The time between two looks, in milliseconds.
   * @param look Looks. Returns whether to look again. It may not throw.
   */
  constructor(intervalMs: number, look: () => boolean) {
    this.#intervalMs = intervalMs;
    this.#look = look;
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
    } while (!this.#isOver && this.#look());
    this.#isRunning = false;
  }
}
