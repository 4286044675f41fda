// Which cause the evidence before and after a connection's end speaks for.
import { type CloseReport, isOverLimit } from "./close_report.ts";
import type { Evidence } from "./evidence.ts";
import { AGREE, apartMs } from "./idle_ages.ts";

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
  | "middlebox";

/** What ended it, and what to do. */
const CAUSES: Record<Cause, readonly [name: string, toDo: string]> = {
  "idle-timeout": ["an idle timeout", ""],
  "client-kill": ["CLIENT KILL", "find out who or what sends it"],
  "restart": ["a restart of the server", "look into its log"],
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
  "acl-change": ["a change of the ACL", "find out who changes users"],
  "demotion": ["the server's demotion", "connect to the primary"],
  "failover": ["a failover", "nothing if it was planned"],
  "middlebox": [
    "something on the way, or a freeze",
    "look at proxies, NAT and firewalls; set idleTimeoutMs below their limits",
  ],
};

/** What a post-mortem found. */
export interface Verdict {
  /** How the connection ended. */
  readonly report: CloseReport;
  /** Why; of several causes the one that fits best. */
  readonly cause: Cause | undefined;
  /** `"likely"`: this cause fits and no other does. */
  readonly confidence: "likely" | "possible" | "none";
  /** Such as `"cmdstat_client|kill calls 3 -> 4"`. */
  readonly evidence: readonly string[];
  /** Where evidence was sought; what the server refused says so. */
  readonly lookedAt: readonly string[];
  /** What to do. */
  readonly advice?: string;
  /** All of it in one or two sentences. */
  readonly text: string;
}

/** What the client knows besides. */
export interface Circumstances {
  /** At what idle ages others ended before, in milliseconds. */
  readonly earlierIdleMs?: readonly number[];
  /** How many connections to the same run of the server outlived this one. */
  readonly survivors?: number;
  /** Probes that the server refused. */
  readonly refused?: readonly string[];
}

// What a finding weighs. A hint counts where there is nothing else; proof is
// about this very connection and makes all else a coincidence.
const HINT = 0, POSSIBLE = 1, LIKELY = 2, PROOF = 3;

interface Finding {
  readonly cause: Cause;
  readonly weight: number;
  readonly evidence: string[];
  readonly advice: string;
}

interface Case extends Circumstances {
  readonly report: CloseReport;
  readonly before: Evidence;
  readonly after: Evidence;
  find(cause: Cause, weight: number, evidence: string[], advice?: string): void;
}

/** How late servers close idle connections: they count whole seconds. */
const IDLE_LATE_MS = 1500;
/** How coarse `uptime_in_seconds` is. */
const COARSE_MS = 2000;
/** A server that started later than this may have gone down later, too. */
const PROMPT_MS = 60_000;

