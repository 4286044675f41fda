// Ctrl-C and SIGTERM as a signal that a command ends by in good order.

/** `timeout(1)` sends one signal to the process and one to its group: these are one wish. */
const SAME_WISH_MS = 500;

const SIGNALS: readonly Deno.Signal[] = Deno.build.os === "windows"
  ? ["SIGINT"]
  : ["SIGINT", "SIGTERM"];

/** Aborts its signal at the first Ctrl-C, and ends the process at the next. */
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
    if (performance.now() - this.#at > SAME_WISH_MS) Deno.exit(130);
  };
}
