// The options of a client.
import type { ParserLimits } from "../resp/limits.ts";
import type { CloseReport } from "../pool/connection/close_report.ts";
import type { EndpointOptions } from "../pool/socket/endpoint.ts";
import type { Dial } from "../pool/socket/socket.ts";
import type { Verdict } from "../pool/forensics/verdict.ts";
import type { Retry } from "../retry/retry.ts";

/** A call is about to be sent again. */
export interface RetryInfo {
  /** The command's name, or that of the first unanswered one of a pipeline; `"lease"` for `Redis.lease`. */
  readonly command: string;
  /** How many attempts have failed. */
  readonly attempt: number;
  /** The wait before the next one, in milliseconds; 0 after a zombie. */
  readonly delayMs: number;
  /** Whether the command may have run already. */
  readonly isReplay: boolean;
  /** What the last attempt failed with. */
  readonly error: Error;
}

/** Options of a `Redis` client. Durations are in milliseconds; `Infinity` means no limit. */
export interface RedisOptions extends EndpointOptions {
  /**
   * Never more connections to one server than this, except for commands that end what holds up
   * the others (SCRIPT KILL, FUNCTION KILL, CLIENT UNPAUSE, …): each opens one of
   * its own, and closes it.
   * @default {10}
   */
  maxConnections?: number | undefined;
  /**
   * For name look-up, TCP, TLS and handshake together. A look-up given up
   * early goes on in the background, for up to 10 seconds where DNS is silent:
   * below a second these can fill the threads that Deno has for files and names.
   * @default {5000}
   */
  connectTimeoutMs?: number | undefined;
  /**
   * How long a reply may be owed without a byte coming; then the connection is
   * closed. A reply that takes six times as long must then go on by 1 KiB in each
   * further such time.
   * @default {5000}
   */
  replyTimeoutMs?: number | undefined;
  /** How long a call waits for a connection. @default {5000} */
  checkoutTimeoutMs?: number | undefined;
  /**
   * An idle connection is closed after this. The default is below the 240 s after
   * which Azure Load Balancer drops it silently, with room for a check once a
   * second; AWS drops at 350 s, many servers and proxies close at 300 s.
   * @default {230000}
   */
  idleTimeoutMs?: number | undefined;
  /** A connection is retired at this age, less up to a tenth by chance. @default {1800000} */
  maxAgeMs?: number | undefined;
  /** A connection idle for longer must answer a PING before its next command. @default {10000} */
  validateAfterIdleMs?: number | undefined;
  /** How many calls may wait for a connection. @default {20000} */
  maxWaiting?: number | undefined;
  /** The retry policy; `false` makes exactly one attempt a call. @default {base 100 ms, cap 1000 ms, 3 retries, jitter 0.5} */
  retry?: Retry | false | undefined;
  /** The largest reply to accept. @default {those of `ParserLimits`} */
  limits?: ParserLimits | undefined;
  /** Opens sockets. @default {those of the runtime} */
  dial?: Dial | undefined;
  /** Called with the report of each connection that has ended, before the commands that it took along are rejected. */
  onClose?: ((report: CloseReport) => void) | undefined;
  /** Whether to look for the cause when a connection has ended: with the next one, by INFO, CONFIG GET and CLIENT LIST, after a silence also SLOWLOG GET and LATENCY LATEST. Where another server has taken over, that is the verdict, and nothing is asked. @default {false} */
  postMortem?: boolean | undefined;
  /** Called with the verdict of each post-mortem: of each server at most one in 5 seconds, and one when another server has taken over. */
  onVerdict?: ((verdict: Verdict) => void) | undefined;
  /** Called after each failed attempt that another one follows, before the wait. */
  onRetry?: ((info: RetryInfo) => void) | undefined;
}
