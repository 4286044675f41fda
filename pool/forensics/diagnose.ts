// Which cause the evidence before and after a connection's end speaks for.
import { type CloseReport, isOverLimit } from "../connection/close_report.ts";
import type { ServerSnapshot } from "./server_snapshot.ts";
import { AGREE, apartMs, LEAST_MS } from "./idle_ages.ts";
import { limitAt, limitsBelow, safelyBelow } from "./limits.ts";

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

/** What ended it, and what to do. */
const CAUSES: Record<Cause, readonly [name: string, toDo: string]> = {
  "idle-timeout": ["an idle timeout", ""],
  "client-kill": ["CLIENT KILL", "find out what sends it"],
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
  "acl-change": ["a change of the ACL", "find out what changes users"],
  "demotion": ["the server's demotion", "connect to the primary"],
  "failover": ["a failover", "nothing if it was planned"],
  "middlebox": [
    "something on the way",
    "look at proxies, NAT, firewalls and freezes of this process; " +
    "set idleTimeoutMs below their limits",
  ],
  "server-stall": [
    "a stalled server",
    "look for slow commands, saves and swapping on the server, and at its host",
  ],
  "session-limit": ["a limit on its age", ""],
};

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
  /** What to do. */
  readonly advice?: string;
  /** All of it in one or two sentences. */
  readonly text: string;
  /** The same without the connection's name: `"likely ended by …"`, `"cannot tell why: …"`. */
  readonly outcome: string;
}

/** What a client saw around a silence. */
export interface Silence {
  /** How many connections, this one included, fell silent at about the same time. */
  readonly silent: number;
  /** How many others were answered meanwhile. */
  readonly answered: number;
  /** How many new connections got no answer to their handshake. */
  readonly unanswered: number;
  /** How many were opened since the evidence before, as far as is known. */
  readonly opened: number;
  /** How long the next connection took to open, in milliseconds. */
  readonly dialMs: number;
  /** How long that usually takes, in milliseconds; `undefined` if none was opened before. */
  readonly usualDialMs: number | undefined;
}

/** What the client knows besides. */
export interface Circumstances {
  /** At what idle ages others ended before, in milliseconds. */
  readonly earlierIdleMs?: readonly number[];
  /** How many connections to the same run of the server outlived this one. */
  readonly survivors?: number;
  /** Probes that the server refused. */
  readonly refused?: readonly string[];
  /** What was seen around it, if it fell silent. */
  readonly silence?: Silence;
}

/** Whether a connection ended because its peer said nothing, before or after its handshake. */
export const isSilent = ({ by, how, during, cause }: CloseReport): boolean =>
  how === "silence"
    ? by !== "client" // not a freeze of this process
    : during === "handshake" && cause === "connect timeout";

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
  readonly before: ServerSnapshot;
  readonly after: ServerSnapshot;
  find(cause: Cause, weight: number, evidence: string[], advice?: string): void;
}

/** How late servers close idle connections: they count whole seconds. */
const IDLE_LATE_MS = 1500;
/** How coarse `uptime_in_seconds` is. */
const COARSE_MS = 2000;
/** A server that started later than this may have gone down later, too. */
const PROMPT_MS = 60_000;
/** What has rested for longer may have been dropped meanwhile. */
const RESTED_MS = 60_000;
/** A dial that takes this long, and so many times as long as usual, had to wait. */
const SLOW_DIAL = { leastMs: 100, factor: 5, leastMsIfUnknown: 1000 };
/** What kept the server busy for at least this part of a silence is its cause. */
const SHARE_OF_SILENCE = 0.5;
/** How coarse the times of SLOWLOG and LATENCY are, in milliseconds. */
const SLOW_COARSE_MS = 1000;

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

const NOTHING: ServerSnapshot = { takenAt: NaN, info: {}, own: {}, config: {} };

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
  before: ServerSnapshot = NOTHING,
  after: ServerSnapshot = NOTHING,
  circumstances: Circumstances = {},
): Verdict {
  const { by, how, during, cause } = report;
  const findings: Finding[] = [];
  const find: Case["find"] = (cause, weight, evidence, advice = "") =>
    findings.push({ cause, weight, evidence, advice });
  const it: Case = { report, before, after, ...circumstances, find };
  const wasRequested = how === "requested" && during !== "handshake";
  if (!wasRequested) readWire(it);
  if (by !== "client") readAge(it);
  if (during === "idle" && by !== "client") readIdleAge(it);
  if (by !== "client" && during !== "idle") readRest(it);
  if (isSilent(report) && !isOtherRun(it)) readSilence(it);
  if (!wasRequested || cause === "readonly") {
    if (isSameRun(it)) readChanges(it);
    else readOtherRun(it);
  }
  return conclude(it, findings);
}

