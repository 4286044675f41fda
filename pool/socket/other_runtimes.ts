// Node, Bun and Cloudflare Workers as runtimes: timers of `setTimeout`, requests, and sockets that are loaded with the first dial.
import type { Endpoint } from "./endpoint.ts";
import type { DialOptions, Socket } from "./socket.ts";

/** The runtimes besides Deno. */
export type OtherName = "Node" | "Bun" | "Cloudflare Workers";

/** What opens sockets, by runtime. Each import is written out, so that a bundler takes the module along. */
const SOCKETS: Readonly<
  Record<
    OtherName,
    () => Promise<
      {
        connect(endpoint: Endpoint, options: DialOptions): Promise<Socket>;
      }
    >
  >
> = {
  "Node": () => import("./node.ts"),
  "Bun": () => import("./bun.ts"),
  "Cloudflare Workers": () => import("./workers.ts"),
};

/** One of these runtimes, as `Runtime` of runtime.ts. */
export function otherRuntime(name: OtherName): {
  readonly name: OtherName;
  connect(endpoint: Endpoint, options: DialOptions): Promise<Socket>;
  newTimer(onDue: (lateMs: number) => void): PlainTimer;
  newUnrefSleep(): PlainSleep;
  permissionHint(): string;
  readonly keepsLastReply: boolean;
  readonly newOneRequest: ((what: string) => OneRequest) | undefined;
} {
  // Node 20 lacks it; what uses it would fail with "is not a function".
  if (!("withResolvers" in Promise)) {
    throw new TypeError(
      `Cannot use @unzombie/redis on this version of ${name}: expected Node 22, Bun 1.2 or later`,
    );
  }
  return {
    name,
    connect: async (endpoint, options) =>
      await (await SOCKETS[name]()).connect(endpoint, options),
    newTimer: (onDue) => new PlainTimer(onDue),
    newUnrefSleep: () => new PlainSleep(),
    permissionHint: () => "--allow-net",
    keepsLastReply: name !== "Bun", // the only one whose engine is not V8
    newOneRequest: name === "Cloudflare Workers"
      ? (what) => new OneRequest(what, markRequest)
      : undefined,
  };
}

/** Refuses what comes from another request than the first: on Workers a socket belongs to the request that has opened it. */
export class OneRequest {
  readonly #what: string;
  readonly #mark: () => () => boolean;
  #isSame: (() => boolean) | undefined;

  /**
   * @param what What is used, for errors.
   * @param mark Marks the request that is being served. What it returns says whether the same one is being served again.
   */
  constructor(what: string, mark: () => () => boolean) {
    this.#what = what;
    this.#mark = mark;
  }

  /**
   * To be called before anything is sent. The first call says which request it is.
   *
   * @param purpose What is to be done, to follow "Cannot" in an error.
   * @throws {TypeError} If this is another request. Its fate is `"unsent"`.
   */
  assert(purpose: string): void {
    this.#isSame ??= this.#mark();
    if (this.#isSame()) return;
    const error = new TypeError(
      `Cannot ${purpose}: this ${this.#what} was first used in another request, and on Cloudflare Workers ` +
        `a socket belongs to the request that has opened it. Make a client for each request, or let a Durable Object have it`,
    );
    throw Object.assign(error, { fate: "unsent" });
  }
}

/** What only Workers have. */
interface WorkersGlobals {
  readonly WebSocketPair: new () => {
    readonly 1: { readonly readyState: number };
  };
}

/**
 * An object of a request throws when another request looks at it: 0.1 us a look,
 * 6 us to make one. All requests of a Durable Object are one in that respect.
 * That this object throws is no documented promise; `signal.aborted` once did, too.
 */
function markRequest(): () => boolean {
  const { WebSocketPair } = globalThis as unknown as WorkersGlobals;
  const { 1: socket } = new WebSocketPair();
  return () => {
    try {
      return socket.readyState >= 0;
    } catch {
      return false;
    }
  };
}

/** What `setTimeout` returns on Node and Bun. On Workers it is a number, and no timer keeps a request alive. */
interface Timeout {
  ref?(): void;
  unref?(): void;
}

/** As long as the longest signal of Deno's timer, so that users of timers see one rule. */
const MAX_MS = 60_000;

/**
 * A timer that is started and stopped for each command at the cost of `ref` and
 * `unref`: one that is still pending serves the next start as well.
 */
export class PlainTimer {
  readonly #onDue: (lateMs: number) => void;
  #timeout: Timeout | undefined;
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
    if (this.#timeout === undefined || this.#dueAt > now + waitMs) {
      this.#clear();
      this.#dueAt = now + waitMs;
      this.#timeout = setTimeout(this.#fire, waitMs) as unknown as Timeout;
    } else if (!this.#isOn) {
      this.#timeout.ref?.();
    }
    this.#isOn = true;
  }

  /** Stops it. */
  stop(): void {
    if (!this.#isOn) return;
    this.#isOn = false;
    // Where it cannot be told to keep nothing alive it must not stay behind.
    if (this.#timeout?.unref === undefined) return this.#clear();
    this.#timeout.unref();
  }

  #clear(): void {
    clearTimeout(this.#timeout as unknown as number);
    this.#timeout = undefined;
  }

  readonly #fire = (): void => {
    this.#timeout = undefined;
    if (!this.#isOn) return;
    this.#isOn = false;
    this.#onDue(performance.now() - this.#dueAt);
  };
}

/** Waits without keeping the process alive. `Atomics.waitAsync` never resolves on Workers. */
export class PlainSleep {
  readonly #ends = new Set<() => void>();

  /** Waits for `ms` milliseconds, or until {@linkcode PlainSleep.end}. */
  wait(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const end = () => {
        clearTimeout(timeout as unknown as number);
        this.#ends.delete(end);
        resolve();
      };
      const timeout = setTimeout(end, ms) as unknown as Timeout;
      timeout.unref?.();
      this.#ends.add(end);
    });
  }

  /** Ends the waits under way. */
  end(): void {
    for (const end of this.#ends) end();
  }
}
