// Ours, bare: this module without retry and without timeouts, to price the happy path.

import { connect } from "./ours_client.ts";
import { work } from "../worker.ts";

await work(connect({
  maxConnections: 1,
  retry: false,
  replyTimeoutMs: Infinity,
  checkoutTimeoutMs: Infinity,
  idleTimeoutMs: Infinity,
  maxAgeMs: Infinity,
  validateAfterIdleMs: Infinity,
}));
