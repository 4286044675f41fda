// Restarts and failovers: another run of the server answers, or another server.
import { duration } from "../connection/quantities.ts";
import { type Finding, type Incident, LIKELY, POSSIBLE } from "./incident.ts";

/** How coarse `uptime_in_seconds` is. */
const COARSE_MS = 2000;
/** A server that started later than this after the end may have gone down later, too. */
const PROMPT_MS = 60_000;

/** What the server served has gone to another one. */
export function takeoverFindings({ report, takeover }: Incident): Finding[] {
  if (takeover === undefined) return [];
  const { evidence, at } = takeover;
  const afterMs = at - report.closedAt;
  // What ended long before has an unknown cause of its own.
  const weight = afterMs <= PROMPT_MS ? LIKELY : POSSIBLE;
  const when = afterMs > 0 ? `, ${duration(afterMs)} after the end` : "";
  return [{ cause: "failover", weight, evidence: [`${evidence}${when}`] }];
}

/** The server was started again, or another one took its place. */
export function restartFindings(incident: Incident): Finding[] {
  const { before: { info: was }, after: { info: is, takenAt } } = incident;
  const { closedAt, ageMs } = incident.report;
  if (is.run_id === undefined) return [];
  const startedAt = takenAt - Number(is.uptime_in_seconds) * 1000 + COARSE_MS;
  const uptime = `uptime_in_seconds ${is.uptime_in_seconds}, ${
    duration(takenAt - closedAt)
  } after the end`;
  if (was.run_id !== undefined) {
    return [otherRunFinding(incident, startedAt, uptime)];
  }
  const isYounger = startedAt - 2 * COARSE_MS > closedAt - ageMs;
  if (!isYounger) return [];
  return [{ cause: "restart", weight: POSSIBLE, evidence: [uptime] }];
}

/** @param startedAt When the run that answers was started, Unix time in milliseconds, at the latest. */
function otherRunFinding(
  { before, after, report, survivors = 0 }: Incident,
  startedAt: number,
  uptime: string,
): Finding {
  const { info: was } = before;
  const { info: is } = after;
  const { closedAt, idleMs, how } = report;
  const change = (name: string): string =>
    `${name} ${was[name]?.slice(0, 8)} -> ${is[name]?.slice(0, 8)}`;
  const isElsewhere = was.tcp_port !== is.tcp_port;
  // A server that saved its data before it started again has the old id there, too.
  const isHeir = was.master_replid !== undefined &&
    [is.master_replid, is.master_replid2].includes(was.master_replid);
  const evidence = [
    change("run_id"),
    change("process_id"),
    uptime,
    ...isElsewhere ? [change("tcp_port")] : [],
    ...isHeir ? ["master_replid2 is the old master_replid"] : [],
  ];
  if (startedAt >= closedAt && !isElsewhere) {
    // All of a server's connections end with it; a silent one may have outlived it unnoticed.
    const outlived = how === "silence" ? 0 : survivors;
    const isPrompt = startedAt - closedAt <= PROMPT_MS && outlived === 0;
    return {
      cause: "restart",
      weight: isPrompt ? LIKELY : POSSIBLE,
      evidence: outlived > 0
        ? [...evidence, `outlived by ${outlived} of its siblings`]
        : evidence,
    };
  }
  if (isHeir || startedAt < closedAt - idleMs) {
    // Where several servers share one address, an answer from another one proves nothing.
    const weight = survivors > 0 ? POSSIBLE : LIKELY;
    return { cause: "failover", weight, evidence };
  }
  const cause = isElsewhere ? "failover" : "restart";
  return { cause, weight: POSSIBLE, evidence };
}
