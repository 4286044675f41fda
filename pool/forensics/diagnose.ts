// Weighs what the rules find about the end of a connection, and concludes.
import type { CloseReport } from "../connection/close_report.ts";
import { duration } from "../connection/quantities.ts";
import { counterFindings } from "./counter_rules.ts";
import { ageFindings, idleFindings, restFindings } from "./idle_rules.ts";
import {
  type Circumstances,
  type Finding,
  type Incident,
  isOtherRun,
  isSameRun,
  isSilent,
  LIKELY,
  POSSIBLE,
} from "./incident.ts";
import { restartFindings, takeoverFindings } from "./restart_rules.ts";
import type { ServerSnapshot } from "./server_probe.ts";
import { silenceFindings } from "./silence_rules.ts";
import { adviceOn, type Verdict, verdictOf } from "./verdict.ts";
import { wireFindings } from "./wire_rules.ts";

const NO_SNAPSHOT: ServerSnapshot = {
  takenAt: NaN,
  info: {},
  own: {},
  config: {},
};

/**
 * Names the likely cause of a connection's end, with its numbers.
 *
 * @param report How it ended.
 * @param before The server while the connection was open.
 * @param after The server, or the one in its place, after it had ended.
 * @param circumstances What the client observed besides.
 * @returns The cause that fits; where several do, none is more than `"possible"`.
 */
export function diagnose(
  report: CloseReport,
  before: ServerSnapshot = NO_SNAPSHOT,
  after: ServerSnapshot = NO_SNAPSHOT,
  circumstances: Circumstances = {},
): Verdict {
  const incident: Incident = { ...circumstances, report, before, after };
  return conclude(incident, findingsOf(incident));
}

/** Applies the rules whose kind of evidence may bear on the incident. */
function findingsOf(incident: Incident): Finding[] {
  const { by, how, during, cause } = incident.report;
  const isOurs = by === "client";
  const wasRequested = how === "requested" && during !== "handshake";
  const findings = takeoverFindings(incident);
  if (!wasRequested) findings.push(...wireFindings(incident));
  if (!isOurs) {
    findings.push(
      ...ageFindings(incident),
      ...during === "idle" ? idleFindings(incident) : restFindings(incident),
    );
  }
  if (isSilent(incident.report) && !isOtherRun(incident)) {
    findings.push(...silenceFindings(incident));
  }
  if (!wasRequested || cause === "readonly") {
    findings.push(
      ...isSameRun(incident)
        ? counterFindings(incident)
        : restartFindings(incident),
    );
  }
  return findings;
}

function conclude(incident: Incident, findings: readonly Finding[]): Verdict {
  const { report, before, after, refused = [] } = incident;
  const sorted = findings.toSorted((a, b) => b.weight - a.weight);
  const top = sorted[0]?.weight;
  const least = top === LIKELY ? POSSIBLE : top ?? POSSIBLE;
  const causes = [
    ...new Set(
      sorted.flatMap(({ cause, weight }) => weight >= least ? cause : []),
    ),
  ];
  // What is too faint to name a cause may yet support one that is named.
  const bearing = causes.flatMap((cause) =>
    sorted.filter((finding) => finding.cause === cause)
  );
  const evidence = bearing.flatMap(({ evidence }) => evidence);
  const lookedAt = [
    "the close report",
    ...(before === NO_SNAPSHOT ? [] : ["INFO before"]),
    ...(after === NO_SNAPSHOT ? [] : ["INFO after"]),
    ...Object.entries(after.config).map((pair) => pair.join(" ")),
    ...(after.listed === undefined ? [] : ["CLIENT LIST"]),
    ...Object.keys(after.slow ?? {}),
    ...(incident.takeover === undefined ? [] : ["the topology"]),
    ...refused.map((probe) => `${probe} (refused)`),
  ];
  const [cause] = causes;
  const common = { report, cause, causes, lookedAt, refused };
  if (cause === undefined) {
    return verdictOf({ ...common, evidence, confidence: "none" });
  }
  const spanMs = after.takenAt - before.takenAt;
  return verdictOf({
    ...common,
    evidence: [
      ...causes.length > 1 ? [`fits ${causes.join(" and ")}`] : [],
      ...evidence,
      ...spanMs >= 0 ? [`all within ${duration(spanMs)}`] : [],
    ],
    confidence: causes.length === 1 && top! >= LIKELY ? "likely" : "possible",
    advice: bearing.find((finding) => finding.cause === cause && finding.advice)
      ?.advice ?? adviceOn(cause),
  });
}