/** What moves when a server closes connections. Redis 6 does not tell subcommands apart. */
const COUNTERS: readonly [string, Cause, number][] = [
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

const NOTHING: Evidence = { takenAt: NaN, info: {}, own: {}, config: {} };

/**
 * Names the likely cause of a connection's end, with its numbers.
 *
 * @param report How it ended.
 * @param before The server while the connection lived.
 * @param after The server, or the one in its place, after it had ended.
 * @param circumstances What the client knows besides.
 * @returns The cause that fits; where several do, none is more than `"possible"`.
 */
export function diagnose(
  report: CloseReport,
  before: Evidence = NOTHING,
  after: Evidence = NOTHING,
  circumstances: Circumstances = {},
): Verdict {
  const { by, how, during, cause } = report;
  const findings: Finding[] = [];
  const find: Case["find"] = (cause, weight, evidence, advice = "") =>
    findings.push({ cause, weight, evidence, advice });
  const it: Case = { report, before, after, ...circumstances, find };
  const isOurs = how === "requested" && during !== "handshake";
  if (!isOurs) readWire(it);
  if (during === "idle" && by !== "client") readIdleAge(it);
  if (!isOurs || cause === "readonly") {
    if (isSameRun(it)) readChanges(it);
    else readOtherRun(it);
  }
  return conclude(it, findings);
}

const isSameRun = ({ before, after }: Case): boolean =>
  before.info.run_id !== undefined && before.info.run_id === after.info.run_id;

/** A counter's numbers, if others than ourselves moved it. */
function moved(it: Case, counter: string): string[] {
  const { before, after } = it;
  const from = Number(before.info[counter] ?? 0);
  const to = Number(after.info[counter] ?? 0);
  const own = (after.own[counter] ?? 0) - (before.own[counter] ?? 0);
  if (!isSameRun(it) || to - from <= own) return [];
  const calls = counter.startsWith("cmdstat_") ? " calls" : "";
  const ours = own > 0 ? `, ${own} of them ours` : "";
  return [`${counter}${calls} ${from} -> ${to}${ours}`];
}

/** What the server said, or that it shut the door. */
function readWire(it: Case): void {
  const { how, during, cause = "" } = it.report;
  const rejected = moved(it, "rejected_connections");
  if (/max number of clients/.test(cause)) {
    it.find("max-clients", PROOF, [cause, ...rejected]);
  } else if (during === "handshake" && rejected.length > 0) {
    const limit = `maxclients ${it.after.info.maxclients}`;
    it.find("max-clients", LIKELY, [...rejected, limit]);
  } else if (how === "protocol-error") {
    const errors = moved(it, "errorstat_ERR");
    const advice = isOverLimit(it.report)
      ? "ask for less at once, or raise the limits of this client"
      : "";
    it.find("protocol-error", PROOF, [cause, ...errors], advice);
  }
}

/** Whether it had been idle for as long as a limit allows. */
function readIdleAge(
  { report, before, after, earlierIdleMs = [], find }: Case,
): void {
  const { idleMs } = report;
  const ages = [...earlierIdleMs, idleMs]
    .filter((ms) => Math.abs(ms - idleMs) <= apartMs(idleMs));
  const least = Math.floor(Math.min(...ages));
  const most = Math.ceil(Math.max(...ages) / 1000);
  const times = ages.length < 2
    ? ""
    : `, ${ordinal(ages.length)} time at ${
      Math.floor(least / 1000)
    } to ${most} s`;
  const idle = `idle ${time(idleMs)}${times}`;
  const timeouts = [after, before].map(({ config }) => Number(config.timeout));
  const timeout = timeouts.find((s) => s > 0 && idleMs > s * 1000 - 50);
  if (timeout !== undefined && report.by === "server") {
    find(
      "idle-timeout",
      idleMs > timeout * 1000 + IDLE_LATE_MS ? POSSIBLE : LIKELY,
      [`${idle}; the server's timeout is ${timeout}`],
      `set idleTimeoutMs below ${timeout * 1000}`,
    );
  } else if (ages.length >= AGREE) {
    const cause = timeouts.some((s) => s >= 0) ? "middlebox" : "idle-timeout";
    find(cause, HINT, [idle], `set idleTimeoutMs below ${least}`);
  }
}

/** What the same process has done meanwhile. */
function readChanges(it: Case): void {
  const { before, after: { info, config, listed }, find } = it;
  const { how, during, cause, inFlight, firstInFlight, bytesOut } = it.report;
  const isReadonly = cause === "readonly";
  if (before.info.role === "master" && info.role === "slave") {
    const master = `${info.master_host}:${info.master_port}`;
    const weight = isReadonly ? PROOF : POSSIBLE;
    find("demotion", weight, [`role master -> slave of ${master}`]);
  }
  if (isReadonly) return;
  if (listed) {
    const evidence = `CLIENT LIST has ${listed}: the server never closed it`;
    find("middlebox", PROOF, [evidence]);
  }
  const isFaint = how === "silence" || during === "handshake";
  for (const [counter, cause, weight] of COUNTERS) {
    const numbers = moved(it, counter);
    if (numbers.length > 0) find(cause, isFaint ? POSSIBLE : weight, numbers);
  }
  // Older servers do not count the ends that the limits of buffers make.
  const isCounted = "client_query_buffer_limit_disconnections" in info;
  if (isFaint || isCounted || inFlight === 0) return;
  const output = config["client-output-buffer-limit"] ?? "";
  const query = config["client-query-buffer-limit"];
  if (/normal (?!0 0 )/.test(output)) {
    const evidence = `${firstInFlight?.name} awaited its reply`;
    find("output-buffer-limit", POSSIBLE, [
      `${evidence}, client-output-buffer-limit ${output}`,
    ]);
  }
  if (bytesOut >= Number(query)) {
    find("query-buffer-limit", POSSIBLE, [
      `${bytesOut} bytes out, client-query-buffer-limit ${query}`,
    ]);
  }
}

/** Another process answers: the server was started again, or it is another one. */
function readOtherRun(it: Case): void {
  const { before: { info: was }, after: { info: is, takenAt }, find } = it;
  const { closedAt, idleMs, ageMs, how } = it.report;
  if (is.run_id === undefined) return;
  const startedAt = takenAt - Number(is.uptime_in_seconds) * 1000 + COARSE_MS;
  const isNew = startedAt >= closedAt;
  const goneMs = takenAt - closedAt;
  const change = (name: string): string =>
    `${name} ${was[name]?.slice(0, 8)} -> ${is[name]?.slice(0, 8)}`;
  const evidence = [
    `uptime_in_seconds ${is.uptime_in_seconds}, ${time(goneMs)} after the end`,
  ];
  if (was.run_id === undefined) {
    const isYounger = startedAt - 2 * COARSE_MS > closedAt - ageMs;
    return isYounger ? find("restart", POSSIBLE, evidence) : undefined;
  }
  evidence.unshift(change("run_id"), change("process_id"));
  const isElsewhere = was.tcp_port !== is.tcp_port;
  if (isElsewhere) evidence.push(change("tcp_port"));
  // A server that saved its data before it started again has the old id there, too.
  const isHeir = was.master_replid !== undefined &&
    [is.master_replid, is.master_replid2].includes(was.master_replid);
  if (isHeir) evidence.push("master_replid2 is the old master_replid");
  if (isNew && !isElsewhere) {
    // All of a server's connections end with it.
    const survivors = how === "silence" ? 0 : it.survivors ?? 0;
    if (survivors > 0) {
      evidence.push(`outlived by ${survivors} of its siblings`);
    }
    const isPrompt = startedAt - closedAt <= PROMPT_MS && survivors === 0;
    find("restart", isPrompt ? LIKELY : POSSIBLE, evidence);
  } else if (isHeir || startedAt < closedAt - idleMs) {
    // Servers behind one address: another one answering proves nothing then.
    find("failover", it.survivors ? POSSIBLE : LIKELY, evidence);
  } else find(isElsewhere ? "failover" : "restart", POSSIBLE, evidence);
}

function conclude(it: Case, findings: Finding[]): Verdict {
  const { report, before, after, refused = [] } = it;
  const top = Math.max(...findings.map(({ weight }) => weight));
  const best = findings
    .filter(({ weight }) => weight >= (top === LIKELY ? POSSIBLE : top))
    .sort((a, b) => b.weight - a.weight);
  const causes = [...new Set(best.map(({ cause }) => cause))];
  const evidence = best.flatMap(({ evidence }) => evidence);
  const lookedAt = [
    "the close report",
    ...(before === NOTHING ? [] : ["INFO before"]),
    ...(after === NOTHING ? [] : ["INFO after"]),
    ...Object.entries(after.config).map((pair) => pair.join(" ")),
    ...(after.listed === undefined ? [] : ["CLIENT LIST"]),
    ...refused.map((probe) => `${probe} (refused)`),
  ];
  const verdict = { report, cause: causes[0], evidence, lookedAt };
  const who = `onnection ${report.connection} to ${report.endpoint}`;
  const [first] = best;
  if (first === undefined) {
    const text = report.how === "requested"
      ? `This client closed c${who}: ${report.cause}`
      : `Cannot tell why c${who} ended: no evidence in ${lookedAt.join(", ")}`;
    return { ...verdict, confidence: "none", text };
  }
  const isLikely = causes.length === 1 && top >= LIKELY;
  const toDo = first.advice || CAUSES[first.cause][1];
  const advice = first.advice ? `${first.evidence[0]}: ${toDo}` : toDo;
  const spanMs = after.takenAt - before.takenAt;
  if (causes.length > 1) evidence.unshift(`fits ${causes.join(" and ")}`);
  if (spanMs >= 0) evidence.push(`all within ${time(spanMs)}`);
  const names = causes.map((cause) => CAUSES[cause][0]).join(" or ");
  return {
    ...verdict,
    confidence: isLikely ? "likely" : "possible",
    advice,
    text: `C${who} was ${isLikely ? "likely" : "possibly"} ended by ${names}: ${
      evidence.join(", ")
    }. To do: ${toDo}`,
  };
}

const time = (ms: number): string =>
  ms < 1000
    ? `${Math.round(ms)} ms`
    : `${(ms / 1000).toFixed(ms < 10_000 ? 1 : 0)} s`;

/** 2nd, 3rd, 4th … 11th, 12th … 21st. */
const ordinal = (n: number): string =>
  n +
  ((n % 100 - n % 10 === 10 ? undefined : ["th", "st", "nd", "rd"][n % 10]) ??
    "th");
