// The end of one connection and all that was observed around it: what the rules of a diagnosis read.
import type { CloseReport } from "../connection/close_report.ts";
import type { ServerSnapshot } from "./server_probe.ts";
import type { Cause } from "./verdict.ts";

/** What the client observed besides. */
export interface Circumstances {
  /** At what idle ages connections ended before, in milliseconds. */
  readonly earlierIdleMs?: readonly number[];
  /** How many connections to the same run of the server outlived this one. */
  readonly survivors?: number;
  /** Probes that the server refused. */
  readonly refused?: readonly string[];
  /** What was observed around it, if it fell silent. */
  readonly silence?: Silence;
  /** What has taken the server's place, and when it was learned, Unix time in milliseconds. */
  readonly takeover?: { readonly evidence: string; readonly at: number };
}

/** What a client observed around a silence. */
export interface Silence {
  /** How many connections, this one included, fell silent at about the same time. */
  readonly silent: number;
  /** How many others were answered meanwhile. */
  readonly answered: number;
  /** How many new connections got no answer to their handshake. */
  readonly unanswered: number;
  /** How many were opened since the snapshot before, as far as is known. */
  readonly opened: number;
  /** How long the next connection took to open, in milliseconds. */
  readonly dialMs: number;
  /** How long that usually takes, in milliseconds; `undefined` if none was opened before. */
  readonly usualDialMs: number | undefined;
}

/** The end of a connection, and what was observed around it. */
export interface Incident extends Circumstances {
  readonly report: CloseReport;
  /** The server while the connection was open. */
  readonly before: ServerSnapshot;
  /** The server, or the one in its place, after the connection had ended. */
  readonly after: ServerSnapshot;
}

/**
 * How much a finding weighs. A hint counts where there is nothing else. Proof
 * concerns this very connection, and makes every other finding a coincidence.
 */
export type Weight =
  | typeof HINT
  | typeof POSSIBLE
  | typeof LIKELY
  | typeof PROOF;
export const HINT = 0, POSSIBLE = 1, LIKELY = 2, PROOF = 3;

/** A cause that fits an incident, and why. */
export interface Finding {
  readonly cause: Cause;
  readonly weight: Weight;
  readonly evidence: readonly string[];
  /** What to do, if there is something more particular to do than usual. */
  readonly advice?: string;
}

/** Whether a connection ended because its peer sent nothing, before or after its handshake. */
export const isSilent = ({ by, how, during, cause }: CloseReport): boolean =>
  how === "silence"
    ? by !== "client" // not a freeze of this process
    : during === "handshake" && cause === "connect timeout";

/** How long a connection had been idle when it was used for the last time, in milliseconds. */
export const restOf = ({ silentMs, owedMs }: CloseReport): number =>
  silentMs - owedMs;

/** Whether both snapshots are of the same run of the server. */
export const isSameRun = ({ before, after }: Incident): boolean =>
  before.info.run_id !== undefined && before.info.run_id === after.info.run_id;

/** Whether the snapshots are of different runs, of one server or of two. */
export const isOtherRun = ({ before, after }: Incident): boolean =>
  before.info.run_id !== undefined && after.info.run_id !== undefined &&
  before.info.run_id !== after.info.run_id;

/** How a counter of the server moved, if others than this client moved it; else nothing. */
export function movedByOthers(incident: Incident, counter: string): string[] {
  const { before, after } = incident;
  const from = Number(before.info[counter] ?? 0);
  const to = Number(after.info[counter] ?? 0);
  const own = (after.own[counter] ?? 0) - (before.own[counter] ?? 0);
  if (!isSameRun(incident) || to - from <= own) return [];
  const calls = counter.startsWith("cmdstat_") ? " calls" : "";
  const byClient = own > 0 ? `, ${own} of them by this client` : "";
  return [`${counter}${calls} ${from} -> ${to}${byClient}`];
}
