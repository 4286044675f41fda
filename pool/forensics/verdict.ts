// The verdict of a post-mortem, in fields and in words.
import type { CloseReport } from "../connection/close_report.ts";

/** Why a connection ended. */
export type Cause =
  | "idle-timeout"
  | "client-kill"
  | "restart"
  | "max-clients"
  | "output-buffer-limit"
  | "query-buffer-limit"
  | "client-eviction"
  | "protocol-error"
  | "acl-change"
  | "demotion"
  | "failover"
  | "middlebox"
  | "server-stall"
  | "session-limit";

/** What a post-mortem found. */
export interface Verdict {
  /** How the connection ended. */
  readonly report: CloseReport;
  /** Why; of several causes the one that fits best. */
  readonly cause: Cause | undefined;
  /** Every cause that fits, the best first. */
  readonly causes: readonly Cause[];
  /** `"likely"`: this cause fits and no other does. */
  readonly confidence: "likely" | "possible" | "none";
  /** Such as `"cmdstat_client|kill calls 3 -> 4"`. */
  readonly evidence: readonly string[];
  /** Where evidence was sought; what the server refused says so. */
  readonly lookedAt: readonly string[];
  /** Probes that the server refused, such as `"CONFIG GET"`. */
  readonly refused: readonly string[];
  /** What to do. */
  readonly advice?: string;
  /** All of it in one or two sentences. */
  readonly text: string;
  /** The same without the connection's name: `"likely ended by …"`, `"cannot tell why: …"`. */
  readonly outcome: string;
}

/** A verdict that is not put in words yet. */
export type Conclusion = Omit<Verdict, "text" | "outcome">;

/** The name of each cause in a sentence, and what to do about it. */
const CAUSES: Record<Cause, readonly [name: string, advice: string]> = {
  "idle-timeout": ["an idle timeout", ""],
  "client-kill": ["CLIENT KILL", "find out what sends it"],
  "restart": ["a restart of the server", "check its log"],
  "max-clients": ["maxclients", "lower maxConnections or raise maxclients"],
  "output-buffer-limit": [
    "the output buffer limit",
    "ask for less at once or raise client-output-buffer-limit",
  ],
  "query-buffer-limit": [
    "the query buffer limit",
    "send less at once or raise client-query-buffer-limit",
  ],
  "client-eviction": ["maxmemory-clients", "raise it or ask for less at once"],
  "protocol-error": ["a protocol error", "look for a proxy that changes bytes"],
  "acl-change": ["a change of the ACL", "find out what changes users"],
  "demotion": ["the server's demotion", "connect to the primary"],
  "failover": ["a failover", "nothing if it was planned"],
  "middlebox": [
    "something on the network path",
    "check proxies, NAT, firewalls and freezes of this process; " +
    "set idleTimeoutMs below their limits",
  ],
  "server-stall": [
    "a stalled server",
    "look for slow commands, saves and swapping on the server, and check its host",
  ],
  "session-limit": ["a limit on its age", ""],
};

/** What to do about a cause if the evidence suggests nothing more particular. */
export const adviceOn = (cause: Cause): string => CAUSES[cause][1];

/** Puts a conclusion in words. */
export function verdictOf(conclusion: Conclusion): Verdict {
  const { report, causes, confidence, evidence, advice, lookedAt } = conclusion;
  if (causes.length > 0) {
    const names = causes.map((cause) => CAUSES[cause][0]).join(" or ");
    const adverb = confidence === "likely" ? "likely" : "possibly";
    const outcome = `${adverb} ended by ${names}: ${
      evidence.join(", ")
    }. To do: ${advice}`;
    return {
      ...conclusion,
      outcome,
      text: `Connection ${nameOf(report)} was ${outcome}`,
    };
  }
  if (report.how === "requested") {
    return {
      ...conclusion,
      outcome: `closed by this client: ${report.cause}`,
      text: `This client closed connection ${nameOf(report)}: ${report.cause}`,
    };
  }
  return withoutCause(conclusion, `no evidence in ${lookedAt.join(", ")}`);
}

/** Puts in words that no cause was found, and why not. */
export const withoutCause = (
  conclusion: Conclusion,
  why: string,
): Verdict => ({
  ...conclusion,
  outcome: `cannot tell why: ${why}`,
  text: `Cannot tell why connection ${nameOf(conclusion.report)} ended: ${why}`,
});

const nameOf = ({ connection, endpoint }: CloseReport): string =>
  `${connection} to ${endpoint}`;
