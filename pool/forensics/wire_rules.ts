// Causes that the last bytes from the server give away: its error reply, or bytes that are no reply.
import { isOverLimit } from "../connection/close_report.ts";
import {
  type Finding,
  type Incident,
  LIKELY,
  movedByOthers,
  PROOF,
} from "./incident.ts";

/** The server had too many clients, or sent what is no reply. */
export function wireFindings(incident: Incident): Finding[] {
  const { how, during, cause = "" } = incident.report;
  const rejected = movedByOthers(incident, "rejected_connections");
  if (/max number of clients/.test(cause)) {
    return [{
      cause: "max-clients",
      weight: PROOF,
      evidence: [cause, ...rejected],
    }];
  }
  if (during === "handshake" && rejected.length > 0) {
    const limit = `maxclients ${incident.after.info.maxclients}`;
    return [{
      cause: "max-clients",
      weight: LIKELY,
      evidence: [...rejected, limit],
    }];
  }
  if (how !== "protocol-error") return [];
  return [{
    cause: "protocol-error",
    weight: PROOF,
    evidence: [cause, ...movedByOthers(incident, "errorstat_ERR")],
    ...isOverLimit(incident.report)
      ? { advice: "ask for less at once, or raise the limits of this client" }
      : {},
  }];
}
