// Limits on how long a connection may be idle, or may live.
import { seconds } from "../connection/quantities.ts";
import { AGREE, apartMs, LEAST_MS } from "./idle_ages.ts";
import {
  type Finding,
  HINT,
  type Incident,
  LIKELY,
  POSSIBLE,
  restOf,
} from "./incident.ts";
import { limitAt, limitsBelow, safelyBelow } from "./limits.ts";

/** How late servers close idle connections: they count whole seconds. */
const IDLE_LATE_MS = 1500;
/** How much too early, in milliseconds, an end may be for the server's timeout: the two clocks are read at different moments. */
const IDLE_EARLY_MS = 50;

/** It was as old as a session may be. */
export function ageFindings({ report: { ageMs } }: Incident): Finding[] {
  const limit = limitAt(ageMs, "age");
  if (limit === undefined) return [];
  return [{
    cause: "session-limit",
    weight: HINT,
    evidence: [
      `closed when it was ${seconds(ageMs)} old: the limit of ${limit.name}`,
    ],
    advice: `set maxAgeMs below ${safelyBelow(limit.seconds * 1000)}`,
  }];
}

/** It ended while idle, at the age that a limit allows: the server's, a public one, or one that showed itself before. */
export function idleFindings(incident: Incident): Finding[] {
  const { report, before, after, earlierIdleMs = [] } = incident;
  const { idleMs } = report;
  const timeouts = [after, before].map(({ config }) => Number(config.timeout));
  const ages = [...earlierIdleMs, idleMs]
    .filter((ms) => Math.abs(ms - idleMs) <= apartMs(idleMs));
  const times = timesAt(ages);
  const timeout = timeouts.find((s) =>
    s > 0 && idleMs > s * 1000 - IDLE_EARLY_MS
  );
  if (timeout !== undefined && report.by === "server") {
    return [{
      cause: "idle-timeout",
      weight: idleMs > timeout * 1000 + IDLE_LATE_MS ? POSSIBLE : LIKELY,
      evidence: [
        `idle ${seconds(idleMs)}${times}; the server's timeout is ${timeout}`,
      ],
      advice: setBelow(timeout * 1000),
    }];
  }
  // Where the server's timeout is known, and it is not that, the limit is not the server's.
  const isTimeoutKnown = timeouts.some((s) => s >= 0);
  const limit = limitAt(idleMs, "idle");
  if (limit !== undefined) {
    const again = ages.filter((ms) => limitAt(ms, "idle") === limit).length > 1;
    return [{
      cause: limit.of === "the server" && !isTimeoutKnown
        ? "idle-timeout"
        : "middlebox",
      weight: again ? LIKELY : HINT,
      evidence: [
        `closed after ${seconds(idleMs)} idle${times}: ` +
        `the idle limit of ${limit.name}`,
      ],
      advice: setBelow(limit.seconds * 1000),
    }];
  }
  if (ages.length < AGREE || idleMs < LEAST_MS) return [];
  const least = Math.min(...ages);
  return [{
    cause: isTimeoutKnown ? "middlebox" : "idle-timeout",
    weight: HINT,
    evidence: [`idle ${seconds(idleMs)}${times}`],
    advice: setBelow(Math.max(least - IDLE_LATE_MS, least / 2)),
  }];
}

/** It rested for longer than a public limit, so that it may have been dropped before its last use. */
export function restFindings({ report }: Incident): Finding[] {
  const limits = limitsBelow(restOf(report));
  const [shortest] = limits;
  if (shortest === undefined) return [];
  if (report.how !== "silence" && report.how !== "rst") return [];
  const names = limits.map(({ name, seconds }) => `${name} (${seconds} s)`);
  return [{
    cause: "middlebox",
    weight: HINT,
    evidence: [
      `used after ${seconds(restOf(report))} of rest, longer than the idle ` +
      `limit of ${names.join(" and that of ")}`,
    ],
    advice: setBelow(shortest.seconds * 1000),
  }];
}

const setBelow = (limitMs: number): string =>
  `set idleTimeoutMs below ${safelyBelow(limitMs)}`;

/** How often connections ended at about the same age: `, 3rd time at 129 to 131 s`. */
function timesAt(ages: readonly number[]): string {
  if (ages.length < 2) return "";
  const least = Math.floor(Math.min(...ages) / 1000);
  const most = Math.ceil(Math.max(...ages) / 1000);
  return `, ${ordinal(ages.length)} time at ${least} to ${most} s`;
}

/** 2nd, 3rd, 4th … 11th, 12th … 21st, below 100. */
const ordinal = (n: number): string =>
  n +
  ((n - n % 10 === 10 ? undefined : ["th", "st", "nd", "rd"][n % 10]) ??
    "th");
