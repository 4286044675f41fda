// Deno as a runtime: its sockets, timers and permissions.
import type { Endpoint } from "./endpoint.ts";
import type { DialOptions, Socket } from "./socket.ts";

export const name = "Deno";
export const keepsLastReply = true;

export async function connect(
  endpoint: Endpoint,
  options: DialOptions,
): Promise<Socket> {
  const { hostname, port, path, tls } = endpoint;
  const { signal } = options;
  if (path !== undefined) {
    return closable(await Deno.connect({ transport: "unix", path }));
  }
  if (tls === undefined) return await connectTcp();
  // Loaded where it is needed: with a client certificate it brings `node:tls`, 40 ms.
  const { dialTls } = await import("./deno_tls.ts");
  return await dialTls(endpoint, options, connectTcp);

  /**
   * Deno asks its signal to throw once more when the socket is open, and keeps
   * the socket if it does: 6 of 100 aborts in that moment. So its signal ends
   * the wait and does not throw.
   */
  async function connectTcp(): Promise<Deno.TcpConn> {
    signal.throwIfAborted();
    const quiet = AbortSignal.any([signal]);
    quiet.throwIfAborted = () => {};
    const tcp = await Deno.connect({ hostname, port, signal: quiet });
    if (signal.aborted) {
      tcp.close();
      throw signal.reason;
    }
    tcp.setNoDelay(true);
    tcp.setKeepAlive(true);
    return closable(tcp);
  }
}

export const newTimer = (onDue: (lateMs: number) => void): SignalTimer =>
  new SignalTimer(onDue);

export const newUnrefSleep = (): WaitAsyncSleep => new WaitAsyncSleep();

export function permissionHint(endpoint: Endpoint, text: string): string {
  const { path } = endpoint;
  if (path !== undefined) {
    return `--allow-read=${path} --allow-write=${path}, and since Deno 2.9 --allow-net=unix:${path}`;
  }
  // A client certificate, read by `node:tls`, may need a permission beyond the network.
  const other = /--allow-(?!net)[\w-]+/.exec(text);
  return other === null ? `--allow-net=${endpoint}` : other[0];
}

/**
 * Deno 2.8.3 alone does not end a pending read when its socket is closed, and so
 * keeps the socket open. Ending our side first makes the peer close, which ends the read.
 */
function closable<T extends Deno.Conn>(conn: T): T {
  if (Deno.version.deno !== "2.8.3") return conn;
  const close = conn.close.bind(conn);
  conn.close = () => {
    conn.closeWrite().catch(() => {});
    close();
  };
  return conn;
}

/** The longest single timeout signal. A signal cannot be cancelled: one that is no longer needed stays pending for up to this long. */
const MAX_MS = 60_000;

/**
 * A timer made of timeout signals. The first `setTimeout` of a process costs 7 to
 * 8 ms, since Deno 2.9 loads Node's timers for it, and the first signal 0.7 ms. A
 * signal cannot be stopped, so one that is still pending serves the next start as well.
 */
class SignalTimer {
  readonly #onDue: (lateMs: number) => void;
  #signal: AbortSignal | undefined;
  #dueAt = 0;
  #isOn = false;

  /**
   * Makes a timer, which is not running.
   *
   * @param onDue Called with how late the call is, in milliseconds.
   */
  constructor(onDue: (lateMs: number) => void) {
    this.#onDue = onDue;
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
    // Deno keeps the process alive for signals that have a listener.
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
    this.#onDue(performance.now() - this.#dueAt);
  };
}

/**
 * Waits without keeping the process alive. Like {@linkcode SignalTimer} it spares
 * a process the first `setTimeout`, which it would pay for between its first
 * command and its second.
 *
 * @see {@link https://developer.mozilla.org/en-US/docs/Web/JavaScript/Reference/Global_Objects/Atomics/waitAsync}
 */
export class WaitAsyncSleep {
  readonly #cell = new Int32Array(new SharedArrayBuffer(4));

  /** Waits for `ms` milliseconds, or until {@linkcode WaitAsyncSleep.end}. */
  async wait(ms: number): Promise<void> {
    await Atomics.waitAsync(this.#cell, 0, 0, ms).value;
  }

  /** Ends the waits under way. */
  end(): void {
    Atomics.notify(this.#cell, 0);
  }
}
