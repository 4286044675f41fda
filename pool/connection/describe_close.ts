// A close report as one sentence.
import type { ClosedDuring, ClosedHow, CloseReport } from "./close_report.ts";
import { count, preciseDuration } from "./quantities.ts";

const DURING: Record<ClosedDuring, string> = {
  "handshake": "during the handshake",
  "idle": "while idle",
  "awaiting-reply": "awaiting a reply",
  "inside-reply": "inside a reply",
  "writing": "while writing",
};

const HOW: Record<ClosedHow, string> = {
  "fin": "FIN",
  "rst": "RST",
  "silence": "silence",
  "protocol-error": "protocol error",
  "tls-alert": "TLS alert",
  "requested": "on request",
};

/**
 * The report as one sentence.
 *
 * @param report The report.
 * @returns `Connection closed by server: connection 3 to redis.example:6380 ended (FIN) while idle, …`
 */
export function describeClose(report: CloseReport): string {
  const evidence = [
    `connection ${report.connection} to ${report.endpoint} ended (${
      HOW[report.how]
    }) ${DURING[report.during]}${
      report.replyBytes > 0 ? ` after ${count(report.replyBytes, "byte")}` : ""
    }`,
    `${preciseDuration(report.ageMs)} old`,
    `${preciseDuration(report.idleMs)} since the last byte`,
    `${count(report.commandsServed, "command")} served`,
    `${report.inFlight} in flight${firstOf(report)}`,
  ];
  if (report.clientId !== undefined) {
    evidence.push(`client id ${report.clientId}`);
  }
  const { pool } = report;
  if (pool !== undefined) {
    evidence.push(
      `pool: ${pool.open} open, ${pool.leased} leased, ${pool.waiting} waiting`,
    );
  }
  const cause = report.cause === undefined ? "" : `: ${report.cause}`;
  return `${opening(report)}: ${evidence.join(", ")}${cause}`;
}

function opening({ by, how, owedMs }: CloseReport): string {
  if (how === "silence") {
    return owedMs === 0 // the system gave up an idle connection
      ? "Connection lost to a server or network that does not answer"
      : `Connection closed by client after ${
        preciseDuration(owedMs)
      } without a reply`;
  }
  if (how === "protocol-error") {
    return "Connection closed by client because of a bad reply";
  }
  if (how === "rst") return "Connection reset by server or network";
  return `Connection closed by ${by}`;
}

const firstOf = ({ firstInFlight: first }: CloseReport): string =>
  first === undefined
    ? ""
    : ` (first: ${first.name} with ${count(first.args, "argument")})`;
