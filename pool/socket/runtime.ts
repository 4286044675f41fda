// The runtime that this process runs on: its sockets, its timers, its permissions.
import * as deno from "./deno.ts";
import type { Endpoint } from "./endpoint.ts";
import {
  type OneRequest,
  type OtherName,
  otherRuntime,
} from "./other_runtimes.ts";
import type { DialOptions, Socket } from "./socket.ts";

/** What a runtime gives. No other module names a runtime. */
export interface Runtime {
  /** Its name, for errors. */
  readonly name: string;
  /**
   * Opens a TCP socket with no-delay and keep-alive, TLS included, or a Unix
   * socket. A write that has ended no longer needs its bytes.
   *
   * @throws {Error} The runtime's own error, a `TlsFailure` around it if TCP was open, or a `DialError`.
   */
  connect(endpoint: Endpoint, options: DialOptions): Promise<Socket>;
  /** Makes a timer, which is not running. */
  newTimer(onDue: (lateMs: number) => void): Timer;
  /** Makes a wait that does not keep the process alive. */
  newUnrefSleep(): UnrefSleep;
  /**
   * What grants the permission that a dial needs.
   *
   * @param endpoint Where to.
   * @param text The runtime's text of the denial.
   */
  permissionHint(endpoint: Endpoint, text: string): string;
  /** Whether memory is faster to get while the last large reply is kept reachable. */
  readonly keepsLastReply: boolean;
  /** Limits the use of a client or a recorder to one request; `undefined` where sockets belong to the process. */
  readonly newOneRequest?: ((what: string) => OneRequest) | undefined;
}

/** A timer to start and stop for each command. While it runs it keeps the process alive. */
export interface Timer {
  /**
   * Starts it, or restarts it. `onDue` may be called early: it checks whether the
   * time is up, and starts the timer again if not.
   *
   * @param ms After how many milliseconds it is due.
   * @param now The present, by `performance.now()`.
   */
  start(ms: number, now?: number): void;
  /** Stops it. */
  stop(): void;
}

/** Waits that do not keep the process alive. */
export interface UnrefSleep {
  /** Waits for `ms` milliseconds, or until {@linkcode UnrefSleep.end}. */
  wait(ms: number): Promise<void>;
  /** Ends the waits under way. */
  end(): void;
}

/** The globals by which runtimes are told apart. */
export interface Globals {
  readonly Deno?: unknown;
  readonly Bun?: unknown;
  readonly navigator?: { readonly userAgent?: unknown };
}

/**
 * Which runtime has these globals. Not told by `process`, which Workers may have,
 * nor by `navigator` alone, which tests replace and which Deno loads when it is
 * first read.
 *
 * @param globals `globalThis`.
 */
export function runtimeWith(globals: Globals): "Deno" | OtherName {
  if (globals.Deno !== undefined) return "Deno";
  if (globals.Bun !== undefined) return "Bun";
  return globals.navigator?.userAgent === "Cloudflare-Workers"
    ? "Cloudflare Workers"
    : "Node";
}

const name = runtimeWith(globalThis as Globals);

/** The runtime in use. */
export const runtime: Runtime = name === "Deno" ? deno : otherRuntime(name);
