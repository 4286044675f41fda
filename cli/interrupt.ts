// Ctrl-C and SIGTERM as an abort signal, by which a command ends in good order.

/** Signals closer together, in milliseconds, are one: `timeout(1)` sends one to the process and one to its group. */
const TOGETHER_MS = 500;

const SIGNALS: readonly Deno.Signal[] = Deno.build.os === "windows"
  ? ["SIGINT"]
  : ["SIGINT", "SIGTERM"];

/** Aborts its signal at the first Ctrl-C, and ends the process at the second. */
export class Interrupt implements Disposable {
  readonly #stop = new AbortController();
  #at: number | undefined;

  constructor() {
    SIGNALS.forEach((name) => Deno.addSignalListener(name, this.#onSignal));
  }

  get signal(): AbortSignal {
    return this.#stop.signal;
  }

  [Symbol.dispose](): void {
    SIGNALS.forEach((name) => Deno.removeSignalListener(name, this.#onSignal));
  }

  readonly #onSignal = (): void => {
    this.#at ??= performance.now();
    this.#stop.abort(new Error("interrupted"));
    if (performance.now() - this.#at > TOGETHER_MS) Deno.exit(130);
  };
}
