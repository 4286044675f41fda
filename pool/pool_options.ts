// The options of a pool: its limits, how a connection is opened, and what is called when something happens.
import type { CloseReport } from "./connection/close_report.ts";
import type {
  Connection,
  ConnectionObserver,
} from "./connection/connection.ts";
import type { DialProgress } from "./connection/open.ts";
import type { ConnectionFacts, PushRight } from "./connection/push_right.ts";
import type { EvictionReason } from "./pool_stats.ts";
import type { CheckoutWait } from "./waiters.ts";

/** Options of a `Pool`. */
export interface PoolOptions {
  /** `host:port`, for errors. */
  readonly endpoint: string;
  /** Opens connection number `number`. */
  readonly open: (
    number: number,
    observer: ConnectionObserver,
    signal: AbortSignal,
    progress: DialProgress,
  ) => Promise<Connection>;
  /** Never more connections than this, those being dialed included. */
  readonly maxConnections: number;
  /** How long a caller waits for a connection, in milliseconds. */
  readonly checkoutTimeoutMs: number;
  /** How many callers may wait. */
  readonly maxWaiting: number;
  /** An idle connection is closed after this, in milliseconds. */
  readonly idleTimeoutMs: number;
  /** A connection is retired at this age less up to a tenth, in milliseconds. */
  readonly maxAgeMs: number;
  /** A connection idle for longer must answer a PING before its next command, in milliseconds. */
  readonly validateAfterIdleMs: number;
  /**
   * Called for each new connection, after the callers that waited for it were
   * served, with the time that it took to open it and, if it is shared, the right to
   * push on it: what is to be sent must be pushed before this returns.
   */
  readonly onOpen?: (
    connection: ConnectionFacts,
    details: {
      readonly tookMs: number;
      readonly right: PushRight | undefined;
    },
  ) => void;
  /** Called when a connection could not be opened. */
  readonly onDialFailed?: (error: unknown) => void;
  /** Called with the reason for which a connection has left the pool. */
  readonly onEvict?: (
    reason: EvictionReason,
    connection: ConnectionFacts,
  ) => void;
  /** Called when a connection has ended. */
  readonly onClose: (report: CloseReport, connection: ConnectionFacts) => void;
  /** Called when a connection has ended before its handshake was over. */
  readonly onRefused?: (
    report: CloseReport,
    connection: ConnectionFacts,
  ) => void;
  /** Called for each wait that has ended; a checkout that is served at once is no wait. */
  readonly onWait?: (wait: CheckoutWait) => void;
}
