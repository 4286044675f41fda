// The documented time limits of cloud services, after which they end a connection.

/** A time limit that a provider documents. */
export interface Limit {
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
    name: "ElastiCache sessions under IAM",
    seconds: 43_200,
    counts: "age",
    closes: "connections 12 hours after their last AUTH or HELLO, idle or not",
    of: "the server",
    sources: [
      "https://docs.aws.amazon.com/AmazonElastiCache/latest/dg/auth-iam.html",
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
