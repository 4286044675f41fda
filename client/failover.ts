// A failover, as a client has learned of it.
import type { Origin } from "./telemetry.ts";

/** Another server has taken over: a replica was promoted, or Sentinels name another primary. */
export interface Failover {
  /** The server that was in charge. What it acknowledged last may be missing on the other. */
  readonly from: Origin;
  /** The server that is in charge now. */
  readonly to: Origin;
}
