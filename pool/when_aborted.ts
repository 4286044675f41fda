// One listener on a signal, however many calls it may end.

/** The one listener on a signal. */
class Watch {
  readonly acts = new Set<() => void>();
  readonly #signal: AbortSignal;

  constructor(signal: AbortSignal) {
    this.#signal = signal;
    watches.set(signal, this);
    signal.addEventListener("abort", this.#onAbort);
  }

  end(): void {
    watches.delete(this.#signal);
    this.#signal.removeEventListener("abort", this.#onAbort);
  }

  readonly #onAbort = (): void => {
    this.end();
    for (const act of this.acts) act();
  };
}

const watches = new WeakMap<AbortSignal, Watch>();

/**
 * Calls a function when a signal aborts. All functions of a signal share one
 * listener, which is removed with the last of them: thousands of listeners on one
 * signal would cost the square of their number.
 *
 * @param signal A signal that has not aborted.
 * @param act The function. It must not throw.
 * @returns Cancels the call.
 */
export function whenAborted(signal: AbortSignal, act: () => void): () => void {
  const watch = watches.get(signal) ?? new Watch(signal);
  watch.acts.add(act);
  return () => {
    if (watch.acts.delete(act) && watch.acts.size === 0) watch.end();
  };
}
