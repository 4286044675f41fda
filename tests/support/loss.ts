// The loss of a command with its connection, as a caller sees it.
import { assertRejects } from "@std/assert";
import { type CloseReport, ConnectionClosedError } from "../../mod.ts";

/** What a call rejects with whose connection ended. */
export const lossOf = (
  call: Promise<unknown>,
): Promise<ConnectionClosedError> =>
  assertRejects(() => call, ConnectionClosedError);

/** A report of a connection that the server closed while it was idle. */
export const CLOSE_REPORT: CloseReport = {
  by: "server",
  how: "fin",
  during: "idle",
  cause: undefined,
  endpoint: "redis.example:6379",
  connection: 1,
  clientId: undefined,
  closedAt: 0,
  ageMs: 0,
  idleMs: 0,
  commandsServed: 0,
  bytesIn: 0,
  bytesOut: 0,
  inFlight: 0,
  firstInFlight: undefined,
  replyBytes: 0,
  silentMs: 0,
  owedMs: 0,
};
