// One listener on a signal, however many calls it may end.

/** What is to be done when a signal aborts. */
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
 * Does something when a signal aborts. The first thing to do puts a listener on
 * the signal, and the last one that is called off takes it away again. Thousands
 * of listeners on one signal would cost the square of their number.
 *
 * @param signal A signal that has not aborted.
 * @param act What to do. It must not throw.
 * @returns Calls it off.
 */
export function whenAborted(signal: AbortSignal, act: () => void): () => void {
  const watch = watches.get(signal) ?? new Watch(signal);
  watch.acts.add(act);
  return () => {
    if (watch.acts.delete(act) && watch.acts.size === 0) watch.end();
  };
}
