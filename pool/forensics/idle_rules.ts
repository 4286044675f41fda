// Causes that the age of a connection gives away: limits on how long it may be idle, or may live.
import { seconds } from "../connection/quantities.ts";
import { apartMs, MIN_CLOSES, MIN_IDLE_MS } from "./idle_ages.ts";
import {
  type Finding,
  HINT,
  type Incident,
  LIKELY,
  POSSIBLE,
  restOf,
} from "./incident.ts";

/** A time limit that a provider documents. */
interface Limit {
  /** The services that have it, to follow "the idle limit of". */
  readonly name: string;
  /** In seconds. */
  readonly seconds: number;
  /** What the time counts: since the last byte either way, or since the connection logged in. */
  readonly counts: "idle" | "age";
  /** What it closes, and how. */
  readonly closes: string;
  /** Whether the server itself has it, or something between client and server. */
  readonly of: "the network" | "the server";
  /** Where it is documented. */
  readonly sources: readonly string[];
}

/** The limits, the shortest first. They are defaults: most of them can be changed. */
export const LIMITS: readonly Limit[] = [
  {
    name: "Azure Load Balancer",
    seconds: 240,
    counts: "idle",
    closes: "idle flows, dropped silently unless TCP reset is enabled",
    of: "the network",
    sources: [
      "https://learn.microsoft.com/azure/load-balancer/load-balancer-tcp-reset",
    ],
  },
  {
    name: "AWS NLB, NAT gateway and Nitro v6 instances",
    seconds: 350,
    counts: "idle",
    closes: "idle flows, forgotten: the next packet is reset or dropped",
    of: "the network",
    sources: [
      "https://docs.aws.amazon.com/elasticloadbalancing/latest/network/network-load-balancers.html",
      "https://docs.aws.amazon.com/vpc/latest/userguide/nat-gateway-troubleshooting.html",
      "https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_ConnectionTrackingConfiguration.html",
    ],
  },
  {
    name: "Azure Cache for Redis and App Engine",
    seconds: 600,
    counts: "idle",
    closes: "idle connections, by the service",
    of: "the server",
    sources: [
      "https://learn.microsoft.com/azure/azure-cache-for-redis/cache-best-practices-connection",
      "https://cloud.google.com/appengine/docs/legacy/standard/java/outbound-requests",
    ],
  },
  {
    name: "GCP Cloud NAT",
    seconds: 1200,
    counts: "idle",
    closes: "idle mappings, forgotten: later packets are dropped",
    of: "the network",
    sources: ["https://cloud.google.com/nat/docs/tune-nat-configuration"],
  },
  {
    name: "ElastiCache and MemoryDB sessions under IAM",
    seconds: 43_200,
    counts: "age",
    closes: "connections 12 hours after their last AUTH or HELLO, idle or not",
    of: "the server",
    sources: [
      "https://docs.aws.amazon.com/AmazonElastiCache/latest/dg/auth-iam.html",
      "https://docs.aws.amazon.com/memorydb/latest/devguide/auth-iam.html",
    ],
  },
];

/** How far, in milliseconds, an end may lie from its limit: limits are applied late rather than early. */
const early = ({ seconds }: Limit): number => Math.max(1000, 5 * seconds);
const late = ({ seconds }: Limit): number => Math.max(5000, 20 * seconds);

/**
 * The public limit that fits an age at which a connection was closed.
 *
 * @param ms The age, in milliseconds.
 * @param counts What the age counts.
 * @returns The limit, or `undefined` if none fits.
 */
export const limitAt = (
  ms: number,
  counts: Limit["counts"],
): Limit | undefined =>
  LIMITS.find((limit) =>
    limit.counts === counts &&
    ms >= limit.seconds * 1000 - early(limit) &&
    ms <= limit.seconds * 1000 + late(limit)
  );

/**
 * The public idle limits that a connection had outlived when it was used again.
 *
 * @param restedMs How long it had been idle, in milliseconds.
 */
export const limitsBelow = (restedMs: number): readonly Limit[] =>
  LIMITS.filter(({ counts, seconds }) =>
    counts === "idle" && restedMs >= seconds * 1000
  );

/** The share of a limit that is advised. */
const MARGIN = 0.9;

/**
 * What to stay below, to stay clear of a limit: nine tenths of it, rounded down
 * to two digits.
 *
 * @param limitMs The limit, in milliseconds, at least 100.
 */
export function safelyBelow(limitMs: number): number {
  const ms = MARGIN * limitMs;
  const unit = 10 ** (Math.floor(Math.log10(ms)) - 1);
  return Math.floor(ms / unit) * unit;
}

/** How late servers close idle connections: they count whole seconds. */
const IDLE_LATE_MS = 1500;
/** How much before the server's timeout an end may lie, in milliseconds: the two clocks are read at different moments. */
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
    advice: `set maxAgeMs below ${
      safelyBelow(limit.seconds * 1000)
    }, and hold no lease for so long`,
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
  if (ages.length < MIN_CLOSES || idleMs < MIN_IDLE_MS) return [];
  const least = Math.min(...ages);
  return [{
    cause: isTimeoutKnown ? "middlebox" : "idle-timeout",
    weight: HINT,
    evidence: [`idle ${seconds(idleMs)}${times}`],
    advice: setBelow(Math.max(least - IDLE_LATE_MS, least / 2)),
  }];
}

/** It was idle for longer than a public limit before its last use, so that it may have been dropped by then. */
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
