// Timers that cost little.

/** A timer that waits for longer is called early: one that was stopped goes on in the dark for this long. */
const MAX_MS = 60_000;

/**
 * A timer to start and stop for each command. While it runs it keeps the
 * process alive.
 *
 * It is made of timeout signals: the first `setTimeout` of a process costs
 * 7 ms, since Deno 2.9 loads Node's timers for it, and a signal 0.7 ms. A signal
 * cannot be stopped, so one that is pending serves the next start as well.
 */
export class LightTimer {
  readonly #fn: (lateMs: number) => void;
  #signal: AbortSignal | undefined;
  #dueAt = 0;
  #isOn = false;

  /**
   * @param fn What to call, told how late the call is. It may come early: ask
   * whether the time is up, and start again if not.
   */
  constructor(fn: (lateMs: number) => void) {
    this.#fn = fn;
  }

  /** Starts it, for `ms` milliseconds from `now` or a minute, whichever is less. */
  start(ms: number, now: number = performance.now()): void {
    const waitMs = Math.min(Math.max(0, Math.ceil(ms)), MAX_MS);
    if (this.#signal?.aborted !== false || this.#dueAt > now + waitMs) {
      this.stop();
      this.#dueAt = now + waitMs;
      this.#signal = AbortSignal.timeout(waitMs);
    }
    if (this.#isOn) return;
    this.#isOn = true;
    // Deno keeps the process alive for signals that are listened to.
    this.#signal.addEventListener("abort", this.#fire);
  }

  /** Stops it. */
  stop(): void {
    if (!this.#isOn) return;
    this.#isOn = false;
    this.#signal!.removeEventListener("abort", this.#fire);
  }

  readonly #fire = (): void => {
    this.#isOn = false;
    this.#fn(performance.now() - this.#dueAt);
  };
}

/**
 * Waits without keeping the process alive, and without what the first
 * `setTimeout` of a process costs: 8 ms between its first and second command.
 *
 * @see {@link https://developer.mozilla.org/en-US/docs/Web/JavaScript/Reference/Global_Objects/Atomics/waitAsync}
 */
export class Sleeper {
  readonly #cell = new Int32Array(new SharedArrayBuffer(4));

  /** Waits for `ms` milliseconds, or until {@linkcode Sleeper.wake}. */
  async sleep(ms: number): Promise<void> {
    await Atomics.waitAsync(this.#cell, 0, 0, ms).value;
  }

  /** Ends the waits under way. */
  wake(): void {
    Atomics.notify(this.#cell, 0);
  }
}