const isSameRun = ({ before, after }: Case): boolean =>
  before.info.run_id !== undefined && before.info.run_id === after.info.run_id;

const isOtherRun = ({ before, after }: Case): boolean =>
  before.info.run_id !== undefined && after.info.run_id !== undefined &&
  before.info.run_id !== after.info.run_id;

/** A counter's numbers, if others than this client moved it. */
function moved(it: Case, counter: string): string[] {
  const { before, after } = it;
  const from = Number(before.info[counter] ?? 0);
  const to = Number(after.info[counter] ?? 0);
  const own = (after.own[counter] ?? 0) - (before.own[counter] ?? 0);
  if (!isSameRun(it) || to - from <= own) return [];
  const calls = counter.startsWith("cmdstat_") ? " calls" : "";
  const byClient = own > 0 ? `, ${own} of them by this client` : "";
  return [`${counter}${calls} ${from} -> ${to}${byClient}`];
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

/** Whether it was as old as a session may be. */
function readAge({ report: { ageMs }, find }: Case): void {
  const limit = limitAt(ageMs, "age");
  if (limit === undefined) return;
  find(
    "session-limit",
    HINT,
    [`closed when it was ${seconds(ageMs)} old: the limit of ${limit.name}`],
    `set maxAgeMs below ${safelyBelow(limit.seconds * 1000)}`,
  );
}

/** Whether it had been idle for as long as a limit allows. */
function readIdleAge(
  { report, before, after, earlierIdleMs = [], find }: Case,
): void {
  const { idleMs } = report;
  const timeouts = [after, before].map(({ config }) => Number(config.timeout));
  const ages = [...earlierIdleMs, idleMs]
    .filter((ms) => Math.abs(ms - idleMs) <= apartMs(idleMs));
  const times = timesAt(ages);
  const timeout = timeouts.find((s) => s > 0 && idleMs > s * 1000 - 50);
  if (timeout !== undefined && report.by === "server") {
    find(
      "idle-timeout",
      idleMs > timeout * 1000 + IDLE_LATE_MS ? POSSIBLE : LIKELY,
      [`idle ${time(idleMs)}${times}; the server's timeout is ${timeout}`],
      `set idleTimeoutMs below ${safelyBelow(timeout * 1000)}`,
    );
    return;
  }
  const knowsTimeout = timeouts.some((s) => s >= 0);
  const limit = limitAt(idleMs, "idle");
  if (limit !== undefined) {
    const again = ages.filter((ms) => limitAt(ms, "idle") === limit).length > 1;
    find(
      limit.of === "the server" && !knowsTimeout ? "idle-timeout" : "middlebox",
      again ? LIKELY : HINT,
      [
        `closed after ${seconds(idleMs)} idle${times}: ` +
        `the idle limit of ${limit.name}`,
      ],
      `set idleTimeoutMs below ${safelyBelow(limit.seconds * 1000)}`,
    );
  } else if (ages.length >= AGREE && idleMs >= LEAST_MS) {
    const least = Math.min(...ages);
    find(
      knowsTimeout ? "middlebox" : "idle-timeout",
      HINT,
      [`idle ${time(idleMs)}${times}`],
      `set idleTimeoutMs below ${
        safelyBelow(Math.max(least - IDLE_LATE_MS, least / 2))
      }`,
    );
  }
}

/** That ends came back at about the same age. */
function timesAt(ages: readonly number[]): string {
  if (ages.length < 2) return "";
  const least = Math.floor(Math.min(...ages) / 1000);
  const most = Math.ceil(Math.max(...ages) / 1000);
  return `, ${ordinal(ages.length)} time at ${least} to ${most} s`;
}

/** How long it had rested when it was used for the last time, in milliseconds. */
const restOf = ({ silentMs, owedMs }: CloseReport): number => silentMs - owedMs;

/** Whether it was dropped while it rested, so that only its next use showed that it was dead. */
function readRest({ report, find }: Case): void {
  const limits = limitsBelow(restOf(report));
  if (limits.length === 0 || !["silence", "rst"].includes(report.how)) return;
  const [first] = limits;
  find(
    "middlebox",
    HINT,
    [
      `used after ${seconds(restOf(report))} of rest, longer than the idle ` +
      `limit of ${
        limits.map(({ name, seconds }) => `${name} (${seconds} s)`)
          .join(" and that of ")
      }`,
    ],
    `set idleTimeoutMs below ${safelyBelow(first!.seconds * 1000)}`,
  );
}

/** Whether the server stood still, or only the network to it. */
function readSilence(it: Case): void {
  const { report, before, after, silence, find } = it;
  readBusyServer(it);
  const pauses = moved(it, "cmdstat_client|pause");
  if (pauses.length > 0) {
    find("server-stall", LIKELY, pauses, "find out what sends CLIENT PAUSE");
  }
  // What the server never closed it never was told of: the bytes are lost on the way.
  if (silence === undefined || after.listed) return;
  const { silent, answered, unanswered, opened, dialMs, usualDialMs } = silence;
  if (answered > 0) {
    const evidence = `${count(answered, "other")} answered meanwhile`;
    return find("middlebox", HINT, [`it fell silent, ${evidence}`]);
  }
  const evidence = [
    silent > 1 ? `${silent} connections fell silent at once` : "it fell silent",
    "no other one was answered meanwhile",
  ];
  if (unanswered > 0) {
    evidence.push(`${count(unanswered, "new one")} got no answer`);
  }
  if (isSlow(silence)) {
    const usual = usualDialMs === undefined
      ? ""
      : `, usually ${time(usualDialMs)}`;
    evidence.push(`a new one took ${time(dialMs)} to open${usual}`);
    return find("server-stall", LIKELY, evidence);
  }
  if (unanswered > 0) {
    // A server that stood still runs their HELLO as soon as it goes on.
    const from = Number(before.info["cmdstat_hello"]);
    const to = Number(after.info["cmdstat_hello"]);
    const hellos = `cmdstat_hello calls ${from} -> ${to}`;
    const others = to - from - opened - unanswered;
    if (others < 0 && pauses.length === 0) {
      evidence.push(`what they sent never came to the server: ${hellos}`);
      return find("middlebox", LIKELY, evidence);
    }
    if (others === 0) evidence.push(`the server ran their HELLO: ${hellos}`);
    find("server-stall", POSSIBLE, evidence);
    if (others !== 0 && pauses.length === 0) find("middlebox", POSSIBLE, []);
    return;
  }
  if (restOf(report) >= RESTED_MS) return;
  if (after.listed === "") {
    evidence.push(
      "the server no longer lists it: it has read that this client closed it",
    );
  }
  const isSeen = silent > 1 && after.listed === "";
  find("server-stall", isSeen ? POSSIBLE : HINT, evidence);
}

const isSlow = ({ dialMs, usualDialMs }: Silence): boolean =>
  usualDialMs === undefined
    ? dialMs >= SLOW_DIAL.leastMsIfUnknown
    : dialMs >= SLOW_DIAL.leastMs && dialMs >= SLOW_DIAL.factor * usualDialMs;

/** What the server itself says it did in the meantime. */
function readBusyServer(it: Case): void {
  const { before, after, report: { closedAt, owedMs }, find } = it;
  const enoughMs = SHARE_OF_SILENCE * owedMs;
  for (const [probe, runs] of Object.entries(after.slow ?? {})) {
    const meanwhile = runs.filter(({ endedAt, tookMs }) =>
      endedAt + SLOW_COARSE_MS >= closedAt - owedMs &&
      endedAt - tookMs <= after.takenAt
    ).sort((a, b) => b.tookMs - a.tookMs);
    const [longest] = meanwhile;
    const sumMs = meanwhile.reduce((sum, { tookMs }) => sum + tookMs, 0);
    if (longest === undefined || sumMs < enoughMs) continue;
    const all = meanwhile.length === 1
      ? ""
      : `, ${meanwhile.length} such together ${time(sumMs)}`;
    find(
      "server-stall",
      PROOF,
      [`${probe}: ${longest.what} took ${time(longest.tookMs)}${all}`],
      probe === "SLOWLOG GET"
        ? `make ${longest.what} shorter, or send it elsewhere`
        : "",
    );
  }
  const forkMs = Number(after.info.latest_fork_usec) / 1000;
  if (
    isSameRun(it) && forkMs >= enoughMs &&
    before.info.latest_fork_usec !== after.info.latest_fork_usec
  ) find("server-stall", LIKELY, [`a fork took ${time(forkMs)}`]);
}

/** What the same process has done meanwhile. */
function readChanges(it: Case): void {
  const { before, after: { info, config, listed }, find } = it;
  const { how, during, cause, inFlight, firstInFlight, bytesOut } = it.report;
  const isReadonly = cause === "readonly";
  if (before.info.role === "master" && info.role === "slave") {
    const master = `${info.master_host}:${info.master_port}`;
    const weight = isReadonly ? LIKELY : POSSIBLE;
    find("demotion", weight, [`role master -> slave of ${master}`]);
  }
  if (isReadonly) return;
  if (listed) {
    find("middlebox", PROOF, [
      `CLIENT LIST has ${listed}: the server never closed it`,
    ]);
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
  const least = top === LIKELY ? POSSIBLE : top;
  const causes = [
    ...new Set(
      findings.filter(({ weight }) => weight >= least)
        .sort((a, b) => b.weight - a.weight)
        .map(({ cause }) => cause),
    ),
  ];
  // What is too faint to name a cause may yet speak for one that is named.
  const told = causes.flatMap((cause) =>
    findings.filter((finding) => finding.cause === cause)
      .sort((a, b) => b.weight - a.weight)
  );
  const evidence = told.flatMap(({ evidence }) => evidence);
  const lookedAt = [
    "the close report",
    ...(before === NOTHING ? [] : ["INFO before"]),
    ...(after === NOTHING ? [] : ["INFO after"]),
    ...Object.entries(after.config).map((pair) => pair.join(" ")),
    ...(after.listed === undefined ? [] : ["CLIENT LIST"]),
    ...Object.keys(after.slow ?? {}),
    ...refused.map((probe) => `${probe} (refused)`),
  ];
  const [cause] = causes;
  const found = { report, cause, causes, evidence, lookedAt };
  if (cause === undefined) return described({ ...found, confidence: "none" });
  const advice = told.find((one) => one.cause === cause && one.advice)?.advice;
  const spanMs = after.takenAt - before.takenAt;
  if (causes.length > 1) evidence.unshift(`fits ${causes.join(" and ")}`);
  if (spanMs >= 0) evidence.push(`all within ${time(spanMs)}`);
  return described({
    ...found,
    confidence: causes.length === 1 && top >= LIKELY ? "likely" : "possible",
    advice: advice ?? CAUSES[cause][1],
  });
}

/** What a verdict is made of before it is put in words. */
export type Findings = Omit<Verdict, "text" | "outcome">;

/** Puts a verdict in words. */
export function described(findings: Findings): Verdict {
  const { report, causes, confidence, evidence, advice, lookedAt } = findings;
  const connection = `connection ${report.connection} to ${report.endpoint}`;
  if (causes.length > 0) {
    const names = causes.map((cause) => CAUSES[cause][0]).join(" or ");
    const outcome = `${
      confidence === "likely" ? "likely" : "possibly"
    } ended by ${names}: ${evidence.join(", ")}. To do: ${advice}`;
    return {
      ...findings,
      outcome,
      text: `C${connection.slice(1)} was ${outcome}`,
    };
  }
  if (report.how === "requested") {
    return {
      ...findings,
      outcome: `closed by this client: ${report.cause}`,
      text: `This client closed ${connection}: ${report.cause}`,
    };
  }
  return undecided(findings, `no evidence in ${lookedAt.join(", ")}`);
}

/** Puts in words that there is no cause, and why. */
export const undecided = (findings: Findings, why: string): Verdict => ({
  ...findings,
  outcome: `cannot tell why: ${why}`,
  text:
    `Cannot tell why connection ${findings.report.connection} to ${findings.report.endpoint} ended: ${why}`,
});

const time = (ms: number): string =>
  ms < 1000
    ? `${Math.round(ms)} ms`
    : `${(ms / 1000).toFixed(ms < 10_000 ? 1 : 0)} s`;

/** Idle ages as limits are given: in whole seconds. */
const seconds = (ms: number): string => `${Math.round(ms / 1000)} s`;

const count = (n: number, noun: string): string =>
  `${n} ${noun}${n === 1 ? "" : "s"}`;

/** 2nd, 3rd, 4th … 11th, 12th … 21st, below 100. */
const ordinal = (n: number): string =>
  n +
  ((n - n % 10 === 10 ? undefined : ["th", "st", "nd", "rd"][n % 10]) ??
    "th");
