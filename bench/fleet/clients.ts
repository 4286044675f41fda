// Clients: whose policies are compared.
import { DialPacing } from "../../pool/dialer.ts";
import { ExponentialBackoff } from "../../retry/backoff.ts";
import { Retry } from "../../retry/retry.ts";
import { IoRedisIsolate, IoRedisSingleIsolate } from "./ioredis.ts";
import { NodeRedisIsolate } from "./node_redis.ts";
import { OurIsolate, type OurPolicies } from "./ours.ts";
import type { Isolate, World } from "./world.ts";

/** A client with its policies. */
export interface FleetClient {
  readonly name: string;
  /** Scenarios that would take it minutes. */
  readonly without?: readonly string[];
  /** What an isolate of a fleet has; called for each. */
  readonly newIsolates: (world: World) => () => Isolate;
}

const ours = (
  name: string,
  policiesOf: (random: () => number) => Partial<OurPolicies>,
  without: readonly string[] = [],
): FleetClient => ({
  name,
  without,
  newIsolates: (world) => {
    const { random } = world.chance;
    const policies: OurPolicies = {
      // As `Redis` has it by default.
      retry: new Retry({
        backoff: new ExponentialBackoff({ jitter: 0.5, random }),
      }),
      isRecorder: true,
      newDialPacing: () => new DialPacing(random),
      ...policiesOf(random),
    };
    return () => new OurIsolate(world, policies);
  },
});

/** The clients, in the order of the table. */
export const CLIENTS: readonly FleetClient[] = [
  ours("ours, record()", () => ({})),
  ours("ours, send, default retry", () => ({ isRecorder: false })),
  ours("ours, send, patient retry", (random) => ({
    isRecorder: false,
    retry: new Retry({
      retries: 40,
      deadlineMs: 20_000,
      backoff: new ExponentialBackoff({ jitter: 0.5, random }),
    }),
  }), ["outage", "single"]),
  {
    name: "ioredis",
    newIsolates: (world) => () =>
      world.size.shards === 1
        ? new IoRedisSingleIsolate(world)
        : new IoRedisIsolate(world),
  },
  {
    name: "node-redis",
    newIsolates: (world) => () => new NodeRedisIsolate(world),
  },
];
