// Kills, limits and demotions: what the same run of the server counted or changed meanwhile.
import {
  type Finding,
  type Incident,
  LIKELY,
  movedByOthers,
  POSSIBLE,
  PROOF,
  type Weight,
} from "./incident.ts";
import type { Cause } from "./verdict.ts";

/** What moves when a server closes connections. Redis 6 does not tell subcommands apart. */
const COUNTERS: readonly (readonly [string, Cause, Weight])[] = [
  ["cmdstat_client|kill", "client-kill", LIKELY],
  ["cmdstat_client", "client-kill", POSSIBLE],
  ["evicted_clients", "client-eviction", LIKELY],
  ["client_output_buffer_limit_disconnections", "output-buffer-limit", LIKELY],
  ["client_query_buffer_limit_disconnections", "query-buffer-limit", LIKELY],
  ["cmdstat_acl|deluser", "acl-change", LIKELY],
  ["cmdstat_acl|load", "acl-change", LIKELY],
  ["cmdstat_acl|setuser", "acl-change", POSSIBLE],
  ["cmdstat_acl", "acl-change", POSSIBLE],
];

/** What the server counted, how its role changed, and whether it still lists the connection. */
export function counterFindings(incident: Incident): Finding[] {
  const { how, during, cause } = incident.report;
  const demotion = demotionFindings(incident);
  if (cause === "readonly") return demotion;
  // The server did not close what fell silent, and a handshake may have met another server.
  const isFaint = how === "silence" || during === "handshake";
  return [
    ...demotion,
    ...stillListed(incident),
    ...COUNTERS.flatMap(([counter, cause, weight]) => {
      const evidence = movedByOthers(incident, counter);
      if (evidence.length === 0) return [];
      return [{ cause, weight: isFaint ? POSSIBLE : weight, evidence }];
    }),
    ...isFaint ? [] : uncountedFindings(incident),
  ];
}

function demotionFindings({ before, after, report }: Incident): Finding[] {
  const { role, master_host, master_port } = after.info;
  if (before.info.role !== "master" || role !== "slave") return [];
  return [{
    cause: "demotion",
    weight: report.cause === "readonly" ? LIKELY : POSSIBLE,
    evidence: [`role master -> slave of ${master_host}:${master_port}`],
  }];
}

/** The server takes the connection for open, so that something between it and the client ended it. */
function stillListed({ after: { listed } }: Incident): Finding[] {
  if (!listed) return [];
  return [{
    cause: "middlebox",
    weight: PROOF,
    evidence: [`CLIENT LIST has ${listed}: the server never closed it`],
  }];
}

/** The limits of buffers, on older servers, which do not count what they close by them. */
function uncountedFindings({ report, after }: Incident): Finding[] {
  const { inFlight, firstInFlight, bytesOut } = report;
  const { info, config } = after;
  const isCounted = "client_query_buffer_limit_disconnections" in info;
  if (isCounted || inFlight === 0) return [];
  const findings: Finding[] = [];
  const output = config["client-output-buffer-limit"] ?? "";
  const query = config["client-query-buffer-limit"];
  if (/normal (?!0 0 )/.test(output)) {
    findings.push({
      cause: "output-buffer-limit",
      weight: POSSIBLE,
      evidence: [
        `${firstInFlight?.name} awaited its reply, client-output-buffer-limit ${output}`,
      ],
    });
  }
  if (bytesOut >= Number(query)) {
    findings.push({
      cause: "query-buffer-limit",
      weight: POSSIBLE,
      evidence: [`${bytesOut} bytes out, client-query-buffer-limit ${query}`],
    });
  }
  return findings;
}
